"""Hold a whole report and write it as JSON, without any text that was measured on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guardrail.training.evaluate.metrics import Bin
from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.targets import Target


@dataclass(frozen=True, slots=True)
class Example:
    """One text to read: a blameless one that scores high ("false alarm") or a biased one that scores low ("miss")."""

    kind: str
    part: str
    bucket: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that one evaluation found.

    ``about`` says of what and on what; ``reliability`` maps each label to the shipped bundle's bins on the
    dev fold, or on the first data given; ``examples`` are texts and stay out of the JSON.
    """

    about: Mapping[str, str]
    sections: tuple[Section, ...]
    targets: tuple[Target, ...]
    reliability: Mapping[str, Sequence[Bin]]
    examples: tuple[Example, ...] = ()

    @property
    def system(self) -> str:
        """Return the column of the bundle that was measured."""
        return self.about["system"]

    def section(self, name: str) -> Section | None:
        """Return a section by name, None where it was not measured."""
        return next((section for section in self.sections if section.name == name), None)

    def figure(self, section: str, row: str, key: str) -> float:
        """Return one figure of the measured bundle, NaN where there is none."""
        found = self.section(section)
        return found.figure(row, self.system, key) if found else math.nan


def to_json(report: Report) -> str:
    """Return a report as JSON text, with null for every figure that could not be measured, and without texts."""
    content = {
        "about": dict(report.about),
        "targets": [
            {"what": t.what, "bound": t.bound, "at_most": t.at_most, "found": t.found, "verdict": t.verdict, "on": t.on}
            for t in report.targets
        ],
        "reliability": {
            label: [{"confidence": b.confidence, "frequency": b.frequency, "rows": b.rows} for b in bins]
            for label, bins in report.reliability.items()
        },
        "sections": _sections(report.sections),
    }
    return json.dumps(_rounded(content), indent=1, allow_nan=False)


def sections_json(sections: Sequence[Section]) -> str:
    """Return tables alone as JSON text, with null for every figure that could not be measured."""
    return json.dumps(_rounded({"sections": _sections(sections)}), indent=1, allow_nan=False)


def _sections(sections: Sequence[Section]) -> dict[str, object]:
    return {one.name: {"title": one.title, "note": one.note, "rows": one.rows} for one in sections}


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    if isinstance(value, float):
        # Six digits say all that a run on another machine could repeat.
        return None if math.isnan(value) else round(value, 6)
    return value
