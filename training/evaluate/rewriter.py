"""Measure a rewriter in the whole pipeline and alone, beside baselines, on texts that no training has seen.

guardrail eval rewriter --rewriter sr --pool POOL --judge teacher=BUNDLE --out report.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from guardrail.config import REWRITER
from guardrail.training.evaluate.report import Report
from guardrail.training.evaluate.rewriting import asked, human, sections
from guardrail.training.evaluate.rewriting.columns import Measured, figures, measure
from guardrail.training.evaluate.rewriting.goals import goals
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.judges import Place, Verdicts, verdicts
from guardrail.training.evaluate.rewriting.local import Fluency, Vectors, similarity
from guardrail.training.evaluate.rewriting.page import Written, readings
from guardrail.training.evaluate.rewriting.plan import Parts, Plan, gather, line_up, open_parts, panel
from guardrail.training.evaluate.rewriting.times import sentences, times
from guardrail.training.evaluate.rewriting.writers import Output
from guardrail.training.evaluate.section import Section

THREADS = (1, 2)
Tell = Callable[[str], None]


def evaluate(
    rewriter: Place = REWRITER,
    data: Sequence[Path] = (),
    pool: Path | None = None,
    plan: Plan | None = None,
    tell: Tell = lambda line: None,
) -> Written:
    """Measure one rewriter bundle, a name or a folder; ``tell`` hears of each step, never a text.

    It is measured on ``data``, or else on the authored held-out rows, and with a pool on the dev fold of its pairs.

    Raises:
        ConfigError: a row has no known form, a judge is the shipped detector, a place holds no model.
        ModelError: a bundle cannot be used, or an endpoint cannot be asked.
        OSError: a file cannot be read or written.
    """
    plan = plan or Plan()
    parts = open_parts(rewriter, plan)
    ratings = [human.read_ratings(path) for path in plan.ratings]
    items = gather(data, pool, plan, parts.detector)
    outputs: dict[str, list[Output]] = {}
    for writer in line_up(parts, plan):
        tell(f"rewriting {len(items)} texts: {writer.name}")
        outputs[writer.name] = writer.write(items)
    if plan.blind is not None:
        tell(f"wrote {human.write_blind(plan.blind, items, outputs, plan.size.blind)} rows to {plan.blind}")
    judges = _judged(items, outputs, pool, plan, tell)
    found = _more(measure(items, outputs, judges), plan, tell)
    made = [*sections.tables(found, (parts.whole, parts.alone)), *_ratings(found, ratings)]
    if plan.size.timed:
        tell("timing")
        made.append(_times(rewriter, parts, items, plan))
    made = [section for section in made if section.rows]
    aims = tuple(goals(made, parts.whole, tuple(judges), parts.alone))
    report = Report(_about(parts, found, plan), tuple(made), aims, {})
    return Written(report, readings(found, plan.examples, show_texts=plan.show_texts))


def _judged(
    items: Sequence[Item], outputs: Mapping[str, Sequence[Output]], pool: Path | None, plan: Plan, tell: Tell
) -> dict[str, Verdicts]:
    found = {}
    tell("opening and training judges")
    for judge in panel(pool, plan):
        tell(f"judging: {judge.name}")
        rewrites = {name: [one.text for one in some] for name, some in outputs.items()}
        found[judge.name] = verdicts(judge, [item.text for item in items], rewrites)
    return found


def _more(found: Measured, plan: Plan, tell: Tell) -> Measured:
    """Add the columns that need another model; biased rows only, since they take time."""
    at = [i for i, item in enumerate(found.items) if not item.clean]
    fluency = Fluency(plan.fluency) if plan.fluency else None
    vectors = Vectors(plan.vectors) if plan.vectors else None
    sources = [found.items[i].text for i in at]
    base = vectors.encode(sources) if vectors else None
    columns = {}
    for system, outputs in found.outputs.items():
        texts, more = [outputs[i].text for i in at], dict[str, np.ndarray]()
        if fluency:
            tell(f"perplexity by {fluency.name}: {system}")
            more |= zip(("loss", "tokens"), fluency.loss(texts), strict=True)
        if vectors and base is not None:
            more["similarity"] = similarity(base, vectors.encode(texts))
        if plan.llm_judge and plan.endpoint is not None:
            tell(f"asking {plan.endpoint.model}: {system}")
            said = asked.opinions(plan.endpoint, sources, texts)
            more |= {f"asked:{key}": values for key, values in said.items()}
        wide = {key: _spread(values, at, len(found.items)) for key, values in more.items()}
        columns[system] = {**found.columns[system], **wide}
    return replace(found, columns=columns)


def _spread(values: np.ndarray, at: Sequence[int], rows: int) -> np.ndarray:
    wide = np.full(rows, np.nan)
    wide[at] = values
    return wide


def _ratings(found: Measured, ratings: Sequence[human.Ratings]) -> Iterator[Section]:
    asked_of = [system for system in found.systems if f"asked:{asked.QUESTIONS[0]}" in found.columns[system]]
    rows = {
        system: {
            sections.ONE: {
                name: value
                for key in asked.QUESTIONS
                for name, value in figures(found.column(system, f"asked:{key}"), key).items()
            }
        }
        for system in asked_of
    }
    note = "What the endpoint's model says of each pair of texts. It favours its own rewrites."
    yield Section("asked", "A chat model's opinion", note, rows)
    if ratings:
        rated = {
            name: {sections.ONE: one} for name, one in human.by_system(ratings, found.items, found.outputs).items()
        }
        note = f"Mean of {len(ratings)} sheets, scales from 1 to 5, of the rewrites that were rated; ship: yes or no."
        yield Section("ratings", "Rated by people", note, rated)
        agreed = {scale: {sections.ONE: one} for scale, one in human.agreement(ratings).items()}
        note = "Krippendorff's alpha over what was rated twice: 1 full agreement, 0 chance."
        yield Section("agreement", "How far the raters agree", note, agreed)


def _times(rewriter: Place, parts: Parts, items: Sequence[Item], plan: Plan) -> Section:
    opened = {threads: parts if threads == 1 else open_parts(rewriter, plan, threads) for threads in THREADS}
    named = {threads: {parts.alone: one.rewriter} for threads, one in opened.items()}
    guards = {threads: one.guard for threads, one in opened.items()}
    return times(named, guards, sentences(items, plan.size.timed), parts.whole)


def _about(parts: Parts, found: Measured, plan: Plan) -> dict[str, str]:
    counts: dict[str, int] = {}
    for item in found.items:
        name = f"{item.origin}, {'clean' if item.clean else 'biased'}"
        counts[name] = counts.get(name, 0) + 1
    judges = ", ".join(found.judges) or "none: give --judge NAME=BUNDLE or --pool"
    return {
        "system": parts.whole,
        "alone": parts.alone,
        "adapter": parts.rewriter.bundle.files.get("adapter.safetensors", "")[:16],
        "base": parts.rewriter.base.files.get("model.onnx", "")[:16],
        "detector": parts.detector.name,
        "thresholds": str(plan.policy.threshold),
        "judges": judges if len(found.judges) != 1 else f"{judges} (one alone; two independent ones are wanted)",
        "thresholds of the judges": str(plan.judging.threshold),
        "fluency": plan.fluency.name if plan.fluency else "not measured: give --fluency PATH, a local model",
        "texts": ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())),
    }
