"""Read a LoRA adapter from its bytes and lay it out as the inputs of the rewriter's graph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from guardrail.errors import ModelIntegrityError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "qkv": ("q_proj", "k_proj", "v_proj"),
        "o": ("o_proj",),
        "gate_up": ("gate_proj", "up_proj"),
        "down": ("down_proj",),
    }
)
"""The projections that the graph runs as one, by the name of their LoRA inputs."""


def lora_inputs(adapter: bytes, layers: int) -> dict[str, Matrix]:
    """Turn a safetensors file into the graph's LoRA inputs, such as ``"layers.0.qkv.A"``, as float32.

    The file holds ``layers.i.<projection>.A`` (in, rank) and ``.B`` (rank, out) for every projection of the
    ``layers`` layers, with rank 0 where nothing changes. Raises ``ModelIntegrityError`` when it holds anything else.
    """
    tensors = _load(adapter)
    inputs = {}
    for layer in range(layers):
        for group, parts in GROUPS.items():
            pairs = [_pair(tensors, f"layers.{layer}.{part}") for part in parts]
            inputs[f"layers.{layer}.{group}.A"], inputs[f"layers.{layer}.{group}.B"] = _join(pairs)
    if tensors:
        raise ModelIntegrityError(
            f"the adapter holds {len(tensors)} foreign tensors, first {min(tensors)!r}; export it again"
        )
    return inputs


def _load(adapter: bytes) -> dict[str, Matrix]:
    import numpy as np
    from safetensors.numpy import load

    try:
        return {name: value.astype(np.float32) for name, value in load(adapter).items()}
    except Exception as error:
        raise ModelIntegrityError(
            f"the adapter is no safetensors file ({type(error).__name__}); export it again"
        ) from None


def _pair(tensors: dict[str, Matrix], name: str) -> tuple[Matrix, Matrix]:
    try:
        down, up = tensors.pop(f"{name}.A"), tensors.pop(f"{name}.B")
    except KeyError as missing:
        raise ModelIntegrityError(f"the adapter lacks {missing}; export it again for this base") from None
    if down.ndim != 2 or up.ndim != 2 or down.shape[1] != up.shape[0]:
        raise ModelIntegrityError(f"{name} has shapes {down.shape} and {up.shape}; the ranks must agree")
    return down, up


def _join(pairs: list[tuple[Matrix, Matrix]]) -> tuple[Matrix, Matrix]:
    import numpy as np

    if len({len(down) for down, _ in pairs}) != 1:
        raise ModelIntegrityError(
            "the projections of one group take inputs of different sizes; export the adapter again"
        )
    ups = np.zeros((sum(len(up) for _, up in pairs), sum(up.shape[1] for _, up in pairs)), np.float32)
    row = column = 0
    for _, up in pairs:
        ups[row : row + len(up), column : column + up.shape[1]] = up
        row, column = row + len(up), column + up.shape[1]
    return np.concatenate([down for down, _ in pairs], axis=1), ups
