"""Test the middleware where it runs: FastAPI and Starlette under uvicorn, asked by a real HTTP client."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.policy import Policy
from guardrail.result import Action, Label
from tests.asgi import MENDED, TEXT, chat, content_of, cut
from tests.guards import guard
from tests.servers import served

pytestmark = pytest.mark.enable_socket
MESSAGE = Policy().block_message


async def flowing(data: bytes, size: int) -> AsyncIterator[bytes]:
    for part in cut(data, size):
        yield part


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.post("/chat")
    async def chat_(request: Request) -> Any:
        wanted = await request.json()
        if wanted.get("stream"):
            body = chat(TEXT[at : at + 3] for at in range(0, len(TEXT), 3))
            return StreamingResponse(flowing(body, wanted["size"]), media_type="text/event-stream")
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}}]}

    @app.get("/text", response_class=PlainTextResponse)
    async def text() -> str:
        return TEXT

    @app.get("/word")
    async def word() -> str:
        return "The idiot spoke."

    @app.get("/flow/{size}")
    async def flow(size: int) -> StreamingResponse:
        return StreamingResponse(flowing(TEXT.encode(), size), media_type="text/plain")

    @app.get("/nothing", status_code=204)
    async def nothing() -> None:
        return None

    app.add_middleware(GuardMiddleware, guard=guard())
    return app


@pytest.fixture(scope="module")
def _sockets() -> Iterator[None]:
    import pytest_socket

    pytest_socket.enable_socket()
    yield


@pytest.fixture(scope="module")
def fast(_sockets: None) -> Iterator[httpx.Client]:
    with served(fastapi_app()) as address, httpx.Client(base_url=address, trust_env=False) as client:
        yield client


def test_fastapi_json_text_and_strings(fast: httpx.Client) -> None:
    answer = fast.post("/chat", json={})
    assert answer.json()["choices"][0]["message"]["content"] == MENDED
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert fast.get("/text").text == MENDED
    assert fast.get("/word").json() == "The plain spoke."


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_fastapi_streams(fast: httpx.Client, size: int) -> None:
    with fast.stream("POST", "/chat", json={"stream": True, "size": size}) as answer:
        arrived = list(answer.iter_raw())
    assert content_of(b"".join(arrived).decode()) == MENDED
    assert all(b"idiot" not in part for part in arrived)
    with fast.stream("GET", f"/flow/{size}") as answer:
        assert b"".join(answer.iter_raw()).decode() == MENDED
        assert "content-length" not in answer.headers


def test_fastapi_answers_without_a_body_and_errors(fast: httpx.Client) -> None:
    assert (fast.get("/nothing").status_code, fast.get("/nothing").content) == (204, b"")
    head = fast.head("/text")
    assert (head.status_code, head.content) == (405, b"")
    missing = fast.get("/missing")
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})


def starlette_app(folder: Path, policy: Policy) -> Starlette:
    (folder / "reply.txt").write_text(TEXT, encoding="utf-8")
    (folder / "reply.gz").write_bytes(gzip.compress(json.dumps(TEXT).encode()))

    def file(request: Request) -> Response:
        return FileResponse(folder / "reply.txt")

    def packed(request: Request) -> Response:
        return Response(
            (folder / "reply.gz").read_bytes(),
            media_type="application/json",
            headers={"content-encoding": "gzip"},
        )

    def page(request: Request) -> Response:
        return Response("<p>The idiot spoke.</p>", media_type="text/html")

    def long(request: Request) -> Response:
        return JSONResponse({"message": {"content": f"{TEXT} " * 200}})

    def broken(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"The idiot spoke. So it"
            raise RuntimeError("down")

        return StreamingResponse(parts(), media_type="text/plain")

    routes = [Route(f"/{view.__name__}", view) for view in (file, packed, page, long, broken)]
    app = Starlette(routes=routes)
    app.add_middleware(GZipMiddleware)
    app.add_middleware(GuardMiddleware, guard=guard(policy))
    app.add_middleware(GZipMiddleware)
    return app


@pytest.fixture
def star(tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        served(starlette_app(tmp_path, Policy())) as address,
        httpx.Client(base_url=address, trust_env=False) as client,
    ):
        yield client


def test_starlette_files_leave_whole_and_judged(star: httpx.Client) -> None:
    assert star.get("/file").text == MENDED
    part = star.get("/file", headers={"range": "bytes=24-40"})
    assert (part.status_code, part.text) == (200, MENDED)
    assert star.head("/file").content == b""


def test_starlette_compresses_outside_of_the_guard_and_not_inside(star: httpx.Client) -> None:
    answer = star.get("/long")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == {"message": {"content": f"{MENDED} " * 200}}
    assert (star.get("/packed").status_code, star.get("/packed").text) == (502, MESSAGE)
    assert (star.get("/page").status_code, star.get("/page").text) == (502, MESSAGE)


def test_starlette_failing_on_the_way_ends_the_connection(star: httpx.Client) -> None:
    got = b""
    plain = {"accept-encoding": "identity"}
    with pytest.raises(httpx.RemoteProtocolError), star.stream("GET", "/broken", headers=plain) as answer:
        for part in answer.iter_raw():
            got += part
    assert got.decode() == "The plain spoke. So it"


def test_a_policy_that_raises_breaks_the_stream_off(tmp_path: Path) -> None:
    app = fastapi_app()
    app.user_middleware.clear()
    app.add_middleware(GuardMiddleware, guard=guard(Policy(actions={Label.TOXICITY: Action.RAISE})))
    with served(app) as address, httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get("/text").status_code == 403
        got = b""
        with pytest.raises(httpx.RemoteProtocolError), client.stream("GET", "/flow/5") as answer:
            for part in answer.iter_raw():
                got += part
        assert got == b"The meeting is at nine. "
