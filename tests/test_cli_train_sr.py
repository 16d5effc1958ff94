"""Test ``guardrail train sr``: what it hands on, what it refuses, and what it says without the training extra."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from guardrail.training.bundles import write_bundle
from tests.cli import run
from tests.modules import imported_anew

NEEDED = pytest.mark.training


def train(*arguments: object) -> tuple[int, str, str]:
    done = run("train", "sr", *map(str, arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command asks for, in place of the hour that it takes; a bundle of the kind that ``base`` names."""
    from guardrail.training.rewriter import train as module

    noted: list[dict[str, Any]] = []

    def note(recipe: str, data: Path, out: Path, **more: object) -> Path:
        noted.append({"recipe": recipe, "data": data, "out": out, **more})
        out.mkdir()
        kind = "rewriter-peft" if more["base"] == "big" else "rewriter-adapter"
        write_bundle(out, {"name": "mine", "kind": kind, "version": "1", "license": "x", "files": {}})
        return out

    monkeypatch.setattr(module, "train_sr", note)
    return noted


@NEEDED
def test_a_run_takes_its_settings_from_the_recipe(tmp_path: Path, calls: list[dict[str, Any]]) -> None:
    out = tmp_path / "mine"
    code, said, _ = train("--data", "pool", "--out", out)
    assert code == 0 and f'use it with Guard(rewriter="{out}")' in said
    assert calls == [{"recipe": "sr", "data": Path("pool"), "out": out, "base": "", "work": None, "threads": 0}]


@NEEDED
def test_every_option_is_handed_on(tmp_path: Path, calls: list[dict[str, Any]]) -> None:
    options = ("--recipe", "r.toml", "--base", "big", "--work", "w", "--threads", 3)
    code, said, _ = train("--data", "pool", "--out", tmp_path / "mine", *options)
    assert code == 0 and "use it with PeftModel.from_pretrained" in said
    (call,) = calls
    assert (call["recipe"], call["base"], call["work"], call["threads"]) == ("r.toml", "big", Path("w"), 3)


@NEEDED
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "gone", "--out", "mine", "--base", "b"], "there is no folder gone"),
        (["--data", ".", "--out", "mine", "--base", "b"], "lacks pairs_paradetox.jsonl.gz"),
        (
            ["--data", ".", "--out", "mine", "--recipe", "srr"],
            "there is no recipe 'srr'; give a TOML file, or one of sr",
        ),
        (["--data", ".", "--out", "mine", "--work", "mine/w"], "lies in the bundle's folder mine"),
        (["--data", ".", "--out", "."], "--out . exists and is no bundle"),
    ],
)
def test_what_cannot_be_trained_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    (tmp_path / "file.txt").touch()
    monkeypatch.chdir(tmp_path)
    code, _, said = train(*options)
    assert code == 2 and message in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("options", [["--data", "a"], ["--out", "b"], ["--data", "a", "--out", "b", "--threads", "-1"]])
def test_what_is_missing_or_wrong_is_named(options: list[str]) -> None:
    code, _, said = train(*options)
    assert code == 2 and any(name in said for name in ("--out", "--data", "--threads"))


@pytest.mark.parametrize("missing", ["torch", "transformers", "peft"])
def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    real = builtins.__import__

    def absent(name: str, *more: Any, **named: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *more, **named)

    with imported_anew("guardrail.training"), monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", absent)
        code, _, said = train("--out", "mine", "--data", "pool")
    assert code == 2
    assert said == f'guardrail: training needs {missing}; pip install "guardrail-sdk[train]"\n'
