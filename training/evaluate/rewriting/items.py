"""Read the texts that rewriters are measured on: authored rows kept out of training, dev folds of pairs, a user's."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

from guardrail._runtime import Deadline
from guardrail.errors import ConfigError
from guardrail.judge import Judge
from guardrail.training.data.authored import read_authored
from guardrail.training.data.pool import NAMES, read_file
from guardrail.training.data.schema import LABELS
from guardrail.training.data.spans import place_spans
from guardrail.training.rewriter.filters import detokenise, reject_reason, unify

PAIR_FILES = ("pairs_paradetox", "pairs_winobias_plus", "pairs_wnc_small")
SEED = 17
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Item:
    """One text to rewrite, or a ``clean`` one to leave alone.

    ``reference`` is a rewrite by hand, None where there is none; ``spans`` are the characters at fault, () where nobody
    marked them. ``origin`` names the file or brief, ``register`` the kind of text where the row says it. The texts of
    an ``own`` item were written for this project and may be shown in a report.
    """

    text: str
    _: KW_ONLY
    clean: bool
    reference: str | None = None
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    origin: str = ""
    register: str = ""
    own: bool = False

    @property
    def flagged(self) -> tuple[str, ...]:
        """Return the stretches at fault, as written."""
        return tuple(self.text[start:end] for start, end in self.spans)


def held_out(folder: Path | None = None) -> list[Item]:
    """Return the authored rows that no training has seen, from ``folder`` or the installed one."""
    rows = read_authored(held_out=True) if folder is None else read_authored(folder, held_out=True)
    return [
        Item(
            row.text,
            clean=not row.labels,
            reference=row.target if row.labels and not row.unpaired else None,
            labels=row.labels,
            groups=row.groups,
            spans=place_spans(row.text, row.spans),
            origin=row.brief,
            own=True,
        )
        for row in rows
    ]


def dev_pairs(pool: Path, each: int, names: Sequence[str] = PAIR_FILES) -> list[Item]:
    """Return up to ``each`` pairs of every file's dev fold, drawn by a fixed seed, word tokens joined to plain text.

    Pairs that the training's own filter finds unfit (copies, lectures, lost numbers, another content) are left out: a
    bad reference measures nothing. A file that the pool lacks is left out; raises ``ConfigError`` where it has none.
    """
    found = []
    there = [name for name in names if (pool / f"{name}.jsonl.gz").is_file()]
    if not there:
        raise ConfigError(f"{pool} has none of {', '.join(names)}; give the folder of the public pool")
    for name in there:
        fit = [item for raw in read_file(pool, name) if (item := _pair(raw, name)) is not None]
        found += random.Random(f"{SEED}/{name}").sample(fit, min(each, len(fit)))
    return found


def _pair(raw: dict[str, object], name: str) -> Item | None:
    if raw.get("fold") != "dev":
        return None
    before, text, target = str(raw["text"]), detokenise(str(raw["text"])), detokenise(str(raw["target"]))
    given = raw.get("spans")
    marked = given if isinstance(given, list) else []
    stretches = [span for start, end in marked if (span := unify(before[start:end])) and span in text]
    if reject_reason(text, target, spans=stretches):
        return None
    labels = raw["labels"] if isinstance(raw["labels"], list) else []
    return Item(
        text,
        clean=False,
        reference=target,
        labels=tuple(NAMES.get(str(label), str(label)) for label in labels if ":" not in str(label)),
        groups=tuple(str(label).removeprefix("g:") for label in labels if str(label).startswith("g:")),
        spans=place_spans(text, stretches),
        origin=name.removeprefix("pairs_"),
    )


def read_items(path: Path) -> list[Item]:
    """Read a JSONL file whose rows have ``text`` and, where known, ``target``, ``label``, ``labels``, ``spans``.

    A row is clean where its label is 0, its labels are empty or its target is its text; ``spans`` are substrings or
    [start, end) pairs. An authored file is read by the same rule.

    Raises:
        ConfigError: a row has another form, or there are no rows; names the file and the line, never the text.
        OSError: the file cannot be read.
    """
    try:
        items = [_given(line, path.stem, f"{path.name}:{n}") for n, line in _lines(path)]
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is not UTF-8; convert it first, for instance with iconv -t utf-8") from None
    if not items:
        raise ConfigError(f"{path.name} holds no rows; each line must be a JSON object with a text")
    return items


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8") as lines:
        yield from ((n, line) for n, line in enumerate(lines, 1) if line.strip())


def _given(line: str, name: str, where: str) -> Item:
    try:
        raw = json.loads(line)
    except json.JSONDecodeError:
        raw = None
    if not isinstance(raw, dict) or not isinstance(raw.get("text"), str) or not raw["text"].strip():
        raise ConfigError(f"{where} is no JSON object with a text; mend the row")
    target, labels = raw.get("target"), _names(raw.get("labels"), where)
    if target is not None and not isinstance(target, str):
        raise ConfigError(f"{where}: target must be a text; mend the row")
    clean = raw.get("label") == 0 or raw.get("labels") == [] or target == raw["text"]
    if clean and labels:
        raise ConfigError(f"{where}: a row with labels cannot be clean; mend its label or its target")
    return Item(
        raw["text"],
        clean=clean,
        reference=None if clean or raw.get("unpaired") else target,
        labels=tuple(label for label in labels if label in LABELS),
        groups=_names(raw.get("groups"), where),
        spans=_spans(raw, where),
        origin=str(raw.get("brief") or name),
        register=str(raw.get("register") or ""),
    )


def _names(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ConfigError(f"{where}: labels and groups must be lists; mend the row")
    return tuple(NAMES.get(str(one), str(one)) for one in value)


def _spans(raw: dict[str, Any], where: str) -> tuple[Span, ...]:
    given, text = raw.get("spans") or [], raw["text"]
    try:
        if all(isinstance(span, str) for span in given):
            spans = list(place_spans(text, [span for span in given if span]))
        else:
            spans = [(int(start), int(end)) for start, end in given]
    except (TypeError, ValueError):
        spans = [(-1, 0)]
    if any(not 0 <= start < end <= len(text) for start, end in spans):
        raise ConfigError(f"{where}: spans must be substrings of the text, or [start, end) within it; mend the row")
    return tuple(spans)


def with_spans(items: Sequence[Item], judge: Judge) -> list[Item]:
    """Mark what ``judge`` finds in biased items whose stretches at fault nobody marked."""
    bare = [i for i, item in enumerate(items) if not item.clean and not item.spans]
    found = judge.detect([items[i].text for i in bare], Deadline(None))
    marked = {i: tuple(sorted({(f.start, f.end) for f in one.findings})) for i, one in zip(bare, found, strict=True)}
    return [replace(item, spans=marked.get(i, item.spans)) for i, item in enumerate(items)]
