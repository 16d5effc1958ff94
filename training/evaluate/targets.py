"""Compare a report with what was promised: each target passed, short, or not measurable here, and on which texts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from guardrail.training.data.noise import FAMILIES
from guardrail.training.evaluate.robustness import CLEAN, LEVELS
from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.tables import ALL, mean_macro_f1

# A typo at every word is no disguise, so the drop is read at the training's own top level.
NOISE_LEVEL = f"{LEVELS[1]:.0%}"
LEAST = 100
NAN = float("nan")


class Verdict(StrEnum):
    """Whether a figure reaches its target."""

    PASS = "PASS"
    SHORT = "short"
    UNMEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Target:
    """One promise: what, the bound, what was found, and the texts or the reason that stand behind it."""

    what: str
    bound: float
    found: float
    on: str
    at_most: bool = False

    @property
    def verdict(self) -> Verdict:
        """Say whether the figure keeps the bound."""
        if math.isnan(self.found):
            return Verdict.UNMEASURED
        kept = self.found <= self.bound if self.at_most else self.found >= self.bound
        return Verdict.PASS if kept else Verdict.SHORT


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report knows beside its tables.

    ``size_mb`` of the bundle in 10^6 bytes; ``steps`` are the systems from teacher to shipped, ours last.
    """

    system: str
    size_mb: float
    steps: tuple[str, ...] = ()
    sexism_macro_f1: float = NAN
    sexism_by_any_label: float = NAN


def targets(sections: Sequence[Section], facts: Facts) -> list[Target]:
    """Return every target of the issue that made the detector, then those of data.md's "we want" column."""
    tables = _Tables({section.name: section for section in sections}, facts)
    return [*_own(tables), *_wanted(tables)]


@dataclass(frozen=True, slots=True)
class _Tables:
    sections: Mapping[str, Section]
    facts: Facts

    def figure(self, section: str, row: str, key: str) -> float:
        found = self.sections.get(section)
        return found.figure(row, self.facts.system, key) if found else NAN

    def worst(self, section: str, key: str) -> float:
        return max(self._column(section, key), default=NAN)

    def least(self, section: str, key: str) -> float:
        return min(self._column(section, key), default=NAN)

    def _column(self, section: str, key: str) -> list[float]:
        found = self.sections.get(section)
        values = (self.figure(section, row, key) for row in (found.rows if found else ()) if row != ALL)
        return [value for value in values if not math.isnan(value)]


def _own(tables: _Tables) -> Iterator[Target]:
    ece = tables.worst("dev.labels", "ece")
    yield Target("ECE, worst label", 0.03, ece, "dev fold (the calibration's own fold)", at_most=True)
    held = tables.worst("heldout.labels", "ece")
    yield Target("ECE, worst label", 0.03, held, "authored rows kept out of training", at_most=True)
    gap = tables.figure("fairness.mentions", ALL, "gap_to_mean")
    yield Target("worst group's false positives above the mean", 0.02, gap, "neutral mentions", at_most=True)
    gap = tables.figure("fairness.dev_mentions", ALL, "gap_to_mean")
    on = "blameless dev rows that name a group (some labels are wrong)"
    yield Target("worst group's false positives above the mean", 0.02, gap, on, at_most=True)
    shift = tables.figure("fairness.swaps", ALL, "mean_shift")
    yield Target("counterfactual mean score shift", 0.03, shift, "identity swaps", at_most=True)
    place = tables.least("robustness.position", "recall")
    yield Target("one bad sentence in ten pages found, worst place", 1.0, place, "sentences that are flagged alone")
    long = [tables.figure("robustness.long", pages, "false_positives") for pages in ("ten pages", "one page")]
    yield Target(
        "ten neutral pages flagged beyond one", 0.0, long[0] - long[1], "clean prose and replies", at_most=True
    )
    yield from _steps(tables)
    yield Target("bundle, MB", 24, tables.facts.size_mb, "all files of the bundle, 10^6 bytes", at_most=True)
    for tokens, bound in ((32, 2.0), (128, 8.0)):
        found = tables.figure("latency", f"whole detect, {tokens} tokens", "p50_ms")
        yield Target(f"p50 at {tokens} tokens, ms", bound, found, "one core, whole detect, as loaded now", at_most=True)


