"""Compare the exported rewriter with its PyTorch original: logits, likeliest token and whole greedy answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass

import numpy as np
import torch
from tokenizers import Tokenizer

from guardrail.rewrite.decode import Decoder, greedy
from guardrail.rewrite.prompt import PREFIX, SUFFIX


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an export is from its original, over ``tokens`` positions of ``sentences`` prompts.

    ``top1`` and ``same_answers`` are shares in [0, 1]; ``kl`` is in nats a token, original against export;
    ``max_diff`` and ``mean_diff`` are absolute logit differences.
    """

    sentences: int
    tokens: int
    _: KW_ONLY
    max_diff: float
    mean_diff: float
    top1: float
    kl: float
    same_answers: float
    new_tokens: int

    def lines(self) -> list[str]:
        """Return the figures as Markdown list items."""
        return [f"- {key}: {value:.6g}" for key, value in asdict(self).items()]


def parity(
    decoder: Decoder,
    original: torch.nn.Module,
    tokenizer: Tokenizer,
    sentences: Sequence[str],
    *,
    stop: frozenset[int],
    new_tokens: int = 40,
    opening: str = PREFIX,
) -> Parity:
    """Feed each sentence, laid out as a rewrite prompt, to both models; decode ``new_tokens`` greedily with both.

    ``original`` is a Hugging Face causal language model in float32; the export decodes with prompt lookup.
    """
    diffs, top1, divergences, same = [], [], [], []
    for sentence in sentences:
        ids = tokenizer.encode(f"{opening}Text: {sentence}{SUFFIX}").ids
        got = decoder.logits(decoder.cache(len(ids)), ids, len(ids))
        want = _logits(original, ids)
        diffs.append(np.abs(got - want))
        top1.append(got.argmax(-1) == want.argmax(-1))
        divergences.append(_divergence(want, got))
        cache = decoder.cache(len(ids) + new_tokens)
        answer = greedy(decoder, cache, ids, stop=stop, limit=new_tokens)
        same.append(answer.ids == _greedy(original, ids, stop, new_tokens))
    return Parity(
        len(same),
        sum(map(len, top1)),
        max_diff=float(max(diff.max() for diff in diffs)),
        mean_diff=float(np.mean([diff.mean() for diff in diffs])),
        top1=float(np.concatenate(top1).mean()),
        kl=float(np.concatenate(divergences).mean()),
        same_answers=float(np.mean(same)),
        new_tokens=new_tokens,
    )


@torch.inference_mode()
def _logits(model: torch.nn.Module, ids: Sequence[int]) -> np.ndarray:
    logits: np.ndarray = model(torch.tensor([ids])).logits[0].float().numpy()
    return logits


def _divergence(want: np.ndarray, got: np.ndarray) -> np.ndarray:
    p, q = (torch.log_softmax(torch.from_numpy(part), -1) for part in (want, got))
    divergence: np.ndarray = (p.exp() * (p - q)).sum(-1).numpy()
    return divergence


@torch.inference_mode()
def _greedy(model: torch.nn.Module, ids: Sequence[int], stop: frozenset[int], limit: int) -> tuple[int, ...]:
    answer: list[int] = []
    pending, past = list(ids), None
    while len(answer) < limit:
        output = model(torch.tensor([pending]), past_key_values=past, use_cache=True)
        token = int(output.logits[0, -1].argmax())
        if token in stop:
            break
        answer.append(token)
        pending, past = [token], output.past_key_values
    return tuple(answer)
