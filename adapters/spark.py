"""Judge a column of a Spark DataFrame with a pandas UDF, one guard per Python worker."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from guardrail.load import Guard
from guardrail.table import COLUMNS, Checker, checked_row, columns_of

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column
    from pyspark.sql.types import StructType

# Spark keeps its Python workers from task to task; a long-lived one must not collect the guards of old jobs.
_KEPT = 2
_guards: dict[str, Checker] = {}


def guard_udf(guard: Callable[[], Checker] = Guard) -> Callable[[Column | str], Column]:
    """Return a function of a string column that gives a struct of ``guardrail.table.COLUMNS`` for each text.

    ``df.withColumn("guarded", guard_udf()("text")).select("guarded.text")``; a null stays null.

    Args:
        guard: builds the guard of a worker, on the worker; pickled by Spark. guardrail must be installed there.

    Raises:
        ImportError: PySpark, pandas or pyarrow is not installed.
        TypeError: when the job runs: the column holds something else than strings.
    """
    try:
        import pandas as pd

        pandas_udf = importlib.import_module("pyspark.sql.functions").pandas_udf
    except ImportError:
        raise ImportError('PySpark is not installed: pip install "guardrail-sdk[spark]"') from None
    key = uuid.uuid4().hex

    def checked(batches: Iterator[pd.Series]) -> Iterator[pd.DataFrame]:
        built = _built(key, guard)
        for batch in batches:
            texts = batch.astype(object).where(batch.notna(), None)
            yield pd.DataFrame(columns_of([checked_row(built, text) for text in texts]))

    # Spark reads the kind of a UDF off its annotations, which here are strings that it cannot look up.
    checked.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.DataFrame]}
    udf: Callable[[Column | str], Column] = pandas_udf(checked, _struct())
    return udf


def _struct() -> StructType:
    # Not as DDL, which only a running session can read.
    from pyspark.sql.types import ArrayType, BooleanType, DoubleType, StringType, StructField, StructType

    kinds = {
        "string": StringType(),
        "boolean": BooleanType(),
        "double": DoubleType(),
        "array<string>": ArrayType(StringType()),
    }
    return StructType([StructField(name, kinds[kind]) for name, kind in COLUMNS.items()])


def _built(key: str, guard: Callable[[], Checker]) -> Checker:
    """Return this worker's guard of the UDF ``key``, building it on first use."""
    if key not in _guards:
        for oldest in list(_guards)[: len(_guards) - _KEPT + 1]:
            del _guards[oldest]
        _guards[key] = guard()
    return _guards[key]
