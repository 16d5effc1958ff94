"""Test the store: where bundles are found, that installing is all or nothing, and when the network may be used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import ConfigError, ModelIntegrityError, ModelNotFoundError
from guardrail.models import store
from tests.bundles import write_bundle

FILES = {"model.onnx": b"weights" * 100, "tokenizer.json": b"{}"}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, a release without models, and a working directory of its own."""
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "manifest.toml").write_text("[bundles]\n")
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(store, "BUILT_IN", tmp_path / "release")
    monkeypatch.setenv("GUARDRAIL_CACHE", str(tmp_path / "cache"))
    for name in ("GUARDRAIL_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path / "work")
    yield


def source(tmp_path: Path, name: str = "tiny", **facts: object) -> tuple[Path, str]:
    folder = tmp_path / "source" / name
    return folder, write_bundle(folder, FILES, tables="", **facts)


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GUARDRAIL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.cache_folder() == tmp_path / "xdg" / "guardrail" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.cache_folder() == tmp_path / ".cache" / "guardrail" / "models"


def test_installing_copies_what_is_pinned_and_nothing_else(tmp_path: Path) -> None:
    folder, pin = source(tmp_path)
    (folder / "stray.bin").write_bytes(b"x")
    bundle = store.install(folder, sha256=pin)
    assert bundle.path == tmp_path / "cache" / "tiny"
    assert {name: bundle.read(name) for name in bundle.files} == FILES
    assert contents(tmp_path / "cache") == {"tiny"}
    assert "stray.bin" not in contents(bundle.path)
    assert store.find("tiny") == bundle
    assert [one.name for one in store.list_bundles()] == ["tiny"]
    assert bundle.path.stat().st_mode & 0o555 == 0o555


def test_installing_again_replaces_the_whole_bundle(tmp_path: Path) -> None:
    folder, pin = source(tmp_path)
    store.install(folder, sha256=pin)
    folder, pin = source(tmp_path, version="2.0.0")
    assert store.install(folder, sha256=pin).version == "2.0.0"
    assert contents(tmp_path / "cache") == {"tiny"}


def test_a_wrong_hash_or_a_changed_file_installs_nothing(tmp_path: Path) -> None:
    folder, pin = source(tmp_path)
    with pytest.raises(ModelIntegrityError):
        store.install(folder, sha256="0" * 64)
    (folder / "tokenizer.json").write_bytes(b"{ }")
    with pytest.raises(ModelIntegrityError):
        store.install(folder, sha256=pin)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelIntegrityError):
        store.install(folder, sha256=pin)
    assert contents(tmp_path / "cache") == set()
    with pytest.raises(ModelNotFoundError, match=r"no model bundle 'tiny'; installed: none"):
        store.find("tiny")


@pytest.mark.parametrize("failing", range(1, 8))
def test_a_disk_that_fails_at_any_step_leaves_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    folder, pin = source(tmp_path)
    store.install(folder, sha256=pin)
    folder, pin = source(tmp_path, version="2.0.0")
    steps = {"count": 0}

    def broken(real: Any) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            steps["count"] += 1
            if steps["count"] == failing:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", broken(Path.write_bytes))
        patch.setattr(Path, "write_text", broken(Path.write_text))
        patch.setattr("shutil.copyfile", broken(shutil.copyfile))
        patch.setattr("os.replace", broken(os.replace))
        try:
            store.install(folder, sha256=pin)
        except OSError:
            expected = "1.0.0"
        else:
            expected = "2.0.0"
    assert (expected == "2.0.0") is (steps["count"] < failing)
    found = store.find("tiny")
    found.verify()
    assert found.version == expected
    assert contents(tmp_path / "cache") == {"tiny"}


def test_a_damaged_installed_bundle_is_refused(tmp_path: Path) -> None:
    folder, pin = source(tmp_path)
    installed = store.install(folder, sha256=pin).path
    description = (installed / "bundle.toml").read_text()
    (installed / "bundle.toml").write_text(description.replace("1.0.0", "1.0.1"))
    with pytest.raises(ModelIntegrityError):
        store.find("tiny")
    (installed / "bundle.toml").write_text(description)
    (installed / ".sha256").write_bytes(b"\xff")
    with pytest.raises(ModelIntegrityError):
        store.find("tiny")


