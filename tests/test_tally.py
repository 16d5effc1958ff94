"""Test the sums: results of segments become one result, with offsets into the whole and what came too late marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.policy import Policy
from guardrail.result import Action, Finding, Label, Result, Rewrite
from guardrail.tally import Tally

POLICY = Policy(action=Action.MASK, actions={Label.HATE: Action.BLOCK, Label.HARM: Action.FLAG})


def finding(start: int, end: int, label: Label = Label.TOXICITY) -> Finding:
    return Finding(label, 0.9, start=start, end=end, sentence=(start, end))


def mask(start: int, end: int) -> Rewrite:
    return Rewrite(start, end, original_sha256="", replacement="[x]", rounds=0, similarity=0.0, masked=True)


def masked(text: str, start: int, end: int, label: Label = Label.TOXICITY) -> Result:
    released = text[:start] + "[x]" + text[end:]
    return Result(Action.MASK, released, findings=(finding(start, end, label),), rewrites=(mask(start, end),))


def clean(text: str) -> Result:
    return Result(Action.ALLOW, text, scores={Label.HATE: 0.1}, groups={"age": 0.2})


def whole(*findings: Finding, action: Action = Action.ALLOW, reason: str = "nothing flagged") -> Result:
    return Result(action, "", findings=findings, reason=reason, scores={Label.HATE: 0.3})


def test_offsets_are_those_of_the_whole_text() -> None:
    tally = Tally(POLICY, "m@1")
    tally.add("Well. ", clean("Well. "), 1.0)
    tally.add("bad one. ", masked("bad one. ", 0, 3), 2.0)
    result = tally.completed(whole(finding(6, 9), action=Action.MASK, reason="mask: toxicity"), 4.0)
    assert (result.action, result.text, tally.original) == (Action.MASK, "Well. [x] one. ", "Well. bad one. ")
    assert [(f.start, f.end, f.sentence) for f in result.findings] == [(6, 9, (6, 9))]
    assert [(r.start, r.end) for r in result.rewrites] == [(6, 9)]
    assert (result.scores[Label.HATE], result.groups["age"]) == (0.3, 0.2)
    assert (result.reason, result.model, result.latency_ms, result.flagged) == ("mask: toxicity", "m@1", 7.0, True)


@pytest.mark.parametrize(
    ("late", "action", "reason"),
    [
        (finding(0, 9), Action.FLAG, "mask: toxicity (found after release: toxicity)"),
        (finding(0, 9, Label.HATE), Action.FLAG, "block: hate (found after release: hate)"),
        (finding(0, 9, Label.HARM), Action.FLAG, "flag: harm"),
    ],
)
def test_what_only_the_whole_shows_is_a_flag_at_least(late: Finding, action: Action, reason: str) -> None:
    tally = Tally(POLICY, "m@1")
    tally.add("One two. ", clean("One two. "), 0.0)
    decision = POLICY.decide([late])
    result = tally.completed(whole(late, action=decision.action, reason=decision.reason), 0.0)
    assert (result.action, result.reason, result.findings, result.text) == (action, reason, (late,), "One two. ")


@pytest.mark.parametrize("label", [Label.TOXICITY, Label.GENDERED_TERM])
def test_what_was_replaced_is_not_late_whatever_the_label(label: Label) -> None:
    tally = Tally(POLICY, "m@1")
    tally.add("bad one. ", masked("bad one. ", 0, 3), 0.0)
    result = tally.completed(whole(finding(1, 5, label), action=Action.MASK, reason="mask"), 0.0)
    assert "after release" not in result.reason
    assert result.action is Action.MASK


def test_a_finding_that_the_whole_does_not_repeat_is_kept() -> None:
    tally = Tally(POLICY, "m@1")
    tally.add("bad one. ", masked("bad one. ", 0, 3), 0.0)
    result = tally.completed(whole(), 0.0)
    assert (result.findings, result.reason) == ((finding(0, 3),), "mask: toxicity")


def test_a_stream_that_is_cut_short_keeps_what_was_found() -> None:
    tally = Tally(POLICY, "m@1")
    tally.add("bad one. ", masked("bad one. ", 0, 3), 0.0)
    last = Result(Action.BLOCK, "[no]", coverage=0.0, reason="not judged", error="E: failed")
    tally.add("more text", last, 0.0)
    result = tally.cut_short(last)
    assert (result.action, result.text, result.error) == (Action.BLOCK, "[x] one. [no]", "E: failed")
    assert (result.reason, result.flagged, result.coverage) == ("not judged", True, 7 / 15)


@given(st.lists(st.text("ab ", max_size=9), max_size=8), st.integers(0, 30))
def test_the_tail_is_the_end_of_what_came_in(segments: list[str], length: int) -> None:
    tally = Tally(POLICY, "m@1")
    for segment in segments:
        tally.add(segment, clean(segment), 0.0)
    text = "".join(segments)
    assert tally.original == text
    assert tally.tail(length) == text[max(0, len(text) - length) :]
