"""Test that guards work in other processes: forked, spawned, gunicorn's workers with and without preload."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Action

ROOT = Path(__file__).parents[1]
TEXT = "Only an idiot forgets a password. The meeting is at nine."

POOL = """
import multiprocessing, sys
from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Action

guard = Guard(Policy(action=Action.MASK, timeout_ms=None))
TEXT = sys.argv[2]

def own(text):
    return Guard(guard.policy).check(text).text

def inherited(text):
    return guard.check(text).text

if __name__ == "__main__":
    # A session and a language model that live in the parent.
    guard.check("Die Besprechung beginnt morgen um neun Uhr im Saal.")
    before = guard.check(TEXT).text
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:
        found = pool.map(own, [TEXT]) + pool.map(inherited, [TEXT, TEXT])
    sys.exit(found != [before] * 3 or guard.check(TEXT).text != before)
"""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_guard_works_in_the_processes_of_a_pool(method: str, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(POOL, encoding="utf-8")
    command = [sys.executable, str(script), method, TEXT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@contextmanager
def gunicorn(folder: Path, *options: str) -> Iterator[str]:
    """Serve ``tests.gunicorn_app`` with two workers and yield its address."""
    pytest.importorskip("gunicorn", reason="needs the [dev] extra")
    log = folder / "log"
    command = [sys.executable, "-m", "gunicorn", "--worker-class", "asgi", "--workers", "2", "--bind", "127.0.0.1:0"]
    command += ["--timeout", "240", "--worker-tmp-dir", str(folder), "--log-file", str(log), *options]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen([*command, "tests.gunicorn_app:app"], cwd=ROOT, env=environment) as process:
        try:
            found = None
            while found is None:
                assert process.poll() is None, log.read_text()
                text = log.read_text() if log.exists() else ""
                found = re.search(r"Listening at: (http://\S+)", text)
            yield found[1]
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.enable_socket
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["each loads", "preloaded"])
def test_gunicorn_serves_judged_text(options: tuple[str, ...], tmp_path: Path) -> None:
    wanted = Guard(Policy(action=Action.MASK, timeout_ms=None)).check(TEXT).text
    with gunicorn(tmp_path, *options) as address:
        answers = [httpx.get(address, timeout=240, trust_env=False) for _ in range(6)]
    assert [answer.text for answer in answers] == [wanted] * 6
    assert all(answer.headers["x-process"] != str(os.getpid()) for answer in answers)
