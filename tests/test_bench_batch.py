"""Test the measuring of batches: what it reports, never how fast anything is."""

from __future__ import annotations

import json
import sys

import pytest
from typer.testing import CliRunner

from guardrail import bench_batch
from guardrail.bench import Report, Throughput
from guardrail.cli import app
from tests.guards import guard


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ("ray", "pyspark", "pyspark.sql", "pyspark.sql.functions"):
        monkeypatch.setitem(sys.modules, missing, None)


@pytest.mark.usefixtures("_alone")
def test_one_process_is_measured_and_what_is_missing_is_said() -> None:
    found, skipped = bench_batch.measure_batches("unused", 5, 3, guard)
    assert [way.name for way in found] == ["one process", "one process, 3 threads"]
    assert all(way.texts_per_s > 0 and way.start_s >= 0 and way.rows == 5 for way in found)
    assert [line.partition(":")[0] for line in skipped] == ["Ray, 3 actors", "Spark, 3 cores"]
    assert all("pip install" in line for line in skipped)


@pytest.mark.parametrize("chunks", [1, 2, 3, 20])
def test_actors_are_timed_by_what_comes_after_the_first_answers(monkeypatch: pytest.MonkeyPatch, chunks: int) -> None:
    ends = [(100.0 + number, 5) for number in range(chunks)]
    rate, start = bench_batch.steady(ends, begun=90.0, workers=2)
    # Five texts a second each, but for the one answer that there is nothing to compare with.
    assert rate == (0.5 if chunks == 1 else 5.0)
    assert start == 10.0


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_bench_shows_batches_if_asked_for(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    asked: list[tuple[object, ...]] = []

    def measured(*arguments: object) -> tuple[list[Throughput], list[str]]:
        asked.append(arguments)
        ways = [
            Throughput("one process", 10.0, start_s=1.5, rows=7),
            Throughput("Ray, 2 actors", 15.0, start_s=9, rows=7),
        ]
        return ways, ["Spark, 2 cores: Spark needs Java"]

    empty = Report({}, (), ratios=(), memory_mb={}, counts={}, skipped=("one thing",))
    monkeypatch.setattr("guardrail.bench.measure", lambda models, rounds: empty)
    monkeypatch.setattr(bench_batch, "measure_batches", measured)
    result = CliRunner().invoke(app, ["bench", "--batch", "7", "--detector", "mine", *options])
    assert (result.exit_code, asked) == (0, [("mine", 7)])
    assert result.stderr == "guardrail: skipped one thing\nguardrail: skipped Spark, 2 cores: Spark needs Java\n"
    if options:
        assert [way["texts_per_s"] for way in json.loads(result.stdout)["throughput"]] == [10.0, 15.0]
    else:
        assert "Ray, 2 actors     15.0   1.50         9.0" in result.stdout
    assert "batches" not in CliRunner().invoke(app, ["bench"]).stdout
