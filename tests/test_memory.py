"""Test the bounds of memory on short runs, and that the script sees what grows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from guardrail.doors import Streaming
from guardrail.result import Result
from tests import memory
from tests.fakes import WordDetector
from tests.guards import guard
from tests.memory import HOSTILE, MAX_EXTRA_MB, MAX_GROWTH_MB, apart, many


@pytest.mark.slow
@pytest.mark.parametrize("name", ["words", "full stops"])
def test_a_large_text_takes_bounded_memory(name: str) -> None:
    figures = apart("--part", name, "--size", "1000000")
    assert figures["coverage"] == 1.0
    assert 0 <= figures["extra"] <= MAX_EXTRA_MB / 2


@pytest.mark.slow
def test_many_texts_take_no_more_memory_than_some() -> None:
    assert apart("--part", "many", "--checks", "3000")["growth"] <= MAX_GROWTH_MB


@pytest.mark.model
@pytest.mark.slow
def test_the_bundled_detector_keeps_nothing() -> None:
    assert apart("--part", "many", "--checks", "100", "--with", "models")["growth"] <= 2 * MAX_GROWTH_MB


class Hoarding(Streaming):
    kept: ClassVar[list[bytearray]] = []

    def check(self, text: str) -> Result:
        self.kept.append(bytearray(b"x" * 50_000))
        return super().check(text)


def hoarded() -> float:
    """Return the growth of a guard that keeps something of each text."""
    memory.flagging = lambda models, **_: Hoarding(guard().policy, WordDetector(), guard()._rewriter)
    return many(500, models=False)["growth"]


def test_memory_that_grows_is_seen() -> None:
    # In a process of its own: this one may have memory to spare that was freed by other tests.
    code = "from tests.test_memory import hoarded; print(hoarded())"
    root = Path(__file__).parents[1]
    assert float(subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root)) > MAX_GROWTH_MB


def test_hostile_texts_have_their_size() -> None:
    assert all(900 < len(make(1000)) <= 1000 for make in HOSTILE.values())
