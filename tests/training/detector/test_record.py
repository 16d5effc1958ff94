"""Check that a run's record survives a kill, adds up over calls, and tells a card no more than was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from guardrail.training.detector import record
from guardrail.training.detector.energy import Energy, Meter
from guardrail.training.detector.recipe import Recipe
from guardrail.training.detector.record import Call, made_from, recorded, told
from tests.training.detector.conftest import RECIPE

pytestmark = pytest.mark.training


@pytest.fixture
def facts(tmp_path: Path) -> Mapping[str, object]:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    (tmp_path / "my-base").mkdir()
    return made_from(Recipe.read(path), str(tmp_path / "my-base"), "hub/small", {"cad": "0" * 64})


def read(work: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((work / "run.json").read_text(encoding="utf-8"))
    return found


def test_a_base_is_named_without_its_folder(facts: Mapping[str, object]) -> None:
    assert (facts["teacher_base"], facts["student_base"]) == ("my-base", "hub/small")


def test_each_call_is_kept_beside_the_earlier_ones(facts: Mapping[str, object], tmp_path: Path) -> None:
    work = tmp_path / "work"
    for processes in (1, 2):
        with recorded(work, facts, processes=processes):
            pass
    assert [call["processes"] for call in read(work)["calls"]] == [1, 2]
    assert read(work)["recipe_sha256"] == facts["recipe_sha256"]
    assert [path.name for path in work.iterdir()] == ["run.json"]


def test_a_call_that_fails_is_kept_too(facts: Mapping[str, object], tmp_path: Path) -> None:
    with pytest.raises(KeyError), recorded(tmp_path / "work", facts):
        raise KeyError
    assert len(read(tmp_path / "work")["calls"]) == 1


def test_a_call_that_is_killed_is_known_from_its_last_reading(facts: Mapping[str, object], tmp_path: Path) -> None:
    with recorded(tmp_path, facts):
        assert len(read(tmp_path)["calls"]) == 1


def test_energy_is_that_of_the_meter(
    facts: Mapping[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Meter, "energy", Energy(7.2e6, None))
    with recorded(tmp_path, facts):
        pass
    (call,) = read(tmp_path)["calls"]
    assert (call["cpu_joules"], call["gpu_joules"]) == (7.2e6, None)


# ---- the card


def lines(facts: Mapping[str, object], work: Path, *calls: Call) -> str:
    content = {**facts, "calls": [{name: getattr(call, name) for name in Call.__slots__} for call in calls]}
    (work / "run.json").write_text(json.dumps(content), encoding="utf-8")
    return "\n".join(told(work))


def test_a_card_hears_of_hashes_bases_versions_time_and_energy(facts: Mapping[str, object], tmp_path: Path) -> None:
    said = lines(facts, tmp_path, Call("", 3600, 1.8e6, None), Call("", 1800, 3.6e6, None))
    assert str(facts["recipe_sha256"])[:16] in said and "seed 5" in said
    assert "my-base and hub/small" in said
    assert f"torch {facts['torch']}" in said
    assert "1.50 h in 2 call(s)" in said
    assert "meanwhile: CPU packages (RAPL) 1.500 kWh." in said


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([Call("", 1, None, None)], "meanwhile: not measured (no readable RAPL counter, no nvidia-smi)."),
        ([Call("", 1, 3.6e6, 7.2e6)], "CPU packages (RAPL) 1.000 kWh, GPUs (nvidia-smi) 2.000 kWh."),
        ([Call("", 1, 3.6e6, None), Call("", 1, None, None)], "CPU packages (RAPL) 1.000 kWh in 1 of 2 calls."),
        ([Call("", 1, 0.0, None)], "CPU packages (RAPL) 0.000 kWh."),
    ],
)
def test_energy_that_was_not_measured_is_never_invented(
    facts: Mapping[str, object], tmp_path: Path, calls: list[Call], said: str
) -> None:
    assert lines(facts, tmp_path, *calls).endswith(said)


def test_a_run_without_a_record_says_so(tmp_path: Path) -> None:
    assert told(tmp_path) == ("Recipe hash, wall-clock time and energy: not recorded.",)


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(record, "__file__", str(tmp_path / "record.py"))
    assert record._git_hash() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert record._git_hash() == "unknown"
