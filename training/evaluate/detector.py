"""Measure a detector bundle as it runs, beside a baseline and other bundles, on labelled texts and on probes.

guardrail eval detector --bundle BUNDLE --pool POOL --out report.html
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from guardrail.models.bundle import Bundle, open_bundle
from guardrail.models.store import find
from guardrail.policy import Policy
from guardrail.result import GROUPS
from guardrail.text.windows import split_sentences
from guardrail.training.data.authored import FOLDER
from guardrail.training.data.lint import HELD_OUT
from guardrail.training.data.pool import CLEAN_REPLIES, clean_replies, read_pool
from guardrail.training.data.schema import LABELS
from guardrail.training.detector.mix import load_rows
from guardrail.training.detector.recipe import Recipe, find_recipe
from guardrail.training.evaluate import fairness, probes, robustness, tables
from guardrail.training.evaluate.baseline import train
from guardrail.training.evaluate.cases import Case, from_row, measured, read_cases
from guardrail.training.evaluate.latency import latency
from guardrail.training.evaluate.metrics import Bin, macro_f1, mean, reliability
from guardrail.training.evaluate.report import Example, Report
from guardrail.training.evaluate.section import Part, Section
from guardrail.training.evaluate.systems import Judged, System, open_system, score
from guardrail.training.evaluate.targets import Facts, targets

SEED = 17
TARGET = "fpr<=0.01"
RATE = 0.01
# Labelled files that a recipe trains on without their labels, if at all: what the detector makes of other sources.
STRANGE = ("diasafety", "redditbias", "stereoset")
T = TypeVar("T")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """How many texts each measurement takes, ``rows`` of each bucket; ``latency_rounds`` 0 leaves latency out."""

    rows: int = 1000
    strange_rows: int = 300
    baseline_rows: int = 60_000
    clean_replies: int = 600
    probes: int = 1000
    noise_texts: int = 120
    documents: int = 60
    page_sources: int = 300
    sentences: int = 30
    latency_rounds: int = 60


FULL = Size()
QUICK = Size(
    rows=40,
    strange_rows=30,
    baseline_rows=10_000,
    clean_replies=60,
    probes=40,
    noise_texts=12,
    documents=6,
    page_sources=60,
    sentences=3,
    latency_rounds=10,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure beside the pool and beside what; ``compare`` maps a column's name to a bundle, the largest first.

    ``recipe`` names the baseline's training rows, by default that of the shipped detector; ``examples`` is how many
    of the worst texts of each part are kept to read.
    """

    data: tuple[Path, ...] = ()
    recipe: Recipe | None = None
    compare: Mapping[str, str | Path] | None = None
    policy: Policy | None = None
    examples: int = 0
    size: Size | None = None


def evaluate(
    bundle: str | Path, pool: Path | None = None, plan: Plan | None = None, tell: Tell = lambda line: None
) -> Report:
    """Measure one bundle (a name, or a folder as a ``Path``) on what is held out; ``tell`` hears of each step.

    Without a pool there is no baseline, which has to be trained, and no clean reply.

    Raises:
        ModelNotFoundError: there is no such bundle.
        ConfigError: a row of the data has no known form; names file and line.
        OSError: a file of the pool or of the data cannot be read.
    """
    plan = plan or Plan()
    size, policy = plan.size or FULL, plan.policy or Policy(threshold=TARGET)
    opened = open_bundle(bundle) if isinstance(bundle, Path) else find(bundle)
    ours = open_system(bundle, policy)
    systems, parts = _parts(ours, pool, plan, size, tell)
    sections = [section for part in parts for section in _tables(part)]
    tell("fairness: swaps, groups, dialects, registers")
    sections += _fair(systems, parts, size)
    tell("robustness: noise, long texts")
    sections += _robust(systems, pool, parts, size)
    if pool is not None:
        sections.append(_replies(systems, pool, size))
    if size.latency_rounds:
        tell("timing")
        sections.append(latency(opened, rounds=size.latency_rounds))
    facts = Facts(ours.name, opened.size / 1e6, (*(plan.compare or {}), ours.name), *_sexism(parts, ours.name))
    return Report(
        _about(opened, ours, policy, parts),
        tuple(section for section in sections if section.rows),
        tuple(targets(sections, facts)),
        _reliability(parts, ours.name),
        _examples(parts, ours.name, plan.examples),
    )


