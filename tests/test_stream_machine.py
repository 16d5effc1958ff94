"""Feed, finish, fail and close streams in any order: nothing unjudged gets out, and nothing after the end."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guardrail.errors import GuardrailBlocked, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.fakes import WordDetector
from tests.guards import guard

WORDS = ["calm", "day", "idiot", "chairman", "Then", "It", "we"]
JOINS = [" ", " ", ". ", "! ", "\n", ", "]


class Streams(RuleBasedStateMachine):
    @initialize(
        action=st.sampled_from([Action.FLAG, Action.REWRITE, Action.BLOCK, Action.RAISE]),
        on_error=st.sampled_from(["block", "raise"]),
        max_hold=st.sampled_from([40, 1000]),
    )
    def open(self, action: Action, on_error: Literal["block", "raise"], max_hold: int) -> None:
        self.failing = False
        self.detector = WordDetector(200, before=self.fail)
        self.policy = Policy(action=action, on_error=on_error, max_rounds=1, mask="[x]", block_message="[no]")
        self.engine = guard(self.policy, detector=self.detector).open_stream(max_hold=max_hold)
        self.taken, self.released, self.words = "", "", 0
        self.finished = False

    def fail(self) -> None:
        if self.failing:
            raise ModelRuntimeError("failed")

    def step(self, text: str | None) -> None:
        was_closed, got = self.engine.closed, ""
        try:
            got = self.engine.finish() if text is None else self.engine.feed(text)
        except GuardrailBlocked:
            assert self.policy.action is Action.RAISE
        except ModelRuntimeError:
            assert self.policy.on_error == "raise"
        assert not (was_closed and got)
        self.released += got

    @precondition(lambda self: not self.finished)
    @rule(words=st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINS)), max_size=8), cut=st.integers(0, 60))
    def feed(self, words: list[tuple[str, str]], cut: int) -> None:
        # Numbered, so that no word counts as judged because another one was.
        text = "".join(f"{word}-{self.words + at}{join}" for at, (word, join) in enumerate(words))
        self.words += len(words)
        self.taken += text
        for chunk in (text[:cut], text[cut:]):
            self.step(chunk)

    @rule()
    def finish(self) -> None:
        self.finished = self.finished or not self.engine.closed
        self.step(None)

    @rule()
    def close(self) -> None:
        self.engine.close()

    @rule(failing=st.booleans())
    def break_or_mend_the_detector(self, failing: bool) -> None:
        self.failing = failing

    @precondition(lambda self: self.finished)
    @rule()
    def feed_after_the_end(self) -> None:
        with pytest.raises(RuntimeError, match="this stream is finished"):
            self.engine.feed("more")

    @invariant()
    def whatever_is_out_was_judged(self) -> None:
        if self.words:
            judged = {word for piece in self.detector.pieces for word in piece.split()}
            out = self.released.removesuffix("[no]").split()
            assert {word for word in out if "[x]" not in word} <= judged

    @invariant()
    def what_is_flagged_is_out_only_where_the_policy_says_so(self) -> None:
        if self.words and self.policy.action is Action.FLAG:
            assert self.taken.startswith(self.released.removesuffix("[no]"))
        elif self.words:
            assert "idiot" not in self.released
            assert "chairman" not in self.released

    @invariant()
    def the_result_says_what_was_released(self) -> None:
        if self.words and self.engine.result is not None:
            raised = self.engine.result.action is Action.RAISE
            assert self.engine.result.text == self.released + ("[no]" if raised else "")


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=50, stateful_step_count=20)
