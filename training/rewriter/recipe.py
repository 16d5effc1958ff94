"""Read the TOML recipe of a rewriter's training run."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from guardrail.errors import ConfigError
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


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises ``ConfigError`` on an unknown table or key, or a schedule that does not exist."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    known = [one.name for one in fields(Recipe)]
    if unknown := sorted(set(tables) - set(known)):
        raise ConfigError(f"recipe {path.name!r} has unknown table {unknown[0]!r}; known are {', '.join(known)}")
    recipe = Recipe(
        model=_settings(ModelSettings, "model", tables),
        lora=_settings(LoraSettings, "lora", tables),
        optim=_settings(OptimSettings, "optim", tables),
        run=_settings(RunSettings, "run", tables),
        pairs=_settings(PairSettings, "pairs", tables),
    )
    if recipe.optim.schedule not in {"cosine", "linear"}:
        raise ConfigError(f"optim.schedule is {recipe.optim.schedule!r}; use 'cosine' or 'linear'")
    return recipe


def _settings(kind: type[S], name: str, tables: Mapping[str, Mapping[str, object]]) -> S:
    table = tables.get(name, {})
    allowed = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - allowed):
        raise ConfigError(f"recipe key {name}.{unknown[0]} is unknown; known are {', '.join(sorted(allowed))}")
    return kind(**table)
