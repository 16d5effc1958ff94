"""Turn examples into token ids and token ids into padded batches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.prompt import END, INSTRUCTIONS, PROMPT_VERSION, SUFFIX, body
from guardrail.training.rewriter.pairs import Example


class Tokenizer(Protocol):
    """What is needed of a tokenizer."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the token ids of ``text``."""


class Item(Protocol):
    """What a batch is made of."""

    @property
    def ids(self) -> tuple[int, ...]:
        """All token ids, for their number is what a batch's budget counts."""


B = TypeVar("B", bound=Item)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of everything after the shared prefix; those from ``answer`` on are learnt."""

    ids: tuple[int, ...]
    answer: int


def encode(example: Example, tokenizer: Tokenizer) -> Encoded:
    """Tokenise one example without its prefix; the answer is the target and the end-of-turn token."""
    return encode_answer(example.request, example.target, tokenizer)


def encode_answer(request: RewriteRequest, answer: str, tokenizer: Tokenizer) -> Encoded:
    """Tokenise a request and any ``answer`` to it, as ``encode`` does with an example's target."""
    prompt = tokenizer.encode(body(request) + SUFFIX, add_special_tokens=False)
    learnt = tokenizer.encode(answer + END, add_special_tokens=False)
    return Encoded((*prompt, *learnt), len(prompt))


def source_text(request: RewriteRequest, version: str = PROMPT_VERSION) -> str:
    """Return what an encoder-decoder reads: the instruction and the request's fields, without turn marks."""
    return f"{INSTRUCTIONS[version]}\n{body(request)}"


def encode_seq2seq(example: Example, tokenizer: Tokenizer, version: str = PROMPT_VERSION) -> Encoded:
    """Tokenise one example for an encoder-decoder: the source, then from ``answer`` on what the decoder learns."""
    source = tokenizer.encode(source_text(example.request, version), add_special_tokens=True)
    target = tokenizer.encode(example.target, add_special_tokens=True)
    return Encoded((*source, *target), len(source))


def batches(items: Sequence[B], budget: int, rng: random.Random) -> list[list[B]]:
    """Group items of like length, rows x longest within ``budget`` tokens, in an order drawn by ``rng``."""
    # Sorting within large random pools keeps padding low without fixing which examples meet in a batch.
    shuffled = rng.sample(items, len(items))
    out: list[list[B]] = []
    for start in range(0, len(shuffled), 512):
        batch: list[B] = []
        for item in sorted(shuffled[start : start + 512], key=lambda one: len(one.ids)):
            if batch and len(item.ids) * (len(batch) + 1) > budget:
                out.append(batch)
                batch = []
            batch.append(item)
        out.append(batch)
    rng.shuffle(out)
    return out


def collate(batch: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, attention mask and loss mask, each ``(rows, longest)``; the loss mask marks the answers' tokens."""
    longest = max(len(item.ids) for item in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    attention = torch.zeros(len(batch), longest, dtype=torch.long)
    learnt = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, item in enumerate(batch):
        length = len(item.ids)
        ids[row, :length] = torch.tensor(item.ids)
        attention[row, :length] = 1
        learnt[row, item.answer : length] = True
    return ids, attention, learnt
