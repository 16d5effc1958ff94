"""Test how a stream is measured: what is counted, never how fast it is."""

from __future__ import annotations

import pytest

from guardrail.bench_stream import watch, watcher
from tests.fakes import WordDetector


@pytest.mark.parametrize(
    ("text", "held"),
    [("One is here. Two are there. Three", 20), ("No end of it", 12), ("", 0), ("The idiot spoke. And left.", 24)],
)
def test_the_first_release_is_counted_in_characters(text: str, held: int) -> None:
    delay = watch(watcher(WordDetector()), text)
    assert delay.held == held
    assert delay.first_ms >= 0.0
    assert delay.token_ms >= 0.0
