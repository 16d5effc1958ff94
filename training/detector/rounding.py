"""Train a network through the rounding that its int8 export does: rounded weights forward, straight-through back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST = 127


class _Rounded(torch.autograd.Function):
    """Round forward, pass the gradient back as if nothing was rounded (straight-through, Bengio et al. 2013)."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        # In fp64 and then fp32, as onnxruntime does, or some scales would differ in their last bit.
        scale = (weight.abs().amax(1, keepdim=True).double() / LARGEST).to(weight.dtype)
        scale = torch.where(scale < torch.finfo(weight.dtype).tiny, torch.ones_like(scale), scale)
        return (weight / scale).round().clamp(-LARGEST, LARGEST) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def rounded(weight: Tensor) -> Tensor:
    """Return an (out, in) weight as onnxruntime's symmetric int8 per output channel holds it, in its own precision."""
    held: Tensor = _Rounded.apply(weight)  # type: ignore[no-untyped-call]
    return held


class RoundedLinear(nn.Linear):
    """A linear layer that computes with its rounded weights and keeps the full ones."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the layer's output for ``input`` of shape (..., in)."""
        return functional.linear(input, rounded(self.weight), self.bias)


@contextmanager
def through_rounding(net: nn.Module) -> Iterator[None]:
    """Let every linear layer of ``net`` compute with rounded weights for a while; names and weights stay the same."""
    layers = [module for module in net.modules() if type(module) is nn.Linear]
    for layer in layers:
        layer.__class__ = RoundedLinear
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.Linear
