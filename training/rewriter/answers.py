"""Write answers with PyTorch, greedily or sampled, and say how good rewrites are against their targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.prompt import END, SUFFIX, body, prefix
from guardrail.rewrite.verify import verify
from guardrail.training.rewriter.encode import source_text
from guardrail.training.rewriter.pairs import Example
from guardrail.training.rewriter.recipe import ModelSettings

Writer = Callable[[Sequence[RewriteRequest]], list[str]]
"""Return one rewrite per request, in order."""


def greedy_writer(model: nn.Module, tokenizer: Any, settings: ModelSettings, limit: int) -> Writer:
    """Return a writer that takes the likeliest token each time, at most ``limit``; ``""`` where it did not end."""
    return lambda requests: [_write(model, tokenizer, one, settings, limit)[0] for one in requests]


def sample(
    model: nn.Module, tokenizer: Any, request: RewriteRequest, settings: ModelSettings, *, limit: int, **drawn: float
) -> list[str]:
    """Return ``count`` answers drawn at ``temperature``, of at most ``limit`` tokens; "" where one did not end."""
    count, temperature = int(drawn["count"]), drawn["temperature"]
    return _write(
        model,
        tokenizer,
        request,
        settings,
        limit,
        do_sample=True,
        temperature=temperature,
        top_k=0,
        num_return_sequences=count,
    )


def _write(
    model: Any, tokenizer: Any, request: RewriteRequest, settings: ModelSettings, limit: int, **how: Any
) -> list[str]:
    seq2seq = settings.kind == "seq2seq"
    if seq2seq:
        ids = tokenizer.encode(source_text(request, settings.prompt), add_special_tokens=True)
        stop = int(tokenizer.eos_token_id)
    else:
        parts = (prefix(settings.prompt), body(request) + SUFFIX)
        ids = [token for part in parts for token in tokenizer.encode(part, add_special_tokens=False)]
        stop = int(tokenizer.encode(END, add_special_tokens=False)[0])
    given = torch.tensor([ids], device=next(model.parameters()).device)
    how = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, **how}
    model.eval()
    with torch.no_grad():
        out = model.generate(
            input_ids=given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=limit,
            eos_token_id=stop,
            pad_token_id=stop,
            **how,
        )
    start = 1 if seq2seq else len(ids)
    return [_text(row[start:].tolist(), stop, tokenizer) for row in out]


def _text(ids: list[int], stop: int, tokenizer: Any) -> str:
    if stop not in ids:
        return ""
    text: str = tokenizer.decode(ids[: ids.index(stop)], skip_special_tokens=True)
    return text.strip()


def figures(examples: Sequence[Example], writer: Writer) -> dict[str, float]:
    """Return shares over dev examples: biased ones rewritten exactly, copied, all rules held; clean ones untouched.

    A share of no examples is left out.
    """
    written = list(zip(examples, writer([one.request for one in examples]), strict=True))
    biased = [(one, text) for one, text in written if not one.unchanged]
    clean = [(one, text) for one, text in written if one.unchanged]
    parts: dict[str, list[bool]] = {
        "exact_match": [text == one.target for one, text in biased],
        "copied_biased_text": [text == one.request.sentence for one, text in biased],
        "rules_all_held": [all(verify(one.request.sentence, text).values()) for one, text in biased],
        "clean_unchanged": [text == one.request.sentence for one, text in clean],
    }
    counts = {"biased": float(len(biased)), "clean": float(len(clean))}
    return counts | {name: sum(held) / len(held) for name, held in parts.items() if held}


def figure_lines(measured: dict[str, float]) -> list[str]:
    """Return figures as lines for a card."""
    lines = ["", "## On dev examples, the rewriter alone, no retries", ""]
    return lines + [f"- {name.replace('_', ' ')}: {value:.4g}" for name, value in measured.items()]
