"""Run the optimisation loop that teacher and student share: schedule, clipping, checkpoints, resume, time limit."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from guardrail.training.detector.batches import Batch, Encoded, batches
from guardrail.training.detector.losses import Logits
from guardrail.training.detector.model import DetectorNet, load_weights, save_weights

LossOf = Callable[[Logits, Batch], Tensor]


@dataclass(frozen=True, slots=True)
class LoopConfig:
    """How long and how fast to train; ``token_budget`` is padded tokens a step, ``max_minutes`` the wall-clock limit."""

    epochs: int = 1
    learning_rate: float = 1e-4
    head_rate: float = 1e-3
    warmup: float = 0.1
    token_budget: int = 1536
    max_minutes: float = 0.0
    checkpoint_every: int = 50
    seed: int = 17
    bf16: bool = False


@dataclass(frozen=True, slots=True)
class LoopReport:
    """What a run did: optimiser steps, wall-clock seconds, mean loss of the last 50 steps, whether it ran to its end."""

    steps: int
    seconds: float
    loss: float
    complete: bool


def train(net: DetectorNet, items: Sequence[Encoded], loss_of: LossOf, config: LoopConfig, out: Path) -> LoopReport:
    """Train ``net`` in place and leave its weights in ``out/weights.safetensors``; picks up an earlier checkpoint.

    The learning rate rises linearly over the warm-up share and falls linearly to zero.
    """
    device = next(net.parameters()).device
    optimizer = torch.optim.AdamW(_parameter_groups(net, config), weight_decay=0.01)
    plan = [batch for epoch in range(config.epochs) for batch in _epoch(items, config, epoch)]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _shape(step, len(plan), config.warmup))
    state = _State(out, net, optimizer, schedule)
    start, begun, losses = state.resume(), time.monotonic(), [0.0]
    step = start
    net.train()
    for step in range(start, len(plan)):
        batch = to_device(plan[step], device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            loss = loss_of(net(batch.input_ids, batch.attention_mask), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses = [*losses[-49:], loss.item()]
        if (step + 1) % config.checkpoint_every == 0:
            state.save(step + 1)
            print(f"step {step + 1}/{len(plan)} loss {sum(losses) / len(losses):.4f} {time.monotonic() - begun:.0f}s", flush=True)
        if config.max_minutes and time.monotonic() - begun > 60 * config.max_minutes:
            break
    report = LoopReport(step + 1, round(time.monotonic() - begun, 1), sum(losses) / len(losses), step + 1 >= len(plan))
    state.save(step + 1)
    (out / "loop.json").write_text(json.dumps({"config": asdict(config), "report": asdict(report)}, indent=1))
    return report


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to where the model is."""
    if device.type == "cpu":
        return batch
    names = ("input_ids", "attention_mask", "labels", "groups", "tokens", "weight")
    return Batch(batch.index, *(getattr(batch, name).to(device) for name in names))


def _epoch(items: Sequence[Encoded], config: LoopConfig, epoch: int) -> list[Batch]:
    return list(batches(items, config.token_budget, random.Random(f"{config.seed}/{epoch}")))


def _shape(step: int, total: int, warmup: float) -> float:
    rise = max(1, int(total * warmup))
    return (step + 1) / rise if step < rise else max(0.0, (total - step) / max(1, total - rise))


def _parameter_groups(net: DetectorNet, config: LoopConfig) -> list[dict[str, object]]:
    body = [p for p in net.encoder.parameters() if p.requires_grad]
    heads = [p for name, p in net.named_parameters() if not name.startswith("encoder.")]
    return [{"params": body, "lr": config.learning_rate}, {"params": heads, "lr": config.head_rate}]


class _State:
    def __init__(self, out: Path, net: DetectorNet, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._out, self._net, self._optimizer, self._schedule = out, net, optimizer, schedule

    def resume(self) -> int:
        path = self._out / "optimizer.pt"
        if not path.exists():
            return 0
        load_weights(self._net, self._out / "weights.safetensors")
        saved = torch.load(path, weights_only=True)
        self._optimizer.load_state_dict(saved["optimizer"])
        self._schedule.load_state_dict(saved["schedule"])
        return int(saved["step"])

    def save(self, step: int) -> None:
        save_weights(self._net, self._out / "weights.safetensors")
        state = {"step": step, "optimizer": self._optimizer.state_dict(), "schedule": self._schedule.state_dict()}
        partial = self._out / "optimizer.partial"
        torch.save(state, partial)
        partial.replace(self._out / "optimizer.pt")
