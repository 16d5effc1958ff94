"""Measure what a stream costs a reader: how long the first words are held back, and what every token takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from guardrail._runtime import Deadline
from guardrail.detect.base import Detector
from guardrail.doors import Streaming
from guardrail.errors import ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.rewrite.base import RewriteRequest

# About the length of a token of English.
TOKEN = 4


@dataclass(frozen=True, slots=True)
class Delay:
    """What one stream took: characters taken before any came out, and time spent in the guard, in milliseconds."""

    held: int
    first_ms: float
    token_ms: float


class _NoRewriter:
    name = "none"

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        raise ModelRuntimeError("a stream is measured without a rewriter: use a policy that only flags")


def watcher(detector: Detector) -> Streaming:
    """Return a guard that judges and changes nothing, so that only the stream is measured."""
    return Streaming(Policy(action=Action.FLAG), detector, _NoRewriter())


def watch(guard: Streaming, text: str) -> Delay:
    """Stream ``text`` in tokens of four characters, from a source that takes no time itself."""
    engine = guard.open_stream()
    held, first_ms, spent = len(text), 0.0, 0.0
    tokens = range(0, len(text), TOKEN)
    released = ""
    for at in [*tokens, None]:
        begun = time.perf_counter()
        got = engine.finish() if at is None else engine.feed(text[at : at + TOKEN])
        spent += time.perf_counter() - begun
        if got and not released:
            held = len(text) if at is None else min(len(text), at + TOKEN)
            first_ms = spent * 1000
        released += got
    return Delay(held, first_ms, spent * 1000 / max(1, len(tokens)))
