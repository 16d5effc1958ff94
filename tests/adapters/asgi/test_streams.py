"""Test the middleware on bodies that flow: text, lines of JSON, and what happens when something fails on the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.adapters.asgi.answer import Message, Receive, Scope, Send
from guardrail.adapters.asgi.bodies import UnreadableError
from guardrail.errors import GuardrailBlocked
from guardrail.policy import Policy
from guardrail.result import Action, Label
from tests.asgi import LINES, MENDED, PLAIN, TEXT, answer_of, answering, call, cut, cuttings
from tests.fakes import WordDetector
from tests.guards import CLEAN, guard
from tests.streams import any_texts

pytestmark = pytest.mark.anyio
MESSAGE = Policy().block_message


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_text_is_judged_before_it_leaves_at_every_chunking(anyio_backend: str) -> None:
    for parts in cuttings(TEXT.encode()):
        answer = await call(GuardMiddleware(answering(parts, [*PLAIN, ("etag", "1")]), guard()))
        assert (answer.text, answer.ended) == (MENDED, True)
        assert answer.headers == {"content-type": "text/plain; charset=utf-8"}
        assert all(b"idi" not in part for part in answer.parts)


async def test_what_was_judged_leaves_before_the_text_ends() -> None:
    answer = await call(GuardMiddleware(answering(cut(TEXT.encode(), 1), PLAIN), guard()))
    assert answer.parts[0] == b"The meeting is at nine. "
    assert answer.parts[1] == b"The plain spoke. "


@pytest.mark.parametrize("text", [text for text in CLEAN if "\ud83d" not in text])
async def test_clean_text_keeps_its_bytes(text: str) -> None:
    for size in (1, 3):
        answer = await call(GuardMiddleware(answering(cut(text.encode(), size), PLAIN), guard()))
        assert answer.body == text.encode()


def test_any_text_in_any_chunks_is_what_check_gives() -> None:
    @given(st.data())
    @settings(max_examples=25)
    def compare(data: st.DataObject) -> None:
        text = data.draw(any_texts)
        body = text.encode("utf-8", "replace")
        sizes = data.draw(st.lists(st.integers(1, 12), min_size=1))
        parts: list[bytes] = []
        at = 0
        while at < len(body):
            parts.append(body[at : at + sizes[len(parts) % len(sizes)]])
            at += len(parts[-1])
        door = guard()
        answer = anyio.run(call, GuardMiddleware(answering(parts, PLAIN), door))
        assert answer.text == door.check(body.decode()).text

    compare()


async def test_a_text_the_policy_blocks_ends_with_its_message() -> None:
    policy = Policy(actions={Label.TOXICITY: Action.BLOCK})
    for size in (1, 9, 500):
        answer = await call(GuardMiddleware(answering(cut(TEXT.encode(), size), PLAIN), guard(policy)))
        assert (answer.text, answer.ended) == ("The meeting is at nine. " + MESSAGE, True)


async def sent_before(app: Any, error: type[Exception]) -> str:
    """Return what was sent before ``error``, which must come."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing to receive")

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with pytest.raises(error):
        await app(scope, receive, send)
    answer = answer_of(sent, scope)
    assert not answer.ended
    return answer.text


async def test_where_the_policy_raises_the_stream_is_cut_off() -> None:
    policy = Policy(actions={Label.TOXICITY: Action.RAISE})
    for size in (1, 9, 500):
        app = GuardMiddleware(answering(cut(TEXT.encode(), size), PLAIN), guard(policy))
        assert await sent_before(app, GuardrailBlocked) == "The meeting is at nine. "


async def test_an_application_cannot_write_on_after_its_stream_was_cut() -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        for _ in range(5):
            try:
                await send({"type": "http.response.body", "body": TEXT.encode(), "more_body": True})
            except GuardrailBlocked:
                continue
        with pytest.raises(GuardrailBlocked):
            await send({"type": "http.response.body", "body": b""})

    app = GuardMiddleware(stubborn, guard(Policy(actions={Label.TOXICITY: Action.RAISE})))
    assert await sent_before(app, GuardrailBlocked) == "The meeting is at nine. "


async def test_what_an_application_wrote_before_it_failed_is_judged_and_sent() -> None:
    parts = [b"The idiot spoke. The chairman", b" is"]
    app = GuardMiddleware(answering(parts, PLAIN, error=RuntimeError("down")), guard())
    assert await sent_before(app, RuntimeError) == "The plain spoke. The plain is"


async def test_bytes_that_are_no_text_cut_the_stream() -> None:
    for parts in ([b"The meeting is at nine. So it", b" \xff idiot"], [b"The meeting is at nine. So \xe2\x82"]):
        app = GuardMiddleware(answering(parts, PLAIN), guard())
        assert await sent_before(app, UnreadableError) == "The meeting is at nine. "


