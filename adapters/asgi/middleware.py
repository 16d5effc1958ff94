"""Guard what an ASGI application answers: JSON, plain text, server-sent events and streams, before a byte leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal

from guardrail.adapters.asgi.answer import Answer, Choice, Receive, Scope, Send, Settings, plain
from guardrail.adapters.asgi.deltas import Fields
from guardrail.adapters.asgi.events import EventData
from guardrail.adapters.asgi.socket import Socket
from guardrail.doors import Streaming
from guardrail.errors import ConfigError

App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON_FIELDS = (
    "choices.*.message.content",
    "choices.*.message.content.*.text",
    "choices.*.message.reasoning_content",
    "choices.*.message.refusal",
    "choices.*.text",
    "content.*.text",
    "message.content",
    "output.*.content.*.text",
    "response",
)
"""Where OpenAI-shaped, Anthropic-shaped and Ollama-shaped answers have their text."""
DELTA_FIELDS = (
    "choices.*.delta.content",
    "choices.*.delta.reasoning_content",
    "choices.*.delta.refusal",
    "choices.*.text",
    "delta.text",
    "message.content",
    "response",
)
"""Where their streams have parts of it."""
END_FIELDS = (
    "choices.*.finish_reason",
    "choices.*.delta.tool_calls",
    "choices.*.delta.function_call",
    "done",
    "type=content_block_stop",
    "type=message_stop",
)
"""What comes after a text in their streams."""
END_EVENTS = ("close", "complete", "done", "end", "error")
PASS_TYPES = ("audio/", "font/", "image/", "video/", "text/css", "text/javascript", "application/javascript")
"""Types that hold no prose; the ones that end in a slash are whole families."""

_MAX_BODY = 8 * 1024 * 1024


class GuardMiddleware:
    """Judge every response of an ASGI application: ``app.add_middleware(GuardMiddleware, guard=guard)``.

    JSON is judged at the fields that are named, text as a whole; both keep their bytes where nothing is wrong with
    them, and get a new ``content-length`` where something was. ``text/plain`` without a length, ``text/event-stream``
    and lines of JSON are judged while they flow, by sentence. Where the policy raises, a whole body becomes status 403
    and a stream is cut off by ``GuardrailBlocked``. Text frames of a websocket are judged one by one; a sentence cut
    over two of them is not seen as one. Headers, status lines and all JSON fields that are not named are not judged.

    Put it inside of what compresses responses; ``Accept-Encoding`` and ``Range`` are not shown to the application.

    Args:
        app: the application.
        guard: judges and mends; its ``Policy`` says how.
        json_fields: paths to text in a JSON body, or in an event beside ``delta_fields``; ``*`` is every item, ``**``
            any number of steps (``"**"``: all strings).
        delta_fields: paths to parts of a text in events and in lines of JSON.
        end_fields: paths to what is true, or equals ``path=value``, once a text has ended.
        events: what the data of events is; ``"auto"`` goes by the first.
        end_events: types of events that come after all text.
        text_types: media types that are judged as text.
        pass_types: media types that are not judged; a family ends in a slash.
        on_unknown: what becomes of all other types and of bodies that are not what they say.
        on_compressed: what becomes of bodies with a ``content-encoding``.
        on_websocket: ``"check"`` text frames and refuse binary ones as ``on_unknown`` says, or ``"pass"`` all.
        max_body: most bytes of a body, event or line that is judged as a whole; a longer one is blocked.
        wanted: which requests are guarded, by their scope; all, if None.

    Raises:
        ConfigError: a path or a choice is wrong.
    """

    def __init__(
        self,
        app: App,
        guard: Streaming,
        *,
        json_fields: Sequence[str] = JSON_FIELDS,
        delta_fields: Sequence[str] = DELTA_FIELDS,
        end_fields: Sequence[str] = END_FIELDS,
        events: EventData = "auto",
        end_events: Iterable[str] = END_EVENTS,
        text_types: Sequence[str] = ("text/plain", "text/markdown"),
        pass_types: Sequence[str] = PASS_TYPES,
        on_unknown: Choice = "block",
        on_compressed: Choice = "block",
        on_websocket: Literal["check", "pass"] = "check",
        max_body: int = _MAX_BODY,
        wanted: Callable[[Scope], bool] | None = None,
    ) -> None:
        _one_of("events", events, ("auto", "json", "text"))
        _one_of("on_unknown", on_unknown, ("block", "pass"))
        _one_of("on_compressed", on_compressed, ("block", "pass"))
        _one_of("on_websocket", on_websocket, ("check", "pass"))
        self._app, self._wanted, self._on_websocket = app, wanted, on_websocket
        self._settings = Settings(
            guard,
            Fields.of(json_fields, delta_fields, end_fields),
            events,
            frozenset(end_events),
            tuple(text_types),
            tuple(pass_types),
            on_unknown,
            on_compressed,
            max_body,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket") or (self._wanted is not None and not self._wanted(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif self._on_websocket == "check":
            await self._app(plain(scope), receive, Socket(self._settings, send))
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(self._settings, scope["method"], send)
        try:
            await self._app(plain(scope), receive, answer)
        except Exception:
            await answer.flush()
            raise
        answer.raise_cut()


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"{name} = {value!r} is not one of {', '.join(choices)}")
