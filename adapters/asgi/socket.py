"""Judge the text frames of a websocket."""

from __future__ import annotations

from guardrail.adapters.asgi.answer import Message, Send, Settings
from guardrail.adapters.asgi.bodies import UnreadableError, WholeJson
from guardrail.errors import GuardrailBlocked

_POLICY_VIOLATION = 1008


class Socket:
    """The ``send`` of a websocket whose text frames are judged, one by one."""

    def __init__(self, settings: Settings, send: Send) -> None:
        self._settings, self._send = settings, send
        self._closed = False

    async def __call__(self, message: Message) -> None:
        """Send a frame, mended if need be; what cannot be judged closes the socket with code 1008."""
        if self._closed:
            return
        if message["type"] == "websocket.send":
            await self._sent(message)
        elif message["type"] == "websocket.close":
            # The reason is a text too, and no reader needs it.
            await self._send({**message, "reason": ""})
        elif message["type"] == "websocket.accept":
            await self._send(message)

    async def _sent(self, message: Message) -> None:
        text = message.get("text")
        if text is None and self._settings.on_unknown == "pass":
            await self._send(message)
            return
        judged = None if text is None else await self._judged(text)
        if judged is not None:
            await self._send({"type": "websocket.send", "text": judged})
        else:
            self._closed = True
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _judged(self, text: str) -> str | None:
        settings = self._settings
        try:
            return (await WholeJson(settings.guard, settings.fields).judged(text.encode())).decode()
        except (UnreadableError, UnicodeEncodeError):
            pass
        except GuardrailBlocked:
            return None
        try:
            return (await settings.guard.acheck(text)).text
        except GuardrailBlocked:
            return None
