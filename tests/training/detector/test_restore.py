"""Check that a bundle's file becomes the network it was made from, weight by weight, and that foreign files do not."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

from guardrail.errors import ModelIntegrityError
from guardrail.models.bundle import Bundle, open_bundle
from guardrail.models.store import find
from guardrail.training.data.authored import detector_rows, read_authored
from guardrail.training.detector.batches import encode, tokenizer_of
from guardrail.training.detector.export import export_fp32, export_int8, parity
from guardrail.training.detector.restore import restore
from guardrail.training.detector.rounding import rounded
from tests import bundles
from tests.training import tiny

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    export_int8(tiny.net(base, seed=2), folder / "model.onnx")
    return folder / "model.onnx"


def bundle(folder: Path, model: bytes, config: bytes) -> Bundle:
    bundles.write_detector(folder, {"model.onnx": model, "config.json": config})
    return open_bundle(folder)


def test_every_weight_comes_back_as_the_file_holds_it(base: Path, made: Path, tmp_path: Path) -> None:
    net = tiny.net(base, seed=2)
    found = restore(bundle(tmp_path, made.read_bytes(), (base / "config.json").read_bytes())).state_dict()
    assert found.keys() == net.state_dict().keys()
    for name, value in net.state_dict().items():
        if value.dim() == 1:
            assert torch.equal(found[name], value), name
        elif "embeddings" in name:
            # One scale for the whole table: within half a step of it.
            assert (found[name] - value).abs().max() <= (value.max() - value.min()) / 255 / 2 * 1.01, name
        else:
            assert torch.equal(found[name], rounded(value)), name


def test_an_export_of_the_restored_network_is_the_same_file(base: Path, made: Path, tmp_path: Path) -> None:
    net = restore(bundle(tmp_path / "b", made.read_bytes(), (base / "config.json").read_bytes()))
    export_int8(net, tmp_path / "again.onnx")
    first, second = (onnx.load(str(path)).graph.initializer for path in (made, tmp_path / "again.onnx"))
    stored = {one.name: one.SerializeToString() for one in first if one.name.endswith("_quantized")}
    assert stored == {one.name: one.SerializeToString() for one in second if one.name.endswith("_quantized")}


@pytest.mark.model
def test_the_shipped_network_says_what_its_file_says() -> None:
    shipped = find("detector-fast")
    rows = list(detector_rows(read_authored(held_out=True)[:60]))
    items = encode(rows, tokenizer_of(str(shipped.path)), 126)
    same = parity(restore(shipped), shipped.path / "model.onnx", items)
    assert same.mean < 0.01 and same.agreement > 0.99


def test_an_unquantised_or_foreign_file_is_refused(base: Path, made: Path, tmp_path: Path) -> None:
    config = (base / "config.json").read_bytes()
    export_fp32(tiny.net(base), tmp_path / "fp32.onnx")
    with pytest.raises(ModelIntegrityError, match="holds no weight .*only bundles that guardrail train detector made"):
        restore(bundle(tmp_path / "fp32", (tmp_path / "fp32.onnx").read_bytes(), config))
    deeper = json.dumps(json.loads(config) | {"num_hidden_layers": 3}).encode()
    with pytest.raises(ModelIntegrityError, match=r"holds no weight '.*layer\.2\."):
        restore(bundle(tmp_path / "deep", made.read_bytes(), deeper))
    wider = json.dumps(json.loads(config) | {"intermediate_size": 128}).encode()
    with pytest.raises(ModelIntegrityError, match="of the shape that its config.json asks for"):
        restore(bundle(tmp_path / "wide", made.read_bytes(), wider))


def test_a_bundle_without_its_config_or_with_another_file_is_refused(made: Path, tmp_path: Path) -> None:
    bundles.write_detector(tmp_path / "b", {"model.onnx": made.read_bytes()})
    with pytest.raises(ModelIntegrityError, match=r"pins no file 'config\.json'"):
        restore(open_bundle(tmp_path / "b"))
