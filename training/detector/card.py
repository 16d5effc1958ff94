"""Write a detector bundle's CARD.md from figures that were measured, never typed."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.training.detector.calibrate import Scaling
from guardrail.training.detector.export import Parity
from guardrail.training.evaluate.layout import markdown, shown, shown_bound
from guardrail.training.evaluate.plots import noise_plot, reliability_plot
from guardrail.training.evaluate.report import Report
from guardrail.training.evaluate.tables import ALL, mean_macro_f1

TARGET = "fpr<=0.01"
Table = Mapping[str, Mapping[str, float]]
RATES = ("auc", "macro_f1", "recall", "false_positives")
# Section, and the figures of it that a card has room for; the whole tables are in metrics.json.
TABLES: Mapping[str, tuple[str, ...]] = {
    "heldout.overview": ("biased", "rows", "auc", "macro_f1", "recall", "false_positives"),
    "heldout.labels": ("positives", "auc", "f1", "recall", "false_positives", "ece"),
    "heldout.groups": ("biased", "recall", "group_auc", "group_f1"),
    "dev.overview": ("biased", "rows", *RATES),
    "dev.heads": ("positives", "rows", "auc", "macro_f1", "macro_f1_at_half", "false_positives"),
    "dev.labels": ("positives", "auc", "recall", "false_positives", "ece"),
    "dev.groups": ("biased", "recall", "group_auc", "group_f1"),
    "dev.spans": ("with_gold", "per_post_f1", "f1_where_flagged"),
    "heldout.spans": ("with_gold", "f1_with_gold", "f1_where_flagged"),
    "clean": ("replies", "false_positives"),
    "fairness.swaps": ("pairs", "mean_shift", "worst_shift", "verdict_changes"),
    "fairness.mentions": ("texts", "false_positives", "gap_to_mean"),
    "fairness.dev_mentions": ("texts", "false_positives", "gap_to_mean"),
    "fairness.dialect": ("texts", "false_positives", "mean_score"),
    "fairness.registers": ("texts", "false_positives"),
    "robustness.noise": ("auc", "auc_drop", "recall", "false_positives"),
    "robustness.long": ("documents", "words", "false_positives"),
    "robustness.position": ("sentences", "recall"),
    "latency": ("p50_ms", "p95_ms", "times_ours"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All that a card reports.

    ``loops`` maps each stage to its ``LoopReport`` as a mapping, ``data`` each file's name to its sha256; ``report`` is
    what ``evaluate.detector.evaluate`` returns; ``made`` are lines on how the run was made.
    """

    scaling: Mapping[str, Scaling]
    limits: Table
    report: Report
    parity: Parity
    loops: Mapping[str, Mapping[str, float]]
    data: Mapping[str, str]
    made: Sequence[str] = ()


def card(recipe: Mapping[str, Any], figures: Figures) -> str:
    """Return the card as Markdown; ``recipe`` is the parsed recipe file. It shows the files of ``drawings``."""
    report = figures.report
    sections = (
        _opening(recipe),
        _making(recipe, figures),
        _measured(report),
        _calibration(figures),
        _sizes(report),
        _tables(report),
        _data(figures),
    )
    return "\n".join(line for section in sections for line in section)


def drawings(report: Report) -> dict[str, str]:
    """Return the card's pictures as SVG by file name."""
    drawn = {"reliability.svg": reliability_plot(report.reliability)}
    noise = report.section("robustness.noise")
    return drawn | ({"noise.svg": noise_plot(noise, report.system)} if noise else {})


