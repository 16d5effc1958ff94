"""Check authored rows: each row alone, then all files together."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from guardrail.result import GROUPS
from guardrail.training.data.overlap import folded, near_copies
from guardrail.training.data.schema import LABELS
from guardrail.training.data.spans import cuts_word, place_spans, whole_places

HELD_OUT = "heldout"
DISPUTED = "disputed"
# The shortest row is a road sign of eleven characters, the longest a letter of four hundred.
SHORTEST, LONGEST = 8, 600
# A joiner makes one emoji of several.
_ALLOWED = "\n\t\u200d"
Raw = Mapping[str, Any]
Placed = list[tuple[str, Raw]]


def lint(raw: object, name: str = "", *, dropped: bool = False) -> str:
    """Say what is wrong with one raw row, without repeating its text, or return an empty string.

    ``name`` is the stem of the row's file, where it is known; a ``dropped`` row may be in dispute.
    """
    if not isinstance(raw, dict):
        return "the line is no JSON object"
    rules = _RULES if dropped else (*_RULES, _undisputed)
    fault = next((fault for rule in rules if (fault := rule(raw))), "")
    return fault or ("brief must be the name of the file" if name and raw["brief"] != name else "")


def lint_folder(folder: Path) -> list[str]:
    """Return the faults of all files of a folder, each with its file and line: of rows alone, and of rows together.

    Together means: no text twice (folded), no held-out text or rewrite that nearly copies a training one, and no
    dropped row that is still in use.
    """
    kept, faults = _sound(folder)
    dropped, more = _sound(folder / DISPUTED, f"{DISPUTED}/")
    return [*faults, *more, *_repeated(kept + dropped), *_leaked(kept)]


def raw_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the line numbers and parsed lines of a file; None stands for a line that is no JSON."""
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError:
                yield number, None


def _sound(folder: Path, prefix: str = "") -> tuple[Placed, list[str]]:
    rows, faults = [], []
    for path in sorted(folder.glob("*.jsonl")):
        for number, raw in raw_rows(path):
            if fault := lint(raw, path.stem, dropped=bool(prefix)):
                faults.append(f"{prefix}{path.name}:{number}: {fault}")
            else:
                rows.append((f"{prefix}{path.name}:{number}", raw))
    return rows, faults


def _repeated(rows: Placed) -> Iterator[str]:
    first: dict[str, str] = {}
    for where, raw in rows:
        known = first.setdefault(folded(raw["text"]), where)
        if known != where:
            yield f"{where}: the text of {known} again"


def _leaked(rows: Placed) -> Iterator[str]:
    training: list[tuple[str, str]] = []
    held_out: list[tuple[str, str]] = []
    for where, raw in rows:
        side = held_out if raw["brief"] == HELD_OUT else training
        side += [(where, text) for text in dict.fromkeys((raw["text"], raw["target"]))]
    pairs = near_copies([text for _, text in held_out], [text for _, text in training])
    # A text and its rewrite may both be near.
    for one, other in dict.fromkeys((held_out[i][0], training[j][0]) for i, j in pairs):
        yield f"{one}: nearly a copy of {other}"


def _form(raw: Raw) -> str:
    text, target = raw.get("text"), raw.get("target")
    if not isinstance(text, str) or not isinstance(target, str) or not text.strip() or not target.strip():
        return "text and target must be non-empty strings"
    if any(not isinstance(raw.get(key), list) for key in ("labels", "groups", "spans")):
        return "labels, groups and spans must be lists"
    if not isinstance(raw.get("mentions", []), list):
        return "mentions must be a list"
    return "" if isinstance(raw.get("brief"), str) else "brief must be a string"


def _names(raw: Raw) -> str:
    second = raw.get("second", [])
    if not isinstance(second, list):
        return "second must be a list of labels"
    named = [(name, LABELS) for name in [*raw["labels"], *second]]
    named += [(name, GROUPS) for name in [*raw["groups"], *raw.get("mentions", [])]]
    strange = [name for name, names in named if name not in names]
    if strange:
        return f"unknown label or group {strange[0]!r}"
    lists = (raw["labels"], second, raw["groups"], raw.get("mentions", []))
    return "" if all(len(set(names)) == len(names) for names in lists) else "a label or group is named twice"


def _undisputed(raw: Raw) -> str:
    agreed = bool(raw.get("second", raw["labels"])) is bool(raw["labels"])
    return "" if agreed else "second and labels disagree on the verdict; move the row to disputed/"


def _verdict(raw: Raw) -> str:
    biased = bool(raw["labels"])
    if raw.get("label") not in (0, 1) or (raw["label"] == 1) is not biased or (raw["text"] == raw["target"]) is biased:
        return "label 1 needs labels and a changed target, label 0 neither"
    if not biased and (raw["groups"] or raw["spans"]):
        return "label 0 has no groups and no spans (groups that it merely names are mentions)"
    if "unpaired" in raw and not (biased and raw["unpaired"] is True):
        return "unpaired may only be true, and only on label 1: its target is no rewrite to learn from"
    return "mentions are for label 0; label 1 has groups" if biased and raw.get("mentions") else ""


def _letters(raw: Raw) -> str:
    texts = (raw["text"], raw["target"])
    if any(not SHORTEST <= len(text) <= LONGEST for text in texts):
        return f"text and target must have {SHORTEST} to {LONGEST} characters"
    # Every class C but unassigned, which differs between versions of Python.
    strange = {c for text in texts for c in text if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs")}
    strange -= set(_ALLOWED)
    if strange:
        return f"control character {min(strange)!a}"
    why = raw.get("why")
    return "" if isinstance(why, str) and why.strip() else "why must say the reason in a few words"


def _spans(raw: Raw) -> str:
    text, spans = raw["text"], raw["spans"]
    missing = [span for span in spans if not isinstance(span, str) or not span.strip() or span not in text]
    if missing:
        return f"{len(missing)} span(s) are not substrings of the text"
    if any(span != span.strip() for span in spans):
        return "a span begins or ends with a space"
    places = place_spans(text, spans)
    if any(cuts_word(text, edge) for place in places for edge in place):
        return "a span begins or ends inside a word"
    return "" if len(places) == len(spans) else "two spans stand for the same place"


def _kept_words(raw: Raw) -> str:
    """Refuse a rewrite that still has a flagged word; where the text has it more often, those others may stay."""
    text, target = raw["text"].casefold(), raw["target"].casefold()
    words = [span.casefold() for span in raw["spans"] if len(span.split()) == 1]
    left = [w for w in words if len(whole_places(target, w)) > len(whole_places(text, w)) - words.count(w)]
    return f"the target keeps {len(left)} flagged word(s)" if left else ""


_RULES: tuple[Callable[[Raw], str], ...] = (_form, _names, _verdict, _letters, _spans, _kept_words)
