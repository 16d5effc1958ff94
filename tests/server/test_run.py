"""Test ``guardrail serve`` as a process: what it says, how it ends, and that what runs comes to its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from guardrail.errors import GuardrailError
from guardrail.server.run import address, listen
from tests.cli import run
from tests.guards import WAIT, pause
from tests.modules import imported_anew
from tests.sidecar import KEY

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, threading
from pathlib import Path
from guardrail.cli import main
from guardrail.doors import Streaming
from tests.fakes import MapRewriter, WordDetector, plain_words

folder = Path(sys.argv.pop(1))

class Slow(WordDetector):
    def score(self, pieces, deadline):
        if any("slow" in piece for piece in pieces):
            (folder / "begun").touch()
            while not (folder / "go_on").exists():
                threading.Event().wait(0.01)
        return super().score(pieces, deadline)

main(lambda config, detect_only: Streaming(config.policy, Slow(), MapRewriter(plain_words)))
"""


@contextmanager
def process(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start ``guardrail serve`` on fakes and yield it with its address."""
    environment = {**os.environ, "GUARDRAIL_API_KEY": "", **variables}
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stderr is not None
        line = started.stderr.readline()
        assert line.startswith("guardrail: listening on http://"), line + started.stderr.read()
        yield started, line.split()[-1]
    finally:
        started.kill()
        started.communicate(timeout=WAIT)


def wait_for(path: Path) -> None:
    for _ in range(3000):
        if path.exists():
            return
        pause(0.01)
    raise AssertionError(f"{path.name} never came")


@pytest.mark.enable_socket
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_answered_before_the_server_ends(tmp_path: Path, number: signal.Signals) -> None:
    answers: list[httpx.Response] = []
    with process(tmp_path) as (started, where):

        def ask() -> None:
            answers.append(
                httpx.post(f"{where}/v1/check", json={"text": "A slow idiot."}, timeout=WAIT, trust_env=False)
            )

        asking = threading.Thread(target=ask)
        asking.start()
        wait_for(tmp_path / "begun")
        started.send_signal(number)
        for _ in range(3000):
            try:
                httpx.get(f"{where}/healthz", timeout=WAIT, trust_env=False)
            except httpx.TransportError:
                break
            pause(0.01)
        assert started.poll() is None
        (tmp_path / "go_on").touch()
        asking.join(WAIT)
        _, said = started.communicate(timeout=WAIT)
        assert started.returncode == 0, said
    assert [(a.status_code, a.json()["text"]) for a in answers] == [(200, "A slow plain.")]
    assert "POST /v1/check 200" in said
    assert "idiot" not in said and "Traceback" not in said


@pytest.mark.enable_socket
def test_requests_that_take_longer_than_the_grace_are_given_up(tmp_path: Path) -> None:
    def stop() -> None:
        wait_for(tmp_path / "begun")
        started.terminate()

    with process(tmp_path, "--grace", "0") as (started, where):
        stopping = threading.Thread(target=stop)
        stopping.start()
        try:
            answer = httpx.post(f"{where}/v1/check", json={"text": "A slow idiot."}, timeout=WAIT, trust_env=False)
        except httpx.TransportError:
            answer = httpx.Response(500)
        stopping.join(WAIT)
        # A thread cannot be killed: the process ends once the detector does.
        (tmp_path / "go_on").touch()
        _, said = started.communicate(timeout=WAIT)
    assert (answer.status_code, started.returncode) == (500, 0)
    assert "idiot" not in said + answer.text


@pytest.mark.enable_socket
def test_a_policy_and_a_key_are_taken_from_files(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[policy]\naction = "block"\n', encoding="utf-8")
    (tmp_path / "keys").write_text(KEY, encoding="utf-8")
    files = ("--policy", str(tmp_path / "policy.toml"), "--api-key-file", str(tmp_path / "keys"))
    with (
        process(tmp_path, *files, "--max-body", "100", "--log-level", "warning") as (started, where),
        httpx.Client(base_url=where, trust_env=False) as client,
    ):
        assert client.post("/v1/check", json={"text": "idiot"}).status_code == 401
        client.headers["authorization"] = f"Bearer {KEY}"
        assert client.post("/v1/check", json={"text": "idiot"}).json()["action"] == "block"
        assert client.post("/v1/check", json={"text": "idiot" * 30}).status_code == 413
        started.terminate()
        _, said = started.communicate(timeout=WAIT)
    assert said == ""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Keep the server from running and note what would have run."""
    calls: list[Any] = []
    monkeypatch.setattr("guardrail.server.run.run", lambda app, listening, **settings: calls.append((app, settings)))
    monkeypatch.delenv("GUARDRAIL_API_KEY", raising=False)
    return calls


@pytest.mark.enable_socket
def test_it_warns_only_of_an_open_door_to_elsewhere(ran: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no API key is set" not in run("serve", "--port", "0").stderr
    assert "no API key is set: anyone may use this server" in run("serve", "--port", "0", "--host", "0.0.0.0").stderr
    monkeypatch.setenv("GUARDRAIL_API_KEY", KEY)
    said = run("serve", "--port", "0", "--host", "0.0.0.0").stderr
    assert "no API key is set" not in said and KEY not in said
    assert len(ran) == 3
    assert ran[0][1] == {"grace": 30, "log_level": "info"}


@pytest.mark.enable_socket
def test_limits_of_the_command_line_come_before_those_of_the_policy(ran: list[Any]) -> None:
    assert run("serve", "--port", "0", "--max-running", "3", "--max-queued", "0").exit_code == 0
    assert run("serve", "--port", "0").exit_code == 0
    assert [app.state.gate.places for app, _ in ran] == [3, 20]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--log-level", "loud"], "--log-level must be one of"),
        (["--policy", "/nonexistent.toml"], "cannot be read"),
        (["--api-key-file", "/nonexistent"], "cannot be read"),
        (["--max-batch", "5000"], "--max-batch"),
        (["--read-timeout", "0"], "read_timeout = 0"),
    ],
)
def test_a_wrong_option_ends_with_one_line(ran: list[Any], arguments: list[str], said: str) -> None:
    result = run("serve", *arguments)
    assert (result.exit_code, ran) == (2, [])
    assert said in result.stderr and result.stderr.count("\n") == 1


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with imported_anew("guardrail.server.run"):
        monkeypatch.setitem(sys.modules, "uvicorn", None)
        result = run("serve")
    assert result.exit_code == 2
    assert "serve needs uvicorn" in result.stderr
    assert 'pip install "guardrail-sdk[server]"' in result.stderr


def test_a_guard_that_cannot_stream_or_load_does_not_start(ran: list[Any]) -> None:
    from guardrail.guard import Pipeline
    from tests.fakes import MapRewriter, WordDetector, plain_words
    from tests.guards import failing

    def plain(config: Any, detect_only: bool) -> Pipeline:
        return Pipeline(config.policy, WordDetector(), MapRewriter(plain_words))

    assert "cannot stream" not in run("serve").stderr
    assert "needs a guard that can stream, not Pipeline" in run("serve", factory=plain).stderr
    result = run("serve", detector=failing(RuntimeError("idiot")))
    assert (result.exit_code, ran) == (2, [])
    assert "ModelRuntimeError" not in result.stderr and "idiot" not in result.stderr


@pytest.mark.enable_socket
def test_an_address_that_is_taken_or_none_is_an_error() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(GuardrailError, match=f"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            listen("127.0.0.1", port)
    for host in ("256.1.1.1", "no such host"):
        with pytest.raises(GuardrailError, match="cannot listen on"):
            listen(host, 0)
    if socket.has_ipv6:
        with listen("::1", 0) as listening:
            assert address(listening).startswith("http://[::1]:")
