"""Run a few cases through Ray and Spark, each on its real engine: the columns are those of ``check``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.table import Row, checked_row
from tests.conformance.models import MODEL_CASES
from tests.engines import ray_running, spark_running

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.enable_socket, pytest.mark.filterwarnings("ignore")]

# On a worker the tests cannot be imported, so that the guard is built of what is installed there.
BUILD = partial(Guard, Policy(timeout_ms=None, max_rounds=1, action=Action.MASK))
TEXTS = [MODEL_CASES[0].text, MODEL_CASES[1].text, "", "A lone word: chairman.", "Дождь начался рано утром."]


def wanted() -> list[Row]:
    guard = BUILD()
    return [checked_row(guard, text) for text in TEXTS]


def test_ray(tmp_path: Path) -> None:
    from guardrail.adapters.ray import guard_dataset

    with ray_running(tmp_path) as ray:
        dataset = ray.data.from_items([{"text": text} for text in TEXTS])
        assert _by_text(guard_dataset(dataset, guard=BUILD).take_all()) == dict(zip(TEXTS, wanted(), strict=True))


def test_spark(tmp_path: Path) -> None:
    from guardrail.adapters.spark import guard_udf

    with spark_running(tmp_path) as session:
        frame = session.createDataFrame([(text,) for text in TEXTS], "text string")
        found = frame.withColumn("guarded", guard_udf(BUILD)("text")).collect()
        rows = [{"text": row["text"], "guarded": row["guarded"].asDict()} for row in found]
        assert _by_text(rows) == dict(zip(TEXTS, wanted(), strict=True))


def _by_text(rows: list[dict[str, Any]]) -> dict[str, Row]:
    return {row["text"]: dict(row["guarded"]) for row in rows}
