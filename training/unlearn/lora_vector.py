"""Do the arithmetic of task vectors on LoRA adapters, which stay adapters: no number of the base is touched."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from guardrail.errors import ConfigError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class LoraVector:
    """A saved PEFT adapter as a task vector ``alpha/r * B A``; the sign and the scale are kept in B.

    Subtracting it from a quantised base needs no new rounding of the base: ``-v`` is an adapter over the same file.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @classmethod
    def load(cls, folder: Path) -> LoraVector:
        """Read an adapter's folder.

        Raises:
            ConfigError: it holds no plain LoRA.
        """
        if not (folder / CONFIG).exists():
            raise ConfigError(f"{folder.name!r} holds no {CONFIG}; give the folder of a PEFT adapter")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
            raise ConfigError(f"{folder.name!r} is not plain LoRA; only that has a sign that can be turned")
        return cls(config, load_file(folder / WEIGHTS))

    def __neg__(self) -> LoraVector:
        return -1.0 * self

    def __rmul__(self, factor: float) -> LoraVector:
        turned = {name: factor * value if ".lora_B." in name else value for name, value in self.tensors.items()}
        return replace(self, tensors=turned)

    def __add__(self, other: LoraVector) -> LoraVector:
        """Return the sum; its rank is that of both together, so nothing is lost."""
        if self.tensors.keys() != other.tensors.keys():
            raise ConfigError("the adapters change different layers; only adapters of one shape can be added")
        rank = int(self.config["r"]) + int(other.config["r"])
        tensors = {}
        for name, value in self.tensors.items():
            side = 1 if ".lora_B." in name else 0
            tensors[name] = torch.cat([self._plain(name, value), other._plain(name, other.tensors[name])], side)
        return LoraVector({**self.config, "r": rank, "lora_alpha": rank, "use_rslora": False}, tensors)

    def __sub__(self, other: LoraVector) -> LoraVector:
        return self + -other

    def delta(self, layer: str) -> Tensor:
        """Return the full matrix that ``layer``, such as ``"model.layers.0.mlp.up_proj"``, is changed by."""
        down, up = (self.tensors[f"base_model.model.{layer}.lora_{side}.weight"].float() for side in "AB")
        return self._factor() * up @ down

    def save(self, folder: Path) -> None:
        """Write the adapter as PEFT does."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.tensors.items()}, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(dict(self.config), indent=2), encoding="utf-8")

    def _plain(self, name: str, value: Tensor) -> Tensor:
        return self._factor() * value if ".lora_B." in name else value

    def _factor(self) -> float:
        rank, alpha = float(self.config["r"]), float(self.config["lora_alpha"])
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)
