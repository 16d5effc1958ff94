"""Test the guard through its public door, with a detector that knows words and a rewriter that knows answers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, replace
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail._runtime import Deadline
from guardrail.detect.base import PieceScores
from guardrail.errors import (
    ConfigError,
    DeadlineError,
    GuardrailBlocked,
    GuardrailError,
    ModelIntegrityError,
    ModelRuntimeError,
    OverloadedError,
)
from guardrail.guard import Pipeline
from guardrail.policy import Policy
from guardrail.result import MODEL_LABELS, Action, Detection, Label, Result
from guardrail.rewrite.base import Rewriter, RewriteRequest
from tests.fakes import WORDS, MapRewriter, WordDetector, plain_words

WAIT = 30.0
SECRET = "The idiot Zyxwvut spoke first."
CLEAN = (
    "The meeting is at nine.",
    "  Two spaces before,\ttabs within\r\nand Windows line ends.\r\n\r\n",
    'def f(x):\n    return {"a": [1, 2]}\n',
    '{"key": "value", "n": [1, 2.5, null]}',
    "Straße, naïve, café, ½, ﬁ and ™ stay as they are. 👩‍👩‍👧‍👦 🏳️‍🌈",
    "zero\u200bwidth and \u00ad soft hyphens",
    "a lone surrogate \ud83d stays too",
)


def guard(
    policy: Policy | None = None,
    answer: Callable[[RewriteRequest], str] = plain_words,
    *,
    detector: WordDetector | None = None,
    rewriter: Rewriter | None = None,
) -> Pipeline:
    return Pipeline(policy or Policy(), detector or WordDetector(), rewriter or MapRewriter(answer))


def failing(error: BaseException) -> WordDetector:
    def fail() -> None:
        raise error

    return WordDetector(before=fail)


def pause(seconds: float, until: threading.Event | None = None) -> None:
    (until or threading.Event()).wait(seconds)


def same(result: Result) -> Result:
    return replace(result, latency_ms=0.0)


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


def test_the_rewriter_sees_the_sentence_its_neighbours_and_what_is_wrong() -> None:
    rewriter = MapRewriter(plain_words)
    guard(rewriter=rewriter).check("Before it. The idiot met a chairman at the station by the river. After it.")
    (request,) = rewriter.requests
    assert (request.sentence, request.before, request.after) == (
        "The idiot met a chairman at the station by the river.",
        "Before it.",
        "After it.",
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


def broken_rewriter(error: Exception) -> MapRewriter:
    def answer(request: RewriteRequest) -> str:
        raise error

    return MapRewriter(answer)


@pytest.mark.parametrize(
    "error", [ModelRuntimeError("the rewriter failed"), RuntimeError(SECRET), ValueError("x"), MemoryError()]
)
@pytest.mark.parametrize("on_error", ["block", "allow", "raise"])
def test_a_failing_rewriter_means_masks_whatever_the_policy_says_of_detectors(error: Exception, on_error: Any) -> None:
    result = guard(Policy(on_error=on_error), rewriter=broken_rewriter(error)).check(SECRET)
    assert (result.action, result.text) == (Action.MASK, "[removed]")
    assert result.error is not None
    assert result.error.startswith("ModelRuntimeError: the rewriter")
    assert "Zyxwvut" not in repr(result)
    blocked = guard(Policy(on_rewrite_failure="block"), rewriter=broken_rewriter(error)).check(SECRET)
    assert (blocked.action, blocked.error) == (Action.BLOCK, result.error)


class Silent(MapRewriter):
    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        return []


def test_a_rewriter_that_answers_too_little_means_masks() -> None:
    result = guard(rewriter=Silent(plain_words)).check("The idiot spoke.")
    assert (result.action, result.text) == (Action.MASK, "[removed]")


@pytest.mark.parametrize("error", [ModelRuntimeError("the model failed"), RuntimeError(SECRET), MemoryError(SECRET)])
def test_a_failing_detector_ends_as_the_policy_says(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    blocked = guard(detector=failing(error)).check(SECRET)
    assert (blocked.action, blocked.text, blocked.coverage) == (Action.BLOCK, Policy().block_message, 0.0)
    assert blocked.error is not None
    assert blocked.error.startswith("ModelRuntimeError: ")
    allowed = guard(Policy(on_error="allow"), detector=failing(error)).check(SECRET)
    assert (allowed.action, allowed.text, allowed.error, allowed.coverage) == (Action.ALLOW, SECRET, blocked.error, 0.0)
    with pytest.raises(ModelRuntimeError) as caught:
        guard(Policy(on_error="raise"), detector=failing(error)).check(SECRET)
    assert "Zyxwvut" not in f"{blocked!r} {caught.value} {allowed.error} {caplog.text}"


def test_letting_unjudged_text_pass_is_logged_each_time_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    door = guard(Policy(on_error="allow"), detector=failing(RuntimeError()))
    for _ in range(3):
        door.check(SECRET)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [message.partition(" so far")[0] for message in said] == [f"guard failed ({n}" for n in (1, 2, 3)]
    assert all(f"({len(SECRET)} characters)" in message for message in said)


def test_nothing_is_logged_of_any_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for action in (Action.FLAG, Action.REWRITE, Action.MASK, Action.BLOCK):
        guard(Policy(action=action)).check(SECRET)
    guard(Policy(max_chars=3)).check(SECRET)
    guard(rewriter=broken_rewriter(RuntimeError(SECRET))).check(SECRET)
    guard(detector=failing(DeadlineError("late"))).check(SECRET)
    assert caplog.records
    assert "Zyxwvut" not in caplog.text


class WrongCount(WordDetector):
    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        return super().score(pieces, deadline)[1:]


class NotANumber(WordDetector):
    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        return [PieceScores(dict.fromkeys(MODEL_LABELS, float("nan")), {}) for _ in pieces]


def test_a_detector_that_leaves_pieces_out_has_failed() -> None:
    result = guard(detector=WrongCount()).check("One. Two. Three.")
    assert (result.action, result.error) == (
        Action.BLOCK,
        "ModelRuntimeError: the detector words@1 gave 2 scores for 3 pieces",
    )


def test_a_score_that_is_no_number_does_not_let_text_pass() -> None:
    assert guard(Policy(action=Action.BLOCK), detector=NotANumber()).check("Hello there.").action is Action.BLOCK


class Speechless(WordDetector):
    @property
    def languages(self) -> tuple[str, ...]:  # type: ignore[override]
        raise LookupError(SECRET)


def test_whatever_a_part_does_wrong_unjudged_text_does_not_pass() -> None:
    result = guard(detector=Speechless()).check("Hello there.")
    assert (result.action, result.error) == (
        Action.BLOCK,
        "ModelRuntimeError: a part of the guard failed (LookupError)",
    )


@pytest.mark.parametrize("on_error", ["block", "allow", "raise"])
def test_a_damaged_model_is_never_overridden(on_error: Any) -> None:
    policy = Policy(on_error=on_error)
    with pytest.raises(ModelIntegrityError):
        guard(policy, detector=failing(ModelIntegrityError("model.onnx differs"))).check("Hello there.")
    with pytest.raises(ModelIntegrityError):
        guard(policy, rewriter=broken_rewriter(ModelIntegrityError("model.onnx differs"))).check("The idiot spoke.")


def test_a_passed_deadline_ends_as_the_policy_says() -> None:
    late = failing(DeadlineError("the time budget of 0.1 s ran out"))
    blocked = guard(detector=late).check(SECRET)
    assert (blocked.action, blocked.error) == (Action.BLOCK, "DeadlineError: the time budget of 0.1 s ran out")
    allowed = guard(Policy(on_timeout="allow", on_error="block"), detector=late).check(SECRET)
    assert (allowed.action, allowed.text) == (Action.ALLOW, SECRET)
    with pytest.raises(DeadlineError):
        guard(Policy(on_timeout="raise"), detector=late).check(SECRET)


def test_a_real_deadline_passes() -> None:
    # The detector waits until the guard's own clock has run out.
    detector = WordDetector(before=lambda: pause(0.05))
    result = guard(Policy(timeout_ms=1), detector=detector).check("Hello there.")
    assert result.action is Action.BLOCK
    assert result.error is not None
    assert result.error.startswith("DeadlineError: ")


def test_text_known_to_be_at_fault_never_passes_because_the_rewriter_was_slow() -> None:
    late = broken_rewriter(DeadlineError("late"))
    assert guard(rewriter=late).check("Hello. The idiot spoke.").action is Action.BLOCK
    masked = guard(Policy(on_timeout="allow"), rewriter=late).check("Hello. The idiot spoke.")
    assert (masked.action, masked.text, masked.error) == (Action.MASK, "Hello. [removed]", "DeadlineError: late")
    with pytest.raises(DeadlineError):
        guard(Policy(on_timeout="raise"), rewriter=late).check("Hello. The idiot spoke.")


def test_text_over_the_cap_is_never_scanned() -> None:
    detector = WordDetector()
    blocked = guard(Policy(max_chars=10), detector=detector).check("x" * 11)
    assert (blocked.action, blocked.coverage, blocked.text) == (Action.BLOCK, 0.0, Policy().block_message)
    assert blocked.error == "GuardrailError: a text of 11 characters is over max_chars = 10; raise it or cut the text"
    assert guard(Policy(max_chars=10, on_overflow="allow"), detector=detector).check("x" * 11).text == "x" * 11
    for door in (
        guard(Policy(max_chars=10, on_overflow="raise"), detector=detector).check,
        guard(Policy(max_chars=10)).detect,
    ):
        with pytest.raises(GuardrailError, match="11 characters is over max_chars = 10"):
            door("x" * 11)
    assert detector.calls == 0
    assert guard(Policy(max_chars=10), detector=detector).check("x" * 10).action is Action.ALLOW


def test_five_megabytes_are_blocked_by_default_and_scanned_where_the_cap_is_raised() -> None:
    sentence = "This plain sentence of a long text goes on for quite a while and then it stops. "
    text = sentence * 8_000 + "w" * 4_400_000 + " idiot"
    assert len(text) > 5_000_000
    assert guard().check(text).action is Action.BLOCK
    detector = WordDetector(max_tokens=64)
    result = guard(Policy(action=Action.FLAG, max_chars=10_000_000, timeout_ms=None), detector=detector).check(text)
    assert (result.action, result.coverage, detector.calls) == (Action.FLAG, 1.0, 1)
    assert [text[f.start : f.end] for f in result.findings] == ["idiot"]


def test_text_in_a_script_the_model_does_not_know_is_flagged() -> None:
    text = "Все женщины глупы."
    result = guard().check(text)
    assert (result.action, result.text, result.reason) == (Action.FLAG, text, "unsupported language")
    assert guard(Policy(on_unsupported_language=Action.ALLOW)).check(text).action is Action.ALLOW
    blocked = guard(Policy(on_unsupported_language=Action.BLOCK)).check(text)
    assert (blocked.action, blocked.text) == (Action.BLOCK, Policy().block_message)
    with pytest.raises(GuardrailBlocked):
        guard(Policy(on_unsupported_language=Action.RAISE)).check(text)


def test_a_text_that_only_quotes_another_script_is_understood() -> None:
    assert guard().check("They said Привет to everyone in the room.").action is Action.ALLOW


def hidden(text: str) -> str:
    return "".join(chr(0xE0000 + ord(char)) for char in text)


def test_a_payload_in_tag_characters_is_judged_and_flagged_as_disguise() -> None:
    text = f"A nice day.{hidden('you idiot')} Bye."
    result = guard(Policy(action=Action.FLAG)).check(text)
    assert {f.label for f in result.findings} == {Label.TOXICITY, Label.OBFUSCATION}
    assert result.scores[Label.OBFUSCATION] == 1.0
    assert all(text[f.start : f.end] == hidden("you idiot") for f in result.findings)
    assert guard().check(text).text == "A nice day.[removed] Bye."
    harmless = guard().check(f"A nice day.{hidden('hello')}")
    assert (harmless.action, harmless.reason) == (Action.FLAG, "flag: obfuscation")
    assert guard(Policy(actions={Label.OBFUSCATION: Action.BLOCK})).check(text).action is Action.BLOCK


def test_letters_set_apart_are_judged_joined() -> None:
    result = guard(Policy(action=Action.FLAG)).check("What an i d i o t he is.")
    assert [f.label for f in result.findings] == [Label.TOXICITY]
    assert result.findings[0].source == "despaced"


def test_detect_judges_and_changes_nothing() -> None:
    rewriter = MapRewriter(plain_words)
    detection = guard(rewriter=rewriter).detect("Hello. The idiot spoke.")
    assert (detection.flagged, detection.coverage, detection.model) == (True, 1.0, "words@1")
    assert set(detection.scores) == set(Label)
    assert rewriter.requests == []


def test_detect_never_guesses() -> None:
    for error in (ModelRuntimeError("failed"), RuntimeError(SECRET), DeadlineError("late")):
        with pytest.raises(GuardrailError) as caught:
            guard(Policy(on_error="allow", on_timeout="allow"), detector=failing(error)).detect(SECRET)
        assert "Zyxwvut" not in str(caught.value)


TEXTS = (
    "The meeting is at nine.",
    "The idiot spoke. Bye.",
    "",
    "Ein Chairman, two chairman.",
    "Все женщины.",
    "x" * 200,
)


def test_many_texts_give_what_each_gives_alone() -> None:
    door = guard(Policy(max_chars=150))
    assert list(map(same, door.check_many(TEXTS))) == [same(door.check(text)) for text in TEXTS]
    assert door.detect_many(TEXTS[:5]) == [door.detect(text) for text in TEXTS[:5]]
    assert (door.check_many([]), door.detect_many(iter(()))) == ([], [])


def test_many_texts_are_judged_in_one_call_of_the_detector() -> None:
    detector = WordDetector()
    guard(detector=detector).detect_many(["One. Two.", "Three. Four."])
    assert (detector.calls, detector.pieces) == (1, ["One. ", "Two.", "Three. ", "Four."])


class Choosy(WordDetector):
    def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
        if any("poison" in piece for piece in pieces):
            raise ModelRuntimeError("this piece cannot be scored")
        return super().score(pieces, deadline)


def test_one_text_that_fails_touches_no_other() -> None:
    results = guard(detector=Choosy()).check_many(["Hello.", "poison", "The idiot spoke."])
    assert [r.action for r in results] == [Action.ALLOW, Action.BLOCK, Action.REWRITE]
    assert [r.error is None for r in results] == [True, False, True]


def test_overload_is_refused_at_once_and_ends_as_the_policy_says() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        assert go_on.wait(WAIT)

    for choice in ("block", "allow", "raise"):
        inside.clear()
        go_on.clear()
        door = guard(Policy(max_running=1, max_queued=0, on_error=choice), detector=WordDetector(before=wait))
        thread = threading.Thread(target=door.check, args=("Hello there.",))
        thread.start()
        assert inside.wait(WAIT)
        if choice == "raise":
            with pytest.raises(OverloadedError, match="raise max_running or max_queued"):
                door.check("Hello there.")
        else:
            result = door.check("Hello there.")
            assert result.action is (Action.BLOCK if choice == "block" else Action.ALLOW)
            assert result.error is not None
            assert result.error.startswith("OverloadedError: ")
        with pytest.raises(OverloadedError):
            door.detect("Hello there.")
        go_on.set()
        thread.join(WAIT)
        assert door.check("Hello there.").action is Action.ALLOW


def test_sixteen_threads_get_right_answers() -> None:
    door = guard()
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            for turn in range(200):
                bad = (number + turn) % 3 == 0
                text = f"Speaker {number} met {'an idiot' if bad else 'someone'} on day {turn}."
                result = door.check(text)
                if result.text != text.replace("idiot", "plain") or result.flagged is not bad:
                    wrong.append((number, turn, result.action, result.error))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    pytest.importorskip(backend)
    return backend


@pytest.mark.anyio
async def test_acheck_gives_what_check_gives() -> None:
    door = guard(Policy(max_chars=150))
    for text in TEXTS:
        assert same(await door.acheck(text)) == same(door.check(text))
    with pytest.raises(TypeError):
        await door.acheck(b"bytes")  # type: ignore[arg-type]
    with pytest.raises(GuardrailBlocked):
        await guard(Policy(action=Action.RAISE)).acheck("The idiot spoke.")


@pytest.mark.anyio
async def test_the_loop_stays_free_while_a_text_is_judged() -> None:
    go_on = threading.Event()
    results: list[Result] = []
    detector = WordDetector(before=lambda: pytest.fail("the loop stood still") if not go_on.wait(WAIT) else None)
    door = guard(detector=detector)

    async def check() -> None:
        results.append(await door.acheck("Hello there."))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(check)
        while not detector.calls:
            await anyio.sleep(0.001)
        go_on.set()
    assert [result.action for result in results] == [Action.ALLOW]


@pytest.mark.anyio
async def test_a_cancelled_check_stops_and_leaves_the_guard_usable() -> None:
    class Patient(WordDetector):
        stopped = threading.Event()

        def score(self, pieces: Sequence[str], deadline: Deadline) -> list[PieceScores]:
            self.calls += 1
            if "slow" in pieces[0]:
                while not deadline.expired:
                    threading.Event().wait(0.001)
                self.stopped.set()
            return super().score(pieces, deadline)

    detector = Patient()
    door = guard(Policy(max_running=1, max_queued=0, timeout_ms=None), detector=detector)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.acheck, "a slow text")
        while not detector.calls:
            await anyio.sleep(0.001)
        tasks.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(detector.stopped.wait, WAIT)
    # The abandoned thread gives its place back on its own time.
    result = await door.acheck("Hello there.")
    while result.error is not None:
        assert result.error.startswith("OverloadedError: ")
        await anyio.sleep(0.001)
        result = await door.acheck("Hello there.")
    assert result.action is Action.ALLOW


@pytest.mark.anyio
async def test_overload_is_refused_at_once_in_an_event_loop_too() -> None:
    go_on = threading.Event()
    detector = WordDetector(before=lambda: pause(WAIT, go_on))
    door = guard(Policy(max_running=1, max_queued=1), detector=detector)
    results: list[Result] = []

    async def check() -> None:
        results.append(await door.acheck("Hello there."))

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(check)
        with anyio.fail_after(WAIT):
            while len(results) < 4:
                await anyio.sleep(0.001)
        assert all(r.error is not None and r.error.startswith("OverloadedError: ") for r in results)
        go_on.set()
    assert [r.action for r in results] == [Action.BLOCK] * 4 + [Action.ALLOW] * 2


FORK = """
import os
from guardrail.guard import Pipeline
from guardrail.policy import Policy
from tests.fakes import MapRewriter, WordDetector, plain_words

guard = Pipeline(Policy(), WordDetector(), MapRewriter(plain_words))
before = guard.check("The idiot spoke.").text
child = os.fork()
if child == 0:
    os._exit(0 if guard.check("The idiot spoke.").text == before == "The plain spoke." else 1)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_guard_works_in_a_forked_child(pytestconfig: pytest.Config) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        cwd=pytestconfig.rootpath,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
