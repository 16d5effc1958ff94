"""Read a user's own labelled rows and hold a tenth of them out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guardrail.errors import ConfigError
from guardrail.training.data.schema import Row
from guardrail.training.evaluate.cases import read_cases

LEAST = 40
TENTH = 0.1
SOURCE = "own"


@dataclass(frozen=True, slots=True)
class OwnRows:
    """Rows to train on and rows to measure on; no text is in both."""

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]


def read_own_rows(path: Path, seed: int) -> OwnRows:
    """Read JSON lines of ``text``, ``labels`` (a list, empty for a clean text), and optional ``groups`` and ``spans``.

    A tenth of the texts with a label and a tenth of those without are held out, drawn by ``seed``; of equal texts the
    last row counts.

    Raises:
        ConfigError: a row is malformed or says only that a text is bad, not how; or there are too few rows, or rows of
            one kind only. Names the line, never the text.
        OSError: the file cannot be read.
    """
    found: dict[str, Row] = {}
    for number, case in enumerate(read_cases(path), 1):
        if not case.labels:
            raise ConfigError(
                f"{path.name}: row {number} has no labels; write which labels the text has, and [] where it has none"
            )
        row = Row(case.text, SOURCE, labels=case.labels, groups=case.groups, spans=case.spans)
        found[" ".join(case.text.lower().split())] = row
    rows = list(found.values())
    sides = [[row for row in rows if row.positive is positive] for positive in (True, False)]
    if len(rows) < LEAST or min(map(len, sides)) < 2:
        raise ConfigError(
            f"{path.name} holds {len(sides[0])} different texts with a label and {len(sides[1])} without; fine-tuning"
            f" needs {LEAST} texts and some of each kind; add rows"
        )
    return _split(sides, random.Random(seed))


def _split(sides: Sequence[list[Row]], rng: random.Random) -> OwnRows:
    train: list[Row] = []
    held_out: list[Row] = []
    for side in sides:
        rng.shuffle(side)
        cut = max(1, round(TENTH * len(side)))
        held_out += side[:cut]
        train += side[cut:]
    return OwnRows(tuple(train), tuple(held_out))
