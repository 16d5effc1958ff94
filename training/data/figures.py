"""Measure a folder of authored rows: counts, variety, what gives the label away, agreement."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from guardrail.result import GROUPS
from guardrail.training.data import giveaway, variety
from guardrail.training.data.agreement import Agreement, agreement, draw
from guardrail.training.data.lint import DISPUTED, HELD_OUT, Raw, lint_folder, raw_rows
from guardrail.training.data.pool import read_file
from guardrail.training.data.schema import LABELS
from guardrail.training.data.variety import Nearness, Neighbours

SAMPLE = 300
SEED = 17
WORST = 5
TELLS = 8
# Filled-in templates, sentences of a crowd, sentences of a model: what "varied" means beside sets that people know.
YARDSTICKS = {"seegull_templates": "templates", "stereoset": "a crowd's", "toxigen_annotated": "a model's"}
YARDSTICK_ROWS = 400


@dataclass(frozen=True, slots=True)
class Brief:
    """One file's figures: counts, mean words by class, distinct triples, nearest neighbours, AUCs.

    ``words_within`` is the AUC of a baseline in cross-validation within the brief, ``style_within`` that of style in
    cross-validation over all rows; ``*_left_out`` never saw the brief. NaN where the brief has one class only.
    """

    name: str
    rows: int
    positives: int
    dropped: int
    labels: Mapping[str, int]
    groups: Mapping[str, int]
    mentions: Mapping[str, int]
    words_biased: float
    words_clean: float
    trigrams: float
    inside: Nearness
    outside: Nearness
    words_within: float
    words_left_out: float
    style_within: float
    style_left_out: float


@dataclass(frozen=True, slots=True)
class Alike:
    """Two rows by brief and line, their labels (0 or 1), and their similarity in [0, 1]."""

    one: str
    other: str
    labels: tuple[int, int]
    similarity: float


@dataclass(frozen=True, slots=True)
class Quality:
    """All figures of a folder.

    ``masked`` counts the rows on which the annotators differ over a label, ``worst`` holds the nearest pairs of rows
    by kind, ``tells`` the AUC of single features of style, ``sampled`` the agreement on a sample, ``agreed`` on all.
    """

    briefs: tuple[Brief, ...]
    whole: Brief
    masked: Mapping[str, int]
    yardsticks: Mapping[str, tuple[float, Nearness]]
    worst: Mapping[str, tuple[Alike, ...]]
    tells: tuple[tuple[str, float], ...]
    sampled: tuple[Agreement, ...]
    agreed: tuple[Agreement, ...]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The kept rows as columns."""

    raws: list[Raw]
    texts: list[str]
    truth: np.ndarray
    briefs: np.ndarray
    where: list[str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The kept rows, the dropped ones, and what was found about all kept ones at once: one entry a row."""

    rows: _Rows
    dropped: _Rows
    near: Neighbours
    ties: list[str]
    style: np.ndarray
    looks: np.ndarray


def measure(folder: Path, *, sample: int = SAMPLE, seed: int = SEED, pool: Path | None = None) -> Quality:
    """Measure a folder of sound authored rows; raises ``ValueError`` that names the faults of unsound ones."""
    faults = lint_folder(folder)
    if faults:
        raise ValueError("\n".join([*faults, f"{len(faults)} fault(s); mend or drop these rows first"]))
    rows, dropped = _read(folder), _read(folder / DISPUTED)
    if not rows.raws:
        raise ValueError(f"no rows in {folder.name!r}; pass the folder of authored rows")
    yardsticks = _yardsticks(rows.texts, pool, seed)
    seen = _look(rows, dropped)
    both = [*rows.raws, *dropped.raws]
    masked = Counter(name for raw in rows.raws for name in set(raw["labels"]) ^ set(raw.get("second", raw["labels"])))
    return Quality(
        briefs=tuple(_brief(name, seen) for name in sorted(set(rows.briefs))),
        whole=_brief("", seen),
        masked={name: masked[name] for name in LABELS},
        yardsticks=yardsticks,
        worst=_worst(rows, seen.near),
        tells=tuple(giveaway.tells(seen.style, rows.truth, TELLS)),
        sampled=tuple(agreement(draw(both, sample, seed))),
        agreed=tuple(agreement(both)),
    )


def _read(folder: Path) -> _Rows:
    placed = [(path.stem, number, raw) for path in sorted(folder.glob("*.jsonl")) for number, raw in raw_rows(path)]
    raws = [raw for *_, raw in placed]
    return _Rows(
        raws,
        [raw["text"] for raw in raws],
        np.array([raw["label"] for raw in raws], int),
        np.array([brief for brief, *_ in placed], str),
        [f"{brief}:{number}" for brief, number, _ in placed],
    )


def _look(rows: _Rows, dropped: _Rows) -> _Seen:
    near = variety.neighbours(rows.texts, list(rows.briefs))
    # A biased row and its neighbour share all but the label: parted by a fold, they would teach the opposite.
    ties = [
        f"{raw['brief']}/{raw['triple']}" if "triple" in raw else str(family)
        for raw, family in zip(rows.raws, variety.families(near), strict=True)
    ]
    style = giveaway.style(rows.texts)
    return _Seen(rows, dropped, near, ties, style, giveaway.style_within(style, rows.truth, ties))


def _brief(name: str, seen: _Seen) -> Brief:
    """Measure the rows of one brief, or all of them where the name is empty."""
    rows = seen.rows
    mine = np.ones(len(rows.raws), bool) if not name else rows.briefs == name
    at = np.flatnonzero(mine)
    texts, truth = [rows.texts[i] for i in at], rows.truth[at]
    others = np.flatnonzero(~mine & (rows.briefs != HELD_OUT))
    lengths = np.array([len(text.split()) for text in texts])
    return Brief(
        name or "all",
        len(at),
        int(truth.sum()),
        len(seen.dropped.raws) if not name else int((seen.dropped.briefs == name).sum()),
        _counted([rows.raws[i]["labels"] for i in at], LABELS),
        _counted([rows.raws[i]["groups"] for i in at], GROUPS),
        _counted([rows.raws[i].get("mentions", []) for i in at], GROUPS),
        _mean(lengths[truth == 1]),
        _mean(lengths[truth == 0]),
        variety.distinct_trigrams(texts),
        variety.nearness(seen.near.inside[at]),
        variety.nearness(seen.near.outside[at]),
        giveaway.words_within(texts, truth, [seen.ties[i] for i in at]),
        giveaway.words_left_out([rows.texts[i] for i in others], rows.truth[others], texts, truth),
        giveaway.auc_of(seen.looks[at], truth),
        giveaway.style_left_out(seen.style[others], rows.truth[others], seen.style[at], truth),
    )


def _counted(lists: Sequence[Sequence[str]], names: Sequence[str]) -> dict[str, int]:
    counts = Counter(name for one in lists for name in one)
    return {name: counts[name] for name in names}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _worst(rows: _Rows, near: Neighbours) -> dict[str, tuple[Alike, ...]]:
    held_out = np.where(rows.briefs == HELD_OUT, near.outside, -1.0)
    return {
        "within a brief": _alike(rows, near.inside, near.inside_at),
        "across briefs": _alike(rows, near.outside, near.outside_at),
        "held-out against training": _alike(rows, held_out, near.outside_at),
    }


def _alike(rows: _Rows, similarities: np.ndarray, places: np.ndarray) -> tuple[Alike, ...]:
    return tuple(
        Alike(
            rows.where[pair.one],
            rows.where[pair.other],
            (int(rows.truth[pair.one]), int(rows.truth[pair.other])),
            pair.similarity,
        )
        for pair in variety.closest(similarities, places, WORST)
    )


def _yardsticks(texts: Sequence[str], pool: Path | None, seed: int) -> dict[str, tuple[float, Nearness]]:
    if pool is None:
        return {}
    sets = {"these rows": list(texts)}
    for name, kind in YARDSTICKS.items():
        sets[f"{name} ({kind})"] = [str(raw["text"]) for raw in read_file(pool, name)]
    return {name: variety.yardstick(one, YARDSTICK_ROWS, seed) for name, one in sets.items()}


def as_json(quality: Quality) -> str:
    """Return all figures as JSON, null for what cannot be measured; rows are named by brief and line, without texts."""
    return json.dumps(_plain(asdict(quality)), indent=1) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
