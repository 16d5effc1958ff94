"""Test ``guardrail bench``: what it reports, never how fast anything is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from guardrail import bench
from guardrail.bench_stream import TOKEN
from guardrail.cli import app
from guardrail.errors import ModelNotFoundError
from guardrail.models import store
from tests.fakes import WordDetector


class LoadedDetector(WordDetector):
    def load(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.toml").write_text("[bundles]\n", encoding="utf-8")
    monkeypatch.setattr(store, "BUILT_IN", tmp_path)
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bench, "IMPORTS", 1)
    monkeypatch.setattr(bench, "load_detector", lambda name, threads: LoadedDetector(max_tokens=200))


def tiny_rewriter(folder: Path) -> Path:
    tiny = pytest.importorskip("guardrail.training.rewriter.tiny")
    files = {"model.onnx": tiny.tiny_model(seed=0), "tokenizer.json": tiny.tiny_tokenizer()}
    lines = ['name = "tiny"', 'kind = "rewriter-base"', 'version = "1"', 'license = "MIT"', "[files]"]
    path = folder / "tiny"
    path.mkdir()
    for name, data in files.items():
        (path / name).write_bytes(data)
        lines.append(f'"{name}" = "{hashlib.sha256(data).hexdigest()}"')
    (path / "bundle.toml").write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_report_names_what_it_measured() -> None:
    result = CliRunner().invoke(app, ["bench", "--rounds", "2", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    runs = {timing["name"]: timing["runs"] for timing in report["timings"]}
    assert runs["import guardrail"] == 1 and runs["load and verify the detector"] == 2
    assert runs["detect 30 words, threads 1"] == runs["detect 120 words, threads 2"] == 2
    assert runs["stream 120 words, added per token of 4 characters"] == 2
    assert all(timing["p95_ms"] >= timing["p50_ms"] >= 0 for timing in report["timings"])
    # The first sentence and the first word of the second, up to the end of a token.
    shown = len(bench.SHORT) + len(" Traffic ")
    assert shown <= report["counts"]["characters held until the first release"] < shown + TOKEN
    assert "120 words: 2 threads against 1" in {ratio["name"] for ratio in report["ratios"]}
    assert "sr'" in report["skipped"][0] and "skipped rewriting" in result.stderr


def test_rewriting_is_measured_with_and_without_prompt_lookup(tmp_path: Path) -> None:
    path = tiny_rewriter(tmp_path)
    result = CliRunner().invoke(app, ["bench", "--rounds", "1", "--rewriter", str(path)])
    assert result.exit_code == 0 and result.stderr == ""
    assert "rewrite 25 words, no prompt lookup" in result.stdout
    assert "no prompt lookup against with" in result.stdout and "\x1b" not in result.output


def test_the_texts_have_the_lengths_that_they_are_named_for() -> None:
    assert (len(bench.SHORT.split()), len(bench.LONG.split()), len(bench.BIASED.split())) == (30, 120, 25)


def test_a_missing_detector_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, threads: int) -> LoadedDetector:
        raise ModelNotFoundError(f"no model bundle {name!r}")

    monkeypatch.setattr(bench, "load_detector", missing)
    result = CliRunner().invoke(app, ["bench", "--detector", "gone"])
    assert result.exit_code == 2 and "no model bundle 'gone'" in result.stderr
