"""Test the key, the limits and the times of the sidecar, and whether it says that it is ready."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from fastapi.testclient import TestClient

from guardrail._runtime import Deadline
from guardrail.detect.base import PieceScores
from guardrail.doors import Streaming
from guardrail.errors import ConfigError, ModelIntegrityError
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.server.app import create_app
from guardrail.server.settings import Settings, digests, is_loopback, read_keys
from tests.asgi import TEXT
from tests.fakes import MapRewriter, WordDetector, plain_words
from tests.guards import WAIT, guard, pause
from tests.sidecar import CLOSED, KEY, sidecar

GUARDED = (
    ("POST", "/v1/check"),
    ("POST", "/v1/check/batch"),
    ("POST", "/v1/detect"),
    ("POST", "/v1/moderations"),
    ("POST", "/v1/stream"),
    ("GET", "/v1/policy"),
    ("GET", "/metrics"),
    ("GET", "/v1/unknown"),
)


WRONG: tuple[dict[str, str], ...] = (
    {},
    {"authorization": f"Bearer {KEY}x"},
    {"authorization": f"Basic {KEY}"},
    {"authorization": KEY},
    {"x-api-key": ""},
    {"x-api-key": KEY[:-1]},
    {"authorization": "Bearer wrong", "x-api-key": KEY},
)


def test_nobody_gets_in_without_the_key() -> None:
    with sidecar(settings=CLOSED) as client:
        for method, page in GUARDED:
            for headers in WRONG:
                answer = client.request(method, page, headers=headers)
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
                assert answer.json()["error"]["type"] == "unauthorized"


def test_each_key_lets_in_and_some_pages_need_none() -> None:
    with sidecar(settings=CLOSED) as client:
        for headers in (
            {"authorization": f"Bearer {KEY}"},
            {"authorization": f"bearer  {KEY} "},
            {"x-api-key": KEY},
            {"x-api-key": "another-key-entirely"},
        ):
            assert client.post("/v1/check", json={"text": "Fine."}, headers=headers).status_code == 200
        for page in ("/", "/healthz", "/readyz", "/openapi.json"):
            assert client.get(page).status_code == 200
        for page in ("/v1/../healthz", "//healthz", "/healthz/", "/HEALTHZ"):
            assert client.get(page).status_code in (200, 401)
        document = client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}
    assert document["paths"]["/v1/check"]["post"]["security"]
    assert "security" not in document["paths"]["/healthz"]["get"]


def test_keys_are_read_from_a_file_or_the_environment(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUARDRAIL_API_KEY", raising=False)
    assert read_keys() == ()
    monkeypatch.setenv("GUARDRAIL_API_KEY", KEY)
    assert read_keys() == digests([KEY])
    file = tmp_path / "keys"
    file.write_text(f"\n{KEY}  \nanother-key-entirely\n", encoding="utf-8")
    settings = Settings(keys=read_keys(str(file)))
    assert settings.keys == CLOSED.keys
    assert KEY not in repr(settings) and "keys" not in repr(settings)
    assert settings.admits(KEY) and not settings.admits(KEY + "\udcff")


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"short\n", b"with a space in it\n", "schlüssel-schlüssel".encode()]
)
def test_keys_that_are_no_good_are_refused_and_not_repeated(tmp_path: Any, content: bytes) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="API key") as caught:
        read_keys(str(file))
    assert content.strip() == b"" or content.decode().strip() not in str(caught.value)


def test_a_key_file_that_cannot_be_read_is_an_error(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_keys(str(tmp_path / "none"))
    (tmp_path / "binary").write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigError, match="it is no text"):
        read_keys(str(tmp_path / "binary"))


@pytest.mark.parametrize(
    "wrong", [{"max_body": 0}, {"max_batch": 0}, {"max_batch": 1025}, {"read_timeout": 0}, {"retry_after": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Settings(**wrong)


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True)]
    + [("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False)],
)
def test_loopback_addresses_are_known(host: str, near: bool) -> None:
    assert is_loopback(host) is near


@pytest.mark.parametrize("page", ["check", "stream", "moderations", "nothing"])
def test_a_body_over_the_limit_is_refused_unread(page: str) -> None:
    with sidecar(settings=Settings(max_body=200)) as client:
        answer = client.post(f"/v1/{page}", json={"text": "idiot" * 50})
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "too_large")
        assert "idiot" not in answer.text
        huge = client.post(f"/v1/{page}", content=b"", headers={"content-length": "9" * 40})
        assert huge.status_code == 413


def test_a_body_of_unknown_length_is_counted() -> None:
    def parts() -> Any:
        yield from [b'{"text": "', *[b"x" * 50] * 10, b'"}']

    with sidecar(settings=Settings(max_body=200)) as client:
        answer = client.post("/v1/check", content=parts(), headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "too_large")
        answer = client.post("/v1/stream", content=parts(), headers={"content-type": "text/plain"})
        assert answer.status_code == 200
        assert '"type": "too_large"' in answer.text


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    app = create_app(guard(), Settings(read_timeout=0.05))
    for page, kind, status in (("check", b"application/json", 408), ("stream", b"text/plain", 200)):
        sent: list[Any] = []

        async def receive() -> Any:
            await anyio.sleep_forever()

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/v1/{page}",
            "headers": [(b"content-type", kind)],
            "query_string": b"",
        }
        with_timeout(app, scope, receive, send)
        assert sent[0]["status"] == status
        assert b"timeout" in b"".join(message.get("body", b"") for message in sent)


def with_timeout(app: Any, *call: Any) -> None:
    async def ask() -> None:
        with anyio.fail_after(WAIT):
            await app(*call)

    anyio.run(ask)


def test_too_many_at_once_are_told_to_come_back() -> None:
    inside, go_on = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        inside.release()
        pause(WAIT, go_on)

    door = guard(Policy(max_running=1, max_queued=1, on_error="raise"), detector=WordDetector(before=wait))
    app = create_app(door, Settings(retry_after=7))
    answers: list[Any] = []
    crowd(app, inside, go_on, answers)
    statuses = [status for status, _ in answers]
    assert sorted(statuses) == [200, 200, 429, 429]
    assert {headers.get("retry-after") for status, headers in answers if status == 429} == {"7"}


def crowd(app: Any, inside: threading.Semaphore, go_on: threading.Event, answers: list[Any]) -> None:
    """Ask four times at once, on one loop; let the guard go on once the last two were refused."""

    async def ask(client: httpx.AsyncClient, page: str, body: Any) -> None:
        answer = await client.post(page, json=body)
        answers.append((answer.status_code, dict(answer.headers)))

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://guard") as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, client, "/v1/check", {"text": "Fine."})
                tasks.start_soon(ask, client, "/v1/check", {"text": "Fine."})
                await anyio.to_thread.run_sync(inside.acquire, True, WAIT)
                with anyio.fail_after(WAIT):
                    while app.state.gate.inside < 2:
                        await anyio.sleep(0.001)
                await ask(client, "/v1/check", {"text": "Fine."})
                await ask(client, "/v1/stream", {"chunks": ["Fine."]})
                go_on.set()

    anyio.run(main)


class Slow(WordDetector):
    """Cannot be used until it is told to go on; fails if it is told so."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self._error = error

    def score(self, pieces: Any, deadline: Deadline) -> list[PieceScores]:
        pause(WAIT, self.go_on)
        if self._error is not None:
            raise self._error
        return super().score(pieces, deadline)


