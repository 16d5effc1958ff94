"""Guard whole chat completions and text completions."""

from __future__ import annotations

from typing import Any

from guardrail.adapters._openai_wire.verdicts import Json, Verdicts, picked
from guardrail.adapters._steps import Steps, check
from guardrail.doors import Streaming

# In the order in which models write them; "text" is that of a text completion.
TEXTS = ("reasoning", "reasoning_content", "content", "refusal")
LEGACY = "text"
REPEATED = frozenset({"id", "object", "created", "model", "provider", "service_tier", "system_fingerprint"})
REPLY = REPEATED | {"usage", "error", "metadata", "moderation", "prompt_filter_results", "request_id", "x_groq"}
MESSAGE = frozenset({"role", "name", "tool_calls", "tool_call_id", "function_call"})
CHOICE = frozenset(
    {
        "index",
        "finish_reason",
        "content_filter_offsets",
        "content_filter_result",
        "content_filter_results",
        "matched_stop",
        "native_finish_reason",
        "stop_reason",
    }
)
BLOCKED = "content_filter"


def guarded_completion(body: Json, guard: Streaming, keep: frozenset[str]) -> Steps[Json]:
    """Return a ``chat.completion`` or ``text_completion`` with every text judged, choice by choice.

    A blocked choice says ``finish_reason`` "content_filter" and holds the policy's message; tool calls stay. Log
    probabilities and citations stay where no text of their choice was changed. Fields that are not known, and not in
    ``keep``, are left out. Each choice gets the field ``guardrail``.
    """
    choices = []
    for choice in body["choices"]:
        if isinstance(choice, dict):
            choices.append((yield from _choice(choice, guard, keep)))
    return {**picked(body, REPLY | keep), "choices": choices}


def text_of(value: Any) -> str | None:
    """Return the text of a field: a string, or the texts of a list of parts put together; None where it has none."""
    if isinstance(value, list):
        texts = [part.get("text") for part in value if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return value if isinstance(value, str) else None


def _choice(choice: Json, guard: Streaming, keep: frozenset[str]) -> Steps[Json]:
    verdicts = Verdicts()
    safe = picked(choice, CHOICE | keep)
    message = choice.get("message")
    if isinstance(message, dict):
        texts = yield from _judged(message, TEXTS, guard, verdicts)
        safe["message"] = {**picked(message, MESSAGE | keep), **texts}
        if message.get("annotations") and not verdicts.changed:
            safe["message"]["annotations"] = message["annotations"]
    safe |= yield from _judged(choice, (LEGACY,), guard, verdicts)
    if "logprobs" in choice:
        safe["logprobs"] = None if verdicts.changed else choice["logprobs"]
    if verdicts.blocked:
        safe["finish_reason"] = BLOCKED
    return verdicts.put(safe)


def _judged(holder: Json, names: tuple[str, ...], guard: Streaming, verdicts: Verdicts) -> Steps[Json]:
    texts: Json = {}
    for name in names:
        text = text_of(holder.get(name))
        if text:
            result = yield from check(guard, text)
            verdicts.add(result, field=name)
            texts[name] = result.text
        elif name in holder:
            texts[name] = text
    return texts
