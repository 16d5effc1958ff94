"""Test ``guardrail doctor``: every fault of a machine is found and comes with a remedy."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from guardrail import _ort, load
from guardrail.cli import app, machine
from guardrail.config import Config
from guardrail.errors import ModelNotFoundError
from guardrail.guard import Pipeline
from guardrail.models import store
from guardrail.result import MODEL_LABELS, Label
from tests.fakes import MapRewriter, WordDetector, plain_words

MEMORY = "MemTotal: 9000000 kB\nMemAvailable:    8388608 kB\n"


@pytest.fixture(autouse=True)
def _healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a fault, whatever this one is like."""
    for name in ("ORT_DISABLE_TELEMETRY", "GUARDRAIL_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cpuinfo").write_text("flags : sse4_2 avx2 avx512_vnni\n", encoding="utf-8")
    (tmp_path / "meminfo").write_text(MEMORY, encoding="utf-8")
    (tmp_path / "manifest.toml").write_text("[bundles]\n", encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(store, "BUILT_IN", tmp_path)
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_ort, "runtime", lambda: None)
    monkeypatch.setattr(load, "load_detector", lambda name: SimpleNamespace(name=f"{name}@1"))
    monkeypatch.setattr(load, "load_rewriter", lambda name: SimpleNamespace(name=f"{name}@1"))
    versions(monkeypatch, {"onnxruntime": "1.31.1", "guardrail-sdk": "0.1.0"})


def versions(monkeypatch: pytest.MonkeyPatch, found: Mapping[str, str]) -> None:
    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"guardrail": ["guardrail_sdk"]})


def words(config: Config, detect_only: bool) -> Pipeline:
    return Pipeline(config.policy, WordDetector(), MapRewriter(plain_words))


def run(*arguments: str, factory: Callable[[Config, bool], Pipeline] = words) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments], obj=factory)


def look(name: str, factory: Callable[[Config, bool], Pipeline] = words) -> tuple[str, str, str, int]:
    """Return a check's status, finding and remedy, and the exit code."""
    result = run("--json", factory=factory)
    data = json.loads(result.stdout)
    assert data["ok"] is (result.exit_code == 0)
    (check,) = [check for check in data["checks"] if check["name"] == name]
    assert bool(check["remedy"]) is (check["status"] != "ok")
    return check["status"], check["said"], check["remedy"], result.exit_code


def test_a_healthy_machine() -> None:
    result = run()
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stdout.splitlines()} == {"ok"}
    assert "\x1b" not in result.output
    names = [check["name"] for check in json.loads(run("--json").stdout)["checks"]]
    assert names == [
        *("python", "onnxruntime", "runtimes", "import name", "cpu", "memory", "telemetry", "network", "cache"),
        *("detector", "rewriter", "judgement"),
    ]


def test_the_judgement_is_timed() -> None:
    status, said, _, _ = look("judgement")
    assert status == "ok" and "ms with loading" in said and "words@1" in said


def test_an_old_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.9")
    assert look("python")[::3] == ("fail", 2)


@pytest.mark.parametrize("found", [{}, {"onnxruntime": "1.23.1"}, {"onnxruntime-gpu": "1.9.0"}])
def test_a_missing_or_old_onnxruntime(monkeypatch: pytest.MonkeyPatch, found: dict[str, str]) -> None:
    versions(monkeypatch, found)
    status, _, remedy, code = look("onnxruntime")
    assert (status, code) == ("fail", 2) and "pip install 'onnxruntime>=1.23.2'" in remedy


def test_only_the_gpu_onnxruntime_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, {"onnxruntime-gpu": "1.24.0"})
    assert look("onnxruntime")[::3] == ("ok", 0)


def test_an_onnxruntime_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("libsomething.so")

    monkeypatch.setattr(_ort, "runtime", broken)
    status, said, _, code = look("onnxruntime")
    assert (status, code) == ("fail", 2) and "ImportError" in said


def test_two_onnxruntimes(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"})
    status, _, remedy, code = look("runtimes")
    assert (status, code) == ("warn", 0) and "pip uninstall -y onnxruntime onnxruntime-gpu" in remedy


def test_another_distribution_of_the_same_import_name(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, {"onnxruntime": "1.31.1", "guardrail": "0.1.1"})
    status, _, remedy, code = look("import name")
    assert (status, code) == ("fail", 2) and "pip uninstall -y guardrail guardrail-sdk" in remedy
    versions(monkeypatch, {"onnxruntime": "1.31.1"})
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"guardrail": ["guardrail-sdk", "other"]})
    assert "other" in look("import name")[1]