def _steps(tables: _Tables) -> Iterator[Target]:
    heads, steps = tables.sections.get("dev.heads"), tables.facts.steps
    if heads is None or len(steps) < 2:
        yield Target("macro-F1 lost at each step", 0.01, NAN, "needs --compare NAME=DIR for each step", at_most=True)
        return
    for before, after in zip(steps, steps[1:], strict=False):
        lost = mean_macro_f1(heads, before) - mean_macro_f1(heads, after)
        yield Target(f"macro-F1 lost, {before} to {after}", 0.01, lost, "dev fold, mean over heads", at_most=True)


def _wanted(tables: _Tables) -> Iterator[Target]:
    auc, inside = "dev.overview", "dev fold; in domain, since its train fold was learned"
    found = tables.figure(auc, "toxigen_annotated", "auc")
    yield Target("model-written hate and stereotype, AUC", 0.94, found, f"toxigen_annotated, {inside}")
    found = tables.figure("dev.overview", "functional_contrast", "auc")
    few = "functional_contrast (ours), dev fold; few rows, in domain"
    yield Target("functional hate tests, AUC", 0.90, found, few)
    found = tables.figure("dev.overview", "functional_contrast", "macro_f1_at_half")
    yield Target("functional hate tests, macro-F1", 0.78, found, few)
    found = 1 - tables.figure("dev.overview", "functional_contrast", "false_positives")
    yield Target("non-hateful half, accuracy", 0.75, found, f"{few}; all its buckets as one, not the worst")
    on = "no human-scored replies here; the authored held-out rows would flatter"
    yield Target("human-scored assistant replies, AUC", 0.92, NAN, on)
    facts = tables.facts
    yield Target("sexism, macro-F1", 0.84, facts.sexism_macro_f1, f"edos, {inside}; any label and the gender head")
    yield Target("sexism, macro-F1", 0.84, facts.sexism_by_any_label, "the same rows; any label alone")
    on = "no out-of-domain news here; pairs_wnc_small (Wikipedia) and loaded_news are in domain"
    yield Target("loaded news, out of domain, AUC", 0.78, NAN, on)
    found = tables.figure("dev.heads", "pairs_wnc_small: loaded_language", "auc")
    yield Target("loaded language, real edits, AUC", 0.78, found, f"pairs_wnc_small, {inside}; a stand-in")
    found = tables.figure("fairness.registers", ALL, "false_positives")
    yield Target("ten registers, false positives", 0.005, found, "register probes", at_most=True)
    found = tables.worst("fairness.registers", "false_positives")
    yield Target("worst register, false positives", 0.015, found, "register probes, 12 texts each", at_most=True)
    gap = abs(tables.figure("fairness.dialect", "gap", "false_positives"))
    yield Target("dialect gap, neutral twins", 0.01, gap, "dialect probes, 60 pairs, either way", at_most=True)
    for family in FAMILIES:
        yield _drop(tables, family)
    found = tables.figure("dev.spans", "toxic_spans", "per_post_f1")
    yield Target("toxic spans, per-post character F1", 0.70, found, f"toxic_spans, {inside}")


def _drop(tables: _Tables, family: str) -> Target:
    section = tables.sections.get("robustness.noise")
    rows = [row for row in (section.rows if section else ()) if row.startswith(family) and row.endswith(NOISE_LEVEL)]
    found = tables.figure("robustness.noise", rows[0], "auc_drop") if rows else NAN
    texts = tables.figure("robustness.noise", CLEAN, "texts")
    on = f"noise curve at {NOISE_LEVEL} of the words" + ("; few texts" if texts < LEAST else "")
    return Target(f"drop in AUC, {family}", 0.01, found, on, at_most=True)
