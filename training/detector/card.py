"""Write a detector bundle's CARD.md from figures that were measured, never typed."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from guardrail.training.detector.calibrate import Scaling
from guardrail.training.detector.export import Parity

TARGET = "fpr<=0.01"
Table = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that a card reports.

    ``loops`` maps "teacher" and "student" to their ``LoopReport`` as a mapping, ``data`` each file's name to its
    sha256; ``report`` is what ``evaluate.detector.evaluate`` returns.
    """

    scaling: Mapping[str, Scaling]
    limits: Table
    report: Mapping[str, Any]
    parity: Parity
    loops: Mapping[str, Mapping[str, float]]
    data: Mapping[str, str]


def card(recipe: Mapping[str, Any], figures: Figures) -> str:
    """Return the card as Markdown; ``recipe`` is the parsed recipe file."""
    sections = (_opening(recipe), _making(recipe, figures), _measured(figures), _calibration(figures), _data(figures))
    return "\n".join(line for section in sections for line in section)


def _opening(recipe: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {recipe['name']}\n"
    yield "Finds stereotypes, hate, toxicity, loaded language, needlessly gendered terms and harmful advice in English"
    yield "text, sentence by sentence; says where and about whom. Output: calibrated probabilities, 0 to 1, higher is"
    yield "worse.\n"


def _making(recipe: Mapping[str, Any], figures: Figures) -> Iterator[str]:
    teacher, student = (
        f"{figures.loops[stage]['steps']:.0f} steps, {figures.loops[stage]['seconds']:.0f} s"
        for stage in ("teacher", "student")
    )
    same = figures.parity
    yield "## How it was made\n"
    yield f"- Teacher: {recipe['teacher_name']}, trained on gold labels, {teacher}."
    yield f"- Student: {recipe['student_name']}, distilled from the teacher's soft labels, gold ones beside, {student}."
    yield f"- Hardware: {recipe['hardware']} ({platform.machine()}); seed {recipe['seed']}."
    yield (
        f"- int8 against torch fp32 on {same.rows} dev rows: mean difference {same.mean:.4f}, largest"
        f" {same.largest:.3f}, same verdict at 0.5 in {same.agreement:.2%}."
    )
    yield f"- {recipe['limits']}\n"


def _measured(figures: Figures) -> Iterator[str]:
    held, clean = figures.report["authored_held_out"], figures.report["clean_replies_dev"]
    everything = held["any"]
    yield "## Measured\n"
    yield "By `python -m guardrail.training.evaluate.detector --bundle BUNDLE --data POOL`, at"
    yield f"`{TARGET}`; whole tables in `metrics.json`.\n"
    yield (
        f"- Whole clean assistant replies flagged (dev fold, {clean['replies']:.0f}; others than those that the"
        f" thresholds were chosen on): {clean['any']:.2%}"
    )
    yield (
        f"- Blameless authored rows flagged ({everything['clean']:.0f} rows kept out of training):"
        f" {everything['false_positives']:.2%}"
    )
    yield f"- Span F1 on flagged held-out rows: {everything['span_f1_where_flagged']:.3f}\n"
    yield from _tables(held, figures.report["pool_dev"])


def _tables(held: Table, dev: Table) -> Iterator[str]:
    yield "| authored rows kept out | positives | AUC | recall (own label) | recall (any label) |"
    yield "| --- | --- | --- | --- | --- |"
    for label, row in held.items():
        recalls = f"{row['recall']:.2f} | {row['recall_by_any_label']:.2f}"
        yield f"| {label} | {row['positives']:.0f} | {row['auc']:.3f} | {recalls} |"
    yield "\n| pool dev fold | rows | AUC | macro-F1 | false positives |"
    yield "| --- | --- | --- | --- | --- |"
    for head, row in dev.items():
        if "auc" in row:
            rates = f"{row['macro_f1']:.3f} | {row['false_positives']:.3f}"
            yield f"| {head} | {row['rows']:.0f} | {row['auc']:.3f} | {rates} |"
    yield ""


def _calibration(figures: Figures) -> Iterator[str]:
    yield "## Calibration (dev fold)\n"
    yield f"| label | ECE | threshold at {TARGET} |"
    yield "| --- | --- | --- |"
    for label, one in figures.scaling.items():
        yield f"| {label} | {one.ece:.3f} | {figures.limits[TARGET][label]} |"
    yield ""


def _data(figures: Figures) -> Iterator[str]:
    yield "## Data (sha256 of each file)\n"
    for name, digest in figures.data.items():
        yield f"- {name}: {digest[:16]}"
    yield ""
