"""Decode greedily on onnxruntime, several tokens a run where the answer copies the prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from guardrail import _ort
from guardrail.errors import ModelRuntimeError

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnxruntime import IOBinding, OrtValue, RunOptions

    Floats = npt.NDArray[np.float32]

_LONGEST_MATCH = 3
_SPARE = 1


@dataclass(frozen=True, slots=True)
class Answer:
    """The tokens that were decoded, the stop token left out.

    ``finished`` says that the model stopped by itself, ``runs`` counts its forward passes.
    """

    ids: tuple[int, ...]
    finished: bool
    runs: int


class Decoder:
    """A decoder graph with its weights and, optionally, the LoRA inputs that go into every run.

    ``layers`` and ``context``, the positions that the graph can tell apart, come from the graph itself.
    """

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        self._session = _ort.session(model, threads)
        facts = self._session.get_modelmeta().custom_metadata_map
        self.layers, self.context, self._vocab = (int(facts[key]) for key in ("layers", "context", "vocab"))
        _, self._heads, _, self._size = next(i.shape for i in self._session.get_inputs() if i.name == "past_key_0")
        self._lora: dict[str, OrtValue] = {}

    def adapt(self, inputs: Mapping[str, Floats]) -> None:
        """Feed ``inputs``, named as in the graph, into every later run; raises ``ModelRuntimeError`` on a misfit."""
        sizes = {i.name: i.shape for i in self._session.get_overridable_initializers()}
        for name, value in inputs.items():
            # The graph names the rank and fixes the other axis.
            wanted = sizes.get(name, ())
            if len(wanted) != value.ndim or any(
                isinstance(n, int) and n != m for n, m in zip(wanted, value.shape, strict=True)
            ):
                raise ModelRuntimeError(f"adapter input {name!r} of shape {value.shape} does not fit this base model")
        self._lora = {name: _value(np.ascontiguousarray(value)) for name, value in inputs.items()}

    def cache(self, capacity: int, start: Cache | None = None) -> Cache:
        """Return memory for ``capacity`` positions, fewer than ``context``, its beginning copied from ``start``."""
        if capacity >= self.context:
            raise ModelRuntimeError(f"{capacity} positions do not fit a model of {self.context}; send a shorter text")
        shape = (2 * self.layers, 1, self._heads, capacity + _SPARE, self._size)
        cache = Cache(self._session.io_binding(), np.zeros(shape, np.float32), self._lora)
        if start is not None:
            cache.length = start.length
            cache.memory[:, :, :, : start.length] = start.memory[:, :, :, : start.length]
        return cache

    def logits(self, cache: Cache, ids: Sequence[int], wanted: int, options: RunOptions | None = None) -> Floats:
        """Append ``ids`` to the cache in one run; return the logits of the last ``wanted`` of them, (wanted, vocab)."""
        # A single row takes other kernels, which round differently; with two at least, drafts change no bit.
        rows = [*ids, *ids] if len(ids) == 1 else list(ids)
        total = cache.length + len(rows)
        if total > cache.memory.shape[3]:
            raise ModelRuntimeError(f"{total} positions do not fit the cache; make it larger")
        feeds: dict[str, npt.NDArray[np.generic]] = {
            "ids": np.array([rows], np.int64),
            "wanted": np.arange(len(ids) - wanted, len(ids), dtype=np.int64),
            "last": np.array([total - 1], np.int32),
            "total": np.array(total, np.int32),
        }
        for name, value in feeds.items():
            cache.binding.bind_ortvalue_input(name, _value(value))
        logits = np.empty((wanted, self._vocab), np.float32)
        cache.binding.bind_ortvalue_output("logits", _value(logits))
        self._session.run_with_iobinding(cache.binding, options)
        cache.length += len(ids)
        return logits


class Cache:
    """The keys and values of the positions read so far; the graph reads and writes this memory in place."""

    def __init__(self, binding: IOBinding, memory: Floats, lora: Mapping[str, OrtValue]) -> None:
        self.binding, self.memory, self.length = binding, memory, 0
        # A binding does not keep the arrays behind its values alive.
        self._kept = lora
        for name, value in lora.items():
            binding.bind_ortvalue_input(name, value)
        for index, part in enumerate(memory):
            kind, layer = ("key", "value")[index % 2], index // 2
            shared = _value(part)
            binding.bind_ortvalue_input(f"past_{kind}_{layer}", shared)
            binding.bind_ortvalue_output(f"present_{kind}_{layer}", shared)


def greedy(
    decoder: Decoder,
    cache: Cache,
    prompt: Sequence[int],
    *,
    stop: frozenset[int],
    limit: int,
    drafts: int = 8,
    hint: Sequence[int] = (),
    banned: Sequence[Sequence[int]] = (),
    options: RunOptions | None = None,
) -> Answer:
    """Read ``prompt`` after what the cache holds and decode at most ``limit`` tokens, the likeliest each time.

    Up to ``drafts`` tokens are guessed ahead, the first ones from ``hint``, later ones from what followed the same
    tokens before, and kept as far as the model agrees: the answer is that of ``drafts=0``, in fewer runs. No sequence
    of ``banned`` comes about in the answer.
    """
    answer: list[int] = []
    history, pending, guess, runs = list(prompt), list(prompt), list(hint[:drafts]), 0
    while True:
        guess = guess[: max(0, limit - len(answer) - 1)]
        logits = decoder.logits(cache, pending + guess, len(guess) + 1, options)
        for row in range(len(guess) + 1):
            _ban(logits[row], [*answer, *guess[:row]], banned)
        best = logits.argmax(axis=-1).tolist()
        runs += 1
        agreed = next((i for i, token in enumerate(guess) if token != best[i]), len(guess))
        cache.length -= len(guess) - agreed
        for token in best[: agreed + 1]:
            if token in stop:
                return Answer(tuple(answer), finished=True, runs=runs)
            answer.append(token)
            history.append(token)
        if len(answer) >= limit:
            return Answer(tuple(answer), finished=False, runs=runs)
        pending, guess = answer[-1:], lookup(history, drafts)


def _ban(logits: Floats, so_far: Sequence[int], banned: Sequence[Sequence[int]]) -> None:
    for *start, last in banned:
        if not start or list(so_far[-len(start) :]) == start:
            logits[last] = -np.inf


def lookup(history: Sequence[int], count: int) -> list[int]:
    """Return up to ``count`` tokens that followed the latest earlier place with the longest equal ending (3 to 1)."""
    tokens = list(history)
    for size in range(min(_LONGEST_MATCH, len(tokens) - 1), 0, -1):
        ending = tokens[-size:]
        for start in range(len(tokens) - size - 1, -1, -1):
            if tokens[start : start + size] == ending:
                return tokens[start + size : start + size + count]
    return []


def _value(array: npt.NDArray[np.generic]) -> OrtValue:
    return _ort.runtime().OrtValue.ortvalue_from_numpy(array)
