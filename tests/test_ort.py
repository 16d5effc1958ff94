"""Test the door to onnxruntime: models that reach for other files are refused, telemetry is off in every case."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail import _ort

SIZE = 64
# What onnxruntime leaves behind where nobody turned its telemetry off: a device id and a store of events.
IMPORT = "from guardrail import _ort; _ort.runtime()"


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with weights in it and around it."""
    (tmp_path / "work").mkdir()
    for name in ("work/weights.bin", "weights.bin"):
        (tmp_path / name).write_bytes(bytes(4 * SIZE))
    (tmp_path / "work" / "link.bin").symlink_to(tmp_path / "weights.bin")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def model(location: str | None) -> bytes:
    """Return a model that adds weights, which it holds itself or says to be at ``location``."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones(SIZE, np.float32), "w")
    if location is not None:
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, "offset": "0", "length": str(4 * SIZE)}.items():
            weights.external_data.add(key=key, value=value)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIZE]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights])
    made: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return made


@pytest.mark.training
@pytest.mark.parametrize(
    "place", ["weights.bin", "link.bin", "./weights.bin", "../weights.bin", "/", "*/_ORT_MEM_ADDR_/*"]
)
def test_a_model_whose_weights_lie_elsewhere_is_refused(beside: Path, place: str) -> None:
    location = str(beside / "weights.bin") if place == "/" else place
    with pytest.raises(_ort.runtime().capi.onnxruntime_pybind11_state.Fail):
        _ort.session(model(location))


@pytest.mark.training
def test_a_model_that_holds_its_weights_is_opened(beside: Path) -> None:
    assert [i.name for i in _ort.session(model(None)).get_inputs()] == ["x"]


@pytest.mark.parametrize("before", [None, "", "1"])
def test_no_device_id_is_made_whatever_was_set_before(tmp_path: Path, before: str | None) -> None:
    # A build machine turns the telemetry off as well; a user's does not.
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    own = {} if before is None else {"ORT_DISABLE_TELEMETRY": before}
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    subprocess.run([sys.executable, "-c", IMPORT], check=True, env={**kept, **own, **places})
    assert list(tmp_path.iterdir()) == []
