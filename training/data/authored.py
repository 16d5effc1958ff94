"""Read the rows that we wrote ourselves: biased sentences with a neutral rewrite, and blameless neighbours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS, Row, fold_of, known

HELD_OUT = "heldout"
FOLDER = Path(__file__).parent / "authored"


@dataclass(frozen=True, slots=True)
class Authored:
    """One authored row; ``target`` equals ``text`` when the row is clean, ``spans`` are exact substrings of ``text``."""

    text: str
    target: str
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    spans: tuple[str, ...]
    brief: str


def read_authored(folder: Path = FOLDER, *, held_out: bool = False) -> list[Authored]:
    """Read every authored row but the held-out brief, or only that one; raises ``ValueError`` for a faulty row."""
    rows: list[Authored] = []
    for path in sorted(folder.glob("*.jsonl")):
        if (path.stem == HELD_OUT) is held_out:
            rows += _read_file(path)
    return rows


def _read_file(path: Path) -> Iterator[Authored]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        raw = json.loads(line)
        fault = lint(raw)
        if fault:
            raise ValueError(f"{path.name}:{number}: {fault}; mend the row")
        yield Authored(
            raw["text"], raw["target"], tuple(raw["labels"]), tuple(raw["groups"]), tuple(raw["spans"]), raw["brief"]
        )


def lint(raw: dict[str, object]) -> str:
    """Say what is wrong with a raw row, or return an empty string."""
    text, target, labels, groups, spans = (raw.get(key) for key in ("text", "target", "labels", "groups", "spans"))
    if not isinstance(text, str) or not isinstance(target, str) or not text.strip() or not target.strip():
        return "text and target must be non-empty strings"
    if not isinstance(labels, list) or not isinstance(groups, list) or not isinstance(spans, list):
        return "labels, groups and spans must be lists"
    if set(labels) - set(LABELS) or set(groups) - set(GROUPS):
        return f"unknown label or group in {sorted(set(labels) | set(groups))}"
    if (raw.get("label") == 1) is not bool(labels) or (text == target) is bool(labels):
        return "label 1 needs labels and a changed target, label 0 neither"
    missing = [span for span in spans if not isinstance(span, str) or span not in text]
    return f"{len(missing)} span(s) are not substrings of the text" if missing else ""


def detector_rows(items: list[Authored], *, weight: float = 1.0) -> Iterator[Row]:
    """Yield each authored text as a fully known row, and each rewrite as a clean one."""
    for item in items:
        spans = tuple(sorted((item.text.index(span), item.text.index(span) + len(span)) for span in item.spans))
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
