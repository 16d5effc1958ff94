"""Guard what ``stream_events(version="v3")`` of a graph shows, where the models in it cannot be swapped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langgraph.stream import StreamTransformer
from pydantic import BaseModel

from guardrail.adapters._steps import Steps, run_later, run_now
from guardrail.adapters.langchain.blocks import Reasoning
from guardrail.adapters.langchain.events import EventFilter
from guardrail.adapters.langchain.messages import guarded
from guardrail.adapters.langchain.settings import REFUSALS_KNOWN, Audit, Settings
from guardrail.adapters.langchain.verdict import verdict_of
from guardrail.doors import Streaming


class GuardStreamTransformer(StreamTransformer):
    """Judge the events of a run: ``create_agent(..., transformers=[partial(GuardStreamTransformer, guard)])``.

    It sees ``stream_events(version="v3")`` and nothing else: the graph's state, ``invoke`` and ``stream`` hold the
    model's own text, so prefer ``GuardMiddleware`` wherever it can be used. A transformer cannot add events: a reader
    of raw events gets the end of a text with ``content-block-finish`` only; ``run.messages[...].text`` gets all of it.

    Args:
        guard: what judges.
        scope: where in the graph it stands; langgraph gives it.
        reasoning: as for ``GuardedChatModel``.
        refusal_block: likewise, for messages that come whole.
        audit: gets the ``Result`` of every text.
    """

    before_builtins: ClassVar[bool] = True
    supports_sync: ClassVar[bool] = True
    required_stream_modes: ClassVar[tuple[str, ...]] = ("messages", "values")

    def __init__(
        self,
        guard: Streaming,
        scope: tuple[str, ...] = (),
        *,
        reasoning: Reasoning = "guard",
        refusal_block: bool = REFUSALS_KNOWN,
        audit: Audit | None = None,
    ) -> None:
        super().__init__(scope)
        self._settings = Settings(guard, reasoning, refusal_block, audit)
        self._filters: dict[tuple[object, ...], EventFilter] = {}
        self._known: dict[str, AIMessage] = {}
        self._root = True

    def _on_register(self, mux: Any) -> None:
        # A graph inside this one gets its own copy of every transformer, and events that went through here before.
        self._root = getattr(mux, "_assign_seq", True)

    def init(self) -> dict[str, Any]:
        """Return no projection: events are edited, none is derived."""
        return {}

    def process(self, event: Any) -> bool:
        """Judge an event and edit it; return whether it stays in the log of raw events."""
        with self._settings.reporting():
            return run_now(self._edited(event))

    async def aprocess(self, event: Any) -> bool:
        """Do the same on an event loop."""
        with self._settings.reporting():
            return await run_later(self._edited(event))

    def _edited(self, event: Any) -> Steps[bool]:
        params = event["params"]
        if not self._root:
            return True
        if event["method"] != "messages":
            yield from self._state_event(params)
            return True
        payload, metadata = params["data"]
        if isinstance(payload, dict):
            payload = yield from self._message_event(params["namespace"], payload, metadata or {})
        elif isinstance(payload, AIMessageChunk):
            # Pieces of the old protocol, which no projection reads and which cannot be judged one by one.
            payload = None
        elif isinstance(payload, BaseMessage):
            payload = yield from self._walked(payload)
        params["data"] = (payload, metadata)
        return payload is not None and not _says_nothing(payload)

    def _state_event(self, params: dict[str, Any]) -> Steps[None]:
        data = params.get("data")
        safe = yield from self._walked(data)
        if isinstance(data, dict):
            # ``run.output`` has taken the snapshot before any transformer sees it; the lists in it are the graph's own.
            data.update(safe)
        else:
            params["data"] = safe

    def _message_event(
        self, namespace: list[str], payload: dict[str, Any], metadata: Mapping[str, Any]
    ) -> Steps[dict[str, Any]]:
        name = (*namespace, str(metadata.get("run_id", "")))
        if payload.get("event") == "message-start":
            self._filters.pop(name, None)
            if payload.get("role") == "ai":
                self._filters[name] = EventFilter(self._settings)
        screen = self._filters.get(name)
        if payload.get("event") in ("message-finish", "error"):
            self._filters.pop(name, None)
        return payload if screen is None else (yield from screen.take(payload))

    def _walked(self, value: Any) -> Steps[Any]:
        """Return a state or a part of one with every model's message judged; what holds none stays the same object."""
        if isinstance(value, AIMessage):
            return value if verdict_of(value) is not None else (yield from self._whole(value))
        if isinstance(value, dict):
            items = []
            for item in value.values():
                items.append((yield from self._walked(item)))
            same = all(new is old for new, old in zip(items, value.values(), strict=True))
            return value if same else dict(zip(value, items, strict=True))
        if isinstance(value, BaseModel) and not isinstance(value, BaseMessage):
            fields = {name: getattr(value, name) for name in type(value).model_fields}
            safe = yield from self._walked(fields)
            return value if safe is fields else value.model_copy(update=safe)
        if type(value) in (list, tuple):
            items = []
            for item in value:
                items.append((yield from self._walked(item)))
            return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
        return value

    def _whole(self, message: AIMessage) -> Steps[AIMessage]:
        # The state is shown again after every step.
        name = hashlib.sha256(repr((message.id, message.content, message.additional_kwargs)).encode(errors="replace"))
        known = self._known.get(name.hexdigest())
        if known is None:
            known = self._known[name.hexdigest()] = yield from guarded(message, self._settings)
        return known


def _says_nothing(payload: object) -> bool:
    if not isinstance(payload, dict) or payload.get("event") != "content-block-delta":
        return False
    return payload["delta"] in ({"type": "text-delta", "text": ""}, {"type": "reasoning-delta", "reasoning": ""})
