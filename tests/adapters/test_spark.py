"""Test the Spark adapter on the real engine, on this machine alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from guardrail.adapters import spark as adapter
from guardrail.table import COLUMNS, checked_row
from tests.engines import spark_running
from tests.guards import guard

TEXTS = ["The idiot spoke.", None, "The meeting is at nine.", "", "Zoë, 👍 and 你好", "The chairman left."]


@pytest.fixture(scope="module")
def _spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with spark_running(tmp_path_factory.mktemp("spark")) as session:
        yield session


def test_a_worker_builds_one_guard_for_a_udf_and_keeps_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_guards", {})
    built = []

    def build() -> Any:
        built.append(guard())
        return built[-1]

    first = adapter._built("a", build)
    assert adapter._built("a", build) is first
    adapter._built("b", build)
    assert adapter._built("a", build) is first
    adapter._built("c", build)
    assert len(built) == 3
    assert list(adapter._guards) == ["b", "c"]


@pytest.mark.parametrize("missing", ["pyspark.sql.functions", "pandas"])
def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'pip install "guardrail-sdk\[spark\]"'):
        adapter.guard_udf(guard)


@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.usefixtures("socket_enabled")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
class TestOnSpark:
    def test_a_column_is_judged(self, _spark: Any) -> None:
        frame = _spark.createDataFrame(list(enumerate(TEXTS)), "id int, text string").repartition(2)
        guarded = frame.withColumn("guarded", adapter.guard_udf(guard)("text"))
        rows = sorted(guarded.collect(), key=lambda row: int(row["id"]))
        assert [row["guarded"].asDict() for row in rows] == [checked_row(guard(), text) for text in TEXTS]
        assert guarded.select("guarded.*").columns == list(COLUMNS)

    def test_a_column_of_numbers_fails_the_job(self, _spark: Any) -> None:
        frame = _spark.createDataFrame([(1,)], "id int")
        with pytest.raises(Exception, match="text must be a str, not int"):
            frame.select(adapter.guard_udf(guard)("id")).collect()
