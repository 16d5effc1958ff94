"""Make a detector bundle: export the student, calibrate it as it will run, write the bundle and its card.

    python -m guardrail.training.detector.bundle --recipe training/recipes/detector.toml --data POOL \
        --student all-MiniLM-L6-v2 --work RUN --out guardrail/models/detector-fast
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from transformers import AutoConfig

from guardrail._runtime import Deadline
from guardrail.detect.onnx import OnnxDetector
from guardrail.judge import Judge
from guardrail.models.bundle import open_bundle
from guardrail.policy import Policy
from guardrail.result import GROUPS
from guardrail.text.windows import split_sentences
from guardrail.training.bundles import write_bundle
from guardrail.training.data.authored import FOLDER
from guardrail.training.data.pool import clean_replies, read_pool, sha256_of
from guardrail.training.data.schema import LABELS, Row
from guardrail.training.detector.batches import encode
from guardrail.training.detector.calibrate import Scaling, fit, thresholds
from guardrail.training.detector.export import Parity, export_int8, parity, predict_onnx
from guardrail.training.detector.model import build, load_weights
from guardrail.training.detector.run import Recipe, load_rows, tokenizer_of
from guardrail.training.evaluate.detector import evaluate

RUN_TOKENS = 128


def make(recipe: Recipe, pool: Path, base: str, work: Path, out: Path) -> None:
    """Write the whole bundle to ``out``; every figure in its card is measured here."""
    out.mkdir(parents=True, exist_ok=True)
    student = recipe.raw["student"]
    net = load_weights(build(base, layers=student.get("layers") or None), work / "student" / "weights.safetensors")
    export_int8(net, out / "model.onnx")
    tokenizer_of(base).save(str(out / "tokenizer.json"))
    _optimum_config(base, student.get("layers") or None, out)
    dev = [row for row in load_rows(recipe, pool) if row.fold == "dev"]
    items = encode(dev, tokenizer_of(base), recipe.max_tokens)
    found = predict_onnx(out / "model.onnx", items)
    scaling = fit(found.labels, np.stack([item.labels for item in items]), np.array([row.weight for row in dev]))
    _write(recipe, out, scaling, {"fpr<=0.01": dict.fromkeys(LABELS, 1.0)})
    limits = thresholds(_clean_scores(out, pool, dev))
    _write(recipe, out, scaling, limits)
    report = evaluate(out, pool)
    same = parity(net, out / "model.onnx", items[:500])
    (out / "CARD.md").write_text(_card(recipe, pool, work, scaling, limits, report, same), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _write(recipe, out, scaling, limits)


def _clean_scores(bundle: Path, pool: Path, dev: list[Row]) -> list[Mapping[str, float]]:
    """Score whole clean replies, and our own blameless rows, exactly as the run time will."""
    texts = clean_replies(pool) + [row.text for row in dev if row.source.startswith("authored/") and not row.positive]
    judge = Judge(OnnxDetector(open_bundle(bundle)), Policy())
    chunks = (texts[i : i + 64] for i in range(0, len(texts), 64))
    return [{str(k): v for k, v in d.scores.items()} for chunk in chunks for d in judge.detect(chunk, Deadline(None))]


def _write(recipe: Recipe, out: Path, scaling: Mapping[str, Scaling], limits: Mapping[str, Mapping[str, float]]) -> None:
    facts = {
        "name": str(recipe.raw["name"]),
        "kind": "detector",
        "version": "1.0.0",
        "license": "Apache-2.0",
        "languages": tuple(recipe.raw["language"]),
        "max_tokens": RUN_TOKENS - 2,
        "labels": LABELS,
        "groups": GROUPS,
        "calibration": {label: (one.scale, one.shift) for label, one in scaling.items()},
        **{f'thresholds."{target}"': dict(table) for target, table in limits.items()},
    }
    write_bundle(out, facts)


def _optimum_config(base: str, layers: int | None, out: Path) -> None:
    """Write the ``config.json`` with which optimum's ``ORTModelForSequenceClassification`` opens the bundle."""
    config = AutoConfig.from_pretrained(base)
    config.num_hidden_layers = layers or config.num_hidden_layers
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: i for i, label in enumerate(LABELS)}
    config.problem_type = "multi_label_classification"
    config.architectures = ["BertForSequenceClassification"]
    config.name_or_path = ""
    (out / "config.json").write_text(config.to_json_string(), encoding="utf-8")