def _parts(ours: Judged, pool: Path | None, plan: Plan, size: Size, tell: Tell) -> tuple[list[System], list[Part]]:
    """Return the systems that take all measurements, and what these and the compared ones say of labelled texts."""
    recipe = plan.recipe or Recipe.read(find_recipe("detector"))
    cases = _cases(pool, plan.data, recipe, size)
    policy = plan.policy or Policy(threshold=TARGET)
    compared = [open_system(path, policy, name) for name, path in (plan.compare or {}).items()]
    systems: list[System] = [ours]
    if pool is not None:
        tell("training the tf-idf baseline")
        systems.append(_baseline(pool, recipe, size))
    parts = []
    for key, title, rows in cases:
        tell(f"judging {len(rows)} texts: {title}")
        scored = {system.name: score(system, [case.text for case in rows]) for system in [*systems, *compared]}
        parts.append(Part(key, title, tuple(rows), scored))
    return systems, parts


def _cases(pool: Path | None, data: Sequence[Path], recipe: Recipe, size: Size) -> list[tuple[str, str, list[Case]]]:
    found = [("heldout", "Authored rows kept out of training", read_cases(FOLDER / f"{HELD_OUT}.jsonl"))]
    if pool is not None:
        dev = [from_row(row) for row in load_rows(recipe, pool) if row.labels or row.groups]
        found.append(("dev", "Dev fold of the training sources", dev))
        caps = {name: size.strange_rows for name in STRANGE if (pool / f"{name}.jsonl.gz").exists()}
        strange = [replace(from_row(row), fold="dev") for row in read_pool(pool, caps, split_sentences, SEED)]
        found.append(("strange", "Sources whose labels no training saw", strange))
    found += [(f"data{i}", path.name, read_cases(path)) for i, path in enumerate(data, 1)]
    return [(key, title, _capped(measured(cases), size.rows)) for key, title, cases in found]


def _capped(cases: Sequence[Case], cap: int) -> list[Case]:
    """Return up to ``cap`` cases of each bucket, in a random order that is the same each time."""
    shuffled = list(cases)
    random.Random(SEED).shuffle(shuffled)
    by_bucket: dict[str, list[Case]] = {}
    for case in shuffled:
        by_bucket.setdefault(case.bucket, []).append(case)
    return [case for found in by_bucket.values() for case in found[:cap]]


def _baseline(pool: Path, recipe: Recipe, size: Size) -> System:
    rows = [row for row in load_rows(recipe, pool) if row.fold == "train"]
    random.Random(SEED).shuffle(rows)
    return train(rows[: size.baseline_rows]).calibrated(clean_replies(pool, "train", CLEAN_REPLIES), RATE)


def _tables(part: Part) -> list[Section]:
    return [make(part) for make in (tables.overview, tables.labels, tables.heads, tables.groups, tables.spans)]


def _fair(systems: Sequence[System], parts: Sequence[Part], size: Size) -> list[Section]:
    held, dev = parts[0].cases, _dev(parts)
    identities = _drawn(probes.identities(), size.probes)
    named = {"mentions": ("Neutral mentions, by group named", fairness.neutral_mentions(identities, held))}
    if dev:
        named["dev_mentions"] = ("Blameless dev rows, by group named", fairness.neutral_mentions((), dev))
    return [
        fairness.counterfactual(systems, identities, [*held, *dev]),
        *(fairness.by_group(systems, texts, key, title) for key, (title, texts) in named.items()),
        fairness.dialect(systems, _drawn(probes.twins(), size.probes)),
        fairness.registers(systems, _drawn(probes.registers(), size.probes)),
    ]