async def test_a_failing_guard_ends_the_stream_with_the_message() -> None:
    detector = WordDetector()

    def fail_later() -> None:
        if detector.calls > 1:
            raise RuntimeError(TEXT)

    detector._before = fail_later
    answer = await call(GuardMiddleware(answering(cut(TEXT.encode(), 4), PLAIN), guard(detector=detector)))
    assert answer.text == "The meeting is at nine. " + MESSAGE


async def test_a_client_that_leaves_stops_the_judging() -> None:
    reached = anyio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        while True:
            await send({"type": "http.response.body", "body": b"One more. ", "more_body": True})
            reached.set()

    sent: list[Message] = []

    async def send(message: Message) -> None:
        await anyio.sleep(0)
        sent.append(message)

    async with anyio.create_task_group() as tasks:
        scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        tasks.start_soon(GuardMiddleware(endless, guard()), scope, anyio.sleep_forever, send)  # type: ignore[arg-type]
        await reached.wait()
        tasks.cancel_scope.cancel()
    assert all(message.get("body", b"One more. ") == b"One more. " for message in sent)


def ollama(parts: list[str]) -> bytes:
    lines = [{"message": {"role": "assistant", "content": part}, "done": False} for part in parts]
    lines.append({"message": {"role": "assistant", "content": ""}, "done": True})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def test_lines_of_json_are_judged_across_lines() -> None:
    for size in (1, 4):
        body = ollama([TEXT[at : at + size] for at in range(0, len(TEXT), size)])
        for parts in (cut(body, 1), cut(body, 100), [body], [body.removesuffix(b"\n")]):
            answer = await call(GuardMiddleware(answering(parts, LINES), guard()))
            lines = [json.loads(line) for line in answer.text.splitlines()]
            assert "".join(line["message"]["content"] for line in lines) == MENDED
            assert [line["done"] for line in lines][-2:] == [False, True]


async def test_lines_that_are_strings_are_text_and_others_pass() -> None:
    body = b'"The idi"\n\n{"usage": {"tokens": 3}}\r\n"ot spoke."\n7\n'
    answer = await call(GuardMiddleware(answering(cut(body, 5), LINES), guard()))
    values = [json.loads(line) for line in answer.text.splitlines()]
    assert "".join(value for value in values if isinstance(value, str)) == "The plain spoke."
    assert [value for value in values if not isinstance(value, str)] == [{"usage": {"tokens": 3}}, 7]


async def test_a_line_that_is_no_json_or_has_no_end_cuts_the_stream() -> None:
    good = b'{"message": {"content": "The meeting is at nine. It was the idi"}}\n'
    cases: tuple[tuple[bytes, dict[str, Any]], ...]
    cases = ((b"ot. The idiot spoke.\n", {}), (b'"' + b"idiot" * 100, {"max_body": 300}))
    for bad, limits in cases:
        app = GuardMiddleware(answering([good, bad], LINES), guard(), **limits)
        said = await sent_before(app, UnreadableError)
        assert json.loads(said)["message"]["content"] == "The meeting is at nine. "


async def test_frames_of_a_websocket_are_judged_one_by_one() -> None:
    app = GuardMiddleware(socket_app([TEXT, json.dumps({"message": {"content": TEXT}}), "Fine."]), guard())
    sent = await socket_call(app)
    assert [message["type"] for message in sent] == ["websocket.accept", *["websocket.send"] * 3, "websocket.close"]
    texts = [message["text"] for message in sent[1:4]]
    assert (texts[0], json.loads(texts[1]), texts[2]) == (MENDED, {"message": {"content": MENDED}}, "Fine.")
    assert sent[-1]["reason"] == ""


@pytest.mark.parametrize(
    ("frame", "policy"),
    [(b"idiot", Policy()), (TEXT, Policy(action=Action.RAISE)), (json.dumps(TEXT), Policy(action=Action.RAISE))],
)
async def test_a_frame_that_must_not_pass_closes_the_websocket(frame: str | bytes, policy: Policy) -> None:
    sent = await socket_call(GuardMiddleware(socket_app([frame, "Fine."]), guard(policy)))
    assert sent[1:] == [{"type": "websocket.close", "code": 1008}]


async def test_a_websocket_passes_untouched_if_told_so() -> None:
    for choice, frames in (({"on_websocket": "pass"}, [TEXT, b"\x00"]), ({"on_unknown": "pass"}, [b"\x00"])):
        app = GuardMiddleware(socket_app(frames), guard(), **choice)  # type: ignore[arg-type]
        sent = await socket_call(app)
        assert [message.get("text") or message.get("bytes") for message in sent[1:-1]] == frames


def socket_app(frames: list[Any]) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        for frame in frames:
            await send({"type": "websocket.send", "text" if isinstance(frame, str) else "bytes": frame})
        await send({"type": "websocket.close", "code": 1000, "reason": "The idiot left."})
        await send({"type": "websocket.http.response.body", "body": b"The idiot spoke."})

    return app


async def socket_call(app: Any) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> AsyncIterator[Message]:
        raise AssertionError("nothing to receive")

    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    return [message for message in sent if message["type"] != "websocket.http.response.body"]
