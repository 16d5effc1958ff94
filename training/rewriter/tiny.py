"""Make a tiny rewriter with random weights, of the real one's graph and tokenizer kind, for tests and dry runs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from guardrail.training.rewriter.gguf import Q41, Q80, LlamaShape
from guardrail.training.rewriter.graph import GGUF_NAMES, build

CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END = CONTROLS.index("<|im_end|>")

SHAPE = LlamaShape(
    2,
    64,
    inner=96,
    heads=4,
    kv_heads=2,
    head_size=16,
    vocab=len(CONTROLS) + 256,
    context=1024,
    rope_base=10_000.0,
    norm_epsilon=2.0**-17,
)


class RandomWeights:
    """Weights drawn from ``seed`` and the tensor's name; ``end_bias`` scales the end token's row."""

    def __init__(self, shape: LlamaShape = SHAPE, *, seed: int = 0, end_bias: float = 0.0) -> None:
        self.shape, self._seed, self._end_bias = shape, seed, end_bias
        self._sizes = shape.projections()

    def norm(self, name: str) -> npt.NDArray[np.float32]:
        """Return a norm's weight, close to 1."""
        return self._random(name).uniform(0.8, 1.2, self.shape.hidden).astype(np.float32)

    def q41(self, name: str, rotary_heads: int = 0) -> Q41:
        """Return a projection whose weights are about unit-preserving."""
        columns, rows = self._sizes[_PROJECTIONS[name.rsplit(".", 1)[1]]]
        random, step = self._random(name), 0.4 / np.sqrt(columns)
        quants = random.integers(0, 16, (rows, columns // 32, 32), dtype=np.uint8)
        scale = random.uniform(0.5 * step, step, quants.shape[:2]).astype(np.float16)
        return Q41(quants, scale, (-7.5 * scale).astype(np.float16))

    def q80(self, name: str) -> Q80:
        """Return the embedding."""
        random = self._random(name)
        quants = random.integers(-127, 128, (self.shape.vocab, self.shape.hidden // 32, 32), dtype=np.int8)
        scale = np.full(quants.shape[:2], 0.01, np.float16)
        scale[: len(CONTROLS)] = 0
        scale[END] = 0.01 * self._end_bias
        return Q80(quants, scale)

    def _random(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self._seed, *name.encode()])


_PROJECTIONS = {stored: name for name, stored in GGUF_NAMES.items()}


def tiny_model(*, seed: int = 0, end_bias: float = 0.0) -> bytes:
    """Return the ONNX file of a random two-layer model; with ``end_bias`` 0 it never ends its answer."""
    weights = RandomWeights(seed=seed, end_bias=end_bias)
    model: bytes = build(weights, SHAPE.context).SerializeToString(deterministic=True)
    return model


def tiny_tokenizer() -> bytes:
    """Return a byte-level ``tokenizer.json`` with the control tokens of the real one and no merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate([*CONTROLS, *letters])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(CONTROLS))
    text: str = tokenizer.to_str()
    return text.encode()
