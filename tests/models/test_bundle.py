"""Test bundles: what is a valid description, and that only bytes that match their hash are ever handed out."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from guardrail.errors import ModelError, ModelIntegrityError, ModelNotFoundError
from guardrail.models import bundle as module
from guardrail.models.bundle import open_bundle
from tests.bundles import sha256, write_bundle

FILES = {"model.onnx": bytes(range(256)) * 4, "tokenizer.json": b'{"a": 1}', "empty.bin": b""}
GOOD = 'name = "a"\nkind = "detector"\nversion = "1"\nlicense = "MIT"\n[files]\n'
PIN = "0" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tiny"
    write_bundle(path, FILES, version=2)
    return path


def test_a_bundle_says_what_it_is_and_reads_its_files(folder: Path) -> None:
    bundle = open_bundle(folder)
    assert (bundle.name, bundle.kind, bundle.version, bundle.license) == ("tiny", "detector", "2", "Apache-2.0")
    assert {name: bundle.read(name) for name in bundle.files} == FILES
    assert bundle.size == sum(map(len, FILES.values()))
    bundle.verify()
    assert "sha256" not in repr(bundle)


def test_a_hash_may_stand_in_a_table(tmp_path: Path) -> None:
    text = GOOD + f'"a.bin" = {{sha256 = "{sha256(b"x")}", size = 1}}'
    (tmp_path / "bundle.toml").write_text(text)
    (tmp_path / "a.bin").write_bytes(b"x")
    assert open_bundle(tmp_path).read("a.bin") == b"x"


@pytest.mark.parametrize("data", [b"", b"other", FILES["model.onnx"][:-1], FILES["model.onnx"] + b"\0", b"<html>"])
def test_a_changed_file_is_refused_and_named(folder: Path, data: bytes) -> None:
    (folder / "model.onnx").write_bytes(data)
    bundle = open_bundle(folder)
    with pytest.raises(ModelIntegrityError, match=r"model.onnx has sha256 .*; install the bundle again"):
        bundle.read("model.onnx")
    with pytest.raises(ModelIntegrityError):
        bundle.verify()
    assert bundle.read("tokenizer.json") == FILES["tokenizer.json"]


def test_a_missing_file_a_folder_and_a_device_are_refused(folder: Path) -> None:
    bundle = open_bundle(folder)
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelIntegrityError, match=r"model.onnx cannot be read \(FileNotFoundError"):
        bundle.read("model.onnx")
    (folder / "model.onnx").mkdir()
    with pytest.raises(ModelIntegrityError, match="is not a plain file"):
        bundle.read("model.onnx")
    if os.path.exists("/dev/zero"):
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer.json").symlink_to("/dev/zero")
        with pytest.raises(ModelIntegrityError, match="is not a plain file"):
            bundle.read("tokenizer.json")


def test_a_file_that_is_not_pinned_is_never_read(folder: Path) -> None:
    (folder / "extra.bin").write_bytes(b"x")
    for name in ("extra.bin", "bundle.toml", "../tiny/model.onnx"):
        with pytest.raises(ModelIntegrityError, match="pins no file"):
            open_bundle(folder).read(name)


def test_a_file_beyond_the_limit_is_refused_unread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelIntegrityError, match="larger than 100 bytes"):
        open_bundle(folder).read("model.onnx")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"not toml",
        b"a = " + b"[" * 5000,
        GOOD.replace("name", "names").encode(),
        GOOD.replace('version = "1"\n', "").encode(),
        GOOD.replace("[files]", "").encode(),
        GOOD.replace("[files]", "files = 3").encode(),
        f'{GOOD}"a.bin" = "{PIN[1:]}"'.encode(),
        f'{GOOD}"a.bin" = "{"A" * 64}"'.encode(),
        f'{GOOD}"a.bin" = 7'.encode(),
        f'{GOOD}"a.bin" = {{size = 7}}'.encode(),
    ],
)
def test_a_malformed_description_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "bundle.toml").write_bytes(text)
    with pytest.raises(ModelIntegrityError, match=r"bundle.toml is not a valid bundle description"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "a b", "ä", "x" * 200])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path / "one", {}, name=name)
    with pytest.raises(ModelIntegrityError, match="no plain name"):
        open_bundle(tmp_path / "one")
    quoted = name.replace("\\", "\\\\")
    (tmp_path / "bundle.toml").write_text(f'{GOOD}"{quoted}" = "{PIN}"', encoding="utf-8")
    with pytest.raises(ModelIntegrityError, match="no plain name"):
        open_bundle(tmp_path)


def test_no_folder_and_no_description_are_not_found(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelNotFoundError, match=r"holds no readable bundle.toml"):
            open_bundle(path)


def test_the_description_itself_can_be_pinned(tmp_path: Path) -> None:
    pin = write_bundle(tmp_path / "tiny", FILES)
    assert open_bundle(tmp_path / "tiny", sha256=pin).name == "tiny"
    for wrong in (PIN, "", "é", pin.upper()):
        with pytest.raises(ModelIntegrityError, match="differs from the hash that this release pins"):
            open_bundle(tmp_path / "tiny", sha256=wrong)


def test_no_flipped_bit_gets_through(tmp_path: Path) -> None:
    pin = write_bundle(tmp_path / "tiny", FILES)
    chance = random.Random(0)
    paths = [path for path in sorted((tmp_path / "tiny").iterdir()) if path.stat().st_size]
    for _ in range(200):
        path = chance.choice(paths)
        good = path.read_bytes()
        bad = bytearray(good)
        bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(ModelError):
            open_bundle(tmp_path / "tiny", sha256=pin).verify()
        path.write_bytes(good)
    open_bundle(tmp_path / "tiny", sha256=pin).verify()
