"""Train a small encoder for leave-one-source-out, as the teacher is trained, from the same start each time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from guardrail.training.data.schema import LABELS, Row
from guardrail.training.detector.batches import encode, tokenizer_of
from guardrail.training.detector.loop import LoopConfig
from guardrail.training.detector.model import build
from guardrail.training.detector.predict import predict
from guardrail.training.detector.recipe import Recipe
from guardrail.training.detector.teacher import train_teacher


class EncoderLearner:
    """A pretrained encoder, fine-tuned for one epoch on the rows that a mask keeps, with the student's rates."""

    def __init__(self, rows: Sequence[Row], base: str, recipe: Recipe) -> None:
        self.name = Path(base).name
        self._base = base
        self._config: LoopConfig = replace(recipe.loop("student"), epochs=1)
        self._items = encode(rows, tokenizer_of(base), recipe.max_tokens)

    def scores(self, keep: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
        """Return each label's scores of all rows, (N,); rows that no label is known of are not trained on."""
        torch.manual_seed(self._config.seed)
        net = build(self._base, freeze_embeddings=True).to("cuda" if torch.cuda.is_available() else "cpu")
        chosen = [item for item, kept in zip(self._items, keep, strict=True) if kept]
        with tempfile.TemporaryDirectory() as folder:
            train_teacher(net, chosen, self._config, Path(folder) / "loso")
        found = predict(net, self._items).labels
        return {label: found[:, LABELS.index(label)] for label in labels}
