"""Label all rows of a run with its teacher, once, and keep the soft labels in the work folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from guardrail.errors import ConfigError
from guardrail.training.data.schema import Row
from guardrail.training.detector.batches import Encoded, encode, tokenizer_of
from guardrail.training.detector.export import export_int8, parity, predict_onnx
from guardrail.training.detector.model import DetectorNet
from guardrail.training.detector.predict import Predictions, predict
from guardrail.training.detector.recipe import Recipe

FILE = "soft.npz"
PARITY_ROWS = 400


def write_soft_labels(recipe: Recipe, teacher: DetectorNet, rows: Sequence[Row], base: str, work: Path) -> None:
    """Write the teacher's probabilities for ``rows``, tokenised as ``base`` does, unless an earlier call did."""
    path = work / FILE
    if path.exists():
        return
    guessed = _predict(recipe, teacher, encode(rows, tokenizer_of(base), recipe.max_tokens), work)
    lengths = np.array([len(tokens) for tokens in guessed.tokens])
    tokens = np.concatenate(guessed.tokens)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, labels=guessed.labels, groups=guessed.groups, tokens=tokens, lengths=lengths)
    partial.replace(path)


def read_soft_labels(items: Sequence[Encoded], work: Path) -> Predictions:
    """Read the teacher's probabilities for ``items``; raises ``ConfigError`` if they are of other rows."""
    path = work / FILE
    with np.load(path, allow_pickle=False) as saved:
        if saved["lengths"].tolist() != [len(item.ids) for item in items]:
            raise ConfigError(f"{path} was made with other rows or another tokenizer; delete it or take another folder")
        pieces = np.split(saved["tokens"], np.cumsum(saved["lengths"])[:-1])
        return Predictions(saved["labels"], saved["groups"], pieces)


def _predict(recipe: Recipe, teacher: DetectorNet, items: Sequence[Encoded], work: Path) -> Predictions:
    if not recipe.raw["teacher"].get("int8_labels"):
        return predict(teacher, items, bf16=bool(recipe.raw["teacher"].get("bf16")), title="soft labels")
    path = work / "teacher" / "int8.onnx"
    export_int8(teacher, path)
    print("teacher in int8 against fp32:", parity(teacher, path, items[:PARITY_ROWS]), flush=True)
    return predict_onnx(path, items, title="soft labels")
