"""Judge a file of texts for ``guardrail check --input``: chunk by chunk, with a progress bar, to go on after a kill."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import typer

from guardrail.cli.batch_plan import Batch, EngineName
from guardrail.cli.door import CLEAN, FAILED, FLAGGED, tell
from guardrail.cli.output import print_json
from guardrail.cli.parts import factory_of
from guardrail.config import Config
from guardrail.errors import GuardrailError
from guardrail.result import Action
from guardrail.table import Checker, Row, checked_row

if TYPE_CHECKING:
    from rich.progress import Progress

    from guardrail.cli.batch_read import Chunk, Reader
    from guardrail.cli.batch_work import Summary, Work

Engine: TypeAlias = "Callable[[Iterator[Chunk], Callable[[], Checker], int], Iterator[tuple[Chunk, list[Row]]]]"


def run_batch(context: typer.Context, config: Config, batch: Batch, *, as_json: bool) -> int:
    """Judge every row of a file, say what came out and return the exit code.

    Raises:
        GuardrailError: pyarrow or Ray is missing, the input cannot be read, the output cannot be written, or what an
            interrupted run left does not fit.
    """
    most = config.policy.max_running
    if batch.engine is EngineName.LOCAL and batch.workers > most:
        raise GuardrailError(
            f"{batch.workers} workers are more than policy.max_running = {most}; raise it, or take fewer"
        )
    reader, work = _opened(batch)
    work.begin(batch.settings(config), resume=batch.resume)
    summary = _run(reader, work, batch, partial(factory_of(context), config, False))
    if as_json:
        print_json(summary)
    else:
        _print(summary)
    if summary.failed:
        tell(f"not judged: {summary.failed} of {summary.rows} rows; their column error says why")
        return FAILED
    return CLEAN if set(summary.actions) <= {Action.ALLOW} else FLAGGED


def _opened(batch: Batch) -> tuple[Reader, Work]:
    try:
        from guardrail.cli.batch_read import open_rows
        from guardrail.cli.batch_work import Work
    except ImportError:
        raise GuardrailError('files of rows need pyarrow: pip install "guardrail-sdk[batch]"') from None
    reader = open_rows(batch.input, batch.field, batch.keep)
    return reader, Work(batch.output, reader)


def _run(reader: Reader, work: Work, batch: Batch, build: Callable[[], Checker]) -> Summary:
    seen = 0

    def missing() -> Iterator[Chunk]:
        nonlocal seen
        for chunk in reader.chunks(batch.chunk):
            seen += 1
            if not work.has(chunk):
                yield chunk

    try:
        with _progress() as progress:
            task = progress.add_task(batch.input.name, total=reader.total or None)
            for chunk, rows in _ENGINES[batch.engine](missing(), build, batch.workers):
                work.put(chunk, rows)
                progress.update(task, completed=reader.done)
        return work.finish(seen)
    except BaseException:
        if work.leave():
            tell("what is done is kept; go on with --resume")
        raise


def _local(chunks: Iterator[Chunk], build: Callable[[], Checker], workers: int) -> Iterator[tuple[Chunk, list[Row]]]:
    check = partial(checked_row, build())
    pool = ThreadPoolExecutor(workers)
    try:
        for chunk in chunks:
            yield chunk, list(pool.map(check, _texts(chunk)))
    finally:
        pool.shutdown(cancel_futures=True)


def _on_ray(chunks: Iterator[Chunk], build: Callable[[], Checker], workers: int) -> Iterator[tuple[Chunk, list[Row]]]:
    try:
        _start_ray(workers)
        from guardrail.adapters.ray import check_chunks
    except ImportError:
        raise GuardrailError('--engine ray needs Ray: pip install "guardrail-sdk[ray]"') from None
    taken: dict[int, Chunk] = {}

    def keyed() -> Iterator[tuple[int, list[str | None]]]:
        for chunk in chunks:
            taken[chunk.index] = chunk
            yield chunk.index, _texts(chunk)

    for index, rows in check_chunks(keyed(), guard=build, workers=workers):
        yield taken.pop(index), rows


def _start_ray(workers: int) -> None:
    # Ray reports how it is used unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return
    if "RAY_ADDRESS" in os.environ:
        ray.init(log_to_driver=False)
    else:
        # Without "local" it would join a cluster that runs on this machine, which takes no num_cpus.
        ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False)


_ENGINES: dict[EngineName, Engine] = {EngineName.LOCAL: _local, EngineName.RAY: _on_ray}


def _texts(chunk: Chunk) -> list[str | None]:
    return [cell if isinstance(cell, str) else None for cell in chunk.cells]


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def _print(summary: Summary) -> None:
    said = ", ".join(f"{action} {count}" for action, count in summary.actions.items())
    typer.echo(f"{summary.rows} rows, {summary.flagged} flagged ({said or 'none'}) -> {summary.output}")
