"""Read a decision log: keep the records that are wanted, count and sum them up, count the damaged lines too."""

from __future__ import annotations

import json
import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardrail.errors import GuardrailError
from guardrail.result import Action, Label

# Upper ends in milliseconds; the last bin is open.
LATENCIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
BINS = 10
_LONGEST_LINE = 64 * 2**20
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records count: those of any of the actions and any of the labels, from ``since`` until before ``until``."""

    since: datetime | None = None
    until: datetime | None = None
    _: KW_ONLY
    actions: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def has(self, entry: Entry) -> bool:
        """Tell whether a record counts."""
        return (
            (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time < self.until)
            and (not self.actions or entry.action in self.actions)
            and (not self.labels or not self.labels.isdisjoint(entry.labels))
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """What is counted of one record; scores are 0 to 1, ``error`` is a class, "" for none."""

    time: datetime
    action: str
    _: KW_ONLY
    flagged: bool
    labels: tuple[str, ...]
    scores: dict[str, float]
    latency_ms: float
    error: str
    model: str
    policy: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of the wanted records; of ``labels`` each is counted once a record.

    ``hours`` maps the beginning of an hour (UTC) to counts by action, ``latency_ms`` names percentiles,
    ``latencies`` counts records by the bins of ``LATENCIES``, ``scores`` counts each label's scores in tenths.
    """

    records: int
    damaged: int
    _: KW_ONLY
    others: int
    flagged: int
    first: str
    last: str
    actions: dict[str, int]
    labels: dict[str, int]
    errors: dict[str, int]
    models: dict[str, int]
    policies: dict[str, int]
    hours: dict[str, dict[str, int]]
    latency_ms: dict[str, float]
    latencies: tuple[int, ...]
    scores: dict[str, tuple[int, ...]]


def summarise(paths: Iterable[Path], wanted: Wanted) -> Summary:
    """Read logs line by line and sum up what is wanted of them.

    Raises:
        GuardrailError: a file cannot be read, or holds lines and not one of them is a record.
    """
    total = _Total()
    for path in paths:
        seen, damaged = total.lines, total.damaged
        for line in _lines(path):
            total.add(parse(line), wanted)
        if total.lines > seen and total.lines - seen == total.damaged - damaged:
            raise GuardrailError(
                f"{str(path)!r} holds no record of a decision log; give a file that AuditLog has written"
            )
    return total.summary()


def parse(line: bytes) -> Entry | None:
    """Return what a line holds, None if it is no record of a decision."""
    try:
        data = json.loads(line)
        return Entry(
            _in_utc(datetime.fromisoformat(data["time"])),
            str(Action(data["action"])),
            flagged=bool(data["flagged"]),
            labels=tuple(str(Label(label)) for label in data["labels"]),
            scores={str(Label(label)): _within(score, 1.0) for label, score in data["scores"].items()},
            latency_ms=_within(data["latency_ms"], math.inf),
            error=str(data["error"] or ""),
            model=str(data["model"]),
            policy=str(data["policy"] or ""),
        )
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def moment(given: str, now: datetime | None = None) -> datetime:
    """Return the time that a date, a date with a time (UTC unless it says otherwise) or an age such as ``24h`` means.

    Raises:
        GuardrailError: it is none of these.
    """
    try:
        if given[-1:] in _UNITS and given[:-1].isdecimal():
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[given[-1]]: int(given[:-1])})
        return _in_utc(datetime.fromisoformat(given))
    except (ValueError, OverflowError):
        raise GuardrailError(
            f"{given!r} is no time; give 2026-11-21, 2026-11-21T09:30 (UTC), or an age such as 30m, 24h, 7d"
        ) from None


@dataclass(slots=True)
class _Total:
    lines: int = 0
    damaged: int = 0
    others: int = 0
    flagged: int = 0
    first: datetime | None = None
    last: datetime | None = None
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("action", "label", "error", "model", "policy")}
    )
    hours: dict[datetime, Counter[str]] = field(default_factory=dict)
    latencies: array[float] = field(default_factory=lambda: array("d"))
    scores: dict[str, list[int]] = field(default_factory=dict)

    def add(self, entry: Entry | None, wanted: Wanted) -> None:
        self.lines += 1
        if entry is None:
            self.damaged += 1
        elif wanted.has(entry):
            self._count(entry)
        else:
            self.others += 1

    def _count(self, entry: Entry) -> None:
        self.first = min(self.first or entry.time, entry.time)
        self.last = max(self.last or entry.time, entry.time)
        self.flagged += entry.flagged
        self.counts["action"][entry.action] += 1
        self.counts["label"].update(set(entry.labels))
        for name, value in (("error", entry.error), ("model", entry.model), ("policy", entry.policy)):
            if value:
                self.counts[name][value] += 1
        hour = entry.time.replace(minute=0, second=0, microsecond=0)
        self.hours.setdefault(hour, Counter())[entry.action] += 1
        self.latencies.append(entry.latency_ms)
        for label, score in entry.scores.items():
            self.scores.setdefault(label, [0] * BINS)[min(BINS - 1, int(score * BINS))] += 1

    def summary(self) -> Summary:
        ordered = sorted(self.latencies)
        bins = Counter(bisect_left(LATENCIES, latency) for latency in ordered)
        return Summary(
            len(ordered),
            self.damaged,
            others=self.others,
            flagged=self.flagged,
            first=self.first.isoformat() if self.first else "",
            last=self.last.isoformat() if self.last else "",
            actions={action: self.counts["action"][action] for action in Action if self.counts["action"][action]},
            labels={label: self.counts["label"][label] for label in Label if self.counts["label"][label]},
            errors=dict(self.counts["error"].most_common()),
            models=dict(self.counts["model"].most_common()),
            policies=dict(self.counts["policy"].most_common()),
            hours={hour.isoformat(): dict(self.hours[hour]) for hour in sorted(self.hours)},
            latency_ms={name: _percentile(ordered, share) for name, share in _SHARES.items()} if ordered else {},
            latencies=tuple(bins[index] for index in range(len(LATENCIES) + 1)),
            scores={label: tuple(self.scores[label]) for label in Label if label in self.scores},
        )


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _within(value: float, highest: float) -> float:
    if not 0 <= value <= highest or math.isinf(value):
        raise ValueError("out of range")
    return float(value)


def _in_utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines that are not blank; one without end is given in parts, which are no records."""
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                if line.strip():
                    yield line
    except OSError as error:
        raise GuardrailError(
            f"decision log {str(path)!r} cannot be read: {error.strerror}; give a readable file"
        ) from None
