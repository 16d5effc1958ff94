"""Tell whether a text, or any sentence of it, is written in a language that the detector was not trained for."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import regex

from guardrail.errors import ModelRuntimeError

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

MIN_LETTERS = 4
MIN_WORDS = 6
# Chosen on clean assistant replies (`python -m tests.languages` measures them again): the best foreign language has
# this probability at least, and all foreign ones together have the other.
LIKELY, SURELY = 0.35, 0.9
ENGLISH_SHARE = 0.2

_LATIN_LANGUAGES = frozenset({"en", "de", "es", "fr", "it", "nl", "pt"})
# Of the library's classes these say nothing against a text: no language, what code looks like, and English-like pidgin.
_NEUTRAL = ("zxx", "la", "pcm")
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Script=Latin}")
_WORD = regex.compile(r"(?:\p{L}\p{M}{0,3})++(?:['\u2019-](?:\p{L}\p{M}{0,3})++)*+")
_LONGEST_WORD, _LONGEST_PART = 60, 65_536
_AROUND = string.punctuation + "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2026\u2013\u2014\u00bf\u00a1"
# The end of a sentence, told by what stands right there: a stream sees no more of the text.
_END = regex.compile(
    r"(?<=[.!?\u2026])[\"'\u201d\u2019)\]]*\s+|(?<=[\u3002\uff01\uff1f\uff61\u0964\u061f])|[\r\n\x85\u2028\u2029]+"
)
# Frequent English words that are rare in every other language of this script.
_ENGLISH = frozenset(
    "the and that you with this are have not your can from but they which if by their has how what when who would about"
    " some our its been were there these those into than then more most other people could should may use make new"
    " time first just only work need help using each because while where such both through before after between being"
    " many much every own same does did very here out up get good like he she her his my we us it's don't you're any"
    " all one two will was had them so".split()
)


def understood(
    text: str, languages: Sequence[str], *, whole: bool = True, tick: Callable[[], None] = lambda: None
) -> bool:
    """Return False when a sentence of ``text``, or all of it together, is in none of ``languages`` (ISO 639-1 codes).

    A script that none of them uses is told by ``MIN_LETTERS`` letters, a language in their script by ``MIN_WORDS``
    words; shorter texts, code and names are understood. ``whole=False`` looks at the sentences only. ``tick`` is called
    before each of them and may raise. Raises ``ModelRuntimeError`` where the language model does not load.
    """
    for part in _parts(text, whole):
        tick()
        if not _script_known(part, languages) or _foreign(part, languages):
            return False
    return True


def load() -> None:
    """Load the language model now instead of on the first text that does not look English."""
    _identifier()


def _parts(text: str, whole: bool) -> Iterator[str]:
    text = text if text.isascii() else _IGNORABLE.sub("", text)
    start = 0
    for end in _END.finditer(text):
        yield from _slices(text[start : end.start()])
        start = end.end()
    yield from _slices(text[start:])
    if whole and start:
        yield from _slices(text)


def _slices(text: str) -> Iterator[str]:
    """Cut what is very long: its words would take much more memory than it does."""
    return (text[at : at + _LONGEST_PART] for at in range(0, len(text), _LONGEST_PART))


def _script_known(text: str, languages: Sequence[str]) -> bool:
    if text.isascii() or not set(languages) <= _LATIN_LANGUAGES:
        return True
    letters = len(_LETTER.findall(text))
    return letters < MIN_LETTERS or 2 * len(_LATIN.findall(text)) >= letters


def _foreign(text: str, languages: Sequence[str]) -> bool:
    tokens = text.split()
    if len(tokens) < MIN_WORDS:
        return False
    words = [word for word in (token.strip(_AROUND) for token in tokens if len(token) <= _LONGEST_WORD) if word]
    words = [word for word in words if _WORD.fullmatch(word)]
    # Names of variables are often one letter, words of a language seldom.
    long = sum(len(word) > 1 for word in words)
    if long < MIN_WORDS or 2 * long < len(tokens):
        return False
    if "en" in languages and sum(word.lower() in _ENGLISH for word in words) >= ENGLISH_SHARE * len(words):
        return False
    shares = dict(_identifier().rank(" ".join(words)))
    known = {*languages, *_NEUTRAL}
    best = max(shares, key=shares.__getitem__)
    rest = 1.0 - sum(shares.get(language, 0.0) for language in known)
    return best not in known and shares[best] >= LIKELY and rest >= SURELY


@cache
def _identifier() -> LanguageIdentifier:
    # No lock: a race would build it twice, and a forked child may use its parent's, which is plain data.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        name = type(error).__name__
        raise ModelRuntimeError(
            f"the language model of py3langid does not load ({name}); it unpacks into a temporary folder: set TMPDIR"
        ) from error
