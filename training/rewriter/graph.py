"""Write a quantised Llama as one ONNX graph with a shared KV cache and a place for LoRA beside every projection.

A Q4_1 block ``w = d*q + m`` is run by the fast symmetric int4 kernel without loss: ``w = d*(q - 8) + c`` with
``c = m + 8*d``, so ``y = MatMulNBits(x; q, d) + blocksum32(x) @ c.T``. Scales are stored as float16 and widened when
onnxruntime folds constants at load. The Q8_0 embedding is stored once and serves as the output head too.

Inputs: ``ids`` (1, T) int64; ``wanted`` (W,) int64, the positions whose logits are computed; ``last`` (1,) int32, the
last position in the cache; ``total`` () int32, ``last + 1``; ``past_key_i`` and ``past_value_i`` (1, kv_heads,
capacity, head_size) float32; and, optional, ``layers.i.<group>.A`` (in, rank) and ``.B`` (rank, out) float32.
Outputs: ``logits`` (W, vocab) float32, ``present_key_i``, ``present_value_i``: the same memory as the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from guardrail.rewrite.adapter import GROUPS
from guardrail.training.rewriter.gguf import Q41, Q80, LlamaShape

_BLOCK = 32
_OPSET = 21
_MS_OPSET = 1
_INT8_ACTIVATIONS = 4
GGUF_NAMES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
"""What the GGUF format calls each projection of a layer."""


class Weights(Protocol):
    """Where the weights come from: a GGUF file, or random numbers in a test."""

    shape: LlamaShape

    def norm(self, name: str) -> npt.NDArray[np.float32]:
        """Return a norm's weight."""

    def q41(self, name: str, rotary_heads: int = 0) -> Q41:
        """Return a projection, rows in Hugging Face order."""

    def q80(self, name: str) -> Q80:
        """Return the embedding."""


def build(weights: Weights, context: int) -> onnx.ModelProto:
    """Return the graph for at most ``context`` positions; the facts a runtime needs are in its metadata."""
    model = _Builder(weights, context).model()
    facts = {"context": context, "layers": weights.shape.layers, "vocab": weights.shape.vocab}
    helper.set_model_props(model, {key: str(value) for key, value in facts.items()})
    return model


