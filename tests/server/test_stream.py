"""Test the page that streams: nothing unjudged in any of its forms, and both ways at once on one connection."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient

from guardrail.policy import Policy
from guardrail.result import Action, Label
from guardrail.server.app import create_app
from guardrail.wire import jsonable
from tests.asgi import MENDED, TEXT, cut
from tests.fakes import WordDetector
from tests.guards import SECRET, WAIT, failing, guard, pause, same
from tests.servers import served
from tests.sidecar import sidecar, streamed


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with sidecar() as client:
        yield client


def post(client: TestClient, kind: str, body: Iterable[bytes]) -> tuple[str, str, Any]:
    answer = client.post("/v1/stream", content=iter(body), headers={"content-type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    return streamed(answer.text)


def pieces(size: int) -> list[str]:
    return [TEXT[at : at + size] for at in range(0, len(TEXT), size)]


@pytest.mark.parametrize("size", [1, 4, 17, 100])
def test_every_form_gives_what_check_gives(client: TestClient, size: int) -> None:
    chunks = pieces(size)
    forms = {
        "application/json": [json.dumps({"chunks": chunks}).encode()],
        "text/plain": cut(TEXT.encode(), size),
        "text/plain; charset=utf-8": [TEXT.encode()],
        "application/x-ndjson": cut("".join(json.dumps({"text": c}) + "\n" for c in chunks).encode(), 7),
        "application/x-ndjson; x=y": ["\r\n".join(map(json.dumps, chunks)).encode()],
        "text/event-stream": cut("".join(f"data: {json.dumps({'text': c})}\n\n" for c in chunks).encode(), 9),
        "text/event-stream; x=y": [
            "".join(f"data: {json.dumps(c)}\n\n" for c in chunks).encode() + b"data: [DONE]\n\n"
        ],
    }
    for kind, body in forms.items():
        text, last, result = post(client, kind, body)
        assert (text, last) == (MENDED, "result")
        assert {**result, "latency_ms": 0.0} == jsonable(same(guard().check(TEXT)))


def test_bare_data_of_events_is_text(client: TestClient) -> None:
    body = b"data: The \n\ndata: 5 \n\ndata: idi\n\ndata: ot\n\n"
    assert post(client, "text/event-stream", [body])[0] == "The 5 plain"


def test_a_prompt_reaches_the_rewriter_and_is_not_judged() -> None:
    from tests.fakes import MapRewriter, plain_words

    rewriter = MapRewriter(plain_words)
    with sidecar(guard(rewriter=rewriter)) as client:
        answer = client.post("/v1/stream", json={"chunks": ["The idiot spoke."], "prompt": "Who is a chairman?"})
    assert streamed(answer.text)[0] == "The plain spoke."
    assert [request.before for request in rewriter.requests][-1] == "Who is a chairman?"


def test_nothing_in_nothing_out(client: TestClient) -> None:
    for kind, body in (("application/json", b'{"chunks": []}'), ("text/plain", b""), ("application/x-ndjson", b"\n\n")):
        text, last, result = post(client, kind, [body])
        assert (text, last, result["action"]) == ("", "result", "allow")


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("text/plain", b"The meeting is at nine. So it \xff goes", ""),
        ("text/plain", b"Zyxwvut \xe2\x82", ""),
        ("application/x-ndjson", b'"The meeting is at nine. So it"\n{"Zyxwvut": 1}\n', "The meeting is at nine. "),
        ("application/x-ndjson", b'"The meeting is at nine. So it"\nZyxwvut\n', "The meeting is at nine. "),
        ("application/x-ndjson", b"[" * 100_000 + b"\n", ""),
        ("text/event-stream", b'data: {"Zyxwvut": 1}\n\n', ""),
    ],
)
def test_what_cannot_be_read_ends_the_stream(client: TestClient, kind: str, body: bytes, shown: str) -> None:
    text, last, value = post(client, kind, [body])
    assert (text, last, value["error"]["type"]) == (shown, "error", "invalid_request")
    assert "Zyxwvut" not in str(value)


def test_a_blocked_stream_ends_with_the_message_and_the_result() -> None:
    with sidecar(guard(Policy(actions={Label.TOXICITY: Action.BLOCK}))) as client:
        for size in (1, 9, 100):
            answer = client.post("/v1/stream", json={"chunks": pieces(size)})
            text, last, result = streamed(answer.text)
            assert text == "The meeting is at nine. " + Policy().block_message
            assert (last, result["action"]) == ("result", "block")


def test_where_the_policy_raises_the_last_event_is_the_result() -> None:
    with sidecar(guard(Policy(actions={Label.TOXICITY: Action.RAISE}))) as client:
        for size in (1, 9, 100):
            text, last, result = streamed(client.post("/v1/stream", json={"chunks": pieces(size)}).text)
            assert (text, last, result["action"]) == ("The meeting is at nine. ", "result", "raise")
            assert "idiot" not in str(result)


def test_a_guard_that_fails_is_the_last_event() -> None:
    for error, kind in ((RuntimeError(SECRET), "guard_failed"), (MemoryError(SECRET), "guard_failed")):
        door = guard(Policy(on_error="raise"), detector=failing(error))
        with sidecar(door) as client:
            text, last, value = streamed(client.post("/v1/stream", json={"chunks": [SECRET]}).text)
        assert (text, last, value["error"]["type"]) == ("", "error", kind)
        assert "Zyxwvut" not in str(value)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"POST /v1/stream HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.enable_socket
def test_text_is_shown_while_more_is_still_to_come() -> None:
    async def talk(address: str) -> tuple[bytes, bytes]:
        host, _, port = address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + chunk(b"The meeting is at nine. The idi"))
        early = await reader.readuntil(b"at nine. ")
        writer.write(chunk(b"ot spoke.") + chunk(b""))
        late = await reader.readuntil(b"event: result")
        writer.close()
        return early, late

    with served(create_app(guard())) as address:
        early, late = asyncio.run(asyncio.wait_for(talk(address), WAIT))
    assert b'data: {"text": "The meeting is at nine. ' in early
    assert b'data: {"text": "The plain spoke."}' in late
    assert b"idi" not in early + late


class Patient(WordDetector):
    """Works on a slow text until its time is up."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.stopped = threading.Event(), threading.Event()

    def score(self, pieces: Any, deadline: Any) -> Any:
        if any("slow" in piece for piece in pieces):
            self.begun.set()
            while not deadline.expired:
                pause(0.001)
            self.stopped.set()
        return super().score(pieces, deadline)


@pytest.mark.enable_socket
@pytest.mark.parametrize("body", [chunk(b"A slow text. And more of it. "), chunk(b"A slow text.") + chunk(b"")])
def test_a_client_that_leaves_stops_the_model(body: bytes) -> None:
    detector = Patient()
    app = create_app(guard(Policy(timeout_ms=None), detector=detector))

    async def leave(address: str) -> None:
        host, _, port = address.removeprefix("http://").partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(HEAD + body)
        assert await anyio.to_thread.run_sync(detector.begun.wait, WAIT)
        writer.transport.abort()
        assert await anyio.to_thread.run_sync(detector.stopped.wait, WAIT)
        with anyio.fail_after(WAIT):
            while app.state.gate.inside:
                await anyio.sleep(0.001)

    with served(app) as address:
        anyio.run(leave, address)