def _opening(recipe: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {recipe['name']}\n"
    yield "Finds stereotypes, hate, toxicity, loaded language, needlessly gendered terms and harmful advice in English"
    yield "text, sentence by sentence; says where and about whom. Output: calibrated probabilities, 0 to 1, higher is"
    yield "worse.\n"


def _making(recipe: Mapping[str, Any], figures: Figures) -> Iterator[str]:
    took = {stage: f"{loop['steps']:.0f} steps, {loop['seconds']:.0f} s" for stage, loop in figures.loops.items()}
    student = took.pop("student")
    teacher = "; ".join(f"{stage}: {said}" for stage, said in took.items())
    same = figures.parity
    yield "## How it was made\n"
    yield f"- Teacher: {recipe['teacher_name']}, trained on gold labels ({teacher})."
    yield f"- Student: {recipe['student_name']}, distilled from soft labels, gold ones beside ({student})."
    yield f"- Hardware: {recipe['hardware']} ({platform.machine()}); seed {recipe['seed']}."
    yield (
        f"- int8 against torch fp32 on {same.rows} dev rows: mean difference {same.mean:.4f}, largest"
        f" {same.largest:.3f}, same verdict at 0.5 in {same.agreement:.2%}."
    )
    yield from (f"- {line}" for line in figures.made)
    yield f"- {recipe['limits']}\n"


def _measured(report: Report) -> Iterator[str]:
    yield "## Measured\n"
    yield "By `guardrail eval detector --bundle BUNDLE --pool POOL --out report.html`, at"
    yield f"`{TARGET}`, beside a tf-idf baseline trained on the same rows; whole tables in `metrics.json`.\n"
    lines = (
        ("Whole clean assistant replies flagged (dev fold)", "clean", "false_positives"),
        ("Authored rows kept out of training: AUC, any label", "heldout.overview", "auc"),
        ("Authored rows kept out of training: biased ones flagged", "heldout.overview", "recall"),
        ("Authored rows kept out of training: blameless ones flagged", "heldout.overview", "false_positives"),
    )
    for said, section, key in lines:
        yield f"- {said}: {_bounded(report, section, key)}"
    yield "\n### Against the targets\n"
    yield "| what | bound | found | verdict | on |"
    yield "| --- | --- | --- | --- | --- |"
    for target in report.targets:
        found = shown(target.found, target.what)
        yield f"| {target.what} | {shown_bound(target)} | {found} | {target.verdict.value} | {target.on} |"
    yield ""


def _bounded(report: Report, section: str, key: str) -> str:
    low, high = report.figure(section, ALL, f"{key}_low"), report.figure(section, ALL, f"{key}_high")
    found = shown(report.figure(section, ALL, key), key)
    return found if low != low else f"{found} (95 %: {shown(low, key)} to {shown(high, key)})"


def _calibration(figures: Figures) -> Iterator[str]:
    yield "## Calibration (dev fold)\n"
    yield "![How often each label was right at each probability](reliability.svg)\n"
    yield f"| label | ECE of a sentence | ECE as run | threshold at {TARGET} |"
    yield "| --- | --- | --- | --- |"
    section = figures.report.section("dev.labels")
    for label, one in figures.scaling.items():
        run = shown(section.figure(label, figures.report.system, "ece"), "ece") if section else "–"
        yield f"| {label} | {one.ece:.3f} | {run} | {figures.limits[TARGET][label]} |"
    yield ""


def _sizes(report: Report) -> Iterator[str]:
    """Set teacher, student and the shipped int8 bundle side by side, where they were measured together."""
    heads, held = report.section("dev.heads"), report.section("heldout.overview")
    systems = list(held.rows[ALL]) if held else []
    if held is None or len(systems) < 2:
        return
    yield "## Side by side\n"
    yield "| system | mean macro-F1 over heads, dev fold, at one half | AUC, authored rows kept out |"
    yield "| --- | --- | --- |"
    for system in systems:
        macro = shown(mean_macro_f1(heads, system), "macro_f1") if heads else "–"
        yield f"| {system} | {macro} | {shown(held.figure(ALL, system, 'auc'), 'auc')} |"
    yield ""


def _tables(report: Report) -> Iterator[str]:
    yield "## Tables\n"
    for name, keys in TABLES.items():
        section = report.section(name)
        if section is not None:
            yield f"### {section.title}\n"
            yield f"{section.note}\n"
            if name == "robustness.noise":
                yield "![AUC against the share of words disturbed](noise.svg)\n"
            yield from markdown(section, keys)
            yield ""


def _data(figures: Figures) -> Iterator[str]:
    yield "## Data (sha256 of each file)\n"
    for name, digest in figures.data.items():
        yield f"- {name}: {digest[:16]}"
    yield ""