def _card(
    recipe: Recipe,
    pool: Path,
    work: Path,
    scaling: Mapping[str, Scaling],
    limits: Mapping[str, Mapping[str, float]],
    report: Mapping[str, object],
    same: Parity,
) -> str:
    loops = {stage: json.loads((work / stage / "loop.json").read_text())["report"] for stage in ("teacher", "student")}
    lines = [
        f"# {recipe.raw['name']}",
        "",
        "Finds stereotypes, hate, toxicity, loaded language, needlessly gendered terms and harmful advice in English text,",
        "sentence by sentence; says where and about whom. Output: calibrated probabilities, 0 to 1, higher is worse.",
        "",
        "## How it was made",
        "",
        f"- Teacher: {recipe.raw['teacher_name']}, trained on gold labels, {loops['teacher']['steps']} steps, {loops['teacher']['seconds']:.0f} s.",
        f"- Student: {recipe.raw['student_name']}, distilled from the teacher's soft labels beside gold labels, "
        f"{loops['student']['steps']} steps, {loops['student']['seconds']:.0f} s.",
        f"- Hardware: {recipe.raw['hardware']} ({platform.machine()}); seed {recipe.raw['seed']}.",
        f"- int8 against torch fp32 on 500 dev rows: mean difference {same.mean:.4f}, largest {same.largest:.3f}, "
        f"same verdict at 0.5 in {same.agreement:.2%}.",
        f"- {recipe.raw['limits']}",
        "",
        "## Measured",
        "",
        "By `python -m guardrail.training.evaluate.detector --bundle BUNDLE --data POOL`, at `fpr<=0.01`; whole tables in `metrics.json`.",
        "",
        *_measured(report),
        "",
        "## Calibration (dev fold)",
        "",
        "| label | ECE | threshold at fpr<=0.01 |",
        "| --- | --- | --- |",
        *(f"| {label} | {one.ece:.3f} | {limits['fpr<=0.01'][label]} |" for label, one in scaling.items()),
        "",
        "## Data (sha256 of each file)",
        "",
        *(f"- {name}: {sha256_of(pool, name)[:16]}" for name in sorted(recipe.raw["data"]["caps"])),
        *(f"- authored/{path.name}: {_hash(path)[:16]}" for path in sorted(FOLDER.glob("*.jsonl"))),
    ]
    return "\n".join(lines) + "\n"


def _measured(report: Mapping[str, object]) -> list[str]:
    held, clean, dev = report["authored_held_out"], report["clean_replies_dev"], report["pool_dev"]
    if not (isinstance(held, dict) and isinstance(clean, dict) and isinstance(dev, dict)):
        raise TypeError("the report's tables must be mappings")
    lines = [
        f"- Whole clean assistant replies flagged (dev fold, {clean['replies']:.0f}; thresholds were chosen on them): {clean['any']:.2%}",
        f"- Blameless authored rows flagged (120 rows kept out of training): {held['any']['false_positives']:.2%}",
        f"- Span F1 on flagged held-out rows: {held['any']['span_f1_where_flagged']:.3f}",
        "",
        "| authored rows kept out | positives | AUC | recall (own label) | recall (any label) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for label, row in held.items():
        lines.append(f"| {label} | {row['positives']:.0f} | {row['auc']:.3f} | {row['recall']:.2f} | {row['recall_by_any_label']:.2f} |")
    lines += ["", "| pool dev fold | rows | AUC | macro-F1 | false positives |", "| --- | --- | --- | --- | --- |"]
    for head, row in dev.items():
        if "auc" in row:
            lines.append(f"| {head} | {row['rows']:.0f} | {row['auc']:.3f} | {row['macro_f1']:.3f} | {row['false_positives']:.3f} |")
    return lines


def _hash(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Parse the command line and make the bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="TOML file with the run's settings")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public pool")
    parser.add_argument("--student", required=True, help="student's base encoder: folder or hub id")
    parser.add_argument("--work", type=Path, required=True, help="the run's work folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
    args = parser.parse_args()
    make(Recipe.read(args.recipe), args.data, args.student, args.work, args.out)


if __name__ == "__main__":
    main()