@pytest.mark.parametrize(
    ("flags", "status"),
    [("avx2", "warn"), ("sse2", "warn"), ("avx_vnni avx2", "ok"), ("asimd asimddp", "ok"), ("", "ok")],
)
def test_the_cpu(tmp_path: Path, flags: str, status: str) -> None:
    (tmp_path / "cpuinfo").write_text(flags, encoding="utf-8")
    assert look("cpu")[::3] == (status, 0)


@pytest.mark.parametrize(("free", "status", "code"), [(8192, "ok", 0), (999, "warn", 0), (299, "fail", 2)])
def test_free_memory(tmp_path: Path, free: int, status: str, code: int) -> None:
    (tmp_path / "meminfo").write_text(f"MemAvailable: {free * 1024} kB\n", encoding="utf-8")
    assert look("memory")[::3] == (status, code)


def test_the_memory_of_a_container(tmp_path: Path) -> None:
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup" / "memory.current").write_text(f"{100 * 2**20}\n", encoding="utf-8")
    (tmp_path / "cgroup" / "memory.max").write_text("max\n", encoding="utf-8")
    assert look("memory")[1] == "8192 MB free"
    (tmp_path / "cgroup" / "memory.max").write_text(f"{300 * 2**20}\n", encoding="utf-8")
    status, said, _, code = look("memory")
    assert (status, code) == ("fail", 2) and "200 MB" in said


def test_a_system_that_says_nothing_of_its_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").unlink()
    assert look("memory")[0] == "ok"


def test_telemetry_that_was_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert look("telemetry")[::3] == ("warn", 0)


def test_the_offline_variables_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--allow-network" in look("network")[1]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in look("network")[1]


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "file" / "cache"))
    status, _, remedy, code = look("cache")
    assert (status, code) == ("warn", 0) and "GUARDRAIL_CACHE" in remedy


def test_the_cache_is_only_looked_at(tmp_path: Path) -> None:
    assert look("cache")[0] == "ok"
    assert not (tmp_path / "cache").exists()


def test_a_damaged_bundle(tmp_path: Path) -> None:
    (tmp_path / "cache" / "broken").mkdir(parents=True)
    (tmp_path / "cache" / "broken" / "bundle.toml").write_text("name = 1", encoding="utf-8")
    status, said, remedy, code = look("bundle broken")
    assert (status, code) == ("fail", 2)
    assert "not a valid bundle description" in said and "guardrail models install" in remedy


@pytest.mark.parametrize("part", ["detector", "rewriter"])
def test_a_missing_model(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def missing(name: str) -> None:
        raise ModelNotFoundError(f"no model bundle {name!r}; installed: none")

    monkeypatch.setattr(load, f"load_{part}", missing)
    status, said, _, code = look(part)
    assert (status, code) == ("fail", 2) and "no model bundle" in said


def test_a_guard_that_breaks() -> None:
    def broken(config: Config, detect_only: bool) -> Pipeline:
        raise RuntimeError("with a secret")

    status, said, _, code = look("judgement", broken)
    assert (status, code) == ("fail", 2) and said == "failed with RuntimeError"


def test_a_detector_that_answers_wrongly() -> None:
    class Deaf(WordDetector):
        thresholds: Mapping[str, Mapping[Label, float]] = {"fpr<=0.01": dict.fromkeys(MODEL_LABELS, 1.0)}

    def deaf(config: Config, detect_only: bool) -> Pipeline:
        return Pipeline(config.policy, Deaf(), MapRewriter(plain_words))

    status, said, _, code = look("judgement", deaf)
    assert (status, code) == ("warn", 0) and "passes a rough sentence" in said


def test_a_check_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("no metadata")

    monkeypatch.setattr(metadata, "packages_distributions", broken)
    assert look("import name")[::3] == ("warn", 0)


def test_a_failure_prints_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, {})
    result = run()
    assert result.exit_code == 2
    assert "fail onnxruntime  not installed\n" in result.stdout
    assert "mend: pip install 'onnxruntime>=1.23.2'" in result.stdout
