"""Test that the work of a check grows with the text and not faster: calls are counted, for a clock is no witness.

What one call of a regular expression does inside is not seen here; ``python -m tests.complexity`` measures the time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from guardrail.text import languages
from tests.complexity import HOSTILE, MOST, WAYS, door, least, ratios

SIZE = 1500


def calls(work: Callable[[], None]) -> int:
    """Return how many calls of Python and built-in functions some work makes."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HOSTILE)
def test_twice_the_text_is_at_most_twice_the_work(name: str, way: str) -> None:
    languages.load()
    own, send, make = door(), WAYS[way], HOSTILE[name]
    send(own, make(SIZE))
    once, twice = (calls(partial(send, own, make(size))) for size in (SIZE, 2 * SIZE))
    assert twice <= MOST * once


def test_work_that_grows_faster_is_seen() -> None:
    def quadratic(text: str) -> None:
        for _ in text:
            for char in text:
                char.isalpha()

    once, twice = (calls(partial(quadratic, "a" * size)) for size in (100, 200))
    assert twice > MOST * once


def test_the_script_measures_every_text_and_way() -> None:
    found = list(ratios(200, 1))
    assert len(found) == len(HOSTILE) * len(WAYS) >= 24
    assert all(ratio > 0 for *_, ratio in found)
    assert least(lambda: None, 2) >= 0
