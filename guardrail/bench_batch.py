"""Measure batches on this machine: texts a second in one process, and what threads, Ray and Spark make of it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from guardrail.bench import SHORT, Throughput
from guardrail.bench_stream import watcher
from guardrail.load import load_detector
from guardrail.table import Checker

ONE = "one process"
Build: TypeAlias = Callable[[], Checker]
Measured: TypeAlias = tuple[float, float]
"""Texts a second, and seconds until the first."""


def measure_batches(
    detector: str, rows: int, workers: int | None = None, build: Build | None = None
) -> tuple[list[Throughput], list[str]]:
    """Judge ``rows`` texts each way; what is not installed lands in the second list, with the reason.

    Args:
        detector: name or folder of the bundle; nothing is rewritten.
        rows: texts to judge, at least one.
        workers: threads, actors of Ray, cores of Spark; by default two, or one where there is one core.
        build: builds another guard, on the worker.

    Raises:
        ModelNotFoundError: there is no such bundle.
    """
    made, workers = build or partial(_watcher, detector), workers or min(2, os.cpu_count() or 1)
    texts = [f"{number}. {SHORT}" for number in range(rows)]
    cases: dict[str, Callable[[], Measured]] = {
        ONE: partial(_threads, made, texts, 1),
        f"one process, {workers} threads": partial(_threads, made, texts, workers),
        f"Ray, {workers} actors": partial(_ray, made, texts, workers),
        f"Spark, {workers} cores": partial(_spark, made, texts, workers),
    }
    found, skipped = [], []
    for name, case in cases.items():
        try:
            rate, start = case()
        except ImportError as error:
            skipped.append(f"{name}: {error}")
        else:
            found.append(Throughput(name, rate, start_s=start, rows=rows))
    return found, skipped


def _watcher(detector: str) -> Checker:
    return watcher(load_detector(detector))


def _threads(build: Build, texts: Sequence[str], workers: int) -> Measured:
    begun = time.perf_counter()
    guard = build()
    guard.check(texts[0])
    ready = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(guard.check, texts):
            pass
    return len(texts) / (time.perf_counter() - ready), ready - begun


def _ray(build: Build, texts: Sequence[str], workers: int) -> Measured:
    # Ray reports how it is used unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    begun = time.perf_counter()
    from guardrail.adapters.ray import check_chunks

    size = max(1, len(texts) // (8 * workers))
    chunks = ((at, texts[at : at + size]) for at in range(0, len(texts), size))
    with _ray_running(workers):
        ends = [(time.perf_counter(), len(rows)) for _, rows in check_chunks(chunks, guard=build, workers=workers)]
    return steady(ends, begun, workers)


def steady(ends: Sequence[tuple[float, int]], begun: float, workers: int) -> Measured:
    """Return the rate of ``ends``, the time and the texts of each answer, once no actor is loading any more."""
    # An actor has two chunks at a time: after two answers for each of them, all of them answer.
    first = min(2 * workers, len(ends) - 1) - 1
    since = ends[first][0] if first >= 0 else begun
    return sum(rows for _, rows in ends[first + 1 :]) / (ends[-1][0] - since), ends[0][0] - begun


@contextmanager
def _ray_running(workers: int) -> Iterator[None]:
    try:
        import ray
    except ImportError:
        raise ImportError('Ray is not installed: pip install "guardrail-sdk[ray]"') from None
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        if started:
            ray.shutdown()


def _spark(build: Build, texts: Sequence[str], workers: int) -> Measured:
    begun = time.perf_counter()
    from guardrail.adapters.spark import guard_udf

    judge = guard_udf(build)
    session = _spark_session(workers)
    try:
        frame = session.createDataFrame([(text,) for text in texts], "text string").repartition(workers).cache()
        frame.limit(workers).repartition(workers).select(judge("text")["action"]).collect()
        frame.count()
        ready = time.perf_counter()
        frame.select(judge("text")["action"]).collect()
        return len(texts) / (time.perf_counter() - ready), ready - begun
    finally:
        session.stop()


def _spark_session(workers: int) -> Any:
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise ImportError("Spark needs Java 17 or newer")
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings: dict[str, bool | float | int | str | None] = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    return SparkSession.builder.master(f"local[{workers}]").config(map=settings).getOrCreate()