def wait_for(client: TestClient, reason: str) -> Any:
    for _ in range(2000):
        answer = client.get("/readyz").json()
        if reason in str(answer):
            return answer
        pause(0.005)
    raise AssertionError(f"never {reason}")


def test_it_lives_at_once_and_is_ready_when_the_models_are_loaded() -> None:
    detector = Slow()
    rewriter = MapRewriter(plain_words)
    with sidecar(Streaming(Policy(), detector, rewriter)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "the models are being loaded")
        detector.go_on.set()
        assert wait_for(client, "'ready'") == {"status": "ready"}
    assert len(rewriter.requests) == 1


def test_a_rewriter_that_no_policy_asks_is_not_loaded() -> None:
    rewriter = MapRewriter(plain_words)
    with sidecar(Streaming(Policy(action=Action.MASK), WordDetector(), rewriter)) as client:
        wait_for(client, "'ready'")
    assert rewriter.requests == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelIntegrityError("model.onnx differs"), "ModelIntegrityError: model.onnx differs"),
        (RuntimeError(TEXT), "ModelRuntimeError"),
    ],
)
def test_models_that_cannot_be_used_are_never_ready(error: Exception, reason: str) -> None:
    detector = Slow(error)
    detector.go_on.set()
    with sidecar(guard(detector=detector)) as client:
        answer = wait_for(client, reason)
        assert answer["status"] == "not ready"
        assert "idiot" not in str(answer)
        assert client.get("/healthz").status_code == 200


def test_every_answer_has_headers_that_keep_it_out_of_caches() -> None:
    with sidecar(settings=CLOSED) as client:
        for page in ("/healthz", "/v1/check", "/nothing"):
            headers = client.get(page).headers
            assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
