"""Train a detector from data to soft labels to student, one resumable stage after another.

python -m guardrail.training.detector.run --recipe training/recipes/detector.toml \
    --data POOL --teacher gte-small --student all-MiniLM-L6-v2 --work RUN

``--teacher`` and ``--student`` take a local folder or a hub id. Then ``guardrail.training.detector.bundle`` makes the
bundle.
"""

from __future__ import annotations

import argparse
import json
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from guardrail.errors import ConfigError
from guardrail.text.windows import split_sentences
from guardrail.training.data.authored import detector_rows, read_authored
from guardrail.training.data.pool import read_pool
from guardrail.training.data.schema import Row
from guardrail.training.detector.batches import Encoded, encode
from guardrail.training.detector.distill import train_student
from guardrail.training.detector.export import export_int8, parity, predict_onnx
from guardrail.training.detector.loop import LoopConfig
from guardrail.training.detector.model import DetectorNet, build, load_weights
from guardrail.training.detector.predict import Predictions, predict
from guardrail.training.detector.teacher import train_teacher

LOOP_KEYS = ("epochs", "learning_rate", "head_rate", "token_budget", "bf16", "max_minutes")
TOP = ("seed", "max_tokens", "name", "language", "teacher_name", "student_name", "hardware", "limits")
DATA = ("caps", "teacher_rows", "authored_repeat", "authored_weight")
OPTIONAL = {"data": (), "teacher": ("int8_labels",), "student": ()}
REQUIRED = {"data": DATA, "teacher": (), "student": ("gold_share",)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe file; ``raw`` is the whole of it, for the card."""

    raw: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read a recipe from TOML; raises ``ConfigError`` naming a key that is missing or unknown."""
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        _check(path.name, raw, (*TOP, *REQUIRED), ())
        for section, required in REQUIRED.items():
            network = () if section == "data" else (*LOOP_KEYS, "layers", "freeze_embeddings")
            _check(f"{path.name} [{section}]", raw[section], required, (*network, *OPTIONAL[section]))
        return cls(raw)

    @property
    def max_tokens(self) -> int:
        """Return the longest training text in tokens."""
        return int(self.raw["max_tokens"])

    def loop(self, stage: str) -> LoopConfig:
        """Return the loop settings of one stage."""
        section = self.raw[stage]
        return LoopConfig(**{key: section[key] for key in LOOP_KEYS if key in section}, seed=int(self.raw["seed"]))


def _check(where: str, table: Mapping[str, Any], required: Sequence[str], optional: Sequence[str]) -> None:
    known = (*required, *optional)
    if missing := [key for key in required if key not in table]:
        raise ConfigError(f"recipe {where} lacks {missing[0]!r}; add it")
    if unknown := [key for key in table if key not in known]:
        raise ConfigError(f"recipe {where} has the unknown key {unknown[0]!r}; known are {', '.join(known)}")


def load_rows(recipe: Recipe, pool: Path) -> list[Row]:
    """Return the recipe's rows, both folds: the pool's share and the authored rows, repeated as the recipe says."""
    data = recipe.raw["data"]
    rows = read_pool(pool, data["caps"], split_sentences, int(recipe.raw["seed"]))
    authored = list(detector_rows(read_authored(), weight=float(data["authored_weight"])))
    return rows + authored * int(data["authored_repeat"])


def tokenizer_of(base: str) -> Tokenizer:
    """Load the bare tokenizer of a base model, without truncation or padding."""
    path = Path(base) / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path)) if path.exists() else Tokenizer.from_pretrained(base)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def run(recipe: Recipe, pool: Path, teacher_base: str, student_base: str, work: Path) -> None:
    """Run the stages that are not done yet and leave teacher, soft labels and student in ``work``."""
    rows = [row for row in load_rows(recipe, pool) if row.fold == "train"]
    items = encode(rows, tokenizer_of(student_base), recipe.max_tokens)
    tokens = sum(len(item.ids) for item in items)
    print(f"{len(items)} training rows, {tokens / max(1, len(items)):.1f} tokens on average", flush=True)
    soft = _soft_labels(recipe, rows, items, teacher_base, work)
    student = _network(recipe, "student", student_base)
    share = float(recipe.raw["student"]["gold_share"])
    print(train_student(student, items, soft, recipe.loop("student"), work / "student", gold_share=share), flush=True)


def _soft_labels(recipe: Recipe, rows: Sequence[Row], items: Sequence[Encoded], base: str, work: Path) -> Predictions:
    path = work / "soft.npz"
    if not path.exists():
        teacher = _teacher(recipe, rows, base, work)
        guessed = _predict(recipe, teacher, encode(rows, tokenizer_of(base), recipe.max_tokens), work)
        lengths = np.array([len(tokens) for tokens in guessed.tokens])
        tokens = np.concatenate(guessed.tokens)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, labels=guessed.labels, groups=guessed.groups, tokens=tokens, lengths=lengths)
        partial.replace(path)
    with np.load(path, allow_pickle=False) as saved:
        if saved["lengths"].tolist() != [len(item.ids) for item in items]:
            raise ValueError(f"{path} was made with other rows or another tokenizer; delete it or take another folder")
        pieces = np.split(saved["tokens"], np.cumsum(saved["lengths"])[:-1])
        return Predictions(saved["labels"], saved["groups"], pieces)


def _teacher(recipe: Recipe, rows: Sequence[Row], base: str, work: Path) -> DetectorNet:
    net = _network(recipe, "teacher", base)
    if (work / "teacher" / "done").exists():
        return load_weights(net, work / "teacher" / "weights.safetensors")
    authored = [row for row in rows if row.source.startswith("authored/")]
    public = [row for row in rows if not row.source.startswith("authored/")]
    random.Random(int(recipe.raw["seed"])).shuffle(public)
    chosen = authored + public[: int(recipe.raw["data"]["teacher_rows"])]
    items = encode(chosen, tokenizer_of(base), recipe.max_tokens)
    report = train_teacher(net, items, recipe.loop("teacher"), work / "teacher")
    print(f"teacher: {len(items)} rows", report, flush=True)
    (work / "teacher" / "done").write_text(json.dumps({"rows": len(items)}))
    return net


def _predict(recipe: Recipe, teacher: DetectorNet, items: Sequence[Encoded], work: Path) -> Predictions:
    if not recipe.raw["teacher"].get("int8_labels"):
        return predict(teacher, items)
    path = work / "teacher" / "int8.onnx"
    export_int8(teacher, path)
    print("teacher in int8 against fp32:", parity(teacher, path, items[:400]), flush=True)
    return predict_onnx(path, items)


def _network(recipe: Recipe, stage: str, base: str) -> DetectorNet:
    section = recipe.raw[stage]
    # Its own seed for each network, so that a student begins alike whether its teacher was trained just now or before.
    torch.manual_seed(int(recipe.raw["seed"]))
    frozen = bool(section.get("freeze_embeddings"))
    net = build(base, layers=section.get("layers") or None, freeze_embeddings=frozen)
    return net.to("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, required=True, help="TOML file with the run's settings")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public pool (*.jsonl.gz)")
    parser.add_argument("--teacher", required=True, help="teacher's base encoder: folder or hub id")
    parser.add_argument("--student", required=True, help="student's base encoder: folder or hub id")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and soft labels; resumes")
    parser.add_argument("--threads", type=int, default=0, help="torch threads, 0 = all cores")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    run(Recipe.read(args.recipe), args.data, args.teacher, args.student, args.work)


if __name__ == "__main__":
    main()
