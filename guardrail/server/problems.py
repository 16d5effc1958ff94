"""Answer every failure with one JSON shape that holds nothing of the request, and log it the same way."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail.errors import DeadlineError, GuardrailError, OverloadedError

log = logging.getLogger("guardrail.server")

# What pydantic says of other faults may quote the input.
_SAFE = ("missing", "string_type", "list_type", "too_short", "too_long", "json_invalid", "model_attributes_type")


class Wrong(BaseModel):
    """A field of a request and what is wrong with it."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """What went wrong: ``type`` for programs, ``message`` for people; ``fields`` where a request was malformed."""

    type: str
    message: str
    fields: list[Wrong] | None = None


class ProblemBody(BaseModel):
    """The body of every answer that is no success."""

    error: Problem


_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    429: "overloaded",
    500: "internal_error",
    503: "guard_failed",
    504: "deadline",
}
_MESSAGES = {
    400: "the request cannot be read",
    404: "there is no such page; GET /openapi.json lists them",
    405: "this page takes another method",
}


def problem(status: int, message: str, fields: Sequence[Wrong] | None = None) -> dict[str, Any]:
    """Return the body for a status."""
    said = Problem(type=_TYPES.get(status, "error"), message=message, fields=list(fields) if fields else None)
    return ProblemBody(error=said).model_dump(exclude_none=True)


def of_guard(error: GuardrailError) -> HTTPException:
    """Return how a guard that could not judge is answered: its messages hold no text."""
    status = 429 if isinstance(error, OverloadedError) else 504 if isinstance(error, DeadlineError) else 503
    return HTTPException(status, f"{type(error).__name__}: {error}", headers={"retry-after": "1"})


def install(app: FastAPI) -> None:
    """Make ``app`` answer its failures so."""

    async def failed(request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = str(error.detail) if isinstance(error, HTTPException) else ""
        headers = error.headers if isinstance(error, HTTPException) else None
        return JSONResponse(problem(status, _MESSAGES.get(status, detail)), status, headers)

    async def malformed(request: Request, error: Exception) -> JSONResponse:
        faults = error.errors() if isinstance(error, RequestValidationError) else ()
        fields = list(dict.fromkeys(_wrong(fault) for fault in faults))
        return JSONResponse(problem(422, "the request is not what this page takes", fields), 422)

    async def unjudged(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, GuardrailError)
        return await failed(request, of_guard(error))

    app.add_exception_handler(HTTPException, failed)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(GuardrailError, unjudged)


def _wrong(fault: Any) -> Wrong:
    # A key that nobody asked for is text of the caller's own.
    known = [str(part) for part in fault["loc"] if fault["type"] != "extra_forbidden" and not isinstance(part, int)]
    if fault["type"] == "json_invalid":
        return Wrong(field="body", message="no JSON")
    message = fault["msg"] if fault["type"] in _SAFE else fault["type"].replace("_", " ")
    return Wrong(field=".".join(known) or "body", message=message)


class Catch:
    """Keep every unexpected error from the server's own log: its message may quote the text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, and answer an error with status 500; an answer that has begun is broken off."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            log.error("unexpected %s", where(error))
            if not begun and scope["type"] == "http":
                answer = JSONResponse(problem(500, "the server failed; its log says where"), 500)
                await answer(scope, receive, send)


def where(error: BaseException) -> str:
    """Name an error and the line that it came from, never its message."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
