"""Read the rows that we wrote ourselves: biased sentences with a neutral rewrite, and blameless neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guardrail.result import GROUPS
from guardrail.training.data.lint import HELD_OUT as HELD_OUT
from guardrail.training.data.lint import lint as lint
from guardrail.training.data.lint import raw_rows
from guardrail.training.data.schema import LABELS, Row, fold_of, known
from guardrail.training.data.spans import place_spans

FOLDER = Path(__file__).parent / "authored"


@dataclass(frozen=True, slots=True)
class Authored:
    """One authored row; ``target`` equals ``text`` when the row is clean, ``spans`` are substrings of ``text``.

    ``unsure`` are the labels that its two annotators did not agree on: they count neither as present nor as absent.
    The ``target`` of an ``unpaired`` row was dropped by the second reader of the rewrites: nothing learns from it.
    """

    text: str
    target: str
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    spans: tuple[str, ...]
    brief: str
    unsure: tuple[str, ...] = ()
    unpaired: bool = False


def read_authored(folder: Path = FOLDER, *, held_out: bool = False) -> list[Authored]:
    """Read every authored row but the held-out brief, or only that one; raises ``ValueError`` for a faulty row."""
    paths = [path for path in sorted(folder.glob("*.jsonl")) if (path.stem == HELD_OUT) is held_out]
    return [row for path in paths for row in _read_file(path)]


def _read_file(path: Path) -> Iterator[Authored]:
    for number, raw in raw_rows(path):
        if fault := lint(raw, path.stem):
            raise ValueError(f"{path.name}:{number}: {fault}; mend the row")
        unsure = sorted(set(raw["labels"]) ^ set(raw.get("second", raw["labels"])))
        yield Authored(
            raw["text"],
            raw["target"],
            tuple(raw["labels"]),
            tuple(raw["groups"]),
            tuple(raw["spans"]),
            raw["brief"],
            tuple(unsure),
            bool(raw.get("unpaired")),
        )


def span_offsets(item: Authored) -> tuple[tuple[int, int], ...]:
    """Return the (start, end) characters of an authored row's spans, in order, as ``place_spans`` finds them."""
    return place_spans(item.text, item.spans)


def detector_rows(items: list[Authored], *, weight: float = 1.0) -> Iterator[Row]:
    """Yield each authored text as a fully known row, and each rewrite that was kept as a clean one."""
    for item in items:
        spans = span_offsets(item)
        yield Row(
            item.text,
            f"authored/{item.brief}",
            labels={name: value for name, value in known(LABELS, item.labels).items() if name not in item.unsure},
            groups=known(GROUPS, item.groups),
            spans=spans if spans or not item.labels else None,
            weight=weight,
            fold=fold_of(item.text),
        )
        if item.labels and not item.unpaired:
            yield Row(
                item.target,
                f"authored/{item.brief}/rewrite",
                labels=known(LABELS, ()),
                groups=known(GROUPS, ()),
                spans=(),
                weight=weight,
                fold=fold_of(item.text),
            )
