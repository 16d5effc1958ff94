"""Tell whether a text is written in a script that the detector's languages use."""

from __future__ import annotations

from collections.abc import Sequence

import regex

_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Script=Latin}")
_LATIN_LANGUAGES = frozenset({"en", "de", "es", "fr", "it", "nl", "pt"})
MIN_LETTERS = 4


def understood(text: str, languages: Sequence[str]) -> bool:
    """Return False when most letters of ``text`` belong to no script of ``languages`` (ISO 639-1 codes).

    Only Latin-script detectors exist so far; another Latin-script language is not told apart here.
    """
    if text.isascii() or not set(languages) <= _LATIN_LANGUAGES:
        return True
    letters = len(_LETTER.findall(text))
    return letters < MIN_LETTERS or 2 * len(_LATIN.findall(text)) >= letters