def test_a_bundle_of_the_release_is_pinned_and_comes_first(tmp_path: Path) -> None:
    pin = write_bundle(tmp_path / "release" / "tiny", FILES, version="release")
    (tmp_path / "release" / "manifest.toml").write_text(f'[bundles]\ntiny = "{pin}"\n')
    folder, other = source(tmp_path, version="cache")
    store.install(folder, sha256=other)
    write_bundle(tmp_path / "work" / "tiny", FILES, version="work")
    assert store.find("tiny").version == "release"
    write_bundle(tmp_path / "release" / "tiny", FILES, version="changed")
    with pytest.raises(ModelIntegrityError, match="differs from the hash that this release pins"):
        store.find("tiny")


def test_an_installed_bundle_comes_before_a_folder_of_the_working_directory(tmp_path: Path) -> None:
    write_bundle(tmp_path / "work" / "tiny", FILES, version="work")
    assert store.find("tiny").version == "work"
    folder, pin = source(tmp_path, version="cache")
    store.install(folder, sha256=pin)
    assert store.find("tiny").version == "cache"
    assert store.find(tmp_path / "work" / "tiny").version == "work"
    assert store.find("./tiny").version == "work"


@pytest.mark.parametrize("name", ["", "nothing", "../cache/none", "a\0b", "TINY", "x" * 300])
def test_what_is_not_there_is_not_found_and_what_is_there_is_listed(tmp_path: Path, name: str) -> None:
    folder, pin = source(tmp_path)
    store.install(folder, sha256=pin)
    with pytest.raises(ModelNotFoundError):
        store.find(name)
    with pytest.raises(ModelNotFoundError, match="installed: tiny; or give the folder of a bundle"):
        store.find("nothing")


@pytest.mark.parametrize("name", ["..", "../evil", "/tmp/evil", ".hidden"])
def test_a_bundle_whose_name_could_leave_the_cache_is_not_installed(tmp_path: Path, name: str) -> None:
    folder, pin = source(tmp_path)
    pin = write_bundle(folder, FILES, name=name)
    with pytest.raises(ModelIntegrityError, match="no plain name"):
        store.install(folder, sha256=pin)
    assert contents(tmp_path / "cache") == set()


def offline(*args: object, **kwargs: object) -> str:
    pytest.fail("the network was asked")


@pytest.mark.parametrize(
    ("variable", "allowed"), [(None, False), ("GUARDRAIL_OFFLINE", True), ("HF_HUB_OFFLINE", True)]
)
def test_the_network_is_not_asked_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, allowed: bool
) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    if variable is not None:
        monkeypatch.setenv(variable, "1")
    blocker = f"{variable} is set" if variable else "allow_network is false"
    with pytest.raises(ConfigError, match=f"installing 'owner/tiny' needs the network but {blocker}"):
        store.install("hub:owner/tiny@v1", sha256="0" * 64, allow_network=allowed)


def test_a_bundle_comes_from_the_hub_where_it_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, pin = source(tmp_path)
    asked = []

    def download(repo_id: str, revision: str) -> str:
        asked.append((repo_id, revision))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setenv("GUARDRAIL_OFFLINE", "0")
    bundle = store.install("hub:owner/tiny.onnx@v1.0", sha256=pin, allow_network=True)
    bundle.verify()
    assert asked == [("owner/tiny.onnx", "v1.0")]
    assert bundle.path == tmp_path / "cache" / "tiny"
    with pytest.raises(ModelIntegrityError):
        store.install("hub:owner/tiny@v1", sha256="0" * 64, allow_network=True)


@pytest.mark.parametrize(
    "name", ["hub:", "hub:tiny", "hub:owner/tiny", "hub:../..@main", "hub:a/b@../x", "hub:a/b/c@v1"]
)
def test_a_malformed_hub_source_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ConfigError, match="write hub:owner/repo@revision"):
        store.install(name, sha256="0" * 64, allow_network=True)


def test_nothing_to_install_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        store.install(tmp_path / "nothing", sha256="0" * 64)


def test_the_models_of_this_release_match_their_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for bundle in store.list_bundles():
        bundle.verify()
