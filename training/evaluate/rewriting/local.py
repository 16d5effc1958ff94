"""Run models of a local Hugging Face folder or GGUF file as baselines: rewriters, a perplexity, sentence vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from guardrail._runtime import Deadline
from guardrail.errors import ConfigError
from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.endpoint import Message, answer_of, conversation
from guardrail.rewrite.prompt import INSTRUCTION, body
from guardrail.rewrite.shots import Shots

BATCH = 16
MAX_TOKENS = 512
SPARE_TOKENS = 24
_STARTS = ("<bos>", "<|endoftext|>", "<s>")


class LocalRewriter:
    """Prompt or run a local model: seq2seq (T5 and the like) or decoder-only, with a chat template or without.

    Needs transformers and torch. ``shots`` puts pairs before the request, for decoders only.

    Raises:
        ConfigError: the place holds no model.
    """

    def __init__(self, place: Path, name: str, *, shots: Shots | None = None) -> None:
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

        self.name, self._shots = name, shots
        source = checkpoint(place)
        self._tokenizer, config = _tokenizer(source), _config(source)
        self._seq2seq = bool(config.is_encoder_decoder)
        kind = AutoModelForSeq2SeqLM if self._seq2seq else AutoModelForCausalLM
        self._net: Any = kind.from_pretrained(**source).eval()

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        """Return one greedy candidate per request, in order; the deadline counts between requests."""
        answers = []
        for request in requests:
            deadline.check()
            answers.append(answer_of(self._said(request), request.sentence))
        return answers

    def prompt(self, request: RewriteRequest) -> str:
        """Return what the model is given, its own start tokens left out."""
        if self._seq2seq:
            return f"{INSTRUCTION}\n{body(request)}"
        turns = conversation(request, self._shots)
        if getattr(self._tokenizer, "chat_template", None):
            text = str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
            start = str(self._tokenizer.bos_token or "")
            return text.removeprefix(start) if start in _STARTS else text
        return plain(turns)

    def _said(self, request: RewriteRequest) -> str:
        import torch

        text, most = self.prompt(request), 4 * MAX_TOKENS
        fed = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=most, return_token_type_ids=False)
        most = 2 * len(self._tokenizer(request.sentence)["input_ids"]) + SPARE_TOKENS
        ends = self._tokenizer.eos_token_id
        pad = ends if self._tokenizer.pad_token_id is None else self._tokenizer.pad_token_id
        with torch.inference_mode():
            ids = self._net.generate(**fed, do_sample=False, max_new_tokens=most, pad_token_id=pad)[0]
        said = str(self._tokenizer.decode(ids if self._seq2seq else ids[fed["input_ids"].shape[1] :], True))
        # A base model goes on with the next example.
        return said.strip().split("\n")[0]


class Fluency:
    """The perplexity of texts under a local decoder, which should be none of the rewriters."""

    def __init__(self, place: Path) -> None:
        from transformers import AutoModelForCausalLM

        source = checkpoint(place)
        self.name = place.stem if place.is_file() else place.name
        self._tokenizer = _tokenizer(source)
        self._net: Any = AutoModelForCausalLM.from_pretrained(**source).eval()

    def loss(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the summed negative log likelihood in nats and the tokens counted, (N,) each, text by text."""
        found = {text: self._one(text) for text in dict.fromkeys(texts)}
        both = np.array([found[text] for text in texts], float).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _one(self, text: str) -> tuple[float, int]:
        import torch

        ids = self._tokenizer(text, truncation=True, max_length=MAX_TOKENS)["input_ids"]
        start = self._tokenizer.bos_token_id
        if start is not None and ids[:1] != [start]:
            ids = [start, *ids]
        if len(ids) < 2:
            return 0.0, 0
        row = torch.tensor([ids])
        with torch.inference_mode():
            logits = self._net(input_ids=row).logits[0, :-1].float()
        return float(torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum")), len(ids) - 1


def perplexity(loss: np.ndarray, tokens: np.ndarray) -> float:
    """Return the perplexity of a whole set of texts: ``exp`` of the mean loss a token; NaN for no token."""
    return float(np.exp(loss.sum() / tokens.sum())) if tokens.sum() else float("nan")


class Vectors:
    """Unit sentence vectors of a local encoder, by mean pooling."""

    def __init__(self, place: Path) -> None:
        from transformers import AutoModel

        source = checkpoint(place)
        self.name = place.name
        self._tokenizer = _tokenizer(source)
        self._net: Any = AutoModel.from_pretrained(**source).eval()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return (N, size) vectors of length one."""
        return np.concatenate([self._some(part) for part in _parts(texts)]) if texts else np.zeros((0, 1))

    def _some(self, texts: Sequence[str]) -> np.ndarray:
        import torch

        fed = self._tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.inference_mode():
            states = self._net(**fed).last_hidden_state
        mask = fed["attention_mask"].unsqueeze(-1)
        means = ((states * mask).sum(1) / mask.sum(1)).numpy()
        return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9))


def similarity(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the cosine of each row pair, (N,), rescaled by the mean of unrelated rows: 0 unrelated, 1 the same.

    The rescaling is BERTScore's (Zhang et al. 2020, arXiv 1904.09675, 5); the base line is ``left``'s own rows.
    """
    rows = len(left)
    others = left @ left.T
    base = float((others.sum() - np.trace(others)) / (rows * (rows - 1))) if rows > 1 else 0.0
    return np.asarray(((left * right).sum(1) - base) / max(1 - base, 1e-9))


def checkpoint(place: Path) -> dict[str, Any]:
    """Return what transformers' loaders need for a folder, or for a GGUF file, which is dequantised.

    Never from a hub: a name that is no place here raises ``ConfigError``.
    """
    if place.is_file() and place.suffix == ".gguf":
        return {"pretrained_model_name_or_path": str(place.parent), "gguf_file": place.name, "local_files_only": True}
    if (place / "config.json").is_file():
        return {"pretrained_model_name_or_path": str(place), "local_files_only": True}
    raise ConfigError(f"{place} is no local model; give a Hugging Face folder with config.json, or a .gguf file")


def plain(turns: Sequence[Message]) -> str:
    """Return a conversation for a model that knows no chat: the task, examples, and where the answer begins."""
    parts = [turns[0]["content"], ""]
    for turn in turns[1:]:
        parts += [turn["content"]] if turn["role"] == "user" else [f"Rewritten text: {turn['content']}", ""]
    return "\n".join([*parts, "Rewritten text:"])


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    yield from (texts[i : i + BATCH] for i in range(0, len(texts), BATCH))


def _tokenizer(source: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(**source)


def _config(source: dict[str, Any]) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(**source)
