"""Do arithmetic with what training changed: a task vector is the tuned weights minus the original ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from guardrail.errors import ConfigError

CHUNK = 1 << 22
"""Numbers that are widened to float32 at once when a vector is applied: 16 MiB."""

Taken = Callable[[str], Tensor]


class TaskVector:
    """The float32 difference of two sets of weights by name, ``tau = tuned - original``.

    ``-tau`` forgets the task, ``a + b`` and ``a - b`` combine, ``c * tau`` scales: Ilharco et al. 2023, "Editing Models
    with Task Arithmetic", section 2.
    """

    def __init__(self, deltas: Mapping[str, Tensor]) -> None:
        self.deltas = dict(deltas)

    @classmethod
    def between(cls, tuned: nn.Module, original: nn.Module) -> TaskVector:
        """Return ``tuned - original``; weights that did not change are left out.

        Raises:
            ConfigError: the models have weights of other names or shapes.
        """
        before, after = _weights(original), _weights(tuned)
        if before.keys() != after.keys():
            raise ConfigError(f"the models differ in weight {min(before.keys() ^ after.keys())!r}; take the same base")
        deltas = {}
        for name, weight in after.items():
            _check_shape(name, weight, before[name])
            delta = weight.float() - before[name].to(weight.device).float()
            if bool(delta.count_nonzero()):
                deltas[name] = delta.cpu()
        return cls(deltas)

    def __neg__(self) -> TaskVector:
        return -1.0 * self

    def __rmul__(self, factor: float) -> TaskVector:
        return TaskVector({name: factor * delta for name, delta in self.deltas.items()})

    def __add__(self, other: TaskVector) -> TaskVector:
        total = dict(self.deltas)
        for name, delta in other.deltas.items():
            if name in total:
                _check_shape(name, delta, total[name])
                delta = total[name] + delta
            total[name] = delta
        return TaskVector(total)

    def __sub__(self, other: TaskVector) -> TaskVector:
        return self + -other

    def norm(self) -> float:
        """Return the Euclidean length of the whole vector."""
        return float(torch.stack([delta.square().sum() for delta in self.deltas.values()]).sum().sqrt())

    def apply_to(self, model: nn.Module, coefficient: float = 1.0, *, chunk: int = CHUNK) -> None:
        """Add ``coefficient`` times the vector to ``model`` in place, ``chunk`` numbers at a time.

        Raises:
            ConfigError: the model lacks a weight of the vector, or it has another shape; nothing is changed then.
        """
        shapes = {name: tuple(delta.shape) for name, delta in self.deltas.items()}
        _apply(model, shapes, self.deltas.__getitem__, coefficient, chunk)

    def save(self, path: Path) -> None:
        """Write the vector as safetensors."""
        save_file({name: delta.contiguous() for name, delta in self.deltas.items()}, path, {"kind": "task-vector"})

    @classmethod
    def load(cls, path: Path) -> TaskVector:
        """Read a vector that ``save`` wrote."""
        return cls(load_file(path))


def apply_file(path: Path, model: nn.Module, coefficient: float = 1.0, *, chunk: int = CHUNK) -> None:
    """Add a saved vector to ``model`` in place, one tensor in memory at a time; raises as ``apply_to`` does."""
    with safe_open(path, framework="pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        _apply(model, shapes, file.get_tensor, coefficient, chunk)


def _apply(
    model: nn.Module, shapes: Mapping[str, tuple[int, ...]], taken: Taken, coefficient: float, chunk: int
) -> None:
    weights = _weights(model)
    for name, shape in shapes.items():
        if name not in weights:
            raise ConfigError(f"the model has no weight {name!r}; apply the vector to the base that it was made from")
        if tuple(weights[name].shape) != shape:
            raise ConfigError(f"weight {name!r} has shape {tuple(weights[name].shape)}, the vector {shape}")
    with torch.no_grad():
        for name in shapes:
            for part, delta in _chunks(weights[name], taken(name), chunk):
                # In float32, or small changes to large 16-bit weights are lost one by one.
                part.copy_(part.float() + coefficient * delta.to(part.device).float())


def _chunks(weight: Tensor, delta: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    yield from zip(weight.detach().view(-1).split(size), delta.reshape(-1).split(size), strict=True)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    # Parameters, not the state: weights that are tied are listed once and so are not changed twice.
    return {name: weight.detach() for name, weight in model.named_parameters() if weight.is_floating_point()}


def _check_shape(name: str, left: Tensor, right: Tensor) -> None:
    if left.shape != right.shape:
        raise ConfigError(f"weight {name!r} has shapes {tuple(left.shape)} and {tuple(right.shape)}; they must agree")
