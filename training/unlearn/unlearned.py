"""Open a finished run for an evaluation: base, what was learnt at any strength, its prompts, and answers to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from guardrail.errors import ConfigError
from guardrail.training.unlearn.baselines import METHODS
from guardrail.training.unlearn.data import Sets
from guardrail.training.unlearn.recipe import Recipe, recipe_of
from guardrail.training.unlearn.sets import build_sets
from guardrail.training.unlearn.subject import Subject, load_subject


@dataclass(frozen=True, slots=True)
class Unlearned:
    """A run's model and the very sets it was made with; ``coefficient`` is the signed strength that is shipped.

    ``facts`` is the run's ``run.json``, ``course`` its ``course.json`` with every reading of the probe.
    """

    subject: Subject
    sets: Sets
    recipe: Recipe
    coefficient: float
    facts: Mapping[str, Any]
    course: Mapping[str, Any]

    @contextmanager
    def at(self, coefficient: float | None = None) -> Iterator[Subject]:
        """Give the model at a signed strength: the shipped one by default, 0.0 for the base."""
        with self.subject.scaled(self.coefficient if coefficient is None else coefficient):
            yield self.subject

    def generate(
        self, prompts: Sequence[str], *, coefficient: float | None = None, max_new_tokens: int = 96, **how: Any
    ) -> list[str]:
        """Answer prompts at a signed strength, greedily unless ``how`` (``transformers``' settings) says otherwise."""
        with self.at(coefficient) as subject:
            return subject.generate(prompts, max_new_tokens=max_new_tokens, **how)


def open_unlearned(work: Path, base: Path, pool: Path, *, device: torch.device | None = None) -> Unlearned:
    """Open a run's work folder over the base and the pool that it was made with.

    Raises:
        ConfigError: the folder is of no finished run, or the base or the pool cannot be used.
    """
    if not (work / "course.json").exists():
        raise ConfigError(f"{work} holds no course.json; give the work folder of a finished run")
    facts, course = (json.loads((work / name).read_text(encoding="utf-8")) for name in ("run.json", "course.json"))
    recipe = recipe_of(facts["recipe"])
    place = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    subject = load_subject(base, recipe.model, max_tokens=recipe.run.max_tokens, device=place)
    subject.restore(work / "learnt")
    coefficient = course.get("coefficient", -1.0 if METHODS[recipe.method].negated else 1.0)
    return Unlearned(subject, build_sets(pool, recipe.data), recipe, coefficient, facts, course)
