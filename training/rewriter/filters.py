"""Clean up rewriting pairs from public sets and name what is wrong with the bad ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum

MAX_WORDS = 60

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FACT = re.compile(r"https?://\S+|www\.\S+|\S+@\S+\.\w+|\d+(?:[.,:/]\d+)*")
_NEGATION = re.compile(r"\b(?:not|no|never|none|nobody|nothing|cannot|without)\b|n['’]t\b", re.IGNORECASE)
_REPLY = re.compile(
    r"^\W*(?:i(?:['’]m| am) (?:very |so |really )?sorry|sorry\b|i apologi[sz]e|my apologies|i (?:appreciate|understand)"
    r"|thank you|thanks for|as an ai\b|sure[,!:]|certainly[,!:]|of course[,!:]|here(?:['’]s| is)\b.{0,30}"
    r"(?:version|rewrite|text|sentence)|i (?:can(?:no|['’])t|won['’]t) (?:help|assist|rewrite|fulfil))",
    re.IGNORECASE,
)
_LECTURE = re.compile(
    r"\b(?:it(?:['’]s| is) (?:important|essential|crucial|wrong|not (?:ok|okay|fair|right|appropriate)) (?:not )?to\b"
    r"|(?:we|you|people|one) should (?:not |never |always |all )*(?:be )?"
    r"(?:respect|judge|stereotyp|generali[sz]|discriminat|assume|treat|insult)\w*"
    r"|please (?:refrain|be (?:respectful|kind|mindful)|avoid)|let(?:['’]s| us) (?:all )?(?:be|treat|respect|avoid)\b"
    r"|every(?:one|body) deserves|all people (?:are|deserve)|regardless of (?:their|his|her|your) (?:gender|race|age))",
    re.IGNORECASE,
)
_META = re.compile(
    r"\b(?:toremove|re-?phras\w+|re-?writ(?:e|es|ing|ten) (?:version|text|sentence|output)|debias\w*|unbiased version"
    r"|neutral version|original (?:sentence|text)|this (?:sentence|text) (?:is|contains)|offensive language)\b",
    re.IGNORECASE,
)
_VULGAR = re.compile(
    r"\b(?:\w*fuc?k\w*|\w*shit\w*|bitch\w*|ass(?:es|hole\w*)?|bastard\w*|crap\w*|damn\w*|dumb\w*|idiot\w*|moron\w*"
    r"|stupid\w*|retard\w*|pussy|dick\w*|cock|cunt\w*|whore\w*|slut\w*|douche\w*|piss\w*|loser\w*|sucks?|sux|suck(?:ed|er\w*)"
    r"|imbecile\w*|scum\w*|trash|pathetic|faggot\w*|nigg\w+|smd|wtf|stfu|noob\w*|donkeys?|screwed|wimps?|freak\w*)\b",
    re.IGNORECASE,
)
_STOP = frozenset("a an the of to in on at by for with and or but is are was were be been it its this that as".split())

_GLUE_LEFT = re.compile(r" +(?=[,;:!?%)\]}…])| +(?=\.(?:\s|$))| +(?=(?:n['’]t|['’](?:s|m|re|ve|ll|d))\b)")
_GLUE_NT = re.compile(r"n +(?=['’]t\b)")
_GLUE_AFTER = re.compile(r"(?<=['’]) +(?=(?:t|s|m|re|ve|ll|d)\b)")
_GLUE_RIGHT = re.compile(r"(?<=[(\[{$£€#]) +")
_SLASH = re.compile(r"(?<=\w) / (?=\w)|(?<=\d), (?=\d{3}\b)")
_DOUBLE_END = re.compile(r"([.!?])[ .]+$")
_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "\u00a0": " "})


class Reject(StrEnum):
    """Why a pair is not trained on."""

    EMPTY = "empty"
    IDENTICAL = "identical"
    TOO_LONG = "too_long"
    LOSSY = "lossy"
    GROWN = "grown"
    REPLY = "reply"
    LECTURE = "lecture"
    META = "meta"
    FACTS = "facts"
    VULGAR = "vulgar"
    NEGATION = "negation"
    DRIFT = "drift"


def words(text: str) -> list[str]:
    """Return the lower-cased words of ``text``."""
    return _WORD.findall(text.lower())


def vulgar_words(text: str) -> list[str]:
    """Return the swear words and insults in ``text``, as written."""
    return _VULGAR.findall(text)


def unify(text: str) -> str:
    """Return ``text`` on one line with straight quotes and single spaces."""
    return " ".join(text.translate(_QUOTES).split())


def detokenise(text: str) -> str:
    """Join what a word tokeniser split (``"do n't ,"`` to ``"don't,"``); plain prose comes back unchanged."""
    out = _GLUE_NT.sub("n", _GLUE_LEFT.sub("", unify(text)))
    out = _SLASH.sub(lambda match: match.group().strip(" "), _GLUE_RIGHT.sub("", _GLUE_AFTER.sub("", out)))
    return _DOUBLE_END.sub(r"\1", out).strip(" -_\\")


def reject_reason(source: str, target: str, *, spans: Sequence[str] = (), strict: bool = True) -> Reject | None:
    """Say why a pair is unfit, or None when it is fit.

    ``spans`` are the biased stretches of ``source``: numbers and links inside them may go. ``strict`` adds the checks
    for crowd-sourced pairs (swear words left, negation flipped, content swapped), which an editor's pairs do not need.
    """
    before, after = words(source), words(target)
    if not before or not after:
        return Reject.EMPTY
    if before == after:
        return Reject.IDENTICAL
    return (
        _by_size(before, after)
        or _by_wording(source, target)
        or _by_facts(source, target, spans)
        or (_by_content(source, target) if strict else None)
    )


def _by_size(before: list[str], after: list[str]) -> Reject | None:
    if max(len(before), len(after)) > MAX_WORDS:
        return Reject.TOO_LONG
    if len(after) < (0.4 if len(before) <= 25 else 0.5) * len(before):
        return Reject.LOSSY
    return Reject.GROWN if len(after) > 1.5 * len(before) + 3 else None


def _by_wording(source: str, target: str) -> Reject | None:
    for pattern, reason in ((_REPLY, Reject.REPLY), (_LECTURE, Reject.LECTURE), (_META, Reject.META)):
        if pattern.search(target) and not pattern.search(source):
            return reason
    return None


def _by_facts(source: str, target: str, spans: Sequence[str]) -> Reject | None:
    have, kept = Counter(_FACT.findall(source)), Counter(_FACT.findall(target))
    optional = Counter(fact for span in spans for fact in _FACT.findall(span))
    return Reject.FACTS if kept - have or have - kept - optional else None


def _by_content(source: str, target: str) -> Reject | None:
    if vulgar_words(target):
        return Reject.VULGAR
    if len(_NEGATION.findall(source)) != len(_NEGATION.findall(target)):
        return Reject.NEGATION
    removable = set(words(" ".join(vulgar_words(source))))
    before = {word[:5] for word in words(source) if word not in _STOP and word not in removable}
    after = {word[:5] for word in words(target) if word not in _STOP}
    shared = len(before & after)
    return Reject.DRIFT if shared < 0.6 * len(after) or shared < 0.5 * len(before) else None
