"""Test what the guard does with a text, through its public door, with a detector that knows words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import (
    ConfigError,
    GuardrailBlocked,
)
from guardrail.policy import Policy
from guardrail.result import Action, Detection, Label
from guardrail.rewrite.base import RewriteRequest
from tests.fakes import WORDS, MapRewriter, WordDetector, plain_words
from tests.guards import CLEAN, SECRET, guard


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_comes_back_byte_for_byte(text: str) -> None:
    result = guard().check(text)
    assert result.action in (Action.ALLOW, Action.FLAG)
    assert result.text is text
    assert (result.rewrites, result.coverage, result.error) == ((), 1.0, None)


@given(st.text(st.characters(codec=None), max_size=80))
@settings(max_examples=60)
def test_text_without_a_known_word_is_never_changed(text: str) -> None:
    result = guard(Policy(action=Action.BLOCK)).check(text)
    assert result.text == text
    assert result.action in (Action.ALLOW, Action.FLAG)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u2003\u00a0"])
def test_empty_text_is_allowed_without_a_model(text: str) -> None:
    detector = WordDetector()
    result = guard(detector=detector).check(text)
    assert (result.action, result.text, result.reason, detector.calls) == (Action.ALLOW, text, "empty", 0)
    assert guard(detector=detector).detect(text) == Detection(
        False, dict.fromkeys(Label, 0.0), groups={}, model="words@1"
    )
    assert detector.calls == 0


@pytest.mark.parametrize(
    ("text", "stretch"),
    [
        ("Well. That idiot spoke.", "idiot"),
        ("👋🏽 hello 🎉 you idiot 🙃", "idiot"),
        ("You i\u200bd\u200bi\u200bo\u200bt!", "i\u200bd\u200bi\u200bo\u200bt"),
        ("You ｉｄｉｏｔ！", "ｉｄｉｏｔ"),
        ("You 𝐢𝐝𝐢𝐨𝐭, then.", "𝐢𝐝𝐢𝐨𝐭"),
        ("You <b>id</b>iot, then.", "id</b>iot"),
        ("\ud800 the idiot \udfff", "idiot"),
        ("Das ﬁel auf: idiot", "idiot"),
        ("e\u0301te\u0301 idiot", "idiot"),
    ],
)
def test_findings_point_into_the_caller_s_own_text(text: str, stretch: str) -> None:
    result = guard(Policy(action=Action.FLAG)).check(text)
    found = [f for f in result.findings if f.label is Label.TOXICITY]
    assert [text[f.start : f.end] for f in found] == [stretch]
    assert all(f.sentence[0] <= f.start < f.end <= f.sentence[1] <= len(text) for f in found)
    assert (result.action, result.text, result.flagged) == (Action.FLAG, text, True)


def test_a_finding_says_what_about_whom_and_where() -> None:
    text = "All is well. This stereotype is old. Bye."
    result = guard(Policy(action=Action.FLAG)).check(text)
    (found,) = result.findings
    assert (found.label, found.score, text[slice(*found.sentence)]) == (
        Label.STEREOTYPE,
        0.9,
        "This stereotype is old.",
    )
    assert "gender" in found.groups
    assert found.source == "model"
    assert result.scores[Label.STEREOTYPE] == 0.9
    assert result.scores[Label.HATE] == 0.01
    assert (result.groups["gender"], result.model, result.reason) == (0.9, "words@1", "flag: stereotype")


def test_values_are_frozen() -> None:
    result, detection = guard().check("The idiot spoke."), guard().detect("The idiot spoke.")
    for value, name in (
        (result, "text"),
        (detection, "flagged"),
        (result.findings[0], "label"),
        (result.rewrites[0], "start"),
    ):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "")


@pytest.mark.parametrize("text", [b"idiot", None, 3, 1.5, ["idiot"], bytearray(b"x")])
def test_what_is_no_text_is_a_type_error_that_names_the_remedy(text: Any) -> None:
    with pytest.raises(TypeError, match=f"text must be a str, not {type(text).__name__}; decode bytes"):
        guard().check(text)
    with pytest.raises(TypeError, match="text must be a str"):
        guard().detect_many(["fine", text])
    with pytest.raises(TypeError, match="text must be a str"):
        guard().check_many(["fine", text])


@pytest.mark.parametrize("texts", ["one text", b"bytes"])
def test_one_text_is_no_list_of_texts(texts: Any) -> None:
    for door in (guard().check_many, guard().detect_many):
        with pytest.raises(TypeError, match="texts must be a list of str, not one (str|bytes); put it in a list"):
            door(texts)


@pytest.mark.parametrize(
    ("action", "text", "taken"),
    [
        (Action.ALLOW, "Hello. The idiot spoke. Bye.", Action.ALLOW),
        (Action.FLAG, "Hello. The idiot spoke. Bye.", Action.FLAG),
        (Action.REWRITE, "Hello. The plain spoke. Bye.", Action.REWRITE),
        (Action.MASK, "Hello. The [removed] spoke. Bye.", Action.MASK),
        (Action.BLOCK, Policy().block_message, Action.BLOCK),
    ],
)
def test_each_action(action: Action, text: str, taken: Action) -> None:
    result = guard(Policy(action=action)).check("Hello. The idiot spoke. Bye.")
    assert (result.action, result.text) == (taken, text)
    assert [f.label for f in result.findings] == [Label.TOXICITY]
    assert result.flagged is (action is not Action.ALLOW)


def test_raise_carries_the_result_and_no_rejected_text() -> None:
    with pytest.raises(GuardrailBlocked) as caught:
        guard(Policy(action=Action.RAISE)).check(SECRET)
    result = caught.value.result
    assert (result.action, result.text) == (Action.RAISE, Policy().block_message)
    assert result.findings[0].label is Label.TOXICITY
    assert "Zyxwvut" not in f"{caught.value} {caught.value!r} {result!r}"


def test_actions_per_label_and_the_most_severe_wins() -> None:
    policy = Policy(
        actions={
            Label.TOXICITY: Action.MASK,
            Label.HARM: Action.BLOCK,
            Label.GENDERED_TERM: Action.FLAG,
            Label.LOADED_LANGUAGE: Action.ALLOW,
        }
    )
    door = guard(policy)
    assert door.check("A draconian rule.").action is Action.ALLOW
    assert door.check("The chairman spoke.").action is Action.FLAG
    both = door.check("The chairman spoke. A stereotype again. The idiot left.")
    assert (both.action, both.text) == (Action.MASK, "The chairman spoke. A plain again. The [removed] left.")
    mixed = door.check("They called it a stereotype of the whole board and its chairman.")
    assert mixed.text == "They called it a plain of the whole board and its plain."
    worst = door.check("The idiot left. An overdose is good. A stereotype again.")
    assert (worst.action, worst.text, worst.rewrites) == (Action.BLOCK, policy.block_message, ())


def test_the_threshold_decides_and_scores_stay() -> None:
    strict = guard(Policy(threshold="fpr<=0.001")).check("The idiot spoke.")
    assert (strict.action, strict.findings, strict.scores[Label.TOXICITY]) == (Action.ALLOW, (), 0.9)
    assert guard(Policy(thresholds={Label.TOXICITY: 0.95})).check("The idiot spoke.").action is Action.ALLOW
    assert guard(Policy(threshold=0.005)).check("A plain text.").flagged


def test_an_uncalibrated_target_is_refused_when_the_guard_is_made() -> None:
    with pytest.raises(ConfigError, match="'fpr<=0.5' is not calibrated"):
        guard(Policy(threshold="fpr<=0.5"))


def test_only_flagged_sentences_change() -> None:
    text = "  First one.\tThe idiot spoke!  Next:\n\n- a chairman of the board\n- a chair\n\nLast one. "
    result = guard().check(text)
    assert result.text == "  First one.\tThe plain spoke!  Next:\n\n- a plain of the board\n- a chair\n\nLast one. "
    assert [text[r.start : r.end] for r in result.rewrites] == ["The idiot spoke!", "- a chairman of the board"]
    assert [r.replacement for r in result.rewrites] == ["The plain spoke!", "- a plain of the board"]
    assert all(
        r.rounds == 1 and not r.masked and r.checks["unflagged"] and 0 < r.similarity < 1 for r in result.rewrites
    )


@given(st.lists(st.sampled_from(["A calm day.", "The idiot spoke.", "One stereotype, one chairman.", "Is it? Yes!"])))
@settings(max_examples=40)
def test_every_character_outside_the_rewrites_is_kept(sentences: list[str]) -> None:
    text = " ".join(sentences)
    result = guard().check(text)
    kept, at = [], 0
    for change in result.rewrites:
        assert at <= change.start < change.end
        kept.append(text[at : change.start])
        at = change.end
    kept.append(text[at:])
    rebuilt = "".join(part + r for part, r in zip(kept, [r.replacement for r in result.rewrites] + [""], strict=True))
    assert result.text == rebuilt
    assert not any(word in result.text for word in WORDS)


def test_the_rewriter_sees_the_sentence_what_comes_before_and_what_is_wrong() -> None:
    rewriter = MapRewriter(plain_words)
    guard(rewriter=rewriter).check("Before it. The idiot met a chairman at the station by the river. After it.")
    (request,) = rewriter.requests
    assert (request.sentence, request.before, request.after) == (
        "The idiot met a chairman at the station by the river.",
        "Before it.",
        "",
    )
    assert request.flags == (("toxicity", "idiot"), ("gendered_term", "chairman"))


def test_a_lone_surrogate_is_scanned_and_no_rewriter_sees_it() -> None:
    rewriter = MapRewriter(plain_words)
    result = guard(rewriter=rewriter).check("Hi \ud800. The \udfff idiot spoke. Bye \ud800.")
    assert result.action is Action.REWRITE
    assert result.text == "Hi \ud800. The \ufffd plain spoke. Bye \ud800."
    assert all("\ufffd" in text for text in (rewriter.requests[0].sentence, rewriter.requests[0].before))


def test_a_second_round_gets_what_is_still_wrong() -> None:
    def answer(request: RewriteRequest) -> str:
        text = request.sentence
        return text.replace("chairman", "plain") if "idiot" not in text else text.replace("idiot", "plain")

    rewriter = MapRewriter(answer)
    result = guard(rewriter=rewriter).check("An idiot, said our chairman, met him.")
    assert result.text == "An plain, said our plain, met him."
    assert (result.rewrites[0].rounds, len(rewriter.requests)) == (2, 2)
    assert rewriter.requests[1].sentence == "An plain, said our chairman, met him."
    assert rewriter.requests[1].flags == (("gendered_term", "chairman"),)


def test_what_the_policy_lets_stand_need_not_be_rewritten() -> None:
    policy = Policy(actions={Label.GENDERED_TERM: Action.FLAG})
    result = guard(policy, lambda r: r.sentence.replace("idiot", "plain")).check("The idiot met a chairman.")
    assert (result.action, result.text) == (Action.REWRITE, "The plain met a chairman.")


@pytest.mark.parametrize(
    "answer",
    [
        lambda r: r.sentence,
        lambda r: "",
        lambda r: "   ",
        lambda r: "I'm sorry, I can't help with that.",
        lambda r: "The hateful one spoke.",
        lambda r: r.sentence.replace("idiot", "i\u200bdiot"),
        lambda r: r.sentence.replace("idiot", "plain\U000e0069\U000e0064\U000e0069\U000e006f\U000e0074"),
        lambda r: r.sentence.replace("idiot", "plain") * 9,
    ],
)
def test_a_rewrite_that_fails_ends_as_the_policy_says_and_never_in_the_original(
    answer: Callable[[RewriteRequest], str],
) -> None:
    text = "Hello. The idiot spoke. Bye."
    masked = guard(Policy(), answer).check(text)
    assert (masked.action, masked.text) == (Action.MASK, "Hello. [removed] Bye.")
    assert (masked.rewrites[0].masked, masked.error) == (True, None)
    assert not all(masked.rewrites[0].checks.values())
    blocked = guard(Policy(on_rewrite_failure="block"), answer).check(text)
    assert (blocked.action, blocked.text, blocked.rewrites) == (Action.BLOCK, Policy().block_message, ())
    assert blocked.reason == "no rewrite passed"
    with pytest.raises(GuardrailBlocked):
        guard(Policy(on_rewrite_failure="raise"), answer).check(text)


def test_one_sentence_that_cannot_be_mended_leaves_the_others_mended() -> None:
    result = guard(answer=lambda r: r.sentence.replace("idiot", "plain")).check(
        "The idiot spoke. A chairman left. Bye."
    )
    assert (result.action, result.text) == (Action.REWRITE, "The plain spoke. [removed] Bye.")
    assert [r.masked for r in result.rewrites] == [False, True]
