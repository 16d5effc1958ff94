"""Time a rewriter on sentences of 25 words, on one thread and on two, in turns with copying."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from guardrail._runtime import Deadline
from guardrail.guard import Pipeline
from guardrail.rewrite.base import Rewriter, RewriteRequest
from guardrail.training.evaluate.latency import interleave
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.writers import requests_of
from guardrail.training.evaluate.section import Figures, Section

WORDS = 25
COPY = "copy"


def sentences(items: Sequence[Item], count: int) -> list[RewriteRequest]:
    """Return the ``count`` flagged sentences whose lengths come nearest to 25 words."""
    found = [request for item in items if not item.clean for _, request in requests_of(item)]
    return sorted(found, key=lambda request: abs(len(request.sentence.split()) - WORDS))[:count]


def times(
    rewriters: Mapping[int, Mapping[str, Rewriter]],
    guards: Mapping[int, Pipeline],
    requests: Sequence[RewriteRequest],
    whole: str,
) -> Section:
    """Return p50 and p95 in milliseconds a sentence, by threads: each rewriter once, the ``whole`` check, copying.

    ``rewriters`` and ``guards`` are by their number of threads. All cases run in turns.
    """
    rows: dict[str, dict[str, Figures]] = {}
    for threads, named in rewriters.items():
        row = "1 thread" if threads == 1 else f"{threads} threads"
        rows[row] = _row(_cases(named, guards[threads], requests, whole))
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    mean = statistics.mean(len(request.sentence.split()) for request in requests) if requests else float("nan")
    note = (
        f"{len(requests)} flagged sentences of {mean:.0f} words on average, one round each, run in turns; the whole "
        f"check judges, rewrites and verifies, in up to all its rounds. The load average was {load} on "
        f"{os.cpu_count()} cores."
    )
    return Section("latency", "Latency of a sentence of 25 words", note, rows)


def _cases(
    named: Mapping[str, Rewriter], guard: Pipeline, requests: Sequence[RewriteRequest], whole: str
) -> dict[tuple[str, str], Callable[[], object]]:
    cases: dict[tuple[str, str], Callable[[], object]] = {}
    for index, request in enumerate(requests):
        for name, rewriter in named.items():
            cases[name, str(index)] = partial(rewriter.rewrite, [request], Deadline(None))
        cases[whole, str(index)] = partial(guard.check, request.sentence)
        cases[COPY, str(index)] = partial(str, request.sentence)
    return cases


def _row(cases: Mapping[tuple[str, str], Callable[[], object]]) -> dict[str, Figures]:
    spent: dict[str, list[float]] = {}
    for (name, _), values in interleave(cases, 1).items():
        spent.setdefault(name, []).extend(values)
    return {name: _figures(values) for name, values in spent.items()}


def _figures(values: Sequence[float]) -> Figures:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"p50_ms": statistics.median(ordered), "p95_ms": p95}
