"""Test the middleware on whole bodies, on what cannot be judged, and on its own settings."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.answer import Receive, Scope, Send
from guardrail.errors import ConfigError, ModelIntegrityError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.asgi import JSON, MENDED, TEXT, answering, call, cut
from tests.guards import CLEAN, failing, guard

pytestmark = pytest.mark.anyio
MESSAGE = Policy().block_message


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def reply(text: str) -> Any:
    return {"id": "c1", "choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], "n": 1.50}


def with_length(body: bytes, kind: str) -> list[tuple[str, str]]:
    return [("content-type", kind), ("content-length", str(len(body))), ("etag", '"1"'), ("x-own", "kept")]


async def test_json_is_mended_at_the_named_field_and_gets_a_new_length() -> None:
    body = json.dumps(reply(TEXT)).encode()
    app = GuardMiddleware(answering([body], with_length(body, "application/json")), guard())
    answer = await call(app)
    assert answer.json == reply(MENDED)
    assert answer.headers == {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
        "x-own": "kept",
    }
    assert answer.ended


@pytest.mark.parametrize("text", [text for text in CLEAN if text.isprintable() or "\t" in text])
async def test_a_clean_body_keeps_its_bytes_and_headers(text: str) -> None:
    for kind, body in (
        ("application/json", json.dumps(reply(text), indent=2).encode()),
        ("text/plain; charset=utf-8", text.encode("utf-8", "replace")),
    ):
        answer = await call(GuardMiddleware(answering(cut(body, 5), with_length(body, kind)), guard()))
        assert answer.body == body
        assert answer.headers == dict(with_length(body, kind))


async def test_plain_text_is_judged_as_a_whole_where_its_length_is_known() -> None:
    for parts in (cut(TEXT.encode(), size) for size in (1, 3, 10, 1000)):
        headers = with_length(TEXT.encode(), "text/plain; charset=utf-8")
        answer = await call(GuardMiddleware(answering(parts, headers), guard()))
        assert (answer.text, answer.headers["content-length"]) == (MENDED, str(len(MENDED)))
        assert "etag" not in answer.headers


async def test_a_body_in_another_charset_leaves_as_utf_8() -> None:
    text = "Naïve – “yes”. The idiot spoke."
    body = text.encode("cp1252")
    headers = with_length(body, "text/plain; charset=ISO-8859-1")
    answer = await call(GuardMiddleware(answering([body], headers), guard()))
    assert answer.text == text.replace("idiot", "plain")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


async def test_content_in_blocks_and_a_bare_string_are_text_too() -> None:
    blocks = reply("")
    blocks["choices"][0]["message"]["content"] = [{"type": "text", "text": TEXT}, {"type": "image_url"}]
    answer = await call(GuardMiddleware(answering([json.dumps(blocks).encode()]), guard()))
    assert answer.json["choices"][0]["message"]["content"][0]["text"] == MENDED
    answer = await call(GuardMiddleware(answering([json.dumps(TEXT).encode()]), guard()))
    assert answer.json == MENDED


async def test_fields_of_ones_own_and_all_strings() -> None:
    value = {"reply": TEXT, "log": ["The idiot spoke."], "n": None}
    app = answering([json.dumps(value).encode()], [("content-type", "application/problem+json")])
    assert (await call(GuardMiddleware(app, guard(), json_fields=["reply"]))).json == {**value, "reply": MENDED}
    assert (await call(GuardMiddleware(app, guard(), json_fields=["**"]))).json == {
        "reply": MENDED,
        "log": ["The plain spoke."],
        "n": None,
    }


async def test_of_a_key_that_stands_twice_only_the_judged_one_leaves() -> None:
    body = b'{"message": {"content": "The idiot spoke.", "content": "Fine."}}'
    answer = await call(GuardMiddleware(answering([body]), guard()))
    assert answer.json == {"message": {"content": "Fine."}}
    assert b"idiot" not in answer.body


async def test_a_blocked_field_holds_the_policys_message() -> None:
    app = answering([json.dumps(reply(TEXT)).encode()])
    answer = await call(GuardMiddleware(app, guard(Policy(action=Action.BLOCK))))
    assert (answer.status, answer.json) == (200, reply(MESSAGE))


@pytest.mark.parametrize("body", [json.dumps(reply(TEXT)).encode(), json.dumps(TEXT).encode()])
async def test_where_the_policy_raises_a_body_becomes_403(body: bytes) -> None:
    app = answering([body], with_length(body, "application/json"))
    answer = await call(GuardMiddleware(app, guard(Policy(action=Action.RAISE))))
    assert (answer.status, answer.text) == (403, MESSAGE)
    assert "x-own" not in answer.headers


async def test_a_guard_that_fails_lets_nothing_through() -> None:
    body = json.dumps(reply(TEXT)).encode()
    blocked = await call(GuardMiddleware(answering([body]), guard(detector=failing(RuntimeError(TEXT)))))
    assert blocked.json == reply(MESSAGE)
    for error in (RuntimeError(TEXT), ModelIntegrityError("a file differs")):
        door = guard(Policy(on_error="raise"), detector=failing(error))
        answer = await call(GuardMiddleware(answering([body]), door))
        assert (answer.status, answer.text) == (503, MESSAGE)


UNJUDGEABLE = {
    "html": ([("content-type", "text/html")], TEXT.encode()),
    "no type": ([], TEXT.encode()),
    "two types": ([("content-type", "image/png"), ("content-type", "text/plain")], TEXT.encode()),
    "binary": ([("content-type", "application/octet-stream")], b"\x00\x01"),
    "unknown charset": ([("content-type", "text/plain; charset=utf-16")], TEXT.encode("utf-16")),
    "no utf-8": ([("content-type", "text/plain"), ("content-length", "2")], b"\xff\xfe"),
    "no utf-8 in json": (JSON, b'"\xff"'),
    "no json": (JSON, b"{'a': 1}"),
    "not a number": (JSON, b'{"a": NaN}'),
    "too deep": (JSON, b"[" * 100_000),
    "a digit too many": (JSON, b"1" * 10_000),
}


@pytest.mark.parametrize("case", UNJUDGEABLE)
async def test_what_cannot_be_judged_is_withheld_or_passed_as_told(case: str, caplog: pytest.LogCaptureFixture) -> None:
    headers, body = UNJUDGEABLE[case]
    app = answering(cut(body, 4096), headers)
    with caplog.at_level(logging.WARNING, "guardrail"):
        answer = await call(GuardMiddleware(app, guard()))
    assert (answer.status, answer.text, answer.ended) == (502, MESSAGE, True)
    assert "withheld with status 502" in caplog.text
    assert "idiot" not in caplog.text
    passed = await call(GuardMiddleware(app, guard(), on_unknown="pass"))
    assert (passed.status, passed.body, passed.ended) == (200, body, True)


async def test_compressed_bodies_are_a_choice_of_their_own() -> None:
    app = answering([b"\x1f\x8b"], [("content-type", "application/json"), ("content-encoding", "gzip")])
    assert (await call(GuardMiddleware(app, guard(), on_unknown="pass"))).status == 502
    answer = await call(GuardMiddleware(app, guard(), on_compressed="pass"))
    assert (answer.status, answer.body) == (200, b"\x1f\x8b")
    named = answering([json.dumps(reply(TEXT)).encode()], [*JSON, ("content-encoding", "identity")])
    assert (await call(GuardMiddleware(named, guard()))).json == reply(MENDED)


async def test_types_without_prose_pass_untouched() -> None:
    for kind in ("image/png", "text/css", "font/woff2"):
        answer = await call(GuardMiddleware(answering([b"\x89", b"PNG"], [("content-type", kind)]), guard()))
        assert (answer.status, answer.parts) == (200, (b"\x89", b"PNG", b""))
    answer = await call(
        GuardMiddleware(answering([TEXT.encode()], [("content-type", "text/html")]), guard(), text_types=["text/html"])
    )
    assert answer.text == MENDED


async def test_an_answer_without_a_body_gets_none() -> None:
    body = json.dumps(reply(TEXT)).encode()
    for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):
        app = GuardMiddleware(answering([body], with_length(body, "application/json"), status=status), guard())
        answer = await call(app, method=method)
        assert (answer.status, answer.body, answer.ended) == (status, b"", True)
        assert answer.headers["content-length"] == str(len(body))
    answer = await call(GuardMiddleware(answering([], [*JSON, ("content-length", "0")]), guard()))
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


async def test_a_body_over_the_limit_is_withheld() -> None:
    body = json.dumps(reply(TEXT)).encode()
    for chunks in ([body], cut(body, 7)):
        answer = await call(GuardMiddleware(answering(chunks), guard(), max_body=len(body) - 1, on_unknown="pass"))
        assert (answer.status, answer.text) == (502, MESSAGE)
    assert (await call(GuardMiddleware(answering([body]), guard(), max_body=len(body)))).json == reply(MENDED)


async def test_the_application_is_not_asked_for_what_could_not_be_judged() -> None:
    seen: list[Scope] = []
    app = GuardMiddleware(answering([b'""'], seen=seen), guard())
    asked = [("Accept-Encoding", "gzip"), ("range", "bytes=0-3"), ("if-range", "x"), ("accept", "*/*")]
    answer = await call(app, headers=asked)
    assert seen[0]["headers"] == [(b"accept", b"*/*")]
    assert seen[0]["extensions"] == {"tls": {}}
    assert len(answer.scope["headers"]) == 4


async def test_messages_that_nobody_judged_are_not_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})
        await send({"type": "http.response.body", "body": TEXT.encode(), "more_body": True})
        await send({"type": "http.response.trailers", "headers": [(b"x", b"The idiot spoke.")]})
        await send({"type": "http.response.body", "body": b""})
        await send({"type": "http.response.body", "body": TEXT.encode()})

    assert (await call(GuardMiddleware(app, guard()))).text == MENDED


async def test_only_wanted_requests_and_only_http_is_guarded() -> None:
    app = answering([json.dumps(TEXT).encode()])
    assert (await call(GuardMiddleware(app, guard(), wanted=lambda scope: scope["path"] != "/"))).json == TEXT
    assert (await call(GuardMiddleware(app, guard(), wanted=lambda scope: scope["path"] == "/"))).json == MENDED
    seen: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])
        await send({"type": "lifespan.startup.complete"})

    async def send(message: Any) -> None:
        seen.append(message["type"])

    await GuardMiddleware(lifespan, guard())({"type": "lifespan"}, send, send)  # type: ignore[arg-type]
    assert seen == ["lifespan", "lifespan.startup.complete"]


async def test_an_application_that_fails_before_its_body_is_complete_sends_nothing() -> None:
    app = GuardMiddleware(answering([b'{"message":'], JSON, error=RuntimeError("down")), guard())
    with pytest.raises(RuntimeError, match="down"):
        await call(app)


@pytest.mark.parametrize(
    "settings",
    [
        {"on_unknown": "allow"},
        {"on_compressed": ""},
        {"on_websocket": "block"},
        {"events": "xml"},
        {"json_fields": ["a..b"]},
        {"end_fields": ["=x"]},
    ],
)
def test_a_wrong_setting_is_refused(settings: Any) -> None:
    with pytest.raises(ConfigError):
        GuardMiddleware(answering([]), guard(), **settings)