class _Builder:
    def __init__(self, weights: Weights, context: int) -> None:
        self.weights, self.shape, self.context = weights, weights.shape, context
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def model(self) -> onnx.ModelProto:
        self._declare()
        self._rotary_tables()
        hidden = self._embedding()
        residual = hidden
        for layer in range(self.shape.layers):
            hidden, residual = self._layer(layer, hidden, residual)
        self._head(hidden, residual)
        graph = helper.make_graph(self.nodes, "llama", self.inputs, self.outputs, self.constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", _MS_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="guardrail")

    def _declare(self) -> None:
        self._input("ids", TensorProto.INT64, [1, "T"])
        self._input("wanted", TensorProto.INT64, ["W"])
        self._input("last", TensorProto.INT32, [1])
        self._input("total", TensorProto.INT32, [])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["W", self.shape.vocab])
        self.outputs.append(logits)
        self._constant("zero", np.array([0], np.int64))
        self._constant("two", np.array([2], np.int64))
        self._constant("eight", np.array(8, np.float32))
        self._constant("half", np.array([self.shape.inner] * 2, np.int64))

    def _rotary_tables(self) -> None:
        pairs = np.arange(0, self.shape.head_size, 2, dtype=np.float64) / self.shape.head_size
        angles = np.outer(np.arange(self.context, dtype=np.float64), self.shape.rope_base**-pairs)
        self._constant("cos", np.cos(angles).astype(np.float32))
        self._constant("sin", np.sin(angles).astype(np.float32))

    def _embedding(self) -> str:
        embedding = self.weights.q80("token_embd")
        blocks = self.shape.hidden // _BLOCK
        self._constant("embed.q", (embedding.quants.view(np.uint8) ^ 128).reshape(self.shape.vocab, blocks, _BLOCK))
        self._constant("embed.d16", embedding.scale)
        self._constant("embed.cube", np.array([self.shape.vocab, blocks, 1], np.int64))
        self._constant("flat", np.array([-1, self.shape.hidden], np.int64))
        self._node("Cast", ["embed.d16"], "embed.d", to=TensorProto.FLOAT)
        self._node("Reshape", ["embed.d", "embed.cube"], "embed.d3")
        how = {"bits": 8, "block_size": _BLOCK, "gather_axis": 0, "quantize_axis": 2}
        self._node("GatherBlockQuantized", ["embed.q", "ids", "embed.d3"], "embedded", **how)
        return self._node("Reshape", ["embedded", "flat"], "hidden")

    def _layer(self, layer: int, hidden: str, residual: str) -> tuple[str, str]:
        at = f"layers.{layer}"
        normed, residual = self._norm(f"{at}.attn", f"blk.{layer}.attn_norm", hidden, residual, first=layer == 0)
        attended = self._attention(layer, self._project(layer, "qkv", normed))
        output = self._project(layer, "o", attended)
        normed, residual = self._norm(f"{at}.ffn", f"blk.{layer}.ffn_norm", output, residual)
        both = self._project(layer, "gate_up", normed)
        self._nodes("Split", [both, "half"], [f"{at}.gate", f"{at}.up"], axis=-1)
        self._node("Sigmoid", [f"{at}.gate"], f"{at}.open")
        self._node("Mul", [f"{at}.gate", f"{at}.open"], f"{at}.silu")
        gated = self._node("Mul", [f"{at}.silu", f"{at}.up"], f"{at}.gated")
        return self._project(layer, "down", gated), residual

    def _attention(self, layer: int, packed: str) -> str:
        at, shape = f"layers.{layer}", self.shape
        past = [f"past_key_{layer}", f"past_value_{layer}"]
        present = [f"present_key_{layer}", f"present_value_{layer}"]
        size: list[int | str] = [1, shape.kv_heads, "capacity", shape.head_size]
        for name in past:
            self._input(name, TensorProto.FLOAT, size)
        for name in present:
            self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, size))
        self._node("Unsqueeze", [packed, "zero"], f"{at}.qkv3")
        self._nodes(
            "GroupQueryAttention",
            [f"{at}.qkv3", "", "", *past, "last", "total", "cos", "sin"],
            [f"{at}.attended3", *present],
            num_heads=shape.heads,
            kv_num_heads=shape.kv_heads,
            do_rotary=1,
        )
        return self._node("Squeeze", [f"{at}.attended3", "zero"], f"{at}.attended")

    def _head(self, hidden: str, residual: str) -> None:
        # Only the wanted rows reach the head: it is a quarter of the work of reading a prompt.
        self._node("Gather", [hidden, "wanted"], "hidden.wanted", axis=0)
        self._node("Gather", [residual, "wanted"], "residual.wanted", axis=0)
        normed, _ = self._norm("output", "output_norm", "hidden.wanted", "residual.wanted")
        size = {"K": self.shape.hidden, "N": self.shape.vocab}
        self._node("MatMulNBits", [normed, "embed.q", "embed.d"], "logits", **size, bits=8, **_KERNEL)

    def _norm(self, at: str, weight: str, hidden: str, residual: str, *, first: bool = False) -> tuple[str, str]:
        self._constant(f"{at}.norm", self.weights.norm(weight))
        settings = {"epsilon": self.shape.norm_epsilon}
        if first:
            self._node("SimplifiedLayerNormalization", [hidden, f"{at}.norm"], f"{at}.normed", axis=-1, **settings)
            return f"{at}.normed", residual
        names = [f"{at}.normed", "", "", f"{at}.sum"]
        self._nodes("SkipSimplifiedLayerNormalization", [hidden, residual, f"{at}.norm"], names, **settings)
        return f"{at}.normed", f"{at}.sum"

    def _project(self, layer: int, group: str, x: str) -> str:
        at = f"layers.{layer}.{group}"
        parts = [self._part(layer, name) for name in GROUPS[group]]
        quants = np.concatenate([part.quants for part in parts])
        rows, blocks = quants.shape[:2]
        self._constant(f"{at}.q", quants[..., 0::2] | (quants[..., 1::2] << 4))
        self._constant(f"{at}.d16", np.concatenate([part.scale for part in parts]))
        self._constant(f"{at}.m16", np.concatenate([part.minimum for part in parts]))
        self._node("Cast", [f"{at}.d16"], f"{at}.d", to=TensorProto.FLOAT)
        self._node("Cast", [f"{at}.m16"], f"{at}.m", to=TensorProto.FLOAT)
        self._node("Mul", [f"{at}.d", "eight"], f"{at}.d8")
        self._node("Add", [f"{at}.m", f"{at}.d8"], f"{at}.c")
        size = {"K": blocks * _BLOCK, "N": rows}
        self._node("MatMulNBits", [x, f"{at}.q", f"{at}.d"], f"{at}.int4", **size, bits=4, **_KERNEL)
        self._node("Gemm", [self._block_sums(x, blocks), f"{at}.c", f"{at}.int4"], f"{at}.base", transB=1)
        self._lora_input(f"{at}.A", blocks * _BLOCK, 0)
        self._lora_input(f"{at}.B", 0, rows)
        self._node("MatMul", [x, f"{at}.A"], f"{at}.low")
        return self._node("Gemm", [f"{at}.low", f"{at}.B", f"{at}.base"], f"{at}.y")

    def _part(self, layer: int, name: str) -> Q41:
        heads = {"q_proj": self.shape.heads, "k_proj": self.shape.kv_heads}.get(name, 0)
        return self.weights.q41(f"blk.{layer}.{GGUF_NAMES[name]}", heads)

    def _block_sums(self, x: str, blocks: int) -> str:
        cube = f"cube.{blocks}"
        if all(constant.name != cube for constant in self.constants):
            self._constant(cube, np.array([-1, blocks, _BLOCK], np.int64))
        self._node("Reshape", [x, cube], f"{x}.blocks")
        return self._node("ReduceSum", [f"{x}.blocks", "two"], f"{x}.sums", keepdims=0)

    def _lora_input(self, name: str, rows: int, columns: int) -> None:
        self._input(name, TensorProto.FLOAT, [rows or f"{name}.rank", columns or f"{name}.rank"])
        self._constant(name, np.zeros((rows, columns), np.float32))

    def _input(self, name: str, kind: int, shape: Sequence[int | str]) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> None:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))

    def _node(self, kind: str, inputs: Sequence[str], output: str, **settings: int | float) -> str:
        self._nodes(kind, inputs, [output], **settings)
        return output

    def _nodes(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **settings: int | float) -> None:
        domain = "com.microsoft" if kind in _MICROSOFT else ""
        node = helper.make_node(kind, inputs, outputs, name=outputs[0], domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(settings.items()))
        self.nodes.append(node)


_KERNEL = {"block_size": _BLOCK, "accuracy_level": _INT8_ACTIVATIONS}
_MICROSOFT = {"GatherBlockQuantized", "GroupQueryAttention", "MatMulNBits", "SkipSimplifiedLayerNormalization"}
