"""Draw the steps of a run: every set shuffled for itself, read to its end and shuffled again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from guardrail.errors import ConfigError
from guardrail.training.unlearn.encode import Encoded


@dataclass(frozen=True, slots=True)
class Items:
    """Encoded pairs; ``preferred`` maps an index of ``forget`` to the same prompt with a safe answer."""

    forget: Sequence[Encoded]
    normal: Sequence[Encoded]
    near: Sequence[Encoded] = ()
    preferred: Sequence[Encoded | None] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step sees, row by row.

    ``mismatched`` holds forget prompts with the harmful answers of other prompts, ``strangers`` the same prompts with
    answers of normal pairs, and ``chosen`` with their safe answer, beside ``rejected`` with the harmful one.
    """

    forget: list[Encoded]
    mismatched: list[Encoded]
    strangers: list[Encoded]
    normal: list[Encoded]
    near: list[Encoded]
    chosen: list[Encoded]
    rejected: list[Encoded]


class Plan:
    """The steps of a run, the same for any number of processes; each takes its rows by ``share``."""

    def __init__(self, items: Items, *, batch: int, mismatches: int, seed: int) -> None:
        if not items.forget or not items.normal:
            raise ConfigError(
                f"{len(items.forget)} forget and {len(items.normal)} normal pairs; both must be at least 1"
            )
        self._items, self._batch, self._mismatches, self._seed = items, batch, mismatches, seed

    def steps(self, *, rank: int = 0, size: int = 1) -> Iterator[Step]:
        """Yield steps without end; process ``rank`` of ``size`` gets every ``size``-th row of each."""
        items = self._items
        forget = _cycle(len(items.forget), self._batch, f"{self._seed}:forget")
        normal = _cycle(len(items.normal), self._batch, f"{self._seed}:normal")
        near = _cycle(len(items.near), self._batch, f"{self._seed}:near") if items.near else None
        with_safe = [index for index, item in enumerate(items.preferred) if item is not None]
        paired = _cycle(len(with_safe), self._batch, f"{self._seed}:paired") if with_safe else None
        number = 0
        while True:
            rng = random.Random(f"{self._seed}:{number}")
            mine = [items.forget[i] for i in _share(next(forget), rank, size)]
            beside = [with_safe[i] for i in _share(next(paired), rank, size)] if paired else []
            yield Step(
                mine,
                [item.answered(other) for item in mine for other in self._others(item, rng)],
                [item.answered(rng.choice(items.normal)) for item in mine],
                [items.normal[i] for i in _share(next(normal), rank, size)],
                [items.near[i] for i in _share(next(near), rank, size)] if near else [],
                [safe for i in beside if (safe := items.preferred[i]) is not None],
                [items.forget[i] for i in beside],
            )
            number += 1

    def _others(self, item: Encoded, rng: random.Random) -> list[Encoded]:
        """Draw harmful answers of other prompts; a prompt with several answers is no other prompt."""
        found: list[Encoded] = []
        for candidate in rng.sample(self._items.forget, len(self._items.forget)):
            if len(found) == self._mismatches:
                break
            if candidate.key != item.key:
                found.append(candidate)
        return found


def _cycle(count: int, batch: int, seed: str) -> Iterator[list[int]]:
    """Yield batches of indices; a batch at the end of a pass goes on into the next, newly shuffled one."""
    rng, waiting = random.Random(seed), list[int]()
    while True:
        while len(waiting) < batch:
            waiting += rng.sample(range(count), count)
        yield waiting[:batch]
        del waiting[:batch]


def _share(rows: Sequence[int], rank: int, size: int) -> Sequence[int]:
    # Every process has to take part in every step: where rows are fewer, some see one that another sees too.
    return rows[rank::size] or rows[:1]
