"""The models in the bill of materials: each file with the hash that it has."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

from guardrail.errors import ModelIntegrityError
from guardrail.models.bundle import open_bundle
from guardrail.training.tools import sbom_models
from guardrail.training.tools.sbom_models import add_models
from tests.bundles import sha256, write_bundle

FILES = {"model.onnx": b"weights", "tokenizer.json": b"{}"}
BOM = {
    "bomFormat": "CycloneDX",
    "components": [{"type": "library", "name": "numpy", "bom-ref": "numpy==2"}],
    "dependencies": [{"ref": "root-component", "dependsOn": ["numpy==2"]}, {"ref": "numpy==2"}],
}


def test_every_file_of_a_bundle_is_listed_with_its_hash(tmp_path: Path) -> None:
    pin = write_bundle(tmp_path / "tiny", FILES)
    before = copy.deepcopy(BOM)
    bom = add_models(BOM, [open_bundle(tmp_path / "tiny")])
    assert before == BOM
    package, model = bom["components"]
    assert package["name"] == "numpy"
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "tiny", "1.0.0")
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    hashes = {part["name"]: part["hashes"][0]["content"] for part in model["components"]}
    assert hashes == {
        "tiny/bundle.toml": pin,
        "tiny/model.onnx": sha256(b"weights"),
        "tiny/tokenizer.json": sha256(b"{}"),
    }
    assert model["hashes"] == [{"alg": "SHA-256", "content": pin}]
    assert bom["dependencies"][-1] == {"ref": "root-component", "dependsOn": ["model:tiny@1.0.0", "numpy==2"]}


def test_adding_twice_changes_nothing(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", FILES)
    bundles = [open_bundle(tmp_path / "tiny")]
    once = add_models(BOM, bundles)
    assert add_models(once, bundles) == once


def test_a_damaged_model_is_not_listed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", FILES)
    (tmp_path / "tiny" / "model.onnx").write_bytes(b"other")
    with pytest.raises(ModelIntegrityError):
        add_models(BOM, [open_bundle(tmp_path / "tiny")])


def test_another_document_is_refused() -> None:
    with pytest.raises(ValueError, match="bomFormat is None"):
        add_models({}, [])


def test_the_command_changes_the_file_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(tmp_path / "tiny", FILES)
    (tmp_path / "bom.json").write_text(json.dumps(BOM))
    monkeypatch.setattr(sbom_models, "BUILT_IN", tmp_path)
    monkeypatch.setattr(sbom_models, "list_bundles", lambda: [open_bundle(tmp_path / "tiny")])
    monkeypatch.setattr(sys, "argv", ["sbom_models", str(tmp_path / "bom.json")])
    sbom_models.main()
    assert "2 components, 1 of them models" in capsys.readouterr().out
    assert [c["name"] for c in json.loads((tmp_path / "bom.json").read_text())["components"]] == ["numpy", "tiny"]
