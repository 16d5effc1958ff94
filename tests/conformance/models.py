"""The cases that the bundled models judge, and guards on them that rewrite each sentence once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from guardrail import config
from guardrail._runtime import Deadline
from guardrail.detect.base import Detector
from guardrail.doors import Streaming
from guardrail.load import load_detector, load_rewriter
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.rewrite.base import Rewriter, RewriteRequest
from tests.conformance.cases import Case

_RUDE = "The meeting is at nine. You are a stupid idiot and nobody likes you. Bring the figures for March."


def _policy(action: Action) -> Policy:
    return Policy(timeout_ms=None, max_rounds=1, action=action)


MODEL_CASES: tuple[Case, ...] = (
    Case(
        "models: clean",
        "The meeting is at nine in room 204. Dr. Smith will bring the U.S. figures for March, e.g. those of No. 5.",
        "allow",
        _policy(Action.REWRITE),
    ),
    *(
        Case(f"models: {action}", _RUDE, "rewrite or mask" if action is Action.REWRITE else str(action), policy)
        for action in (Action.FLAG, Action.REWRITE, Action.MASK, Action.BLOCK, Action.RAISE)
        for policy in [_policy(action)]
    ),
)


class _Remembering:
    """A rewriter that is asked once for each request: doors that ask for the same get the same."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.name, self._rewriter = rewriter.name, rewriter
        self._answers: dict[RewriteRequest, str] = {}

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        """Ask for what is new."""
        fresh = [request for request in dict.fromkeys(requests) if request not in self._answers]
        if fresh:
            self._answers.update(zip(fresh, self._rewriter.rewrite(fresh, deadline), strict=True))
        return [self._answers[request] for request in requests]


@cache
def _parts() -> tuple[Detector, Rewriter]:
    return load_detector(config.DETECTOR), _Remembering(load_rewriter(config.REWRITER))


@cache
def model_guard_for(name: str) -> Streaming:
    """Return the guard of the case ``name`` on the bundled models, which are loaded once."""
    case = next(case for case in MODEL_CASES if case.name == name)
    detector, rewriter = _parts()
    return Streaming(case.policy, detector, rewriter)
