"""Answer the pages that judge: check, detect, stream, moderations, and the policy that they follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.message import Message as Headers
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from guardrail import __version__
from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, OverloadedError
from guardrail.result import Result
from guardrail.server.limits import Gate
from guardrail.server.metrics import Metrics
from guardrail.server.moderation import inputs, moderated
from guardrail.server.problems import ProblemBody
from guardrail.server.schemas import (
    BatchRequest,
    CheckRequest,
    ModerationRequest,
    ModerationResponse,
    StreamRequest,
)
from guardrail.server.settings import Settings
from guardrail.server.stream import KINDS, GuardedEvents
from guardrail.server.values import Batch, Explanation, PolicyInForce, explained, in_force
from guardrail.wire import to_json

T = TypeVar("T")
_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": text}
    for status, text in {
        400: "The request cannot be read.",
        401: "No API key, or a wrong one.",
        408: "The body came too slowly.",
        413: "The body is too large.",
        415: "The body is of another type.",
        422: "The body is not what this page takes.",
        429: "Too many requests run; see Retry-After.",
        500: "The server failed.",
        503: "The guard failed, and its policy says so.",
        504: "The time budget ran out, and the policy says so.",
    }.items()
}


class Pages:
    """The pages under ``/v1``; each takes JSON and answers with it, in the form of ``guardrail check --json``."""

    def __init__(self, guard: Streaming, settings: Settings, metrics: Metrics, gate: Gate) -> None:
        self._guard, self._settings, self._metrics, self._gate = guard, settings, metrics, gate
        self._threads: anyio.CapacityLimiter | None = None
        self.router = APIRouter(prefix="/v1", responses=_FAILURES)
        self._add("/check", self.check, Result)
        self._add("/check/batch", self.check_batch, Batch)
        self._add("/detect", self.detect, Explanation)
        self._add("/moderations", self.moderations, ModerationResponse)
        self.router.add_api_route("/policy", self.policy, methods=["GET"], response_model=PolicyInForce)
        self.router.add_api_route(
            "/stream", self.stream, methods=["POST"], response_class=Response, openapi_extra=_stream_page()
        )

    def _add(self, path: str, page: Callable[..., Any], answer: type) -> None:
        self.router.add_api_route(path, page, methods=["POST"], response_model=answer)

    async def check(self, wanted: CheckRequest) -> Response:
        """Judge a text and act by the policy; a text that the policy raises for is an answer with that action."""
        with self._gate.place():
            return _json(await self._checked(wanted.text))

    async def check_batch(self, wanted: BatchRequest) -> Response:
        """Check texts one after another, each as ``/v1/check`` does."""
        self._bound(len(wanted.texts))
        with self._gate.place():
            return _json(Batch(tuple([await self._checked(text) for text in wanted.texts])))

    async def detect(self, wanted: CheckRequest) -> Response:
        """Judge a text and change nothing; the scores of all labels by sentence tell what other thresholds find."""
        with self._gate.place():
            found = await self._on_thread(explained, self._guard, wanted.text)
        self._metrics.judged(len(wanted.text), found)
        return _json(found)

    async def moderations(self, wanted: ModerationRequest) -> Response:
        """Judge in the shape of OpenAI's moderation: ``harassment`` is toxicity; what nobody judges is left out."""
        texts = inputs(wanted)
        self._bound(len(texts))
        with self._gate.place():
            found = [await self._on_thread(self._guard.detect, text) for text in texts]
        for text, one in zip(texts, found, strict=True):
            self._metrics.judged(len(text), one)
        return _json(moderated(found).model_dump())

    async def policy(self) -> Response:
        """Return the thresholds and actions that hold on this server."""
        return _json(in_force(self._guard, __version__))

    async def stream(self, request: Request) -> Response:
        """Judge a text while it arrives.

        The body is JSON with all chunks, or it flows: plain text, lines of JSON strings, or server-sent events. The
        answer begins at once: events of type ``text`` hold what may be shown, the last one is a ``result`` (as
        ``/v1/check`` gives it) or an ``error``.
        """
        kind = _type(request.headers.get("content-type", ""))
        if kind in KINDS:
            return GuardedEvents(self._guard, self._metrics, self._gate, kind=kind)
        if kind != "application/json":
            raise HTTPException(415, f"the body must be application/json, {', '.join(KINDS)}")
        wanted = _stream_request(await request.body())
        return GuardedEvents(self._guard, self._metrics, self._gate, chunks=wanted.chunks, prompt=wanted.prompt)

    async def _checked(self, text: str) -> Result:
        try:
            result = await self._guard.acheck(text)
        except GuardrailBlocked as blocked:
            result = blocked.result
        self._metrics.judged(len(text), result)
        if result.error is not None and result.error.startswith(OverloadedError.__name__):
            # Calls that nobody waits for any more may still hold the guard's places.
            raise HTTPException(429, result.error, headers={"retry-after": str(self._settings.retry_after)})
        return result

    async def _on_thread(self, work: Callable[..., T], *arguments: object) -> T:
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(self._guard.policy.max_running)
        return await anyio.to_thread.run_sync(lambda: work(*arguments), limiter=self._threads, abandon_on_cancel=True)

    def _bound(self, count: int) -> None:
        if count > self._settings.max_batch:
            raise HTTPException(
                422, f"{count} texts are over max_batch = {self._settings.max_batch}; send them in parts"
            )


def _stream_request(body: bytes) -> StreamRequest:
    try:
        return StreamRequest.model_validate(json.loads(body))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_context=False, include_url=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in faults]) from None
    except (ValueError, RecursionError):
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": "no JSON"}]) from None


def _type(header: str) -> str:
    headers = Headers()
    headers["content-type"] = header
    return headers.get_content_type() if header else ""


def _json(value: object) -> Response:
    return Response(to_json(value), media_type="application/json")


def _stream_page() -> dict[str, Any]:
    schema = StreamRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    event = {"event": {"enum": ["text", "result", "error"]}, "data": {"type": "string"}}
    return {
        "requestBody": {
            "required": True,
            # Whatever flows in is answered in the stream, with an error event if need be.
            "content": {"application/json": {"schema": schema}, **{kind: {"schema": {}} for kind in KINDS}},
        },
        "responses": {
            "200": {
                "description": "Events of type text, then one result or error; the data is JSON.",
                "content": {"text/event-stream": {"schema": {"type": "object", "properties": event}}},
            }
        },
    }
