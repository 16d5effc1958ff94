"""Find where spans that are given as strings stand in their text."""

from __future__ import annotations

import re
from collections.abc import Sequence


def cuts_word(text: str, at: int) -> bool:
    """Tell whether the place before character ``at`` lies inside a word."""
    return 0 < at < len(text) and _wordly(text[at - 1]) and _wordly(text[at])


def place_spans(text: str, spans: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the (start, end) characters of spans that are substrings of ``text``, in order of place.

    A span stands for its first place that cuts no word and that no equal span has taken ("he" is not in "the"), or
    for its first place where it is always part of a longer word; raises ``ValueError`` for a string not in the text.
    """
    taken: set[tuple[int, int]] = set()
    for span in spans:
        whole = whole_places(text, span)
        start = text.index(span)
        free = [place for place in whole if place not in taken]
        taken.add(next(iter(free or whole), (start, start + len(span))))
    return tuple(sorted(taken))


def whole_places(text: str, span: str) -> list[tuple[int, int]]:
    """Return every (start, end) where ``span`` stands in ``text`` and cuts no word."""
    places = [match.span() for match in re.finditer(re.escape(span), text)]
    return [(start, end) for start, end in places if not cuts_word(text, start) and not cuts_word(text, end)]


def _wordly(letter: str) -> bool:
    return letter.isalnum() or letter == "_"
