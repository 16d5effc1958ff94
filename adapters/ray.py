"""Judge a column of a Ray dataset, or chunks of texts, with one guard per Ray actor."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from guardrail.errors import ConfigError
from guardrail.load import Guard
from guardrail.table import Checker, Row, arrow_schema, checked_row, columns_of

if TYPE_CHECKING:
    from pyarrow import Table
    from ray.data import Dataset

K = TypeVar("K", bound=Hashable)
_WAITING = 2
_RETRIES = 3


def guard_dataset(
    dataset: Dataset,
    column: str = "text",
    *,
    guard: Callable[[], Checker] = Guard,
    out: str = "guarded",
    batch_size: int = 64,
    concurrency: int = 1,
    num_cpus: float = 1,
    num_gpus: float = 0,
) -> Dataset:
    """Return ``dataset`` with one more column, a struct of ``guardrail.table.COLUMNS`` for each text.

    The column that was judged stays: drop it before the rows are shown. A null stays null.

    Args:
        dataset: has the texts in ``column``.
        column: strings.
        guard: builds the guard of an actor, on the actor; pickled by Ray. ``Guard`` must be installed there.
        out: name of the new column.
        batch_size: texts that an actor takes at a time.
        concurrency: actors, each with a guard and its models.
        num_cpus: share of an actor; the bundled guard uses one core unless it was built with more threads.
        num_gpus: share of an actor, for a guard whose models run on a GPU.

    Raises:
        ImportError: Ray Data is not installed.
        ConfigError: when the dataset runs: there is no such column, or ``out`` exists.
        TypeError: when the dataset runs: the column holds something else than strings.
    """
    compute = _ray().data.ActorPoolStrategy(size=concurrency)
    return dataset.map_batches(
        _Batches,
        fn_constructor_args=(guard, column, out),
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=compute,
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )


def check_chunks(
    chunks: Iterable[tuple[K, Sequence[str | None]]],
    *,
    guard: Callable[[], Checker] = Guard,
    workers: int = 1,
    num_gpus: float = 0,
) -> Iterator[tuple[K, list[Row]]]:
    """Check keyed chunks of texts on ``workers`` actors and yield each with its rows as it is done, in any order.

    A few chunks are taken ahead of what is done, so any number of them needs the same memory. An actor that dies is
    started again and its chunk checked again.

    Raises:
        ImportError: Ray is not installed.
    """
    ray = _ray()
    kind = ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=_RETRIES, max_task_retries=_RETRIES)(_Chunks)
    idle = [kind.remote(guard) for _ in range(workers)] * _WAITING
    running: dict[Any, tuple[K, Any]] = {}
    try:
        for key, texts in chunks:
            if not idle:
                yield _first_done(ray, running, idle)
            actor = idle.pop(0)
            running[actor.rows.remote(list(texts))] = key, actor
        while running:
            yield _first_done(ray, running, idle)
    finally:
        for actor in {*idle, *(actor for _, actor in running.values())}:
            ray.kill(actor)


def _first_done(ray: Any, running: dict[Any, tuple[K, Any]], idle: list[Any]) -> tuple[K, list[Row]]:
    (done, *_), _ = ray.wait(list(running))
    key, actor = running.pop(done)
    idle.append(actor)
    return key, ray.get(done)


class _Chunks:
    def __init__(self, guard: Callable[[], Checker]) -> None:
        self._guard = guard()

    def rows(self, texts: Sequence[str | None]) -> list[Row]:
        return [checked_row(self._guard, text) for text in texts]


class _Batches:
    def __init__(self, guard: Callable[[], Checker], column: str, out: str) -> None:
        self._guard, self._column, self._out = guard(), column, out

    def __call__(self, batch: Table) -> Table:
        import pyarrow

        if self._column not in batch.column_names:
            names = ", ".join(batch.column_names)
            raise ConfigError(f"the dataset has no column {self._column!r}; its columns are {names}")
        if self._out in batch.column_names:
            raise ConfigError(f"the dataset has a column {self._out!r} already; name another with out=")
        rows = [checked_row(self._guard, text) for text in batch.column(self._column).to_pylist()]
        verdicts = pyarrow.table(columns_of(rows), schema=arrow_schema())
        return batch.append_column(self._out, verdicts.to_struct_array())


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise ImportError('Ray Data is not installed: pip install "guardrail-sdk[ray]"') from None
    return ray
