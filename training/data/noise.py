"""Disturb training texts as people do who type badly or hide words, keeping their spans in place."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import regex

from guardrail.training.data.schema import Row

# Share of a text's words that are touched. A third of the rows that are drawn for noise stays clean.
LEVELS = (0.0, 0.12, 0.4)
# Kept out of training on purpose, so that robustness to a family never seen can be measured.
HELD_OUT = ("repeat", "stars")
_LEET = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1|", "o": "0", "s": "5$", "t": "7+", "z": "2"}
_TWINS = {"a": "а", "c": "с", "e": "е", "i": "і", "o": "о", "p": "р", "s": "ѕ", "x": "х", "y": "у", "h": "һ"}
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_EMOJI = ("😂", "🙄", "😡", "💀", "🤣", "🔥", "👀", "😊", "🤡", "👍")
_WORD = regex.compile(r"\p{L}[\p{L}'’]{2,}")
Family = Callable[[list[str], range, random.Random], None]


def disturb(row: Row, rng: random.Random, level: float, families: Sequence[str] = ()) -> Row:
    """Return the row with a share ``level`` of its words disturbed; spans and labels stay true.

    ``level`` is in [0, 1]; 0 returns the row itself, more disturbs at least one word. ``families`` are names out of
    ``FAMILIES``; by default one or two are drawn that are not ``HELD_OUT``.
    """
    words = [range(*m.span()) for m in _WORD.finditer(row.text)]
    if not level or not words:
        return row
    usual = [name for name in FAMILIES if name not in HELD_OUT]
    chosen = list(families) or rng.sample(usual, rng.choice((1, 1, 2)))
    pieces = list(row.text)
    for word in rng.sample(words, max(1, round(level * len(words)))):
        FAMILIES[rng.choice(chosen)](pieces, word, rng)
    return replace(row, text="".join(pieces), spans=_moved(row.spans, pieces))


def with_noise(rows: Sequence[Row], share: float, seed: int) -> list[Row]:
    """Return the rows, a ``share`` of them at one of the ``LEVELS`` of noise, the same rows for the same seed."""
    rng = random.Random(f"noise/{seed}")
    return [disturb(row, rng, rng.choice(LEVELS)) if rng.random() < share else row for row in rows]


def _moved(spans: tuple[tuple[int, int], ...] | None, pieces: Sequence[str]) -> tuple[tuple[int, int], ...] | None:
    if not spans:
        return spans
    ends = [0]
    for piece in pieces:
        ends.append(ends[-1] + len(piece))
    return tuple((ends[start], ends[end]) for start, end in spans)


def _typo(pieces: list[str], word: range, rng: random.Random) -> None:
    at = rng.randrange(word.start, word.stop - 1)
    kind = rng.randrange(4)
    if kind == 0:
        pieces[at], pieces[at + 1] = pieces[at + 1], pieces[at]
    elif kind == 1:
        pieces[at] = ""
    elif kind == 2:
        pieces[at] *= 2
    else:
        pieces[at] = _beside(pieces[at], rng)


def _beside(letter: str, rng: random.Random) -> str:
    for row in _KEYS:
        place = row.find(letter.lower())
        if place >= 0:
            return rng.choice(row[max(0, place - 1) : place + 2].replace(letter.lower(), ""))
    return letter


def _leet(pieces: list[str], word: range, rng: random.Random) -> None:
    for at in word:
        if pieces[at].lower() in _LEET and rng.random() < 0.7:
            pieces[at] = rng.choice(_LEET[pieces[at].lower()])


def _twins(pieces: list[str], word: range, rng: random.Random) -> None:
    for at in word:
        if rng.random() < 0.6:
            pieces[at] = _TWINS.get(pieces[at], pieces[at])


def _spacing(pieces: list[str], word: range, rng: random.Random) -> None:
    between = rng.choice((" ", " ", ".", "-", "_"))
    for at in word[:-1]:
        pieces[at] += between


def _case(pieces: list[str], word: range, rng: random.Random) -> None:
    upper = rng.random() < 0.5
    for at in word:
        pieces[at] = pieces[at].upper() if upper or rng.random() < 0.5 else pieces[at].lower()


def _emoji(pieces: list[str], word: range, rng: random.Random) -> None:
    pieces[word.stop - 1] += f" {rng.choice(_EMOJI)}"


def _joined(pieces: list[str], word: range, rng: random.Random) -> None:
    if word.stop < len(pieces) and pieces[word.stop] == " ":
        pieces[word.stop] = ""


def _repeat(pieces: list[str], word: range, rng: random.Random) -> None:
    at = rng.randrange(word.start, word.stop)
    pieces[at] *= rng.randint(3, 5)


def _stars(pieces: list[str], word: range, rng: random.Random) -> None:
    pieces[rng.randrange(word.start + 1, word.stop - 1)] = "*"


FAMILIES: dict[str, Family] = {
    "typo": _typo,
    "leet": _leet,
    "homoglyph": _twins,
    "spacing": _spacing,
    "case": _case,
    "emoji": _emoji,
    "joined": _joined,
    "repeat": _repeat,
    "stars": _stars,
}
