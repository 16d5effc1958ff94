"""Refuse what comes without a key, too large, too slow or too much at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.server.problems import problem
from guardrail.server.settings import Settings

OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})
STREAM = "/v1/stream"
_HEADERS = {"cache-control": "no-store", "referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}


class Gate:
    """Let a number of requests in at a time, and no more; on one event loop."""

    def __init__(self, places: int, retry_after: int) -> None:
        self.places, self._retry_after = places, retry_after
        self.inside = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for the block; raises ``HTTPException`` 429 at once where there is none."""
        if self.inside >= self.places:
            raise HTTPException(
                429,
                f"{self.places} requests run or wait already; retry later, or raise max_running or max_queued",
                headers={"retry-after": str(self._retry_after)},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


class Door:
    """The middleware in front of all pages: an API key, a limit and a time for the body, headers for every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in own]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, marked)
        else:
            await self._app(scope, self._limited(scope["path"], receive), marked)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self._settings.keys and scope["path"] not in OPEN and not self._settings.admits(_key(headers)):
            message = "this server wants an API key: Authorization: Bearer KEY, or X-API-Key: KEY"
            return JSONResponse(problem(401, message), 401, {"www-authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.max_body:
            return JSONResponse(problem(413, self._too_large()), 413)
        return None

    def _limited(self, path: str, receive: Receive) -> Receive:
        most, seconds = self._settings.max_body, self._settings.read_timeout
        until = anyio.current_time() + seconds
        taken = 0
        complete = False

        async def limited() -> Message:
            nonlocal taken, complete, until
            if complete:
                return await receive()
            if path == STREAM:
                until = anyio.current_time() + seconds
            with anyio.CancelScope(deadline=until) as scope:
                message = await receive()
            if scope.cancelled_caught:
                raise HTTPException(408, f"the body was not here within {seconds:g} s", headers={"connection": "close"})
            taken += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if taken > most:
                raise HTTPException(413, self._too_large(), headers={"connection": "close"})
            return message

        return limited

    def _too_large(self) -> str:
        return f"the body is over max_body = {self._settings.max_body} bytes; send less or raise it"


def _key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
