"""Call ASGI applications without a server, with answers in chunks of any size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from guardrail.adapters.asgi.answer import Message, Receive, Scope, Send
from guardrail.adapters.asgi.middleware import App

TEXT = "The meeting is at nine. The idiot spoke. Bye, all of you."
MENDED = "The meeting is at nine. The plain spoke. Bye, all of you."
JSON = [("content-type", "application/json")]
EVENTS = [("content-type", "text/event-stream")]
LINES = [("content-type", "application/x-ndjson")]
PLAIN = [("content-type", "text/plain; charset=utf-8")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What reached the client."""

    status: int
    headers: dict[str, str]
    parts: tuple[bytes, ...]
    ended: bool
    scope: Scope

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answering(
    chunks: Iterable[bytes],
    headers: Sequence[tuple[str, str]] = JSON,
    *,
    status: int = 200,
    error: Exception | None = None,
    seen: list[Scope] | None = None,
) -> App:
    """Return an application that answers with these chunks, then fails if it has an ``error``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if seen is not None:
            seen.append(scope)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if error is not None:
            raise error
        await send({"type": "http.response.body", "body": b""})

    return app


async def call(app: App, *, method: str = "GET", headers: Sequence[tuple[str, str]] = ()) -> Answer:
    """Call ``app`` once; whatever it raises passes after nothing more was sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": "/",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "extensions": {"http.response.pathsend": {}, "tls": {}},
    }
    await app(scope, receive, send)
    return answer_of(sent, scope)


def answer_of(sent: Sequence[Message], scope: Scope) -> Answer:
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert {message["type"] for message in bodies} <= {"http.response.body"}
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    ended = [not message.get("more_body", False) for message in bodies]
    assert ended.count(True) <= 1
    return Answer(
        start["status"], headers, tuple(message["body"] for message in bodies), bool(ended and ended[-1]), scope
    )


def cut(data: bytes, size: int) -> list[bytes]:
    """Cut bytes into chunks of ``size``."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def cuttings(data: bytes) -> Iterator[list[bytes]]:
    """Yield every cutting into two, and those into equal chunks of some sizes."""
    yield [data]
    yield from ([data[:at], data[at:]] for at in range(1, len(data)))
    yield from (cut(data, size) for size in (1, 2, 3, 7))


def chat(parts: Iterable[str], *, choice: int = 0) -> bytes:
    """Return the events of a chat completion as OpenAI streams it."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": part} for part in parts), {}]
    events = [
        {"id": "c1", "choices": [{"index": choice, "delta": delta, "finish_reason": None}]} for delta in deltas[:-1]
    ]
    events.append({"id": "c1", "choices": [{"index": choice, "delta": {}, "finish_reason": "stop"}]})
    return (
        b"".join(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in events)
        + b"data: [DONE]\n\n"
    )


def events_of(body: str) -> list[tuple[str, str]]:
    """Return the (type, data) of each event, read by the simplest means."""
    found = []
    for block in body.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line]
        data = [value for name, _, value in lines if name == "data"]
        kind = next((value for name, _, value in lines if name == "event"), "")
        if data:
            found.append((kind, "\n".join(data)))
    return found


def content_of(body: str, choice: int = 0) -> str:
    """Return the text of one choice of a streamed chat completion."""
    values = [json.loads(data) for _, data in events_of(body) if data != "[DONE]"]
    chosen = [c for value in values for c in value["choices"] if c["index"] == choice]
    return "".join(c["delta"].get("content") or "" for c in chosen)
