"""Make a detector bundle: export the student, calibrate it as it will run, write the bundle and its card.

python -m guardrail.training.detector.bundle --recipe training/recipes/detector.toml --data POOL \
    --student all-MiniLM-L6-v2 --work RUN --out guardrail/models/detector-fast
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from transformers import AutoConfig

from guardrail.detect.onnx import OnnxDetector
from guardrail.judge import Judge
from guardrail.models.bundle import open_bundle
from guardrail.policy import Policy
from guardrail.result import GROUPS
from guardrail.training.bundles import Facts, file_sha256, write_bundle
from guardrail.training.data.authored import FOLDER
from guardrail.training.data.pool import CLEAN_REPLIES, clean_replies, sha256_of
from guardrail.training.data.schema import LABELS, Row
from guardrail.training.detector.batches import encode
from guardrail.training.detector.calibrate import Scaling, fit, thresholds
from guardrail.training.detector.card import TARGET, Figures, Table, card
from guardrail.training.detector.export import export_int8, parity, predict_onnx
from guardrail.training.detector.model import build, load_weights
from guardrail.training.detector.run import Recipe, load_rows, tokenizer_of
from guardrail.training.evaluate.detector import detect_all, evaluate, to_json

RUN_TOKENS = 128
PARITY_ROWS = 500


def make(recipe: Recipe, pool: Path, base: str, work: Path, out: Path) -> None:
    """Write the whole bundle to ``out``; every figure in its card is measured here."""
    out.mkdir(parents=True, exist_ok=True)
    layers = recipe.raw["student"].get("layers") or None
    net = load_weights(build(base, layers=layers), work / "student" / "weights.safetensors")
    export_int8(net, out / "model.onnx")
    tokenizer_of(base).save(str(out / "tokenizer.json"))
    _optimum_config(base, layers, out)
    dev = [row for row in load_rows(recipe, pool) if row.fold == "dev"]
    items = encode(dev, tokenizer_of(base), recipe.max_tokens)
    found = predict_onnx(out / "model.onnx", items)
    scaling = fit(found.labels, np.stack([item.labels for item in items]), np.array([row.weight for row in dev]))
    # The run time needs some thresholds before it can score the texts that the real ones are chosen on.
    _write(recipe, out, scaling, {TARGET: dict.fromkeys(LABELS, 1.0)})
    limits = thresholds(_clean_scores(out, pool, dev))
    _write(recipe, out, scaling, limits)
    report = evaluate(out, pool)
    figures = Figures(
        scaling=scaling,
        limits=limits,
        report=report,
        parity=parity(net, out / "model.onnx", items[:PARITY_ROWS]),
        loops=_loops(work),
        data=_hashes(recipe, pool),
    )
    (out / "CARD.md").write_text(card(recipe.raw, figures), encoding="utf-8")
    (out / "metrics.json").write_text(to_json(report) + "\n", encoding="utf-8")
    _write(recipe, out, scaling, limits)


def _clean_scores(bundle: Path, pool: Path, dev: list[Row]) -> list[Mapping[str, float]]:
    """Score whole clean replies that nothing was trained on, and our own blameless rows, as the run time will."""
    texts = clean_replies(pool, "train", CLEAN_REPLIES)
    texts += [row.text for row in dev if row.source.startswith("authored/") and not row.positive]
    judge = Judge(OnnxDetector(open_bundle(bundle)), Policy())
    return [{str(label): score for label, score in found.scores.items()} for found in detect_all(judge, texts)]


def _write(recipe: Recipe, out: Path, scaling: Mapping[str, Scaling], limits: Table) -> None:
    facts: Facts = {
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


def _loops(work: Path) -> dict[str, dict[str, float]]:
    files = {stage: work / stage / "loop.json" for stage in ("teacher", "student")}
    return {stage: json.loads(file.read_text(encoding="utf-8"))["report"] for stage, file in files.items()}


def _hashes(recipe: Recipe, pool: Path) -> dict[str, str]:
    hashes = {name: sha256_of(pool, name) for name in sorted(recipe.raw["data"]["caps"])}
    return hashes | {f"authored/{path.name}": file_sha256(path) for path in sorted(FOLDER.glob("*.jsonl"))}


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
