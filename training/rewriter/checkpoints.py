"""Keep a training run's state on disk, so that a run that was broken off ends as if it had not been."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from guardrail.errors import ConfigError

CHECKPOINT = "checkpoint"


@dataclass(slots=True)
class Progress:
    """Where training stands; what a checkpoint keeps beside the tensors."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_step: int = 0
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(model: PeftModel, optimizer: torch.optim.Optimizer, progress: Progress, folder: Path) -> None:
    """Write tensors as safetensors and counters as JSON; the folder is swapped in whole."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    adapter = {
        name: value.contiguous()
        for name, value in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    save_file(adapter, fresh / "adapter.safetensors")
    moments = {
        f"{index}.{name}": value.contiguous()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    save_file(moments, fresh / "optimizer.safetensors")
    (fresh / "progress.json").write_text(json.dumps(asdict(progress)), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def restore_checkpoint(model: PeftModel, optimizer: torch.optim.Optimizer, folder: Path) -> Progress:
    """Put a checkpoint's tensors back and return its counters; raises ``ConfigError`` where there is none."""
    if not has_checkpoint(folder):
        raise ConfigError(f"no checkpoint in {folder.parent.name!r}; start without --resume")
    set_peft_model_state_dict(model, load_file(folder / "adapter.safetensors"))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))


def has_checkpoint(folder: Path) -> bool:
    """Tell whether a run can go on from ``folder``."""
    return (folder / "progress.json").exists()
