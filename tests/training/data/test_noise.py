"""Check that noise disturbs the words it says it does, and that spans and labels stay on the same words."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.training.data import noise
from guardrail.training.data.noise import FAMILIES, HELD_OUT, LEVELS, disturb, with_noise
from guardrail.training.data.schema import LABELS, Row, known

WORDS = ("lazy", "idiot", "women", "cannot", "lead", "chairman", "don't", "Straße", "naïve", "über")
# No noise touches what is shorter than three letters, so the separator stays where it is.
BETWEEN = " ¦ "
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9)
seeds = st.integers(0, 10_000)


def row_of(chosen: Sequence[str], marked: Sequence[int]) -> Row:
    """Return a row of words with spans on the words of the given places."""
    starts = [sum(len(word) + len(BETWEEN) for word in chosen[:i]) for i in range(len(chosen))]
    spans = tuple((starts[i], starts[i] + len(chosen[i])) for i in marked)
    return Row(BETWEEN.join(chosen), "x", labels=known(LABELS, ["hate"]), groups={"gender": 1}, spans=spans, weight=0.4)


def cells(text: str) -> list[tuple[int, int]]:
    """Return where the words lie: the stretches between separators, without the blanks around them."""
    found, start = [], 0
    for cell in text.split("¦"):
        left = start + len(cell) - len(cell.lstrip())
        found.append((left, left + len(cell.strip())))
        start += len(cell) + 1
    return found


# ---- spans and labels


@pytest.mark.parametrize("family", FAMILIES)
@given(chosen=words, seed=seeds, level=st.sampled_from([0.12, 0.4, 1.0]))
def test_a_span_stays_on_its_word(family: str, chosen: list[str], seed: int, level: float) -> None:
    marked = range(0, len(chosen), 2)
    noisy = disturb(row_of(chosen, marked), random.Random(seed), level, (family,))
    assert noisy.spans is not None
    assert list(noisy.spans) == [cells(noisy.text)[i] for i in marked]


@given(chosen=words, seed=seeds, level=st.sampled_from(LEVELS))
def test_only_text_and_spans_change(chosen: list[str], seed: int, level: float) -> None:
    row = row_of(chosen, [0])
    noisy = disturb(row, random.Random(seed), level)
    assert (noisy.labels, noisy.groups, noisy.weight) == (row.labels, row.groups, row.weight)
    assert (noisy.source, noisy.fold) == (row.source, row.fold)


@pytest.mark.parametrize("spans", [None, ()])
def test_a_row_without_spans_gets_none(spans: tuple[tuple[int, int], ...] | None) -> None:
    assert disturb(Row("the idiot said it", "x", spans=spans), random.Random(1), 1.0, ("leet",)).spans == spans


# ---- families


def collapsed(text: str) -> str:
    return "".join(letter for i, letter in enumerate(text) if i == 0 or text[i - 1] != letter)


def is_typo(old: str, new: str) -> bool:
    """Tell whether at most one letter was lost, doubled or mistyped, or two changed places."""
    lost, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    return lost.total() <= 1 and come.total() <= 1


KEPT: dict[str, Callable[[str, str], bool]] = {
    "typo": is_typo,
    "leet": lambda old, new: len(new) == len(old),
    "homoglyph": lambda old, new: len(new) == len(old),
    "spacing": lambda old, new: "".join(c for c in new if c not in " .-_") == old,
    "case": lambda old, new: new.casefold() == old.casefold(),
    "emoji": lambda old, new: new.startswith(f"{old} ") and not new[len(old) + 1 :].isascii(),
    "joined": lambda old, new: new == old,
    "repeat": lambda old, new: len(old) + 2 <= len(new) <= len(old) + 4 and collapsed(new) == collapsed(old),
    "stars": lambda old, new: len(new) == len(old) and new.count("*") == 1 and new[0] == old[0] and new[-1] == old[-1],
}


@pytest.mark.parametrize("family", FAMILIES)
@given(word=st.sampled_from([word for word in WORDS if word.isascii()]), seed=seeds)
def test_a_disturbed_word_can_still_be_read(family: str, word: str, seed: int) -> None:
    noisy = disturb(row_of([word], [0]), random.Random(seed), 1.0, (family,))
    assert noisy.spans is not None
    ((start, end),) = noisy.spans
    assert KEPT[family](word, noisy.text[start:end])


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_changes_something(family: str) -> None:
    row = row_of(WORDS[:6], [0])
    row = Row(row.text.replace(BETWEEN, " "), "x")
    assert any(disturb(row, random.Random(seed), 1.0, (family,)).text != row.text for seed in range(5))


def test_a_joined_word_loses_the_blank_behind_it() -> None:
    noisy = disturb(Row("the idiot is", "x", spans=((4, 9),)), random.Random(3), 1.0, ("joined",))
    assert (noisy.text, noisy.spans) == ("theidiotis", ((3, 8),))


def test_homoglyphs_are_no_latin_letters() -> None:
    noisy = disturb(Row("hypocrisy " * 9, "x"), random.Random(1), 1.0, ("homoglyph",)).text
    changed = {new for old, new in zip("hypocrisy " * 9, noisy, strict=True) if old != new}
    assert changed and all("а" <= letter <= "ԯ" for letter in changed)


def test_held_out_families_are_never_drawn_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[str] = set()

    def noting(name: str) -> noise.Family:
        return lambda pieces, word, rng: drawn.add(name)

    for name in FAMILIES:
        monkeypatch.setitem(FAMILIES, name, noting(name))
    for seed in range(300):
        disturb(row_of(WORDS, []), random.Random(seed), 1.0)
    assert set(HELD_OUT) < set(FAMILIES)
    assert drawn == set(FAMILIES) - set(HELD_OUT)


# ---- levels and seeds


@pytest.mark.parametrize(("level", "count"), [(0.0, 0), (0.01, 1), (0.12, 1), (0.25, 2), (0.4, 4), (1.0, 10)])
def test_the_level_is_the_share_of_words_that_are_touched(level: float, count: int) -> None:
    noisy = disturb(row_of(WORDS, []), random.Random(7), level, ("stars",))
    assert sum("*" in word for word in noisy.text.split(BETWEEN)) == count


@pytest.mark.parametrize("text", ["", "a b", "12 345 !", "是 的"])
def test_a_text_without_words_stays_as_it_is(text: str) -> None:
    row = Row(text, "x")
    assert disturb(row, random.Random(1), 1.0) is row


def test_level_zero_is_the_row_itself() -> None:
    row = row_of(WORDS, [1])
    assert disturb(row, random.Random(1), 0.0) is row


def rows(count: int = 1200) -> list[Row]:
    return [row_of((*WORDS, f"word{chr(97 + i % 26)}"), [0, 3]) for i in range(count)]


def test_the_same_seed_gives_the_same_rows() -> None:
    once, again, other = with_noise(rows(90), 0.5, 1), with_noise(rows(90), 0.5, 1), with_noise(rows(90), 0.5, 2)
    assert once == again
    assert once != other


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_third_of_the_drawn_rows_stays_clean(share: float) -> None:
    clean = rows()
    changed = sum(new.text != old.text for new, old in zip(with_noise(clean, share, 5), clean, strict=True))
    # "joined" changes nothing before the separator here, hence a little less than two thirds.
    assert changed / len(clean) == pytest.approx(share * 0.58, abs=0.08)


def test_rows_come_in_the_order_given() -> None:
    given_rows = [Row(f"the idiot said {i}", "x", weight=float(i)) for i in range(50)]
    assert [row.weight for row in with_noise(given_rows, 1.0, 3)] == [float(i) for i in range(50)]
