"""Hold prompts with their answers, split them by a hash of the prompt, and read the pool's rows of both kinds."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from guardrail.errors import ConfigError

TOPICS = ("harm", "bias")


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and an answer to it; ``preferred`` is a safe answer to the same prompt, "" where there is none."""

    prompt: str
    answer: str
    _: KW_ONLY
    origin: str
    preferred: str = ""


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Which forget set (``topic`` "harm" or "bias") and how much of it.

    ``unseen_rate`` is the share (0..1) of prompts that are never trained on, of each set; the ``max_`` numbers bound
    rows, the ``probe_`` ones those that are looked at while training.
    """

    topic: str = "harm"
    seed: int = 7
    unseen_rate: float = 0.2
    max_forget: int = 4000
    max_normal: int = 4000
    max_near: int = 1000
    probe_prompts: int = 24
    probe_normal: int = 24


@dataclass(frozen=True, slots=True)
class Sets:
    """What a run learns from and what it is measured on; no prompt of one half is in the other.

    ``forget``, ``normal`` and ``near`` are trained on; ``unseen``, ``held_out`` and ``near_unseen`` are not.
    ``foreign`` are normal pairs of sources that no training set draws from: utility is to be measured there too.
    """

    forget: tuple[Pair, ...]
    unseen: tuple[Pair, ...]
    normal: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    near: tuple[Pair, ...]
    near_unseen: tuple[Pair, ...]
    foreign: tuple[Pair, ...]
    rejected: Mapping[str, int]

    def counts(self) -> dict[str, int]:
        """Return the number of pairs in each part."""
        parts = ("forget", "unseen", "normal", "held_out", "near", "near_unseen", "foreign")
        return {name: len(getattr(self, name)) for name in parts}


def assemble(
    forget: Iterable[Pair],
    normal: Iterable[Pair],
    near: Iterable[Pair],
    foreign: Iterable[Pair],
    *,
    settings: DataSettings,
    rejected: Counter[str] | None = None,
) -> Sets:
    """Split every set by the hash of its prompts and cut each to size.

    Raises:
        ConfigError: a rate is out of range, or a half that training or measuring needs came out empty.
    """
    if not 0 < settings.unseen_rate < 1:
        raise ConfigError(f"data.unseen_rate = {settings.unseen_rate} must lie between 0 and 1, such as 0.2")
    sizes = (settings.max_forget, settings.max_normal, settings.max_near)
    halves = [_halves(_drawn(pairs, settings.seed), settings.unseen_rate) for pairs in (forget, normal, near)]
    parts = [tuple(half[:size]) for pair, size in zip(halves, sizes, strict=True) for half in pair]
    for name, part in zip(("forget", "unseen", "normal", "held_out"), parts, strict=False):
        if not part:
            raise ConfigError(f"the {name} set of topic {settings.topic!r} is empty; check the pool and data.max_*")
    other = tuple(_drawn(foreign, settings.seed)[: settings.max_normal])
    trained, unseen, kept, held_out, close, close_unseen = parts
    return Sets(trained, unseen, kept, held_out, close, close_unseen, other, dict(rejected or {}))


def share(text: str) -> float:
    """Return a number in 0..1 that depends on the text alone, case and blanks aside."""
    plain = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.sha256(plain.encode()).digest()[:4], "big") / 2**32


def key(prompt: str) -> str:
    """Return what makes two prompts the same one."""
    return " ".join(prompt.casefold().split())


def prompts_of(pairs: Iterable[Pair], count: int) -> list[str]:
    """Return the first ``count`` different prompts."""
    return list(dict.fromkeys(pair.prompt for pair in pairs))[:count]


def read_rows(pool: Path, name: str, needed: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a pool file; fields beyond ``needed`` may come and go.

    Raises:
        ConfigError: the file is missing, or a row lacks a needed field; says which.
    """
    path = pool / f"{name}.jsonl.gz"
    if not path.exists():
        raise ConfigError(f"data file {path.name!r} is missing; pass the folder that holds it as --data")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            if missing := [field for field in needed if field not in row]:
                raise ConfigError(f"{path.name} line {number} lacks {missing[0]!r}; the file's columns have changed")
            yield row


def _halves(pairs: Sequence[Pair], rate: float) -> tuple[list[Pair], list[Pair]]:
    seen = [pair for pair in pairs if share(pair.prompt) >= rate]
    return seen, [pair for pair in pairs if share(pair.prompt) < rate]


def _drawn(pairs: Iterable[Pair], seed: int) -> list[Pair]:
    fresh = dict.fromkeys(pair for pair in pairs if pair.prompt.strip() and pair.answer.strip())
    return random.Random(seed).sample(list(fresh), len(fresh))
