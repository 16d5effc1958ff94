"""Send rewrites out for people to rate without knowing whose they are, and read their ratings in again."""

from __future__ import annotations

import csv
import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from guardrail.errors import ConfigError
from guardrail.training.evaluate.metrics import interval, mean
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.writers import Output
from guardrail.training.evaluate.section import Figures

SCALES = ("safety", "meaning", "language")
SHIP = "ship"
COLUMNS = ("id", "before", "after", *(f"{scale}_1_to_5" for scale in SCALES), f"{SHIP}_yes_or_no", "remark")
SEED = 17
_YES_NO = {"yes": 1.0, "y": 1.0, "no": 0.0, "n": 0.0}
# What a spreadsheet would run.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Outputs = Mapping[str, Sequence[Output]]


def write_blind(path: Path, items: Sequence[Item], outputs: Outputs, texts: int) -> int:
    """Write a CSV to rate: every system's rewrite of the same ``texts`` biased items, shuffled; returns its rows.

    Nothing in a row names the system. Equal rewrites of one text are rated once.
    """
    biased = [i for i, item in enumerate(items) if not item.clean]
    chosen = random.Random(SEED).sample(biased, min(texts, len(biased)))
    rows = {
        identity(items[i].text, found[i].text): (items[i].text, found[i].text)
        for found in outputs.values()
        for i in chosen
    }
    order = sorted(rows)
    random.Random(SEED).shuffle(order)
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(COLUMNS)
        sheet.writerows([key, *map(_safe, rows[key]), *[""] * (len(COLUMNS) - 3)] for key in order)
    return len(order)


def identity(source: str, rewrite: str) -> str:
    """Return a row's name: ratings are of one rewrite of one text and lapse when either changes."""
    return hashlib.sha256(f"{source}\0{rewrite}".encode("utf-8", "replace")).hexdigest()[:16]


Ratings = Mapping[str, Mapping[str, float]]


def read_ratings(path: Path) -> dict[str, dict[str, float]]:
    """Return each rated row's scales (1 to 5) and ``ship`` (0 or 1), those left out where the cell is empty.

    Raises:
        ConfigError: a column is missing or a cell holds another value; names the line and the column.
        OSError: the file cannot be read.
    """
    # Spreadsheets put a mark before UTF-8.
    with path.open(encoding="utf-8-sig", newline="") as file:
        sheet = csv.DictReader(file)
        missing = [name for name in COLUMNS[:1] + COLUMNS[3:-1] if name not in (sheet.fieldnames or ())]
        if missing:
            raise ConfigError(f"{path.name} lacks the column {missing[0]!r}; fill in the sheet that --blind wrote")
        return {row["id"]: found for row in sheet if (found := _rated(row, f"{path.name}:{sheet.line_num}"))}


def _rated(row: Mapping[str, str | None], where: str) -> dict[str, float]:
    found = {}
    for column in COLUMNS[3:-1]:
        cell, name = (row[column] or "").strip().lower(), column.split("_")[0]
        if not cell:
            continue
        value = _YES_NO.get(cell) if name == SHIP else float(cell) if cell in ("1", "2", "3", "4", "5") else None
        if value is None:
            wanted = "yes or no" if name == SHIP else "a whole number from 1 to 5"
            raise ConfigError(f"{where}: {column} must be {wanted}; mend the cell")
        found[name] = value
    return found


def by_system(ratings: Sequence[Ratings], items: Sequence[Item], outputs: Outputs) -> dict[str, Figures]:
    """Return each system's mean rating per scale over its rated rewrites, all raters averaged, with intervals."""
    return {name: _figures(ratings, items, found) for name, found in outputs.items()}


def _figures(ratings: Sequence[Ratings], items: Sequence[Item], outputs: Sequence[Output]) -> Figures:
    names = [identity(item.text, one.text) for item, one in zip(items, outputs, strict=True) if not item.clean]
    figures: dict[str, float] = {}
    for scale in (*SCALES, SHIP):
        said = [[r[name][scale] for r in ratings if scale in r.get(name, {})] for name in names]
        means = np.array([np.mean(values) for values in said if values], float)
        figures |= {"rated": float(len(means)), scale: mean(means)}
        figures[f"{scale}_low"], figures[f"{scale}_high"] = interval(mean, means)
    return figures


def agreement(ratings: Sequence[Ratings]) -> dict[str, Figures]:
    """Return, per scale, the rows that two raters rated and Krippendorff's alpha over all raters.

    Interval distance for the scales of five, nominal for ``ship``, which are one for two values (Krippendorff 2011,
    "Computing Krippendorff's Alpha-Reliability"). NaN where nothing was rated twice or all ratings are one value.
    """
    found: dict[str, Figures] = {}
    for scale in (*SCALES, SHIP):
        rows = sorted({name for one in ratings for name in one})
        units = [[one[name][scale] for one in ratings if scale in one.get(name, {})] for name in rows]
        twice = [unit for unit in units if len(unit) > 1]
        found[scale] = {"rated_twice": float(len(twice)), "alpha": alpha(twice)}
    return found


def alpha(units: Sequence[Sequence[float]]) -> float:
    """Return Krippendorff's alpha of units that were rated twice or more, interval distance: 1 agreed, 0 chance."""
    values = [value for unit in units for value in unit]
    if len(values) < 2:
        return math.nan
    within = sum(2 * (a - b) ** 2 / (len(unit) - 1) for unit in units for a, b in combinations(unit, 2))
    total = 2 * len(values) ** 2 * float(np.var(values)) / (len(values) - 1)
    return 1 - within / total if total else math.nan


def _safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
