"""Test the Ray adapter: its columns in this process, and everything once on the real engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.table import COLUMNS, checked_row
from tests.cli import no_colour, run  # noqa: F401
from tests.engines import ray_running
from tests.guards import failing, guard

pyarrow = pytest.importorskip("pyarrow", reason="needs the [ray] extra")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the [ray] extra")

TEXTS = ["The idiot spoke.", None, "The meeting is at nine.", "Zoë, 👍 and 你好", "The chairman left."]


@pytest.fixture(scope="module")
def _ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ray_running(tmp_path_factory.mktemp("ray")) as ray:
        yield ray


def rows_of(texts: Sequence[str | None]) -> list[dict[str, object]]:
    return [checked_row(guard(), text) for text in texts]


def batches(guard_factory: Any = guard, column: str = "text", out: str = "guarded") -> Any:
    from guardrail.adapters.ray import _Batches

    return _Batches(guard_factory, column, out)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_a_batch_gets_one_more_column(kind: str) -> None:
    kinds = {
        "string": pyarrow.string(),
        "large_string": pyarrow.large_string(),
        "dictionary": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
    }
    texts = pyarrow.array(TEXTS, pyarrow.string()).cast(kinds[kind])
    found = batches()(pyarrow.table({"id": range(len(TEXTS)), "text": texts}))
    assert found.column_names == ["id", "text", "guarded"]
    assert found.column("guarded").to_pylist() == rows_of(TEXTS)
    assert found.column("text").to_pylist() == TEXTS


def test_an_empty_batch_has_the_column_too() -> None:
    found = batches()(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}))
    assert [field.name for field in found.schema.field("guarded").type] == list(COLUMNS)


def test_a_column_that_is_missing_or_taken_is_named() -> None:
    table = pyarrow.table({"id": [1], "text": ["Yes."]})
    with pytest.raises(ConfigError, match="the dataset has no column 'body'; its columns are id, text"):
        batches(column="body")(table)
    with pytest.raises(ConfigError, match="the dataset has a column 'id' already; name another with out="):
        batches(out="id")(table)
    with pytest.raises(TypeError, match="text must be a str, not int"):
        batches(column="id")(table)


def test_a_failure_is_a_row_or_raised_as_the_policy_says() -> None:
    table = pyarrow.table({"text": ["The idiot spoke."]})

    def broken(policy: Policy | None = None) -> Any:
        return guard(policy, detector=failing(ModelRuntimeError("no more")))

    [row] = batches(broken)(table).column("guarded").to_pylist()
    assert (row["action"], row["error"]) == ("block", "ModelRuntimeError: no more")
    with pytest.raises(ModelRuntimeError):
        batches(lambda: broken(Policy(on_error="raise")))(table)


@pytest.mark.parametrize("missing", ["ray", "ray.data"])
def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    from guardrail.adapters.ray import check_chunks, guard_dataset

    monkeypatch.setitem(sys.modules, missing, None)
    dataset: Any = None
    with pytest.raises(ImportError, match=r'pip install "guardrail-sdk\[ray\]"'):
        guard_dataset(dataset)
    with pytest.raises(ImportError, match=r'pip install "guardrail-sdk\[ray\]"'):
        next(check_chunks([(0, ["Yes."])]))


on_ray = [
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.mark.usefixtures("_ray", "no_colour", "socket_enabled")
class TestOnRay:
    pytestmark = on_ray

    def test_a_dataset_is_judged_on_an_actor(self) -> None:
        import ray.data

        from guardrail.adapters.ray import guard_dataset

        dataset = ray.data.from_items([{"id": number, "text": text} for number, text in enumerate(TEXTS * 4)])
        rows = guard_dataset(dataset, guard=guard, batch_size=7).take_all()
        assert [row["guarded"] for row in sorted(rows, key=lambda row: row["id"])] == rows_of(TEXTS * 4)

    def test_chunks_are_judged_once_each_and_not_read_far_ahead(self) -> None:
        from guardrail.adapters.ray import check_chunks

        given = []

        def chunks() -> Iterator[tuple[int, list[str | None]]]:
            for number in range(8):
                given.append(number)
                yield number, [f"The idiot spoke {number} times.", None]

        done = check_chunks(chunks(), guard=guard)
        first = next(done)
        assert len(given) <= 3
        found = dict([first, *done])
        assert found == {number: rows_of([f"The idiot spoke {number} times.", None]) for number in range(8)}

    def test_a_file_is_judged_on_ray_as_here(self, tmp_path: Path) -> None:
        source = tmp_path / "in.jsonl"
        source.write_text("\n".join(json.dumps({"text": text}) for text in TEXTS * 3), encoding="utf-8")
        for engine in ("ray", "local"):
            out = tmp_path / f"{engine}.parquet"
            options = ("--engine", engine, "--chunk", "4")
            result = run("check", "--input", str(source), "--output", str(out), *options, factory=_words)
            assert result.exit_code == 1, result.stderr
        read = parquet.read_table
        assert read(tmp_path / "ray.parquet") == read(tmp_path / "local.parquet")


def _words(config: Any, detect_only: bool) -> Any:
    return guard(config.policy)
