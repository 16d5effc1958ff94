"""Hold what a report is made of: tables of figures by row and system, and the texts they were measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guardrail.training.evaluate.cases import Case
from guardrail.training.evaluate.systems import Scored

Figures = Mapping[str, float]
Rows = Mapping[str, Mapping[str, Figures]]


@dataclass(frozen=True, slots=True)
class Section:
    """One table: ``rows`` maps each row to each system's figures; NaN stands for what could not be measured."""

    name: str
    title: str
    note: str
    rows: Rows

    def figure(self, row: str, system: str, key: str) -> float:
        """Return one figure, NaN where the table lacks it."""
        return self.rows.get(row, {}).get(system, {}).get(key, float("nan"))


@dataclass(frozen=True, slots=True)
class Part:
    """Cases of one origin and what each system said of them, in the same order."""

    key: str
    title: str
    cases: tuple[Case, ...]
    scored: Mapping[str, Scored]
