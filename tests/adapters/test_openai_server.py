"""Test the guarded OpenAI client over a real connection: a server on loopback that speaks the wire format."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from guardrail.adapters.openai import guarded
from tests.guards import WAIT, guard
from tests.openai_api import MODEL, choice, completion, message, responding, response, sse, talk, text_of, written
from tests.streams import chunked

TEXT = "A calm day, naïve Zoë 👍🏽. The idiot spoke. Dr. Smith asked why. A chairman left."
SAFE = TEXT.replace("idiot", "plain").replace("chairman", "plain")
PARTS = list(chunked(TEXT, [5] * 40))

pytestmark = pytest.mark.enable_socket


class Handler(BaseHTTPRequestHandler):
    """Answer as the API does: JSON, compressed where asked for, or events in small chunks; "broken" breaks off."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        chat = self.path.endswith("/chat/completions")
        if asked.get("stream"):
            body = sse(talk(PARTS)) if chat else sse(responding(written(PARTS)), done=False)
            self._flow(body, broken=asked["model"] == "broken")
        else:
            whole = completion(choice(content=TEXT)) if chat else response(message(TEXT))
            self._say(json.dumps(whole).encode())

    def _say(self, body: bytes) -> None:
        packed = "gzip" in self.headers["accept-encoding"]
        body = gzip.compress(body) if packed else body
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if packed:
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def _flow(self, body: bytes, *, broken: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for at in range(0, len(body) // 2 if broken else len(body), 23):
            part = body[at : at + 23]
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if not broken:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = broken

    def log_message(self, format: str, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT)


def test_whole_and_streamed_replies_are_judged() -> None:
    with served() as url, guarded(OpenAI(api_key="k", base_url=url), guard()) as client:
        assert client.chat.completions.create(**MODEL).choices[0].message.content == SAFE
        assert text_of(client.chat.completions.create(**MODEL, stream=True)) == SAFE
        assert client.responses.create(model="m", input="i").output_text == SAFE
        with client.responses.stream(model="m", input="i") as stream:
            assert stream.get_final_response().output_text == SAFE


def test_a_connection_that_breaks_off_shows_judged_text_and_raises() -> None:
    shown = ""
    with served() as url, guarded(OpenAI(api_key="k", base_url=url, max_retries=0), guard()) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            for value in client.chat.completions.create(**{**MODEL, "model": "broken"}, stream=True):
                shown += text_of([value])
    assert SAFE.startswith(shown)
    assert shown.startswith("A calm day")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.anyio
async def test_the_async_client_gives_the_same() -> None:
    with served() as url:
        async with guarded(AsyncOpenAI(api_key="k", base_url=url), guard()) as client:
            assert (await client.chat.completions.create(**MODEL)).choices[0].message.content == SAFE
            stream = await client.chat.completions.create(**MODEL, stream=True)
            assert text_of([value async for value in stream]) == SAFE
            async with client.responses.stream(model="m", input="i") as events:
                assert (await events.get_final_response()).output_text == SAFE


def test_no_server_is_an_error_of_the_connection_as_ever() -> None:
    client = guarded(OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", max_retries=0), guard())
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**MODEL)
