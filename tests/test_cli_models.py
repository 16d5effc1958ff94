"""Test ``guardrail models`` and ``guardrail models install`` on small bundles."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from guardrail.cli import app
from guardrail.models import store


def bundle(folder: Path, name: str = "detector-small", data: bytes = b"weights") -> str:
    """Write a bundle and return the sha256 of its bundle.toml."""
    path = folder / name
    path.mkdir(parents=True)
    (path / "model.onnx").write_bytes(data)
    head = f'name = "{name}"\nkind = "detector"\nversion = "1.2.3"\nlicense = "MIT"\n'
    text = f'{head}[files]\n"model.onnx" = "{hashlib.sha256(data).hexdigest()}"\n'
    (path / "bundle.toml").write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release with no models, and an empty cache beside it."""
    built_in = tmp_path / "release"
    built_in.mkdir()
    (built_in / "manifest.toml").write_text("[bundles]\n", encoding="utf-8")
    monkeypatch.setattr(store, "BUILT_IN", built_in)
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    return built_in


def pin(release: Path, **pins: str) -> None:
    lines = "".join(f'{name} = "{value}"\n' for name, value in pins.items())
    (release / "manifest.toml").write_text(f"[bundles]\n{lines}", encoding="utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def test_nothing_installed(release: Path) -> None:
    result = run()
    assert result.exit_code == 0 and "no model bundles are installed" in result.stdout
    assert json.loads(run("--json").stdout) == {"models": []}


def test_the_table_says_what_is_installed(release: Path) -> None:
    sha256 = bundle(release, "one")
    pin(release, one=sha256)
    bundle(store.cache_folder(), "two")
    lines = run().stdout.splitlines()
    assert lines[0].split() == ["name", "kind", "version", "size", "licence", "sha256", "verified"]
    assert lines[1].split() == ["one", "detector", "1.2.3", "0.0", "MB", "MIT", sha256[:12], "not", "checked"]
    assert lines[2].split()[0] == "two"


def test_verify_reads_the_files(release: Path) -> None:
    pin(release, one=bundle(release, "one"))
    (said,) = json.loads(run("--verify", "--json").stdout)["models"]
    assert (said["name"], said["size"], said["verified"], said["error"]) == ("one", 7, True, None)
    assert "yes" in run("--verify").stdout


def test_a_corrupted_bundle_fails_and_hides_no_other(release: Path) -> None:
    pin(release, one=bundle(release, "one"), two=bundle(release, "two"))
    (release / "one" / "model.onnx").write_bytes(b"another")
    assert run().exit_code == 0
    result = run("--verify")
    assert result.exit_code == 2 and "Traceback" not in result.output
    assert "model.onnx has sha256" in result.stderr and "install the bundle again" in result.stderr
    assert [line.split()[-1] for line in result.stdout.splitlines()[1:]] == ["no", "yes"]


def test_a_changed_description_fails_without_verify(release: Path) -> None:
    pin(release, one=bundle(release, "one"))
    with (release / "one" / "bundle.toml").open("a") as file:
        file.write("# changed\n")
    result = run("--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["models"][0]["verified"] is False
    assert "differs from the hash" in result.stderr


def test_install_copies_a_bundle(release: Path, tmp_path: Path) -> None:
    sha256 = bundle(tmp_path / "given", "new")
    result = run("install", str(tmp_path / "given" / "new"), "--sha256", sha256)
    assert result.exit_code == 0 and "installed new 1.2.3 (detector) in" in result.stdout
    assert "new" in run().stdout


@pytest.mark.parametrize("sha256", ["0" * 64, "é" * 64, "", "ABC"])
def test_install_refuses_another_hash(release: Path, tmp_path: Path, sha256: str) -> None:
    bundle(tmp_path / "given", "new")
    result = run("install", str(tmp_path / "given" / "new"), "--sha256", sha256)
    assert result.exit_code == 2 and result.stderr.startswith("guardrail: ")
    assert not store.cache_folder().exists()


def test_install_refuses_a_corrupted_file(release: Path, tmp_path: Path) -> None:
    sha256 = bundle(tmp_path / "given", "new")
    (tmp_path / "given" / "new" / "model.onnx").write_bytes(b"another")
    result = run("install", str(tmp_path / "given" / "new"), "--sha256", sha256)
    assert result.exit_code == 2 and "has sha256" in result.stderr
    assert json.loads(run("--json").stdout) == {"models": []}


def test_install_needs_a_hash_and_a_source(release: Path, tmp_path: Path) -> None:
    assert "--sha256" in run("install", "somewhere").stderr
    assert "bundle.toml" in run("install", str(tmp_path / "gone"), "--sha256", "0" * 64).stderr


def test_install_asks_before_it_uses_the_network(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ("install", "hub:owner/repo@main", "--sha256", "0" * 64)
    result = run(*source)
    assert result.exit_code == 2 and "needs the network" in result.stderr
    monkeypatch.setenv("GUARDRAIL_OFFLINE", "1")
    result = run(*source, "--allow-network")
    assert result.exit_code == 2 and "GUARDRAIL_OFFLINE is set" in result.stderr


def test_a_cache_that_cannot_be_written_is_an_error(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = bundle(tmp_path / "given", "new")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "file" / "cache"))
    result = run("install", str(tmp_path / "given" / "new"), "--sha256", sha256)
    assert result.exit_code == 2 and "cannot be used: Not a directory" in result.stderr
