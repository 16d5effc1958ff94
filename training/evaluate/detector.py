"""Measure a detector bundle as it runs: on authored rows kept out of training, the pool's dev fold and clean replies.

python -m guardrail.training.evaluate.detector --bundle BUNDLE --data POOL --out report.json
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from guardrail._runtime import Deadline
from guardrail.detect.onnx import OnnxDetector
from guardrail.judge import Judge
from guardrail.models.bundle import open_bundle
from guardrail.policy import Policy
from guardrail.result import Detection, Label
from guardrail.text.windows import split_sentences
from guardrail.training.data.authored import Authored, read_authored, span_offsets
from guardrail.training.data.pool import clean_replies, read_pool
from guardrail.training.data.schema import LABELS, Row
from guardrail.training.evaluate.metrics import auc, macro_f1, span_f1

CHUNK = 64
MIN_OF_EACH = 10
DEV_CAPS = {
    "toxigen_annotated": 9000,
    "implicit_hate": 6000,
    "sbic_dev": 5000,
    "edos": 3000,
    "hatexplain": 3000,
    "jigsaw_balanced": 3000,
    "pairs_winobias_plus": 2000,
    "pairs_synthetic_loaded": 3000,
    "pairs_wnc_small": 1400,
    "toxic_spans": 3000,
    "bold_wiki": 3000,
    "clean_llm_outputs": 3000,
}
Table = dict[str, dict[str, float]]


def detect_all(judge: Judge, texts: Sequence[str]) -> list[Detection]:
    """Judge texts in chunks, without a deadline."""
    parts = (texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK))
    return [found for part in parts for found in judge.detect(part, Deadline(None))]


def authored_table(judge: Judge, items: Sequence[Authored]) -> Table:
    """Return per label and for any label: AUC of its positives against all clean rows, recall, false positives.

    The entry for any label has the character F1 of the spans of flagged rows as well.
    """
    found = detect_all(judge, [item.text for item in items])
    clean = [d for d, item in zip(found, items, strict=True) if not item.labels]
    table: Table = {"any": _row(found, clean, [bool(item.labels) for item in items], None)}
    for label in LABELS:
        table[label] = _row(found, clean, [label in item.labels for item in items], Label(label))
    spans = [
        span_f1([(f.start, f.end) for f in d.findings], span_offsets(item))
        for d, item in zip(found, items, strict=True)
        if item.labels and d.flagged
    ]
    table["any"]["clean"] = float(len(clean))
    table["any"]["span_f1_where_flagged"] = _mean(spans)
    return table


def pool_table(judge: Judge, rows: Sequence[Row]) -> Table:
    """Return, per source and label with enough dev rows: AUC, macro-F1 at the shipped thresholds, rows."""
    found = detect_all(judge, [row.text for row in rows])
    by_head: dict[str, list[tuple[float, int, bool]]] = defaultdict(list)
    for row, detection in zip(rows, found, strict=True):
        for name, present in row.labels.items():
            label = Label(name)
            head = f"{row.source.split('/')[0]}:{name}"
            by_head[head].append((detection.scores[label], present, _flagged(detection, label)))
    table: Table = {}
    for head, values in sorted(by_head.items()):
        scores = np.array([score for score, _, _ in values])
        truth = np.array([present for _, present, _ in values])
        flagged = np.array([flag for _, _, flag in values])
        entry = {"rows": float(len(values)), "false_positives": _mean(flagged[truth == 0].tolist())}
        if min((truth == 1).sum(), (truth == 0).sum()) >= MIN_OF_EACH:
            entry |= {"auc": auc(scores, truth), "macro_f1": macro_f1(flagged.astype(int), truth)}
        table[head] = entry
    return table


def clean_table(judge: Judge, texts: Sequence[str]) -> dict[str, float]:
    """Return the share of whole clean replies that any label flags, and that each label flags."""
    found = detect_all(judge, texts)
    rates = {label: _mean([_flagged(d, Label(label)) for d in found]) for label in LABELS}
    return {"replies": float(len(texts)), "any": _mean([d.flagged for d in found]), **rates}


def evaluate(bundle: Path, pool: Path, policy: Policy | None = None) -> dict[str, object]:
    """Return all tables for one bundle under one policy's thresholds."""
    judge = Judge(OnnxDetector(open_bundle(bundle)), policy or Policy())
    rows = [row for row in read_pool(pool, DEV_CAPS, split_sentences, 17) if row.fold == "dev"]
    return {
        "authored_held_out": authored_table(judge, read_authored(held_out=True)),
        "pool_dev": pool_table(judge, rows),
        "clean_replies_dev": clean_table(judge, clean_replies(pool)),
    }


def to_json(report: Mapping[str, object]) -> str:
    """Return a report as JSON text, with null for every figure that could not be measured."""
    return json.dumps(_without_nan(report), indent=1, allow_nan=False)


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _row(
    found: Sequence[Detection], clean: Sequence[Detection], truth: Iterable[bool], label: Label | None
) -> dict[str, float]:
    positives = [d for d, positive in zip(found, truth, strict=True) if positive]
    scores = np.array([_score(d.scores, label) for d in [*positives, *clean]])
    return {
        "positives": float(len(positives)),
        "auc": auc(scores, np.array([1] * len(positives) + [0] * len(clean))),
        "recall": _mean([_flagged(d, label) for d in positives]),
        "recall_by_any_label": _mean([d.flagged for d in positives]),
        "false_positives": _mean([_flagged(d, label) for d in clean]),
    }


def _score(scores: Mapping[Label, float], label: Label | None) -> float:
    return scores[label] if label else max(scores[Label(name)] for name in LABELS)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _flagged(detection: Detection, label: Label | None) -> bool:
    return detection.flagged if label is None else any(f.label is label for f in detection.findings)


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a detector bundle")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public pool")
    parser.add_argument("--out", type=Path, help="write the tables as JSON")
    args = parser.parse_args()
    report = to_json(evaluate(args.bundle, args.data))
    print(report)
    if args.out:
        args.out.write_text(report + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
