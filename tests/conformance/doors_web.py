"""Drive the doors that answer HTTP: the sidecar's pages and the ASGI middleware, in this process."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from fastapi.testclient import TestClient

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.answer import Message, Scope
from guardrail.doors import Streaming
from guardrail.server.app import create_app
from tests.asgi import EVENTS, JSON, answering, content_of
from tests.conformance.doors_core import in_loop, pieces
from tests.conformance.seen import Door, Seen, caught, plain
from tests.sidecar import streamed


@cache
def _client(guard: Streaming) -> TestClient:
    # Making an application takes longer than asking it.
    return TestClient(create_app(guard))


def _asked(guard: Streaming, page: str, body: Any) -> Any:
    # In ASCII: so a lone surrogate gets as far as the page.
    return _client(guard).post(page, content=json.dumps(body), headers={"content-type": "application/json"})


def _answered(value: Any) -> Seen:
    return Seen(value["text"], plain(value))


def _failed(problem: Any) -> Seen:
    return Seen("", raised=problem["error"]["message"].partition(":")[0])


def sidecar_check(guard: Streaming, text: str) -> Seen:
    answer = _asked(guard, "/v1/check", {"text": text})
    return _answered(answer.json()) if answer.status_code == 200 else _failed(answer.json())


def sidecar_batch(guard: Streaming, text: str) -> Seen:
    answer = _asked(guard, "/v1/check/batch", {"texts": ["", text]})
    return _answered(answer.json()["results"][1]) if answer.status_code == 200 else _failed(answer.json())


def sidecar_stream(guard: Streaming, text: str) -> Seen:
    answer = _asked(guard, "/v1/stream", {"chunks": pieces(text)})
    assert answer.status_code == 200
    shown, kind, last = streamed(answer.text)
    return Seen(shown, plain(last)) if kind == "result" else Seen(shown, raised=_failed(last).raised)


def _through(guard: Streaming, parts: list[bytes], headers: list[tuple[str, str]]) -> tuple[int, str, Exception | None]:
    """Return the status, the body and the error of an application behind the middleware."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def call() -> Exception | None:
        scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "extensions": {}}
        try:
            await GuardMiddleware(answering(parts, headers), guard)(scope, receive, send)
        except Exception as error:
            return error
        return None

    error = in_loop(call)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body.decode(), error


def asgi_json(guard: Streaming, text: str) -> Seen:
    said = {"choices": [{"message": {"content": text}}]}
    status, body, error = _through(guard, [json.dumps(said).encode()], JSON)
    assert error is None
    if status == 200:
        return Seen(json.loads(body)["choices"][0]["message"]["content"])
    assert body == guard.policy.block_message
    return Seen("", raised={403: "GuardrailBlocked", 503: "GuardrailError"}[status])


def asgi_events(guard: Streaming, text: str) -> Seen:
    said = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in pieces(text)]
    parts = [f"data: {json.dumps(value)}\n\n".encode() for value in said]
    _, body, error = _through(guard, [*parts, b"data: [DONE]\n\n"], EVENTS)
    return Seen(content_of(body)) if error is None else caught(error, content_of(body))


DOORS = (
    Door("sidecar /v1/check", sidecar_check, encodes=True),
    Door("sidecar /v1/check/batch", sidecar_batch, encodes=True),
    Door("sidecar /v1/stream", sidecar_stream, flows=True, encodes=True),
    Door("ASGI, JSON", asgi_json, bare=True, encodes=True),
    Door("ASGI, events", asgi_events, flows=True, bare=True, encodes=True),
)
