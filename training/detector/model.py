"""Define the detector network: one encoder pass, a label head, a target-group head and a per-token span head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS


class DetectorNet(nn.Module):
    """Score a batch: logits of shape (B, labels), (B, groups) and (B, T, labels) for a batch of B texts of T tokens."""

    def __init__(self, encoder: nn.Module, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.label_head = nn.Linear(2 * hidden, len(LABELS))
        self.group_head = nn.Linear(2 * hidden, len(GROUPS))
        self.span_head = nn.Linear(hidden, len(LABELS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return label, group and token logits; padding takes no part in the pooling.

        The pooled vector joins mean and maximum over tokens: one bad word in a long sentence must not be averaged away.
        """
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        top = (hidden + (mask - 1) * 1e4).amax(1)
        pooled = self.dropout(torch.cat([mean, top], dim=-1))
        return self.label_head(pooled), self.group_head(pooled), self.span_head(self.dropout(hidden))


def build(
    base: Path | str, *, layers: int | None = None, freeze_embeddings: bool = False, frozen_layers: int = 0
) -> DetectorNet:
    """Build a detector on a pretrained encoder (a folder or a hub id), or on its first ``layers`` layers only.

    ``frozen_layers`` of the lowest layers are not trained, which saves their backward pass when the embeddings are
    frozen too.
    """
    config = AutoConfig.from_pretrained(base)
    kwargs = {"add_pooling_layer": False, "attn_implementation": "eager", "dtype": torch.float32}
    if layers is not None:
        config.num_hidden_layers = layers
    encoder = AutoModel.from_pretrained(base, config=config, **kwargs)
    if freeze_embeddings:
        encoder.embeddings.requires_grad_(False)
    for layer in encoder.encoder.layer[:frozen_layers]:
        layer.requires_grad_(False)
    return DetectorNet(encoder, config.hidden_size)


def load_weights(net: DetectorNet, path: Path) -> DetectorNet:
    """Load weights saved by ``save_weights`` into ``net``."""
    from safetensors.torch import load_file

    net.load_state_dict(load_file(path))
    return net


def save_weights(net: DetectorNet, path: Path) -> None:
    """Save all weights as one safetensors file, by way of a temporary file."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, partial)
    partial.replace(path)
