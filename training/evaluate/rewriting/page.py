"""Write a rewriter's report: one HTML file with plots and a page of rewrites to read, and figures as JSON."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from guardrail.training.evaluate import html, plots
from guardrail.training.evaluate.report import Report
from guardrail.training.evaluate.rewriting.columns import Measured
from guardrail.training.evaluate.section import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATE = "rewriter.html.j2"
SEED = 17
Part = tuple[bool, str]
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Reading:
    """One text to read with what the pipeline made of it.

    ``about`` names labels and source, ``fate`` what happened; both texts come in parts, (is it in both, words).
    """

    about: str
    fate: str
    before: tuple[Part, ...]
    after: tuple[Part, ...]
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """A report and the texts to read, which stay out of the JSON."""

    report: Report
    readings: tuple[Reading, ...] = ()


def readings(found: Measured, count: int, *, show_texts: bool) -> tuple[Reading, ...]:
    """Return up to ``count`` biased items and a tenth as many changed clean ones, drawn by a fixed seed.

    Only texts of this project's own, unless ``show_texts``.
    """
    outputs = found.outputs[found.systems[0]]
    rng = random.Random(SEED)
    shown = [i for i, item in enumerate(found.items) if item.own or show_texts]
    biased = [i for i in shown if not found.items[i].clean]
    changed = [i for i in shown if found.items[i].clean and outputs[i].text != found.items[i].text]
    chosen = rng.sample(biased, min(count, len(biased))) + rng.sample(changed, min(count // 10, len(changed)))
    return tuple(_reading(found, i) for i in chosen)


def _reading(found: Measured, i: int) -> Reading:
    item, output = found.items[i], found.outputs[found.systems[0]][i]
    rules = sorted((found.broken[found.systems[0]][i] or frozenset()) | set(output.failed))
    fate = "masked" if output.masked else "rewritten" if output.text != item.text else "unchanged"
    said = [name for name, verdict in found.judges.items() if verdict.after[found.systems[0]][i]]
    notes = [fate, *(f"still flagged by {name}" for name in said), *rules]
    about = f"{item.origin}: {', '.join(item.labels) or ('clean' if item.clean else 'biased')}"
    return Reading(about, "; ".join(notes), *marked(item.text, output.text), item.reference or "")


def marked(before: str, after: str) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return both texts in parts, each with whether the other text has it too."""
    left, right = _TOKEN.findall(before), _TOKEN.findall(after)
    codes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    return (
        tuple((kind == "equal", "".join(left[a:b])) for kind, a, b, _, _ in codes if b > a),
        tuple((kind == "equal", "".join(right[c:d])) for kind, _, _, c, d in codes if d > c),
    )


def render(written: Written) -> str:
    """Return the report as HTML that loads nothing else; every text is escaped."""
    report = written.report
    drawings = {}
    for section in report.sections:
        if section.name == "flagged":
            drawings["Still flagged after rewriting"] = bars(section)
    both = report.section("flagged"), report.section("kept")
    if both[0] is not None and both[1] is not None:
        drawings["Mended against kept"] = trade(both[0], both[1])
    return html.filled(TEMPLATE, report, drawings, readings=written.readings)


def bars(section: Section) -> str:
    """Return the share of texts that each judge still flags, by system, with intervals."""
    figure, axes = plots.canvas(8.4, 4.6)
    systems = list(section.rows)
    judges = list(next(iter(section.rows.values()), {}))
    high = 0.8 / max(1, len(judges))
    for j, (judge, colour) in enumerate(zip(judges, plots.COLOURS, strict=False)):
        values = [section.figure(system, judge, "after") for system in systems]
        ends = [_reach(section, system, judge) for system in systems]
        at = [i + j * high for i in range(len(systems))]
        axes.barh(at, values, height=high, color=colour, label=f"{judge}, after")
        axes.errorbar(values, at, xerr=list(zip(*ends, strict=True)), fmt="none", ecolor=plots.INK, elinewidth=0.8)
        before = section.figure(systems[0], judge, "before") if systems else math.nan
        axes.axvline(before, color=colour, linewidth=1, linestyle="--", label=f"{judge}, before")
    axes.set(xlabel="share flagged", xlim=(0, 1))
    _named_rows(axes, systems)
    return plots.svg(figure, axes)


def _reach(section: Section, system: str, judge: str) -> tuple[float, float]:
    middle, low, high = (section.figure(system, judge, f"after{end}") for end in ("", "_low", "_high"))
    return tuple(0.0 if math.isnan(one) else max(0.0, one) for one in (middle - low, high - middle))  # type: ignore[return-value]


def trade(flagged: Section, kept: Section) -> str:
    """Return each system's retention against the share that it mends, by the first judge: up and right is better."""
    figure, axes = plots.canvas(8.4, 4.6)
    judge = next(iter(next(iter(flagged.rows.values()), {})), "")
    for i, system in enumerate(flagged.rows):
        at = flagged.figure(system, judge, "mended"), kept.figure(system, "", "retention")
        if not any(map(math.isnan, at)):
            colour, mark = plots.COLOURS[i % len(plots.COLOURS)], "os^Dv"[i // len(plots.COLOURS) % 5]
            axes.scatter(*at, color=colour, marker=mark, s=45, label=system)
    axes.set(xlabel=f"mended, by {judge}", ylabel="retention, rescaled", xlim=(-0.05, 1.05))
    return plots.svg(figure, axes)


def _named_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
