"""Read a Llama GGUF file: its settings, its tokenizer and its weights, exactly as they are stored."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader

_CONTROL_TOKEN = "3"
_BLOCK = 32


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """The numbers that define a Llama graph; ``head_size`` is in channels, ``context`` in tokens."""

    layers: int
    hidden: int
    _: KW_ONLY
    inner: int
    heads: int
    kv_heads: int
    head_size: int
    vocab: int
    context: int
    rope_base: float
    norm_epsilon: float

    def projections(self) -> dict[str, tuple[int, int]]:
        """Return each projection's (input, output) size by its name in a Hugging Face checkpoint."""
        query, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "q_proj": (self.hidden, query),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (query, self.hidden),
            "gate_proj": (self.hidden, self.inner),
            "up_proj": (self.hidden, self.inner),
            "down_proj": (self.inner, self.hidden),
        }


@dataclass(frozen=True, slots=True)
class Q41:
    """A (rows, columns) matrix in blocks of 32 columns: weight = ``scale * quants + minimum``.

    ``quants`` is uint8 in 0..15 of shape (rows, blocks, 32); ``scale`` and ``minimum`` are float16 (rows, blocks).
    """

    quants: npt.NDArray[np.uint8]
    scale: npt.NDArray[np.float16]
    minimum: npt.NDArray[np.float16]

    def dense(self) -> npt.NDArray[np.float32]:
        """Return the weights as float32 (rows, columns)."""
        scale, minimum = (part.astype(np.float32)[..., None] for part in (self.scale, self.minimum))
        return (scale * self.quants + minimum).reshape(len(self.quants), -1)


@dataclass(frozen=True, slots=True)
class Q80:
    """A (rows, columns) matrix in blocks of 32 columns: weight = ``scale * quants``; ``quants`` is int8."""

    quants: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float16]

    def dense(self) -> npt.NDArray[np.float32]:
        """Return the weights as float32 (rows, columns)."""
        return (self.scale.astype(np.float32)[..., None] * self.quants).reshape(len(self.quants), -1)


class LlamaGguf:
    """An opened GGUF file with a Q4_1 body and a Q8_0 embedding that also serves as the output head."""

    def __init__(self, path: Path) -> None:
        reader = GGUFReader(path)
        self._fields = reader.fields
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.shape = self._read_shape()

    def norm(self, name: str) -> npt.NDArray[np.float32]:
        """Return the weight of the norm ``name``, such as ``"blk.0.attn_norm"``."""
        return np.array(self._tensors[f"{name}.weight"].data, dtype=np.float32)

    def q41(self, name: str, rotary_heads: int = 0) -> Q41:
        """Return a projection; with ``rotary_heads`` its rows go back to the Hugging Face order.

        llama.cpp interleaves the two halves of every rotary head, Hugging Face keeps them apart.
        """
        blocks = self._blocks(name, "Q4_1", 20)
        nibbles = blocks[..., 4:]
        parts = [np.concatenate([nibbles & 15, nibbles >> 4], axis=-1), _half(blocks, 0), _half(blocks, 2)]
        if rotary_heads:
            parts = [_unpermute(part, rotary_heads) for part in parts]
        return Q41(*parts)

    def q80(self, name: str) -> Q80:
        """Return the embedding."""
        blocks = self._blocks(name, "Q8_0", 34)
        return Q80(np.ascontiguousarray(blocks[..., 2:]).view(np.int8), _half(blocks, 0))

    def end_id(self) -> int:
        """Return the id of the token that ends a turn."""
        return int(str(self._field("tokenizer.ggml.eos_token_id")))

    def tokenizer_json(self) -> str:
        """Return the tokenizer in the ``tokenizers`` library's format: byte-level BPE with every digit on its own.

        There is no unknown token: a byte that the vocabulary lacks is left out, never turned into a control token.
        """
        if (splitter := self._field("tokenizer.ggml.pre")) != "smollm":
            raise ValueError(f"tokenizer.ggml.pre is {splitter!r}; only 'smollm' is known here")
        tokens, kinds = self._strings("tokenizer.ggml.tokens"), self._strings("tokenizer.ggml.token_type")
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        document = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {"id": i, "content": token, **flags} for i, token in enumerate(tokens) if kinds[i] == _CONTROL_TOKEN
            ],
            "normalizer": None,
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
            },
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: i for i, token in enumerate(tokens)},
                "merges": self._strings("tokenizer.ggml.merges"),
            },
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def _read_shape(self) -> LlamaShape:
        def number(key: str) -> float:
            return float(str(self._field(f"llama.{key}")))

        heads, hidden = int(number("attention.head_count")), int(number("embedding_length"))
        return LlamaShape(
            int(number("block_count")),
            hidden,
            inner=int(number("feed_forward_length")),
            heads=heads,
            kv_heads=int(number("attention.head_count_kv")),
            head_size=hidden // heads,
            vocab=int(number("vocab_size")),
            context=int(number("context_length")),
            rope_base=number("rope.freq_base"),
            norm_epsilon=number("attention.layer_norm_rms_epsilon"),
        )

    def _field(self, key: str) -> object:
        if key not in self._fields:
            raise ValueError(f"the GGUF file has no field {key!r}; only Llama files with their tokenizer can be read")
        return self._fields[key].contents()

    def _strings(self, key: str) -> list[str]:
        values = self._field(key)
        assert isinstance(values, list)
        return [str(value) for value in values]

    def _blocks(self, name: str, kind: str, size: int) -> npt.NDArray[np.uint8]:
        tensor = self._tensors[f"{name}.weight"]
        if tensor.tensor_type.name != kind:
            raise ValueError(f"{name} is {tensor.tensor_type.name}, not {kind}; choose a file that mixes Q4_1 and Q8_0")
        columns, rows = (int(n) for n in tensor.shape)
        return np.array(tensor.data).view(np.uint8).reshape(rows, columns // _BLOCK, size)


def _half(blocks: npt.NDArray[np.uint8], at: int) -> npt.NDArray[np.float16]:
    return np.ascontiguousarray(blocks[..., at : at + 2]).view(np.float16)[..., 0]


def _unpermute(rows: npt.NDArray[np.generic], heads: int) -> npt.NDArray[np.generic]:
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)
