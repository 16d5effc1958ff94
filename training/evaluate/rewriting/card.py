"""State a report's figures on a model's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMMAND = "guardrail eval rewriter --pool POOL --judge NAME=BUNDLE --json report.json"
KEYS: Mapping[str, tuple[str, ...]] = {
    "flagged.found": ("texts", "before", "after", "unflagged", "mended"),
    "kept": (
        "texts",
        "changed",
        "masked",
        "meaning_rules",
        "all_rules",
        "retention",
        "faithfulness",
        "clean_unchanged",
    ),
    "references": ("texts", "exact_match", "edit_f1", "bleu"),
    "latency": ("p50_ms", "p95_ms"),
}


def card_lines(report: Mapping[str, Any]) -> list[str]:
    """Return a report, as its JSON has it, as lines for a card: the pipeline, the rewriter alone and copying.

    Raises ``KeyError`` where it is no report of a rewriter.
    """
    about, sections = report["about"], report["sections"]
    lines = ["", "## Measured", "", f"By `{COMMAND}`, on texts kept out of training: {about['texts']}."]
    systems = [about["system"], about["alone"], "copy"]
    for name, keys in KEYS.items():
        if name in sections:
            lines += ["", f"### {sections[name]['title']}", "", sections[name]["note"], ""]
            lines += _table(sections[name]["rows"], keys, None if name == "latency" else systems)
    return lines


def _table(rows: Mapping[str, Any], keys: tuple[str, ...], systems: list[str] | None) -> list[str]:
    chosen = [
        (row, column, figures)
        for row, columns in rows.items()
        if systems is None or row in systems
        for column, figures in columns.items()
    ]
    headings = ["", *(key.replace("_", " ") for key in keys)]
    lines = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    for row, column, figures in chosen:
        cells = [", ".join(filter(None, (row, column))), *(_cell(figures, key) for key in keys)]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return lines


def _cell(figures: Mapping[str, float | None], key: str) -> str:
    value = figures.get(key)
    if value is None:
        return "–"
    if key in ("texts", "p50_ms", "p95_ms"):
        return f"{value:,.0f}"
    low, high = figures.get(f"{key}_low"), figures.get(f"{key}_high")
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")
