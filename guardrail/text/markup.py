"""Undo markup that splits or hides words: entities, HTML tags and comments, emphasis marks inside a word."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from html import unescape
from html.entities import html5

import regex

from guardrail.text.offsets import Edit, without_overlaps

_ENTITY = regex.compile(r"&(?:#[0-9]{1,7};?|#[xX][0-9A-Fa-f]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};)")
_TAG = regex.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]{0,30})(\s[^<>]{0,200})?/?>")
_ATTRIBUTE = regex.compile(r"\s+[A-Za-z][\w:.-]*\s*=\s*[\w\"'#/]")
# Where the markup is shown as it is, a reader reads these too; a list of class names is judged as well, and harmless.
_VALUE = regex.compile(r"=\s*(?:\"([^\"<>]{9,200})\"|'([^'<>]{9,200})')")
_SENTENCE = regex.compile(r"\p{L}[\p{L}'’-]*+(?:[,;:.!?]*\s+\p{L}[\p{L}'’-]*+){2}")
_COMMENT = regex.compile(r"<!--[^<>]{0,200}-->|(?<=\p{L})/\*[^*/]{0,40}\*/(?=\p{L})")
_EMPHASIS = regex.compile(
    r"(?<=\p{L})(\*\*\*?|~~)(\p{L}++)\1"
    r"|(?<=\p{L})(\*)(\p{L}++)\3(?![\w*])"
    r"|(?<![\w*~])(\*\*\*?|~~|\*)(\p{L}++)\5(?=\p{L})"
)
_BREAKS = frozenset("address blockquote br dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table td th tr ul".split())
_INLINE = frozenset(
    "s a abbr acronym b bdi bdo big center cite code data del dfn em font i img input ins kbd label mark nobr q rp rt"
    " samp section script small span strike strong style sub sup svg time tt u var wbr article header footer main nav"
    " body html head button form ruby".split()
)
# Decoding these would change code more often than it undoes a disguise ("&image;" is an address in C).
_KEPT_NAMES = frozenset({"image", "real", "num", "part", "int", "sum", "period", "star", "natural", "phone", "dash"})
_MADE_OF = regex.compile(r"[&<>*~]+")


def entities(text: str) -> list[Edit]:
    """Return the edits that decode HTML entities; "&name" without a semicolon is left, for URLs."""
    found = ((match, _entity(match.group())) for match in _ENTITY.finditer(text))
    return [(match.start(), match.end(), char) for match, char in found if char is not None]


@lru_cache(maxsize=4096)
def _entity(source: str) -> str | None:
    name = source[1:-1]
    if source[1] == "#":
        return unescape(source)
    char = html5.get(name + ";")
    if char is None or name in _KEPT_NAMES:
        return None
    kinds = {unicodedata.category(part) for part in char}
    base = unicodedata.normalize("NFKD", char)
    plain = base[:1].isascii() or kinds <= {"Ll", "Lu"} and unicodedata.name(char[0], "").startswith("LATIN")
    return char if plain or kinds <= {"Cf", "Zs", "Pd", "Po", "Pi", "Pf", "Ps", "Pe", "Sc", "Cc", "Mn"} else None


def tags(text: str) -> list[Edit]:
    """Return the edits that drop comments and HTML tags; generics and comparisons in code are left."""
    edits = [(match.start(), match.end(), "") for match in _COMMENT.finditer(text)]
    found = ((match, _tag(text, match)) for match in _TAG.finditer(text))
    edits += [(match.start(), match.end(), char) for match, char in found if char is not None]
    return without_overlaps(edits)


def asides(text: str, edits: list[Edit]) -> list[tuple[int, int, str]]:
    """Return where ``edits`` drop three words or more, in a comment or an attribute, and those words."""
    found = []
    for start, end, _ in edits:
        dropped = text[start:end]
        comment = dropped.startswith(("<!--", "/*"))
        said = [dropped.strip("<>!-/* ")] if comment else [one or other for one, other in _VALUE.findall(dropped)]
        found += [(start, end, words) for words in said if _SENTENCE.search(words)]
    return found


def _tag(text: str, match: regex.Match[str]) -> str | None:
    before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
    closing, name, attributes = match.group(1), match.group(2).lower(), match.group(3)
    stands_alone = (not before or before.isspace()) and (not after or after.isspace())
    if stands_alone or (attributes and not attributes.isspace() and not _ATTRIBUTE.match(attributes)):
        return None
    if name in _BREAKS and (closing or attributes or name != "p" or not before.isalnum()):
        return "\n"
    within_word = before.isalpha() and after.isalpha()
    if name in _INLINE or name == "p":
        # "List<b> x" and "Foo<a>(" are code; "wo<b>men", "<b>women" and any closing tag are markup.
        kept = not closing and not attributes and before.isalnum() and not (after.isalnum() or after in ("<", "&"))
        return None if kept else ""
    return "" if within_word and match.group(2).islower() else None


def emphasis(text: str) -> list[Edit]:
    """Return the edits that drop paired emphasis marks inside a word ("f**oo**l"); "**word**" is left."""
    edits: list[Edit] = []
    for match in _EMPHASIS.finditer(text):
        start, end = match.span()
        width = len(match.group(1) or match.group(3) or match.group(5))
        edits += [(start, start + width, ""), (end - width, end, "")]
    return edits


def disarm(text: str) -> list[Edit]:
    """Return the edits that remove every character markup is made of, for text that never stops unfolding."""
    return [(match.start(), match.end(), "") for match in _MADE_OF.finditer(text)]
