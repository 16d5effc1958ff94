"""Read the TOML recipe of a rewriter's training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeVar

from guardrail.training.rewriter.pairs import PairSettings

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The arithmetic: ``dtype`` of the frozen base (the adapter is always fp32) and CPU threads."""

    dtype: str = "float32"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Rank, scale and dropout (0..1) of the adapter on every linear projection."""

    r: int = 16
    alpha: int = 32
    dropout: float = 0.05


@dataclass(frozen=True, slots=True)
class OptimSettings:
    """AdamW with warm-up and a ``cosine`` or ``linear`` decay to ``min_lr_share`` of ``lr``."""

    lr: float = 4e-4
    min_lr_share: float = 0.1
    warmup_steps: int = 20
    weight_decay: float = 0.0
    clip: float = 1.0
    schedule: str = "cosine"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How long to train and how often to look; ``patience`` counts evaluations without a better dev loss."""

    seed: int = 7
    epochs: float = 2.0
    max_minutes: float = math.inf
    max_steps: int = 1_000_000
    batch_tokens: int = 1024
    eval_every: int = 100
    patience: int = 3
    checkpoint_every: int = 100


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole recipe, as read from TOML."""

    model: ModelSettings = field(default_factory=ModelSettings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    run: RunSettings = field(default_factory=RunSettings)
    pairs: PairSettings = field(default_factory=PairSettings)
