"""Lay a table of figures out as columns and cells of text, for a page, a terminal or a card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from guardrail.training.evaluate.section import Figures, Section
from guardrail.training.evaluate.targets import Target

COUNTS = frozenset(
    "rows biased positives texts replies documents words sentences pairs with_gold attacks dev_rows rated "
    "rated_twice".split()
)
_NAMES = {
    "auc": "AUC",
    "ece": "ECE",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "macro_f1_at_half": "macro-F1 at ½",
    "false_positives": "false positives",
    "per_post_f1": "per-post F1",
    "f1_with_gold": "F1 with gold",
    "f1_where_flagged": "F1 where flagged",
    "group_auc": "group AUC",
    "group_f1": "group F1",
    "auc_drop": "AUC drop",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "best_ms": "best ms",
    "bleu": "BLEU",
    "edit_f1": "edit F1",
}


def layout(section: Section) -> tuple[list[tuple[str, str]], list[tuple[str, list[str]]]]:
    """Return a table's columns as (figure, system) and its rows as cells; a bound pair joins its figure's cell."""
    keys = list(
        dict.fromkeys(key for row in section.rows.values() for figures in row.values() for key in figures if _own(key))
    )
    systems = list(dict.fromkeys(system for row in section.rows.values() for system in row))
    counts = [key for key in keys if key in COUNTS and _same(section, key)]
    columns = [(key, systems[0]) for key in counts]
    columns += [(key, system) for key in keys if key not in counts for system in systems]
    rows = [(name, [cell(row.get(system, {}), key) for key, system in columns]) for name, row in section.rows.items()]
    headings = [(_NAMES.get(key, key.replace("_", " ")), "" if key in counts else system) for key, system in columns]
    return headings, rows


def chosen(section: Section, keys: Sequence[str]) -> Section:
    """Return a table with the named figures only, in that order, their intervals with them."""
    wanted = [f"{key}{end}" for key in keys for end in ("", "_low", "_high")]
    rows = {
        name: {system: {key: figures[key] for key in wanted if key in figures} for system, figures in row.items()}
        for name, row in section.rows.items()
    }
    return replace(section, rows=rows)


def cell(figures: Figures, key: str) -> str:
    """Return one figure as text, with its interval where it has one; a dash where it was not measured."""
    if key not in figures:
        return ""
    text = shown(figures[key], key)
    low, high = figures.get(f"{key}_low", math.nan), figures.get(f"{key}_high", math.nan)
    return text if math.isnan(low) else f"{text} [{shown(low, key)}, {shown(high, key)}]"


def shown(value: float, key: str) -> str:
    """Return a figure as text: counts whole, milliseconds and sizes to two digits, shares to three."""
    if math.isnan(value):
        return "–"
    if key in COUNTS:
        return f"{value:,.0f}"
    digits = 2 if key.endswith(("ms", "MB", "findings", "times_ours")) else 3
    # Adding nought turns a rounded -0.0 into 0.0.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def shown_bound(target: Target) -> str:
    """Return a target's bound as text."""
    return f"{'≤' if target.at_most else '≥'} {target.bound:g}"


def _own(key: str) -> bool:
    return not key.endswith(("_low", "_high"))


def _same(section: Section, key: str) -> bool:
    """Tell whether all systems share a count, which then takes one column."""
    rows: list[Mapping[str, Figures]] = list(section.rows.values())
    return all(len({figures[key] for figures in row.values() if key in figures}) <= 1 for row in rows)


def markdown(section: Section, keys: Sequence[str] = ()) -> list[str]:
    """Return a table as lines of Markdown, of some figures only where ``keys`` names them; a bar cannot break it."""
    headings, rows = layout(chosen(section, keys) if keys else section)
    names = [f"{heading}, {system}" if system else heading for heading, system in headings]
    lines = [["", *names], ["---"] * (len(names) + 1), *([name, *cells] for name, cells in rows)]
    return ["| " + " | ".join(part.replace("|", "/") for part in line) + " |" for line in lines]
