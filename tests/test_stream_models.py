"""Stream through the bundled models: the same text and result as ``check``, whatever the chunks."""

from __future__ import annotations

import pytest

from guardrail import Guard, Policy
from tests.guards import same
from tests.streams import chunked, fed

pytestmark = pytest.mark.model

TEXTS = (
    "The meeting is at nine in room 204. Dr. Smith will bring the U.S. figures for March, e.g. those of No. 5.\n\n"
    "- Who comes?\n- Who writes the minutes?\n",
    "The plan is sound. Each user must guard his password. \u201cWe start at 9 a.m. sharp.\u201d See *annex* [1]. Bye",
    "One short line\nA long line that a mail program has broken somewhere in the middle of a sentence, as they do,\n"
    "goes on here. Old people cannot learn anything new! Then it stops... or not?",
)


@pytest.fixture(scope="module")
def door() -> Guard:
    return Guard(Policy(max_rounds=1, timeout_ms=None))


@pytest.mark.parametrize("text", TEXTS)
def test_a_stream_gives_what_check_gives(door: Guard, text: str) -> None:
    whole = door.check(text)
    assert whole.rewrites or "password" not in text
    for size in (3, len(text)):
        released, result = fed(door, chunked(text, [size] * len(text)))
        assert released == whole.text
        assert same(result) == same(whole)
