"""Measure whether the verdict depends on who is named or how they speak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from guardrail.result import GROUPS
from guardrail.training.evaluate.cases import Case
from guardrail.training.evaluate.mentions import mentioned
from guardrail.training.evaluate.metrics import interval, mean
from guardrail.training.evaluate.probes import Identity, Neutral, Twin
from guardrail.training.evaluate.section import Figures, Section
from guardrail.training.evaluate.swaps import swaps
from guardrail.training.evaluate.systems import Scored, System, score

ALL = "all"
MIN_MENTIONS = 20
Judgements = Mapping[str, Mapping[str, int]]


def counterfactual(systems: Sequence[System], probes: Sequence[Identity], cases: Sequence[Case]) -> Section:
    """Swap identities and measure how far the highest score moves, by group.

    ``cases`` are taken where they are blameless and a swap is safe; a probe's own group alone is swapped.
    """
    pairs = [(swap.group, probe.text, swap.text) for probe in probes for swap in swaps(probe.text)]
    pairs += [(swap.group, case.text, swap.text) for case in cases if case.biased == 0 for swap in swaps(case.text)]
    pairs = list(dict.fromkeys(pairs))
    texts = list(dict.fromkeys(text for _, before, after in pairs for text in (before, after)))
    place = {text: i for i, text in enumerate(texts)}
    at = defaultdict(list)
    for group, before, after in pairs:
        for name in (ALL, group):
            at[name].append((place[before], place[after]))
    scored = {system.name: score(system, texts) for system in systems}
    rows = {
        group: {name: _shift(found, np.array(at[group]), bounds=group == ALL) for name, found in scored.items()}
        for group in (ALL, *GROUPS)
        if group in at
    }
    note = (
        "The same text with another member of the group in it, label unchanged: how far the highest score moves on "
        "average and at worst, and in which share of pairs the verdict changes."
    )
    return Section("fairness.swaps", "Counterfactual identity swaps", note, rows)


def _shift(found: Scored, pairs: np.ndarray, *, bounds: bool) -> Figures:
    moved = np.abs(found.highest[pairs[:, 0]] - found.highest[pairs[:, 1]])
    figures = {
        "pairs": float(len(pairs)),
        "mean_shift": mean(moved),
        "worst_shift": float(moved.max()),
        "verdict_changes": mean(found.flagged[pairs[:, 0]] != found.flagged[pairs[:, 1]]),
    }
    if bounds:
        figures["mean_shift_low"], figures["mean_shift_high"] = interval(mean, moved)
    return figures


def neutral_mentions(probes: Sequence[Identity], cases: Sequence[Case]) -> list[tuple[str, tuple[str, ...]]]:
    """Return blameless texts with the groups that they name, each once: probes, their swaps and blameless cases."""
    texts: dict[str, tuple[str, ...]] = {}
    for probe in probes:
        if not probe.biased:
            for text in (probe.text, *(swap.text for swap in swaps(probe.text) if swap.group == probe.group)):
                texts.setdefault(text, (probe.group,))
    for case in cases:
        groups = case.mentions or mentioned(case.text)
        if case.biased == 0 and groups:
            texts.setdefault(case.text, groups)
    return list(texts.items())


def by_group(systems: Sequence[System], texts: Sequence[tuple[str, tuple[str, ...]]], key: str, title: str) -> Section:
    """Measure the false-positive rate of each named group with at least twenty texts, and its gap to their mean."""
    at = {group: [i for i, (_, named) in enumerate(texts) if group in named] for group in GROUPS}
    kept = {group: where for group, where in at.items() if len(where) >= MIN_MENTIONS}
    rows: dict[str, dict[str, Figures]] = {group: {} for group in (ALL, *kept)}
    for system in systems:
        found = score(system, [text for text, _ in texts])
        rates = {group: mean(found.flagged[where]) for group, where in kept.items()}
        centre = mean(list(rates.values()))
        gap = max((rate - centre for rate in rates.values()), default=float("nan"))
        low, high = interval(mean, found.flagged.astype(float))
        rows[ALL][system.name] = {
            "texts": float(len(texts)),
            "false_positives": mean(found.flagged),
            "false_positives_low": low,
            "false_positives_high": high,
            "gap_to_mean": gap,
        }
        for group, where in kept.items():
            rows[group][system.name] = {
                "texts": float(len(where)),
                "false_positives": rates[group],
                "gap_to_mean": rates[group] - centre,
            }
    note = "Blameless texts that name a group: share flagged, and its distance to the mean of the groups (all: worst)."
    return Section(f"fairness.{key}", title, note, rows)


def dialect(systems: Sequence[System], twins: Sequence[Twin]) -> Section:
    """Measure blameless twins in African-American and standard English: shares flagged, their gap, score shift."""
    rows: dict[str, dict[str, Figures]] = {"African-American English": {}, "standard English": {}, "gap": {}}
    for system in systems:
        found = score(system, [twin.dialect for twin in twins] + [twin.standard for twin in twins])
        ours, theirs = found.take(range(len(twins))), found.take(range(len(twins), 2 * len(twins)))
        for name, side in zip(rows, (ours, theirs), strict=False):
            rows[name][system.name] = {
                "texts": float(len(twins)),
                "false_positives": mean(side.flagged),
                "mean_score": mean(side.highest),
                "worst_score": float(side.highest.max(initial=0.0)),
            }
        apart = ours.flagged.astype(float) - theirs.flagged
        low, high = interval(mean, apart)
        rows["gap"][system.name] = {
            "texts": float(len(twins)),
            "false_positives": mean(apart),
            "false_positives_low": low,
            "false_positives_high": high,
            "mean_score": mean(ours.highest - theirs.highest),
        }
    note = "The same blameless message in both varieties; a gap above 0 is against African-American English."
    return Section("fairness.dialect", "Dialect twins", note, rows)


def registers(systems: Sequence[System], texts: Sequence[Neutral]) -> Section:
    """Measure the share of blameless texts flagged in each register."""
    names = list(dict.fromkeys(text.register for text in texts))
    at = {ALL: list(range(len(texts)))}
    at |= {name: [i for i, text in enumerate(texts) if text.register == name] for name in names}
    found = {system.name: score(system, [text.text for text in texts]) for system in systems}
    rows = {
        name: {
            system: {
                "texts": float(len(where)),
                "false_positives": mean(scored.flagged[where]),
                "worst_score": float(scored.highest[where].max()),
            }
            for system, scored in found.items()
        }
        for name, where in at.items()
        if where
    }
    note = "Blameless text that this project wrote for evaluation, a dozen a register, some of it tempting."
    return Section("fairness.registers", "Neutral text in ten registers", note, rows)
