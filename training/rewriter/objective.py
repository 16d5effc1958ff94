"""Say what a batch's loss is: cross-entropy of the answers' tokens, for decoders, trained prefixes and seq2seq."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn

from guardrail.training.rewriter.encode import Encoded, collate

Objective = Callable[[nn.Module, Sequence[Any]], tuple[Tensor, int]]
"""Return the summed loss of a batch and the number of terms in it."""


def answer_loss(model: nn.Module, prefix: Tensor, batch: Sequence[Encoded]) -> tuple[Tensor, int]:
    """Return the summed cross-entropy of the answers' tokens and their number.

    The prefix is run once for the whole batch and its keys and values are shared; logits are computed only where an
    answer's token is predicted, which saves most of the cost of a large vocabulary.
    """
    logits, wanted, _ = _answers(model, prefix, batch)
    return nn.functional.cross_entropy(logits, wanted, reduction="sum"), len(wanted)


def answer_logps(model: nn.Module, prefix: Tensor, batch: Sequence[Encoded]) -> Tensor:
    """Return the log-probability of each whole answer, ``(rows,)``, in nats."""
    logits, wanted, rows = _answers(model, prefix, batch)
    each = -nn.functional.cross_entropy(logits, wanted, reduction="none")
    return each.new_zeros(len(batch)).index_add(0, rows, each)


def _answers(model: nn.Module, prefix: Tensor, batch: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits where answers' tokens are predicted, these tokens, and the row that each belongs to."""
    causal_lm: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    ids, attention, learnt = (tensor.to(prefix.device) for tensor in collate(batch))
    past = causal_lm.model(prefix[None], use_cache=True).past_key_values
    past.batch_repeat_interleave(len(batch))
    whole = torch.cat([attention.new_ones(len(batch), len(prefix)), attention], dim=1)
    hidden = causal_lm.model(ids, attention_mask=whole, past_key_values=past, use_cache=True).last_hidden_state
    logits = causal_lm.lm_head(hidden[:, :-1][learnt[:, 1:]]).float()
    return logits, ids[:, 1:][learnt[:, 1:]], learnt[:, 1:].nonzero()[:, 0]


def shared_prefix(prefix: Sequence[int]) -> Objective:
    """Return ``answer_loss`` with the prompt's opening, the same in every example."""
    return lambda model, batch: answer_loss(model, _on(model, prefix), batch)


def whole_sequences(prefix: Sequence[int]) -> Objective:
    """Return the same loss for a model whose own ``forward`` must run, such as one with a trained prefix."""

    def loss(model: nn.Module, batch: Sequence[Encoded]) -> tuple[Tensor, int]:
        rows = [Encoded((*prefix, *item.ids), item.answer + len(prefix)) for item in batch]
        device = next(model.parameters()).device
        ids, attention, learnt = (tensor.to(device) for tensor in collate(rows))
        logits = model(input_ids=ids, attention_mask=attention).logits[:, :-1][learnt[:, 1:]].float()
        wanted = ids[:, 1:][learnt[:, 1:]]
        return nn.functional.cross_entropy(logits, wanted, reduction="sum"), len(wanted)

    return loss


def seq2seq_loss(model: nn.Module, batch: Sequence[Encoded]) -> tuple[Tensor, int]:
    """Return the summed cross-entropy of what the decoder should say, given what the encoder reads."""
    device = next(model.parameters()).device
    sources = [Encoded(item.ids[: item.answer], item.answer) for item in batch]
    targets = [Encoded(item.ids[item.answer :], 0) for item in batch]
    source, attention, _ = (tensor.to(device) for tensor in collate(sources))
    target, _, learnt = (tensor.to(device) for tensor in collate(targets))
    labels = target.masked_fill(~learnt, -100)
    logits = model(input_ids=source, attention_mask=attention, labels=labels).logits[learnt].float()
    return nn.functional.cross_entropy(logits, target[learnt], reduction="sum"), int(learnt.sum())


def in_bfloat16(objective: Objective) -> Objective:
    """Return the objective with its matrix products in bfloat16, whatever the weights are."""

    def loss(model: nn.Module, batch: Sequence[Any]) -> tuple[Tensor, int]:
        with torch.autocast(next(model.parameters()).device.type, dtype=torch.bfloat16):
            return objective(model, batch)

    return loss


def _on(model: nn.Module, prefix: Sequence[int]) -> Tensor:
    return torch.tensor(prefix, device=next(model.parameters()).device)
