"""Test that other languages are recognised, in whole texts and in single sentences, and that little else is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guardrail.errors import DeadlineError, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.text import languages
from guardrail.text.languages import understood
from tests.fakes import WordDetector
from tests.guards import guard, same
from tests.languages import plain, recognised, sentences
from tests.streams import fed

EN = ("en",)
GERMAN = "Die Besprechung beginnt morgen um neun Uhr im großen Saal."
SHORT = ("Guten Morgen, liebe Leute.", "Wir kommen gleich.", "Bis später am Abend.")


@pytest.mark.parametrize("code", sentences())
def test_sentences_of_ten_languages_are_recognised(code: str) -> None:
    own = sentences()[code]
    assert len(own) >= 25
    assert recognised(own) >= 0.95
    assert recognised([plain(text) for text in own]) >= 0.9
    assert recognised([text.upper() for text in own]) >= 0.9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hola amigo, ¿qué tal?",
        "lol k thx bye, gg wp m8",
        "Juan Carlos Pérez González",
        "Zürich, Genève, München, São Paulo, Łódź",
        "The word Schadenfreude comes from German, and so does Kindergarten.",
        "Dinner was a bouillabaisse, a tarte tatin and a glass of vin rouge.",
        "She be goin home now, ain't nobody gon stop them.",
        "def main(argc, argv):\n    for i in range(argc):\n        print(argv[i], sum(num for num in argv))",
        "SELECT num, sum(id) FROM orders WHERE num > 3 GROUP BY num HAVING sum(id) > 2;",
        "<div class='main'><p id='text'>Fine</p></div>",
        '{"sum": 1, "num": [2, 3], "via": "ex", "de": null, "la": true, "es": 4}',
        "a b c d e f g h i j k l m n o p",
        "2, 4, 8, 16, 32, 64, 128, 256, 512 and 1024",
        "x" * 100_000,
        "\ud83d \udc69 \ud83d \udc69 \ud83d \udc69 \ud83d \udc69",
    ],
)
def test_short_text_names_and_code_are_understood(text: str) -> None:
    assert understood(text, EN)


def test_one_sentence_in_a_long_english_text_is_found() -> None:
    english = "The meeting is at nine, and the report is due on Friday. "
    assert understood(english * 50, EN)
    assert not understood(f"{english * 25}{GERMAN} {english * 25}", EN)
    assert not understood(f"{english * 25}Все женщины глупы. {english * 25}", EN)


def test_short_sentences_are_recognised_together() -> None:
    text = " ".join(SHORT)
    assert all(understood(sentence, EN) for sentence in SHORT)
    assert understood(text, EN, whole=False)
    assert not understood(text, EN)


def test_invisible_characters_hide_no_language() -> None:
    assert not understood("\u200b".join(GERMAN), EN)


def test_a_detector_understands_its_own_languages() -> None:
    assert understood(GERMAN, ("en", "de"))
    assert not understood("The meeting begins at nine in the large hall tomorrow.", ("de",))


def test_the_clock_is_looked_at() -> None:
    def late() -> None:
        raise DeadlineError("late")

    with pytest.raises(DeadlineError):
        understood(GERMAN, EN, tick=late)


@pytest.fixture
def unloaded() -> Iterator[None]:
    languages._identifier.cache_clear()
    yield
    languages._identifier.cache_clear()


@pytest.mark.usefixtures("unloaded")
def test_a_language_model_that_does_not_load_fails_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_folder(**_: object) -> None:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_folder)
    with pytest.raises(ModelRuntimeError, match="does not load.*set TMPDIR"):
        languages.load()
    assert understood("The meeting is at nine, and the report is due on Friday.", EN)
    result = guard().check(GERMAN)
    assert (result.action, (result.error or "").partition(":")[0]) == (Action.BLOCK, "ModelRuntimeError")
    monkeypatch.undo()
    assert guard().check(GERMAN).reason == "unsupported language"


def test_nothing_is_loaded_for_plain_english() -> None:
    code = (
        "import sys; from guardrail.text.languages import understood;"
        "assert understood('The meeting is at nine, and the report is due on Friday. ' * 9, ('en',));"
        "sys.exit('py3langid' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


@pytest.mark.parametrize("action", [Action.ALLOW, Action.FLAG, Action.BLOCK])
def test_the_policy_decides(action: Action) -> None:
    result = guard(Policy(on_unsupported_language=action)).check(GERMAN)
    assert result.action is action
    assert result.reason == ("nothing flagged" if action is Action.ALLOW else "unsupported language")


def test_a_text_with_something_to_mend_does_not_hide_the_other_language() -> None:
    text = f"The idiot spoke up. {GERMAN}"
    result = guard().check(text)
    assert (result.action, result.text) == (Action.REWRITE, f"The plain spoke up. {GERMAN}")
    assert result.reason == "rewrite: toxicity; unsupported language"
    assert same(fed(guard(), text)[1]) == same(result)
    blocked = guard(Policy(on_unsupported_language=Action.BLOCK)).check(text)
    assert (blocked.action, blocked.reason) == (Action.BLOCK, "unsupported language")


PARTS = st.sampled_from(
    [GERMAN, *SHORT, "The meeting is at nine.", "Fine.\n", "Все тут.", "The idiot spoke up!", "今日は。いい天気です。"]
)


@settings(max_examples=40)
@given(st.lists(PARTS, max_size=6).map(" ".join), st.sampled_from([Action.FLAG, Action.BLOCK]))
@example(" ".join(SHORT), Action.FLAG)
def test_a_stream_says_what_check_says(text: str, choice: Action) -> None:
    door = guard(Policy(on_unsupported_language=choice), detector=WordDetector(200))
    checked, (released, result) = door.check(text), fed(door, text)
    if choice is Action.FLAG:
        assert same(result) == same(checked)
    elif checked.action is Action.BLOCK:
        # Only what no sentence shows by itself is known when the text is out.
        late = result.action is not Action.BLOCK
        assert late == understood(text, EN, whole=False)
        assert "unsupported language" in result.reason
    else:
        assert (released, result.action) == (checked.text, checked.action)
