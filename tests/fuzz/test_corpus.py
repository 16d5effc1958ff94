"""Replay the fuzz corpus: seeds, and every input on which a target has failed once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_corpus_passes(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_left_of_damaged_seeds_passes(name: str) -> None:
    chance = random.Random(name)
    seeds = [path.read_bytes() for path in INPUTS if path.parent.name == name]
    for _ in range(60):
        seed = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(seed) + 1)
            seed[at : at + chance.randint(0, 9)] = chance.randbytes(chance.randint(0, 4))
        TARGETS[name](bytes(seed[:600]))


def test_every_target_has_seeds_and_they_are_small() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS)
    assert sum(path.stat().st_size for path in INPUTS) < 200_000