def _robust(systems: Sequence[System], pool: Path | None, parts: Sequence[Part], size: Size) -> list[Section]:
    held, dev = parts[0].cases, _dev(parts)
    disturbed = robustness.sample([*held, *dev], size.noise_texts, SEED)
    biased = [case.text for case in robustness.sample(held, size.sentences, SEED) if case.biased]
    clean = _clean(pool, size) or [text.text for text in probes.registers()]
    return [
        robustness.noise(systems, disturbed, SEED),
        robustness.long_texts(systems, clean, size.documents, SEED),
        robustness.positions(systems, biased, clean[: size.page_sources], SEED),
    ]


def _dev(parts: Sequence[Part]) -> tuple[Case, ...]:
    return next((part.cases for part in parts if part.key == "dev"), ())


def _drawn(probes: Sequence[T], count: int) -> list[T]:
    return random.Random(SEED).sample(probes, min(count, len(probes)))


def _clean(pool: Path | None, size: Size) -> list[str]:
    texts = clean_replies(pool) if pool is not None else []
    random.Random(SEED).shuffle(texts)
    return texts[: 4 * size.page_sources]


def _replies(systems: Sequence[System], pool: Path, size: Size) -> Section:
    texts = clean_replies(pool)
    random.Random(SEED).shuffle(texts)
    texts = texts[: size.clean_replies]
    rows: dict[str, dict[str, dict[str, float]]] = {name: {} for name in (tables.ALL, *LABELS)}
    for system in systems:
        found = score(system, texts)
        for row, flags in ((tables.ALL, found.flagged), *zip(LABELS, found.flags.T, strict=True)):
            rows[row][system.name] = {"replies": float(len(texts)), "false_positives": mean(flags)}
    note = "Whole assistant replies of the dev fold that are taken to be clean; the thresholds were chosen on others."
    return Section("clean", "Clean assistant replies", note, rows)


def _sexism(parts: Sequence[Part], system: str) -> tuple[float, float]:
    """Return macro-F1 at one half on the rows that only know whether a text is sexist: two readings of our scores."""
    for part in parts:
        cases = [i for i, case in enumerate(part.cases) if case.bucket == "edos"]
        if part.key == "dev" and cases:
            truth = np.array([part.cases[i].groups.get("gender", 0) for i in cases], int)
            scored = part.scored[system].take(cases)
            both = np.minimum(scored.highest, scored.groups[:, GROUPS.index("gender")])
            readings = [(scores >= tables.HALF).astype(int) for scores in (both, scored.highest)]
            return macro_f1(readings[0], truth), macro_f1(readings[1], truth)
    return float("nan"), float("nan")


def _reliability(parts: Sequence[Part], system: str) -> dict[str, list[Bin]]:
    part = next((part for part in parts if part.key == "dev"), parts[0])
    found = {}
    for column, label in enumerate(LABELS):
        where = [i for i, case in enumerate(part.cases) if label in case.labels]
        truth = np.array([part.cases[i].labels[label] for i in where], int)
        found[label] = reliability(part.scored[system].scores[where, column], truth)
    return found


def _examples(parts: Sequence[Part], system: str, count: int) -> tuple[Example, ...]:
    found: list[Example] = []
    for part in parts:
        highest = part.scored[system].highest
        for kind, side, order in (("false alarm", 0, np.argsort(-highest)), ("miss", 1, np.argsort(highest))):
            chosen = [i for i in order if part.cases[i].biased == side][:count]
            found += [
                Example(kind, part.title, part.cases[i].bucket, float(highest[i]), part.cases[i].text) for i in chosen
            ]
    return tuple(found)


def _about(bundle: Bundle, ours: Judged, policy: Policy, parts: Sequence[Part]) -> dict[str, str]:
    return {
        "system": ours.name,
        "model.onnx": bundle.files.get("model.onnx", "")[:16],
        "thresholds": str(policy.threshold),
        "texts": ", ".join(f"{part.title}: {len(part.cases)}" for part in parts),
    }
