"""Read labelled texts of any of the known forms as cases to measure on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError
from guardrail.result import GROUPS
from guardrail.training.data.authored import FOLDER
from guardrail.training.data.lint import HELD_OUT, lint
from guardrail.training.data.pool import to_row
from guardrail.training.data.schema import LABELS, Row, fold_of, known
from guardrail.training.data.spans import place_spans

Spans = tuple[tuple[int, int], ...]
_FORMS = (
    "a row needs text and one of: label (0 or 1), labels (a list), the pool's scope and labels, or the authored "
    "rows' brief, labels and target"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One text and what is known about it.

    ``labels`` and ``groups`` map what is known to 1 or 0; ``biased`` says whether any label is present, None where
    nobody looked for all. ``mentions`` are groups that a blameless text names; ``spans`` is None where not annotated.
    """

    text: str
    bucket: str
    _: KW_ONLY
    labels: Mapping[str, int] = field(default_factory=dict)
    biased: int | None = None
    groups: Mapping[str, int] = field(default_factory=dict)
    mentions: tuple[str, ...] = ()
    spans: Spans | None = None
    fold: str = "dev"


def read_cases(path: Path) -> list[Case]:
    """Read a ``.jsonl`` or ``.jsonl.gz`` file, rows of a training fold marked as such in ``Case.fold``.

    Raises:
        ConfigError: a row has none of the known forms, or the file has no rows; names the file and the line.
        OSError: the file cannot be read.
    """
    name = path.name.removesuffix(".gz").removesuffix(".jsonl")
    cases = [case for number, raw in _lines(path) for case in _cases(raw, name, f"{path.name}:{number}")]
    if not cases:
        raise ConfigError(f"{path.name} holds no rows; {_FORMS}")
    return cases


def from_row(row: Row, *, biased: int | None = None) -> Case:
    """Return a training row as a case; a row is blameless where its labels are known and all absent."""
    if biased is None and row.labels:
        biased = int(row.positive)
    return Case(
        row.text,
        row.source.split("/")[0] if not row.source.startswith("authored/") else row.source.split("/")[1],
        labels=row.labels,
        biased=biased,
        groups=row.groups,
        spans=row.spans,
        fold=row.fold,
    )


def measured(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that no training has seen."""
    return [case for case in cases if case.fold == "dev"]


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, _parsed(line, f"{path.name}:{number}")
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is not UTF-8; convert it first, for instance with iconv -t utf-8") from None


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        raw = json.loads(line)
    except json.JSONDecodeError:
        raw = None
    if not isinstance(raw, dict) or not isinstance(raw.get("text"), str) or not raw["text"].strip():
        raise ConfigError(f"{where} is no JSON object with a text; {_FORMS}")
    return raw


def _cases(raw: dict[str, Any], name: str, where: str) -> Iterator[Case]:
    if isinstance(raw.get("scope"), list) and isinstance(raw.get("labels"), list):
        yield from _pool(raw, name)
    elif "brief" in raw and "target" in raw:
        yield _authored(raw, where)
    else:
        yield _plain(raw, name, where)


def _pool(raw: dict[str, Any], name: str) -> Iterator[Case]:
    if raw.get("context_dependent"):
        return
    row = to_row(raw, name)
    yield from_row(row)
    target = raw.get("target")
    if isinstance(target, str) and target.strip() and target != row.text:
        spans = () if row.spans is not None else None
        absent = dict.fromkeys(row.labels, 0)
        yield replace(from_row(replace(row, text=target, labels=absent, spans=spans)), groups={})


def _authored(raw: dict[str, Any], where: str) -> Case:
    if fault := lint(raw):
        raise ConfigError(f"{where}: {fault}; mend the row")
    unsure = set(raw["labels"]) ^ set(raw.get("second", raw["labels"]))
    labels = {label: value for label, value in known(LABELS, raw["labels"]).items() if label not in unsure}
    trained = raw["brief"] != HELD_OUT and (FOLDER / f"{raw['brief']}.jsonl").exists()
    spans = place_spans(raw["text"], raw["spans"])
    return Case(
        raw["text"],
        raw["brief"],
        labels=labels,
        biased=int(bool(raw["labels"])),
        groups=known(GROUPS, raw["groups"]),
        mentions=tuple(raw.get("mentions", ())),
        spans=spans if spans or not raw["labels"] else None,
        fold=fold_of(raw["text"]) if trained else "dev",
    )


def _plain(raw: dict[str, Any], name: str, where: str) -> Case:
    label, labels = raw.get("label"), raw.get("labels")
    if labels is None and label in (0, 1):
        labels = None if label else []
    elif not isinstance(labels, list) or (label is not None and label not in (0, 1)):
        raise ConfigError(f"{where} has labels of another form; {_FORMS}")
    strange = [one for one in labels or () if one not in LABELS]
    if strange or (label is not None and labels is not None and bool(label) is not bool(labels)):
        raise ConfigError(f"{where}: labels must be of {', '.join(LABELS)} and agree with label; mend the row")
    groups = _names(raw.get("groups"), where)
    return Case(
        raw["text"],
        name,
        labels={} if labels is None else known(LABELS, labels),
        biased=1 if labels is None else int(bool(labels)),
        groups={} if groups is None else known(GROUPS, groups),
        spans=_spans(raw, where),
        fold="train" if raw.get("fold") == "train" else "dev",
    )


def _names(value: object, where: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or any(one not in GROUPS for one in value):
        raise ConfigError(f"{where}: groups must be of {', '.join(GROUPS)}; mend the row")
    return value


def _spans(raw: dict[str, Any], where: str) -> Spans | None:
    value = raw.get("spans")
    if value is None:
        return None
    try:
        spans = tuple((int(start), int(end)) for start, end in value)
    except (TypeError, ValueError):
        spans = ((-1, 0),)
    if any(not 0 <= start < end <= len(raw["text"]) for start, end in spans):
        raise ConfigError(f"{where}: spans must be [start, end) characters within the text; mend the row")
    return spans
