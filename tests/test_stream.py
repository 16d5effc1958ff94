"""Test streams fed by hand: the same text and result as ``check``, at any chunking, and nothing unjudged gets out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.errors import ConfigError, GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action, Label, Result
from tests.fakes import WORDS, MapRewriter, WordDetector, plain_words
from tests.guards import CLEAN, guard, same
from tests.streams import any_texts, chunked, fed, texts

sizes = st.lists(st.integers(0, 20), max_size=40)
MENDING = st.sampled_from([Action.REWRITE, Action.MASK, Action.FLAG, Action.ALLOW])
policies = st.builds(
    Policy,
    action=MENDING,
    actions=st.dictionaries(st.sampled_from(list(Label)), MENDING, max_size=3),
    max_rounds=st.just(1),
)


@settings(max_examples=250)
@given(texts, sizes, policies)
def test_a_stream_gives_what_check_gives_for_the_whole_text(text: str, cuts: list[int], policy: Policy) -> None:
    released, result = fed(guard(policy, detector=WordDetector(200)), chunked(text, cuts), max_hold=10_000)
    whole = guard(policy, detector=WordDetector(200)).check(text)
    assert released == result.text == whole.text
    assert same(result) == same(whole)


@settings(max_examples=150)
@given(any_texts, sizes, st.sampled_from(list(Action)), st.sampled_from([1, 30, 1000]))
def test_text_and_result_do_not_depend_on_the_chunks(text: str, cuts: list[int], action: Action, max_hold: int) -> None:
    def outcome(chunks: Any) -> tuple[str, Result]:
        engine = guard(Policy(action=action, max_rounds=1)).open_stream(max_hold=max_hold)
        released = []
        try:
            for chunk in chunks:
                released.append(engine.feed(chunk))
            released.append(engine.finish())
        except GuardrailBlocked as error:
            assert error.result is engine.result
            # What feed gave back before it raised depends on where the last chunk began, but not what was let out.
            released = [error.result.text]
        assert engine.result is not None
        return "".join(released), same(engine.result)

    assert outcome(chunked(text, cuts)) == outcome(iter(text)) == outcome([text])


@settings(max_examples=150)
@given(st.lists(st.sampled_from(["A calm day", "The idiot spoke", "We ran 3.5 km"]), max_size=12), sizes)
def test_every_released_character_was_judged_before(sentences: list[str], cuts: list[int]) -> None:
    # Each sentence once: one that is known is not judged again.
    text = "".join(f"{sentence} at {number}{'.!?'[number % 3]} " for number, sentence in enumerate(sentences))
    detector = WordDetector(200)
    engine = guard(Policy(action=Action.FLAG), detector=detector).open_stream()
    released = ""
    for chunk in [*chunked(text, cuts), None]:
        released += engine.finish() if chunk is None else engine.feed(chunk)
        assert "".join(detector.pieces).startswith(released)
        assert text.startswith(released)
    assert released == text


@settings(max_examples=100)
@given(any_texts, sizes, st.sampled_from([Action.REWRITE, Action.BLOCK]))
def test_no_flagged_word_gets_out_in_plain_sight(text: str, cuts: list[int], action: Action) -> None:
    released, _ = fed(guard(Policy(action=action, max_rounds=1)), chunked(text, cuts))
    assert not any(word in released.split() for word in WORDS)


@pytest.mark.parametrize("text", CLEAN)
def test_clean_text_comes_through_byte_for_byte(text: str) -> None:
    released, result = fed(guard(), text)
    assert released == result.text == text
    assert result.action in (Action.ALLOW, Action.FLAG)


def test_a_correction_comes_in_the_middle_of_the_text() -> None:
    engine = guard().open_stream()
    assert engine.feed("First one. The idi") == "First one. "
    assert engine.feed("ot spoke. ") == ""
    assert engine.result is None
    assert engine.feed("Bye now") == "The plain spoke. "
    assert engine.finish() == "Bye now"
    result = engine.result
    assert result is not None
    assert (result.action, result.text) == (Action.REWRITE, "First one. The plain spoke. Bye now")
    assert [(r.start, r.end, r.replacement) for r in result.rewrites] == [(11, 27, "The plain spoke.")]
    assert [(f.start, f.end, f.sentence) for f in result.findings] == [(15, 20, (11, 27))]
    assert not engine.closed


@pytest.mark.parametrize("text", ["", " \n\t", "\u2003"])
def test_a_blank_text_needs_no_model(text: str) -> None:
    detector = WordDetector()
    released, result = fed(guard(detector=detector), text)
    assert (released, result.action, result.reason, detector.calls) == (text, Action.ALLOW, "empty", 0)


def test_the_rewriter_sees_the_original_text_before_and_else_the_prompt() -> None:
    rewriter = MapRewriter(plain_words)
    engine = guard(rewriter=rewriter).open_stream(prompt="Who spoke?")
    text = "The idiot spoke. A chairman left. " + "So it was then. " * 20 + "This stereotype came."
    engine.feed(text)
    engine.finish()
    asked = [request.before for request in rewriter.requests]
    assert asked[:2] == ["Who spoke?", "The idiot spoke."]
    assert asked[2] == text[-181:-21].strip()
    assert all(request.after == "" for request in rewriter.requests)
    alone = MapRewriter(plain_words)
    guard(rewriter=alone).check(text)
    assert [request.before for request in alone.requests] == ["", *asked[1:]]


def test_the_prompt_is_never_judged() -> None:
    detector = WordDetector()
    engine = guard(detector=detector).open_stream(prompt="Is the idiot here?")
    assert engine.feed("He is here. ") + engine.finish() == "He is here. "
    assert detector.pieces == ["He is here. "]


def test_block_releases_the_message_and_nothing_after_it() -> None:
    policy = Policy(action=Action.BLOCK, block_message="[withheld]")
    engine = guard(policy).open_stream()
    assert engine.feed("All is well. The idiot spoke. All is well. And so on") == "All is well. [withheld]"
    assert engine.closed
    assert (engine.feed("More of it. And more. "), engine.finish()) == ("", "")
    result = engine.result
    assert result is not None
    assert (result.action, result.text, result.flagged) == (Action.BLOCK, "All is well. [withheld]", True)
    assert [(f.label, f.start, f.end) for f in result.findings] == [(Label.TOXICITY, 17, 22)]
    assert (result.reason, result.coverage, result.rewrites) == ("block: toxicity", 1.0, ())


def test_raise_comes_after_what_was_judged_before_it() -> None:
    engine = guard(Policy(action=Action.RAISE)).open_stream()
    assert engine.feed("All is well. The idiot spoke. And so on") == "All is well. "
    assert engine.closed
    with pytest.raises(GuardrailBlocked) as caught:
        engine.feed("More. ")
    assert caught.value.result is engine.result
    assert caught.value.result.text == "All is well. " + Policy().block_message
    assert "idiot" not in f"{caught.value} {caught.value.result!r}"
    assert (engine.feed("More of it. And more. "), engine.finish()) == ("", "")


@pytest.mark.parametrize("text", ["The idiot spoke.", "The idiot spoke. And "])
def test_raise_with_nothing_before_it_comes_at_once(text: str) -> None:
    engine = guard(Policy(action=Action.RAISE)).open_stream()
    with pytest.raises(GuardrailBlocked):
        engine.feed(text)
        engine.finish()
    assert engine.closed


def test_a_raise_that_is_still_owed_comes_with_finish() -> None:
    engine = guard(Policy(action=Action.RAISE)).open_stream()
    assert engine.feed("All is well. The idiot spoke. And so on") == "All is well. "
    with pytest.raises(GuardrailBlocked):
        engine.finish()


def test_what_only_the_whole_text_shows_is_reported_when_it_is_out() -> None:
    # The letters stand apart, each in a sentence of its own.
    text = "They said I! D! I! O! T! to him. Well then."
    released, result = fed(guard(Policy(actions={Label.TOXICITY: Action.BLOCK})), text)
    assert released == text
    assert (result.action, result.flagged, result.rewrites) == (Action.FLAG, True, ())
    assert [f.label for f in result.findings] == [Label.TOXICITY]
    assert result.reason == "block: toxicity (found after release: toxicity)"


def test_what_was_found_in_flight_is_not_reported_as_late() -> None:
    _, result = fed(guard(), "The idiot spoke. All is well. This stereotype again. ")
    assert result.reason == "rewrite: stereotype, toxicity"


def test_a_sentence_cut_at_the_hold_is_judged_in_parts() -> None:
    text = "and so " * 10 + "the idiot spoke " + "and so " * 10
    released, result = fed(guard(Policy(action=Action.MASK), detector=WordDetector(200)), text, max_hold=40)
    assert released == text.replace("idiot", "[removed]")
    assert (result.action, [f.start for f in result.findings]) == (Action.MASK, [74])


def test_text_in_another_script_is_flagged_as_check_does() -> None:
    for text in (
        "Все женщины пришли. И мужчины тоже. ",
        "They came in the morning and said Привет всем. Все тут. Then they left.",
    ):
        released, result = fed(guard(), text)
        assert (released, same(result)) == (text, same(guard().check(text)))
    released, result = fed(
        guard(Policy(on_unsupported_language=Action.BLOCK)), "They came. Все женщины пришли. Bye now. "
    )
    assert (released, result.reason) == ("They came. " + Policy().block_message, "unsupported language")


def test_the_second_judgement_scores_nothing_twice() -> None:
    detector = WordDetector(200)
    text = "".join(f"This is sentence number {number} of the text. " for number in range(300))
    fed(guard(detector=detector), chunked(text, [5] * len(text)))
    assert sum(map(len, detector.pieces)) == len(text)


@settings(max_examples=60)
@given(st.lists(texts, max_size=5).map("".join), st.sampled_from([20, 1000]))
def test_each_character_is_judged_a_bounded_number_of_times(text: str, max_hold: int) -> None:
    detector = WordDetector(200)
    fed(guard(Policy(action=Action.FLAG), detector=detector), iter(text), max_hold=max_hold)
    seen = sum(map(len, detector.pieces))
    # A name of a picture is longer than the picture, and a hidden word has a second reading.
    assert seen <= 2 * len(text) + 30 * text.count("👍") + 100


@pytest.mark.parametrize("chunk", [None, b"bytes", 3, ["a"]])
def test_what_is_no_text_is_refused_and_nothing_is_lost(chunk: Any) -> None:
    engine = guard().open_stream()
    engine.feed("One ")
    with pytest.raises(TypeError, match=f"text must be a str, not {type(chunk).__name__}; decode bytes"):
        engine.feed(chunk)
    assert engine.feed("here. ") + engine.finish() == "One here. "


def test_a_finished_stream_takes_nothing_more() -> None:
    engine = guard().open_stream()
    engine.finish()
    assert engine.finish() == ""
    with pytest.raises(RuntimeError, match="this stream is finished; open another one"):
        engine.feed("More")


def test_a_closed_stream_releases_nothing_and_has_no_result() -> None:
    engine = guard().open_stream()
    engine.feed("One here. Two")
    engine.close()
    assert (engine.feed(" there. Three"), engine.finish(), engine.closed, engine.result) == ("", "", True, None)


@pytest.mark.parametrize("max_hold", [0, -1, 65_537, 1.5, True, "9"])
def test_a_hold_out_of_range_is_refused(max_hold: Any) -> None:
    with pytest.raises(ConfigError, match="max_hold = .* must be a whole number from 1 to 65536"):
        guard().open_stream(max_hold=max_hold)


def test_a_prompt_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="must be a str, not NoneType"):
        guard().open_stream(prompt=None)  # type: ignore[arg-type]
