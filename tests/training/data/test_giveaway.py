"""Check that planted give-aways are found, and that none is found where there is none."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

pytest.importorskip("sklearn")

from guardrail.training.data import giveaway
from guardrail.training.data.giveaway import (
    STYLE,
    auc_of,
    style,
    style_left_out,
    style_within,
    tells,
    words_left_out,
    words_within,
)

WORDS = "mill river stone form letter board tea clerk road house field bridge paper garden window".split()


def texts_of(count: int, seed: int) -> list[str]:
    """Return sentences of random words, with nothing in them to tell."""
    rng = random.Random(seed)
    return [f"{' '.join(rng.sample(WORDS, 8))}." for _ in range(count)]


def marked(texts: list[str], truth: np.ndarray, mark: str) -> list[str]:
    """Return the texts, the biased ones ended with a mark."""
    return [f"{text}{mark}" if one else text for text, one in zip(texts, truth, strict=True)]


TRUTH = np.array([0, 1] * 60)
ALONE = [str(i) for i in range(len(TRUTH))]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted mark needs no forest of two hundred."""
    monkeypatch.setattr(giveaway, "TREES", 30)


def test_a_word_of_the_biased_rows_gives_them_away_within_and_from_outside() -> None:
    texts = marked(texts_of(120, 1), TRUTH, " honestly")
    assert words_within(texts, TRUTH, ALONE) > 0.9
    assert words_left_out(texts[:80], TRUTH[:80], texts[80:], TRUTH[80:]) > 0.9


def test_a_word_of_one_brief_gives_away_nothing_outside_it() -> None:
    train, test = marked(texts_of(120, 1), TRUTH, " honestly"), marked(texts_of(120, 2), TRUTH, " frankly")
    assert words_within(test, TRUTH, ALONE) > 0.9
    assert abs(words_left_out(train, TRUTH, test, TRUTH) - 0.5) < 0.2


def test_words_without_a_give_away_tell_nothing() -> None:
    assert abs(words_within(texts_of(120, 1), TRUTH, ALONE) - 0.5) < 0.2


def test_neighbours_parted_by_a_fold_would_teach_the_opposite() -> None:
    rng = random.Random(4)
    topics = [" ".join(rng.choices([f"word{i}" for i in range(900)], k=9)) for _ in range(60)]
    texts = [topic for topic in topics for _ in (0, 1)]
    assert words_within(texts, TRUTH, ALONE) < 0.3
    assert words_within(texts, TRUTH, [str(i // 2) for i in range(120)]) == pytest.approx(0.5, abs=0.05)


def test_style_gives_away_what_only_style_tells() -> None:
    texts = marked(texts_of(120, 3), TRUTH, "!!")
    assert auc_of(style_within(style(texts), TRUTH, ALONE), TRUTH) > 0.99
    assert style_left_out(style(texts[:80]), TRUTH[:80], style(texts[80:]), TRUTH[80:]) > 0.99
    assert tells(style(texts), TRUTH, 1)[0][0] in ("exclamation marks", "final mark")


def test_style_does_not_see_which_words_are_used() -> None:
    texts = [f"{text} {'awful' if one else 'sound'}" for text, one in zip(texts_of(120, 3), TRUTH, strict=True)]
    assert abs(auc_of(style_within(style(texts), TRUTH, ALONE), TRUTH) - 0.5) < 0.2


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("The cat and the dog.", '"the"', 2 / 5),
        ("He is — well — late", "dashes", 2 / 19),
        ('"No", said (Ann).', "double quotes", 2 / 17),
        ("small start", "small first letter", 1.0),
        ("BIG News here", "words in capitals", 1 / 3),
        ("One. Two? Three!", "sentences", 3.0),
        ("Call 112 now", "digits", 3 / 12),
        ("née", "letters outside ASCII", 1 / 3),
        ("It ends.", "final mark", 1.0),
    ],
)
def test_a_feature_of_style_as_counted_by_hand(text: str, name: str, value: float) -> None:
    assert style([text])[0, STYLE.index(name)] == pytest.approx(value)


def test_no_text_breaks_the_features() -> None:
    found = style(["", " ", "🙄", "123", "a" * 10_000])
    assert found.shape == (5, len(STYLE))
    assert np.isfinite(found).all()
    assert style([]).shape == (0, len(STYLE))


@pytest.mark.parametrize("truth", [np.zeros(120, int), np.ones(120, int), np.array([1] * 4 + [0] * 116)])
def test_what_cannot_be_measured_is_unknown(truth: np.ndarray) -> None:
    texts = texts_of(120, 1)
    assert math.isnan(words_within(texts, truth, ALONE))
    assert math.isnan(auc_of(style_within(style(texts), truth, ALONE), truth))


def test_a_side_with_one_class_cannot_be_measured() -> None:
    texts, one_class = texts_of(120, 1), np.ones(120, int)
    assert math.isnan(words_left_out(texts, one_class, texts, TRUTH))
    assert math.isnan(words_left_out(texts, TRUTH, texts, one_class))
    assert math.isnan(style_left_out(style(texts), TRUTH, style(texts), one_class))
    assert math.isnan(words_left_out([], np.array([], int), texts, TRUTH))


def test_ties_count_once() -> None:
    ties = [str(i % 6) if one else str(100 + i) for i, one in enumerate(TRUTH)]
    assert math.isnan(words_within(texts_of(120, 1), TRUTH, ties))
