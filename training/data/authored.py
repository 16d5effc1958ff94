"""Read the rows that we wrote ourselves: biased sentences with a neutral rewrite, and blameless neighbours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS, Row, fold_of, known

HELD_OUT = "heldout"
FOLDER = Path(__file__).parent / "authored"


@dataclass(frozen=True, slots=True)
class Authored:
    """One authored row; ``target`` equals ``text`` when the row is clean, ``spans`` are substrings of ``text``."""

    text: str
    target: str
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    spans: tuple[str, ...]
    brief: str


def read_authored(folder: Path = FOLDER, *, held_out: bool = False) -> list[Authored]:
    """Read every authored row but the held-out brief, or only that one; raises ``ValueError`` for a faulty row."""
    paths = [path for path in sorted(folder.glob("*.jsonl")) if (path.stem == HELD_OUT) is held_out]
    return [row for path in paths for row in _read_file(path)]


def _read_file(path: Path) -> Iterator[Authored]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        raw = _parsed(line)
        fault = lint(raw) or ("" if raw["brief"] == path.stem else "brief must be the name of the file")
        if fault:
            raise ValueError(f"{path.name}:{number}: {fault}; mend the row")
        yield Authored(
            raw["text"], raw["target"], tuple(raw["labels"]), tuple(raw["groups"]), tuple(raw["spans"]), raw["brief"]
        )


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def lint(raw: object) -> str:
    """Say what is wrong with a raw row, or return an empty string."""
    if not isinstance(raw, dict):
        return "the line is no JSON object"
    text, target, labels, groups, spans = (raw.get(key) for key in ("text", "target", "labels", "groups", "spans"))
    if not isinstance(text, str) or not isinstance(target, str) or not text.strip() or not target.strip():
        return "text and target must be non-empty strings"
    if not isinstance(labels, list) or not isinstance(groups, list) or not isinstance(spans, list):
        return "labels, groups and spans must be lists"
    strange = [name for name in labels if name not in LABELS] + [name for name in groups if name not in GROUPS]
    if strange:
        return f"unknown label or group {strange[0]!r}"
    if (raw.get("label") == 1) is not bool(labels) or (text == target) is bool(labels):
        return "label 1 needs labels and a changed target, label 0 neither"
    missing = [span for span in spans if not isinstance(span, str) or not span or span not in text]
    if missing:
        return f"{len(missing)} span(s) are not substrings of the text"
    return "" if isinstance(raw.get("brief"), str) else "brief must be a string"


def span_offsets(item: Authored) -> tuple[tuple[int, int], ...]:
    """Return the (start, end) characters of an authored row's spans, in order.

    A span is given as a string: it stands for its first place between word boundaries that no equal span has taken
    ("he" is not in "the"), or for its first place where it is always part of a longer word.
    """
    taken: set[tuple[int, int]] = set()
    for span in item.spans:
        whole = [m.span() for m in re.finditer(rf"(?<!\w){re.escape(span)}(?!\w)", item.text)]
        start = item.text.index(span)
        free = [place for place in whole if place not in taken]
        taken.add(next(iter(free or whole), (start, start + len(span))))
    return tuple(sorted(taken))


def detector_rows(items: list[Authored], *, weight: float = 1.0) -> Iterator[Row]:
    """Yield each authored text as a fully known row, and each rewrite as a clean one."""
    for item in items:
        spans = span_offsets(item)
        yield Row(
            item.text,
            f"authored/{item.brief}",
            labels=known(LABELS, item.labels),
            groups=known(GROUPS, item.groups),
            spans=spans if spans or not item.labels else None,
            weight=weight,
            fold=fold_of(item.text),
        )
        if item.labels:
            yield Row(
                item.target,
                f"authored/{item.brief}/rewrite",
                labels=known(LABELS, ()),
                groups=known(GROUPS, ()),
                spans=(),
                weight=weight,
                fold=fold_of(item.text),
            )
