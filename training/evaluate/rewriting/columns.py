"""Measure every system's rewrites row by row: one column of numbers a figure, NaN where it does not apply."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from guardrail.rewrite.verify import verify
from guardrail.training.evaluate.metrics import interval, mean
from guardrail.training.evaluate.rewriting import edited, kept, style
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.judges import Verdicts
from guardrail.training.evaluate.rewriting.writers import Output

# How a rewrite must look; every other rule of verify.py says something of what it means.
FORM = frozenset({"not_empty", "length_ratio", "same_script", "not_a_reply", "no_prompt_echo", "no_repetition"})
Columns = Mapping[str, np.ndarray]
Measure = Callable[..., float]


@dataclass(frozen=True, slots=True)
class Measured:
    """Items, what each system made of them, and the columns that were measured, by system: (N,) each.

    ``judges`` maps each judge to what it said; ``broken`` maps each system to the rules that its rewrites break, item
    by item, None for a clean one.
    """

    items: Sequence[Item]
    outputs: Mapping[str, Sequence[Output]]
    _: KW_ONLY
    judges: Mapping[str, Verdicts] = field(default_factory=dict)
    columns: Mapping[str, Columns] = field(default_factory=dict)
    broken: Mapping[str, Sequence[frozenset[str] | None]] = field(default_factory=dict)

    @property
    def systems(self) -> tuple[str, ...]:
        """Return the systems' names, the measured pipeline first."""
        return tuple(self.outputs)

    def column(self, system: str, key: str, where: np.ndarray | None = None) -> np.ndarray:
        """Return one column, of the rows in ``where`` that it applies to; empty where it was not measured."""
        values = self.columns[system].get(key, np.zeros(0))
        if where is not None and len(values):
            values = values[where]
        return values[~np.isnan(values)]


def measure(
    items: Sequence[Item], outputs: Mapping[str, Sequence[Output]], judges: Mapping[str, Verdicts] | None = None
) -> Measured:
    """Measure all that needs no other model; ``judges`` said what they said of all items, clean ones too."""
    base = kept.chance([item for item in items if not item.clean])
    broken = {name: [_broken(*pair) for pair in zip(items, found, strict=True)] for name, found in outputs.items()}
    columns = {
        name: _columns(items, found, broken[name], base) | _judged(items, found, name, judges or {})
        for name, found in outputs.items()
    }
    return Measured(items, outputs, judges=judges or {}, columns=columns, broken=broken)


def figures(values: np.ndarray, key: str) -> dict[str, float]:
    """Return a mean and its 95 % bootstrap interval as figures; the draws are the same for the same rows, so paired."""
    low, high = interval(mean, values)
    return {key: mean(values), f"{key}_low": low, f"{key}_high": high}


def pooled(by: Measure, key: str, *columns: np.ndarray) -> dict[str, float]:
    """Return a measure of whole columns, such as a micro F1, and its interval, as ``figures`` does for a mean."""
    low, high = interval(by, *columns)
    value = by(*columns) if len(columns[0]) else math.nan
    return {key: value, f"{key}_low": low, f"{key}_high": high}


def _broken(item: Item, output: Output) -> frozenset[str] | None:
    if item.clean:
        return None
    return frozenset(name for name, held in verify(item.text, output.text, item.flagged).items() if not held)


def _columns(
    items: Sequence[Item], outputs: Sequence[Output], broken: Sequence[frozenset[str] | None], base: np.ndarray
) -> dict[str, np.ndarray]:
    biased = np.array([not item.clean for item in items], bool)
    texts = [one.text for one in outputs]
    pairs = list(zip(items, texts, strict=True))
    rows: dict[str, list[float]] = {
        "changed": [float(text != item.text) for item, text in pairs],
        "masked": [float(one.masked) for one in outputs],
        "all_rules": [float(not rules) for rules in broken],
        "meaning_rules": [float(not (rules or frozenset()) - FORM) for rules in broken],
        "voice_drift": [style.voice_drift(item.text, text) for item, text in pairs],
        "modals_shift": [style.modals(text) - style.modals(item.text) for item, text in pairs],
    }
    columns = {key: _only(np.array(values, float), biased) for key, values in rows.items()}
    columns |= {key: _only(values, biased) for key, values in kept.kept(items, texts, base).items()}
    columns |= _referenced(pairs)
    unchanged = np.array([float(text == item.text) for item, text in pairs], float)
    return columns | {"clean_unchanged": _only(unchanged, ~biased)}


def _referenced(pairs: Sequence[tuple[Item, str]]) -> dict[str, np.ndarray]:
    empty = (math.nan,) * 4
    rows = [
        (edited.exact(text, item.reference), *edited.edit_counts(item.text, text, item.reference))
        if item.reference is not None
        else empty
        for item, text in pairs
    ]
    table = np.array(rows, float).reshape(-1, 4)
    return {key: table[:, i] for i, key in enumerate(("exact_match", "hits", "extra", "missing"))}


def _judged(
    items: Sequence[Item], outputs: Sequence[Output], system: str, judges: Mapping[str, Verdicts]
) -> dict[str, np.ndarray]:
    biased = np.array([not item.clean for item in items], bool)
    masked = np.array([one.masked for one in outputs], bool)
    columns = {}
    for name, said in judges.items():
        after = said.after[system]
        columns[f"before:{name}"] = _only(said.before.astype(float), biased)
        columns[f"after:{name}"] = _only(after.astype(float), biased)
        columns[f"unflagged:{name}"] = _only((~after).astype(float), biased & said.before)
        columns[f"mended:{name}"] = _only((~after & ~masked).astype(float), biased & said.before)
    return columns


def _only(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.where(where, values, math.nan)
