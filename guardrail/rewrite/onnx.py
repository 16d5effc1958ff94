"""Rewrite sentences with a small language model on onnxruntime, its behaviour set by a LoRA adapter."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from guardrail import _ort
from guardrail._runtime import Deadline, PerProcess
from guardrail.errors import GuardrailError, ModelRuntimeError
from guardrail.rewrite import prompt
from guardrail.rewrite.adapter import lora_inputs
from guardrail.rewrite.base import RewriteRequest
from guardrail.rewrite.decode import Decoder, greedy

_FRAGMENT = 3
_STOPS = ("<|im_end|>", "<|endoftext|>")


class OnnxRewriter:
    """Rewrite one sentence at a time, greedily, the same way each time; safe to call from many threads.

    Nothing is loaded before the first rewrite. The caller's text is encoded apart from the prompt's control tokens, so
    no text can open or close a turn. ``version`` is that of the prompt that the adapter was trained with; raises
    ``ConfigError`` where it is not known.
    """

    def __init__(
        self,
        name: str,
        model: bytes,
        tokenizer: bytes,
        adapter: bytes | None = None,
        *,
        threads: int = 1,
        max_new_tokens: int = 160,
        version: str = prompt.PROMPT_VERSION,
    ) -> None:
        self.name = name
        self._limit = max_new_tokens
        opening = prompt.prefix(version)
        self._engine = PerProcess(lambda: _Engine(model, tokenizer, adapter, threads, opening))

    def rewrite(self, requests: Sequence[RewriteRequest], deadline: Deadline) -> list[str]:
        """Return one candidate per request, in order; ``""`` where the model finished none.

        The first call of a process, an empty one too, loads the model, which no deadline stops. A sentence of more
        than ``max_new_tokens`` tokens, or a request that does not fit the model, is not tried. Raises
        ``ModelRuntimeError`` or ``DeadlineError``.
        """
        try:
            deadline.check()
            engine = self._engine.get()
            return [engine.rewrite(request, self._limit, deadline) for request in requests]
        except GuardrailError:
            raise
        except Exception as error:
            # Only onnxruntime's own words and no cause: other errors may quote the text.
            words = f": {error}" if type(error).__module__.startswith("onnxruntime") else ""
            raise ModelRuntimeError(f"rewriter {self.name!r} failed with {type(error).__name__}{words}") from None


class _Engine:
    def __init__(self, model: bytes, tokenizer: bytes, adapter: bytes | None, threads: int, opening: str) -> None:
        self._tokenizer = Tokenizer.from_buffer(tokenizer)
        prefix, self._suffix = (self._tokenizer.encode(part).ids for part in (opening, prompt.SUFFIX))
        # From here on the tokenizer sees users' text only: control tokens in it are spelled out.
        self._tokenizer.encode_special_tokens = True
        self._stops = frozenset(i for i in map(self._tokenizer.token_to_id, _STOPS) if i is not None)
        self._decoder = Decoder(model, threads=threads)
        if adapter is not None:
            self._decoder.adapt(lora_inputs(adapter, self._decoder.layers))
        self._prefix = self._decoder.cache(len(prefix))
        self._decoder.logits(self._prefix, prefix, 1)

    def rewrite(self, request: RewriteRequest, limit: int, deadline: Deadline) -> str:
        sentence = self._tokenizer.encode(request.sentence).ids
        ids = self._tokenizer.encode(prompt.body(request)).ids + self._suffix
        positions = self._prefix.length + len(ids) + limit
        if len(sentence) > limit or positions >= self._decoder.context:
            return ""
        options = _ort.run_options()
        with deadline.stopping(options):
            cache = self._decoder.cache(positions, self._prefix)
            answer = greedy(
                self._decoder,
                cache,
                ids,
                stop=self._stops,
                limit=limit,
                hint=sentence,
                banned=self._banned(request.avoid),
                options=options,
            )
        return self._tokenizer.decode(answer.ids).strip() if answer.finished else ""

    def _banned(self, words: Sequence[str]) -> list[list[int]]:
        """Return the words' tokens, as they stand inside a sentence and at its start."""
        forms = {form for word in words for form in (word, word.lower(), word.capitalize())}
        spelled = [self._tokenizer.encode(lead + form).ids for form in sorted(forms) for lead in (" ", "")]
        return [self._cut(ids) for ids in spelled if ids]

    def _cut(self, ids: list[int]) -> list[int]:
        """Take a short first part away with its word: from "id" the model would go on to invent another "idiot"."""
        return ids[:1] if len(self._tokenizer.decode(ids[:1]).strip()) <= _FRAGMENT else ids
