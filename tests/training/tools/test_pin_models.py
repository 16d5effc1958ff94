"""Check that the manifest pins what lies there, and only what is whole."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest

from guardrail.errors import ModelIntegrityError
from guardrail.models import store
from guardrail.training.bundles import write_bundle
from guardrail.training.tools import pin_models
from guardrail.training.tools.pin_models import pin


def bundle(folder: Path, name: str, content: str = "weights") -> Path:
    """Write a small bundle named after its folder."""
    made = folder / name
    made.mkdir(parents=True)
    (made / "model.onnx").write_text(content)
    write_bundle(made, {"name": name, "kind": "detector", "version": "1.0.0", "license": "Apache-2.0"})
    return made


def manifest(folder: Path) -> dict[str, str]:
    pins: dict[str, str] = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))["bundles"]
    return pins


def test_each_bundle_is_pinned_by_the_hash_of_its_description(tmp_path: Path) -> None:
    names = ["detector-fast", "rewriter-1.5", "rewriter-base"]
    digests = {
        name: hashlib.sha256((bundle(tmp_path, name, name) / "bundle.toml").read_bytes()).hexdigest() for name in names
    }
    (tmp_path / "no-bundle").mkdir()
    (tmp_path / "__init__.py").write_text("")
    assert pin(tmp_path) == manifest(tmp_path) == digests
    assert list(manifest(tmp_path)) == names


def test_the_run_time_finds_what_is_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle(tmp_path, "detector-fast")
    pin(tmp_path)
    monkeypatch.setattr(store, "BUILT_IN", tmp_path)
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    store.find("detector-fast").verify()
    assert [one.name for one in store.list_bundles()] == ["detector-fast"]
    description = tmp_path / "detector-fast" / "bundle.toml"
    description.write_text(description.read_text() + "\n")
    with pytest.raises(ModelIntegrityError, match="pins"):
        store.find("detector-fast")


def test_pinning_again_follows_what_changed_and_drops_what_left(tmp_path: Path) -> None:
    old = bundle(tmp_path, "old")
    bundle(tmp_path, "kept")
    before = pin(tmp_path)
    old.rename(tmp_path.parent / "moved")
    bundle(tmp_path, "new")
    assert pin(tmp_path) == manifest(tmp_path)
    assert list(manifest(tmp_path)) == ["kept", "new"]
    assert manifest(tmp_path)["kept"] == before["kept"]
    assert {path.name for path in tmp_path.iterdir()} == {"kept", "new", "manifest.toml"}


def test_the_file_is_the_same_for_the_same_bundles(tmp_path: Path) -> None:
    bundle(tmp_path, "a")
    pin(tmp_path)
    content = (tmp_path / "manifest.toml").read_bytes()
    pin(tmp_path)
    assert (tmp_path / "manifest.toml").read_bytes() == content
    assert content.startswith(b"# sha256 of the bundle.toml")


def test_no_bundles_give_an_empty_manifest(tmp_path: Path) -> None:
    assert pin(tmp_path) == manifest(tmp_path) == {}


@pytest.mark.parametrize("fault", ["changed", "missing", "renamed", "malformed"])
def test_a_bundle_that_is_not_whole_stops_all(tmp_path: Path, fault: str) -> None:
    bundle(tmp_path, "good")
    pin(tmp_path)
    before = (tmp_path / "manifest.toml").read_bytes()
    bad = bundle(tmp_path, "bad")
    if fault == "changed":
        (bad / "model.onnx").write_text("other")
    elif fault == "missing":
        (bad / "model.onnx").unlink()
    elif fault == "renamed":
        bad.rename(tmp_path / "worse")
    else:
        (bad / "bundle.toml").write_text("name = ")
    with pytest.raises(ModelIntegrityError, match=r"bad|worse"):
        pin(tmp_path)
    assert (tmp_path / "manifest.toml").read_bytes() == before


def test_the_command_prints_what_it_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle(tmp_path, "a")
    monkeypatch.setattr("sys.argv", ["pin_models", str(tmp_path)])
    pin_models.main()
    assert capsys.readouterr().out == f"a {manifest(tmp_path)['a']}\n"


def test_the_models_of_the_release_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def note(folder: Path) -> dict[str, str]:
        asked.append(folder)
        return {}

    monkeypatch.setattr("sys.argv", ["pin_models"])
    monkeypatch.setattr(pin_models, "pin", note)
    pin_models.main()
    assert asked == [store.BUILT_IN]
