"""Make bundles of a run's larger networks in fp32, teacher and student, to measure beside the shipped one.

python -m guardrail.training.evaluate.side --recipe detector --data POOL --work RUN \
    --teacher all-mpnet-base-v2 --student all-MiniLM-L6-v2
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from guardrail.policy import Policy
from guardrail.result import GROUPS
from guardrail.training.bundles import Facts, write_bundle
from guardrail.training.data.pool import CLEAN_REPLIES, clean_replies
from guardrail.training.data.schema import LABELS
from guardrail.training.detector.batches import encode, tokenizer_of
from guardrail.training.detector.calibrate import fit, thresholds
from guardrail.training.detector.export import export_fp32
from guardrail.training.detector.mix import load_rows
from guardrail.training.detector.model import build, load_weights
from guardrail.training.detector.predict import predict
from guardrail.training.detector.recipe import Recipe, find_recipe
from guardrail.training.evaluate.systems import detect_all, open_system

DEV_ROWS = 3000
REPLIES = 400
MAX_TOKENS = 126
TARGET = "fpr<=0.01"


def side_bundles(recipe: Recipe, pool: Path, work: Path, bases: Mapping[str, str]) -> dict[str, str | Path]:
    """Return the folders of the bundles, made in ``work/side`` where they are not there yet, the teacher first.

    ``bases`` maps "teacher" and "student" to their base encoders; a role that is not named is left out. Each bundle
    is calibrated on dev rows and gets its own thresholds, as the shipped one is, on a sample of the same rows.
    """
    weights = {"teacher": work / "finish", "student": work / "student"}
    names = {"teacher": "teacher fp32", "student": "student fp32"}
    made: dict[str, str | Path] = {}
    for role in ("teacher", "student"):
        if role in bases:
            out = work / "side" / role
            trained = weights[role] / "weights.safetensors"
            done = out / "bundle.toml"
            if not done.exists() or done.stat().st_mtime < trained.stat().st_mtime:
                _make(recipe, pool, role, bases[role], trained, out)
            made[names[role]] = out
    return made


def _make(recipe: Recipe, pool: Path, role: str, base: str, weights: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    net = load_weights(build(base, layers=recipe.raw[role].get("layers") or None), weights)
    export_fp32(net, out / "model.onnx")
    tokenizer_of(base).save(str(out / "tokenizer.json"))
    rows = [row for row in load_rows(recipe, pool) if row.fold == "dev"]
    random.Random(recipe.seed).shuffle(rows)
    rows = rows[:DEV_ROWS]
    items = encode(rows, tokenizer_of(base), recipe.max_tokens)
    known = np.stack([item.labels for item in items])
    scaling = fit(predict(net, items).labels, known, np.array([row.weight for row in rows]))
    calibration = {label: (one.scale, one.shift) for label, one in scaling.items()}
    _write(recipe, role, out, calibration, dict.fromkeys(LABELS, 1.0))
    _write(recipe, role, out, calibration, _limits(out, pool))


def _limits(out: Path, pool: Path) -> dict[str, float]:
    clean = clean_replies(pool, "train", CLEAN_REPLIES)
    random.Random(0).shuffle(clean)
    found = detect_all(open_system(out, Policy(threshold=TARGET)).judge, clean[:REPLIES])
    scores = [{str(label): score for label, score in one.scores.items()} for one in found]
    return thresholds(scores)[TARGET]


def _write(
    recipe: Recipe, role: str, out: Path, calibration: Mapping[str, tuple[float, float]], limits: Mapping[str, float]
) -> None:
    facts: Facts = {
        "name": f"{recipe.raw['name']}-{role}-fp32",
        "kind": "detector",
        "version": "1.0.0",
        "license": "Apache-2.0",
        "languages": tuple(recipe.raw["language"]),
        "max_tokens": MAX_TOKENS,
        "labels": LABELS,
        "groups": GROUPS,
        "calibration": dict(calibration),
        f'thresholds."{TARGET}"': dict(limits),
    }
    write_bundle(out, facts)


def main() -> None:
    """Parse the command line, make the bundles and print how to name them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", required=True, help="TOML file with the run's settings, or an installed one's name")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public pool")
    parser.add_argument("--work", type=Path, required=True, help="the run's work folder")
    parser.add_argument("--teacher", help="teacher's base encoder: folder or hub id; by default the recipe's")
    parser.add_argument("--student", help="student's base encoder: folder or hub id; by default the recipe's")
    args = parser.parse_args()
    recipe = Recipe.read(find_recipe(args.recipe))
    bases = {role: recipe.base(role, getattr(args, role)) for role in ("teacher", "student")}
    for name, folder in side_bundles(recipe, args.data, args.work, bases).items():
        print(f'--compare "{name}={folder}"')


if __name__ == "__main__":
    main()
