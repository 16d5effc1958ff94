"""Turn labelled cases and what systems said of them into tables: by bucket, head, label, group and span."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS
from guardrail.training.evaluate.cases import Case
from guardrail.training.evaluate.metrics import auc, ece, f1, interval, macro_f1, mean, reliability, span_f1
from guardrail.training.evaluate.section import Figures, Part, Section
from guardrail.training.evaluate.systems import Scored

MIN_OF_EACH = 10
HALF = 0.5
ALL = "all"


def overview(part: Part) -> Section:
    """Measure the verdict "any label" over all cases and by bucket, with 95 % intervals over all."""
    at = _by_bucket(part.cases, lambda case: case.biased is not None)
    rows = {
        bucket: {
            name: _verdicts(scored.take(where), _biased(part.cases, where), bounds=bucket == ALL)
            for name, scored in part.scored.items()
        }
        for bucket, where in at.items()
    }
    note = (
        "Any label against none. F1 and rates at the shipped thresholds, macro-F1 at one half beside; brackets: 95 % "
        "bootstrap intervals."
    )
    return Section(f"{part.key}.overview", f"{part.title}: any label, by bucket", note, rows)


def heads(part: Part) -> Section:
    """Measure each label by bucket, on the cases where it is known; both classes need ten cases for an AUC."""
    rows = {}
    for column, label in enumerate(LABELS):
        found = _by_bucket(part.cases, lambda case, label=label: label in case.labels)  # type: ignore[misc]
        for bucket, where in found.items():
            truth = np.array([part.cases[i].labels[label] for i in where])
            if bucket != ALL and min(truth.sum(), (1 - truth).sum()) >= MIN_OF_EACH:
                rows[f"{bucket}: {label}"] = {
                    name: _one(scored.take(where), column, truth) for name, scored in part.scored.items()
                }
    note = "One label where the bucket's rows know it; at the shipped thresholds and at one half."
    return Section(f"{part.key}.heads", f"{part.title}: labels by bucket", note, dict(sorted(rows.items())))


def labels(part: Part) -> Section:
    """Measure each label over all cases where it is known, with its calibration error."""
    rows = {}
    for column, label in enumerate(LABELS):
        where = [i for i, case in enumerate(part.cases) if label in case.labels]
        truth = np.array([part.cases[i].labels[label] for i in where], int)
        rows[label] = {name: _one(scored.take(where), column, truth) for name, scored in part.scored.items()}
        for name, scored in part.scored.items():
            bins = reliability(scored.scores[where, column], truth)
            rows[label][name] = {**rows[label][name], "ece": ece(bins)}
    note = "Recall, F1 and false positives at the shipped thresholds; ECE over ten bins (Naeini et al. 2015)."
    return Section(f"{part.key}.labels", f"{part.title}: each label", note, rows)


def groups(part: Part) -> Section:
    """Measure, for each targeted group, how much biased text is found and how well the group is named."""
    rows = {}
    for column, group in enumerate(GROUPS):
        known = [i for i, case in enumerate(part.cases) if group in case.groups]
        truth = np.array([part.cases[i].groups[group] for i in known], int)
        aimed = [i for i in known if part.cases[i].groups[group] and part.cases[i].biased]
        if len(aimed) >= MIN_OF_EACH:
            rows[group] = {
                name: {
                    "biased": float(len(aimed)),
                    "recall": mean(scored.flagged[aimed]),
                    "group_auc": auc(scored.groups[known, column], truth),
                    "group_f1": f1((scored.groups[known, column] >= HALF).astype(int), truth),
                }
                for name, scored in part.scored.items()
            }
    note = "Recall of biased texts about a group by any label; the group head's AUC and its F1 at one half."
    return Section(f"{part.key}.groups", f"{part.title}: each targeted group", note, rows)


def spans(part: Part) -> Section:
    """Measure marked characters: per post over all annotated texts, and where a biased text was flagged."""
    annotated = _by_bucket(part.cases, lambda case: case.spans is not None)
    rows = {}
    for bucket, where in annotated.items():
        if any(part.cases[i].spans for i in where):
            rows[bucket] = {name: _marked(part.cases, scored, where) for name, scored in part.scored.items()}
    note = (
        "Mean character F1 a text, 1 where both mark nothing (SemEval-2021 task 5); then over texts with gold spans "
        "only, and over those of them that were flagged."
    )
    return Section(f"{part.key}.spans", f"{part.title}: spans", note, rows)


def mean_macro_f1(section: Section, system: str) -> float:
    """Return the mean macro-F1 at one half over the rows of ``heads``: one figure to compare sizes of a model by."""
    return mean([figures[system]["macro_f1_at_half"] for figures in section.rows.values() if system in figures])


def _by_bucket(cases: Sequence[Case], chosen: Callable[[Case], bool]) -> dict[str, list[int]]:
    at: dict[str, list[int]] = defaultdict(list)
    for i, case in enumerate(cases):
        if chosen(case):
            at[case.bucket].append(i)
    everything = sorted(i for where in at.values() for i in where)
    # One bucket alone would say what all of them say.
    return {ALL: everything, **(dict(sorted(at.items())) if len(at) > 1 else {})} if everything else {}


def _biased(cases: Sequence[Case], where: Sequence[int]) -> np.ndarray:
    return np.array([int(cases[i].biased or 0) for i in where], int)


def _verdicts(scored: Scored, truth: np.ndarray, *, bounds: bool) -> Figures:
    flagged, highest = scored.flagged.astype(int), scored.highest
    figures = {"rows": float(len(truth)), "biased": float(truth.sum()), "auc": auc(highest, truth)}
    figures |= _rates(flagged, truth) | {"macro_f1_at_half": _macro((highest >= HALF).astype(int), truth)}
    if bounds:
        figures["auc_low"], figures["auc_high"] = interval(auc, highest, truth)
        figures["macro_f1_low"], figures["macro_f1_high"] = interval(_macro, flagged, truth)
        clean = flagged[truth == 0]
        figures["false_positives_low"], figures["false_positives_high"] = interval(mean, clean)
    return figures


def _one(scored: Scored, column: int, truth: np.ndarray) -> Figures:
    flagged, scores = scored.flags[:, column].astype(int), scored.scores[:, column]
    figures = {"rows": float(len(truth)), "positives": float(truth.sum()), "auc": auc(scores, truth)}
    rates = _rates(flagged, truth) | {"f1": f1(flagged, truth)}
    return figures | rates | {"macro_f1_at_half": _macro((scores >= HALF).astype(int), truth)}


def _rates(flagged: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {
        "macro_f1": _macro(flagged, truth),
        "recall": mean(flagged[truth == 1]),
        "false_positives": mean(flagged[truth == 0]),
    }


def _macro(flagged: np.ndarray, truth: np.ndarray) -> float:
    return macro_f1(flagged, truth) if 0 < truth.sum() < len(truth) else float("nan")


def _marked(cases: Sequence[Case], scored: Scored, where: Sequence[int]) -> Figures:
    values = {i: span_f1(scored.spans[i], cases[i].spans or ()) for i in where}
    gold = [i for i in where if cases[i].spans]
    flagged = [i for i in gold if scored.flagged[i]]
    return {
        "texts": float(len(where)),
        "per_post_f1": mean(list(values.values())),
        "with_gold": float(len(gold)),
        "f1_with_gold": mean([values[i] for i in gold]),
        "f1_where_flagged": mean([values[i] for i in flagged]),
    }
