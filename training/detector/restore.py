"""Turn a bundle's int8 ONNX file back into the network it was made from, each weight as the file holds it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import AutoConfig, AutoModel

from guardrail.errors import ModelIntegrityError
from guardrail.models.bundle import Bundle
from guardrail.training.detector.model import DetectorNet

_ROUNDED = "_quantized"


def restore(bundle: Bundle) -> DetectorNet:
    """Return the network of a detector bundle, with weights ``scale * (int8 - zero point)``: what was rounded is lost.

    Its outputs differ from the file's only by the rounding of activations, which ONNX does anew for every text.

    Raises:
        ModelIntegrityError: a file differs from its hash, or the model is no export of ``export_int8``.
    """
    net = _network(bundle)
    found = _weights(onnx.load(io.BytesIO(bundle.read("model.onnx"))).graph)
    state = net.state_dict()
    if missing := [name for name, value in state.items() if name not in found or found[name].shape != value.shape]:
        raise ModelIntegrityError(
            f"bundle {bundle.name!r} holds no weight {missing[0]!r} of the shape that its config.json asks for;"
            " only bundles that guardrail train detector made can be trained on"
        )
    net.load_state_dict({name: torch.from_numpy(found[name].copy()) for name in state})
    return net.eval()


def _network(bundle: Bundle) -> DetectorNet:
    bundle.read("config.json")
    config = AutoConfig.from_pretrained(Path(bundle.path) / "config.json")
    encoder = AutoModel.from_config(config, add_pooling_layer=False, attn_implementation="eager")
    return DetectorNet(encoder.float(), config.hidden_size)


def _weights(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    weights = {name: value for name, value in stored.items() if value.dtype == np.float32}
    weights |= {name.removesuffix(_ROUNDED): _full(stored, name) for name in stored if name.endswith(_ROUNDED)}
    # The exporter calls a linear layer's weight by a number; the layer's name stands in its node.
    for node in graph.node:
        if node.op_type == "MatMulInteger" and node.input[1] in stored:
            module = node.name.strip("/").rpartition("/")[0].replace("/", ".")
            weights[f"{module}.weight"] = _full(stored, node.input[1]).T
        elif node.op_type == "Identity" and node.input[0] in weights:
            # Equal tensors are stored once.
            weights[node.output[0]] = weights[node.input[0]]
    return weights


def _full(stored: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    base = name.removesuffix(_ROUNDED)
    whole = stored[name].astype(np.float32) - stored[f"{base}_zero_point"].astype(np.float32)
    full: np.ndarray = whole * stored[f"{base}_scale"]
    return full
