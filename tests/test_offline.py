"""Run the product where the kernel ends a process at its first internet socket: it needs none, and leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import jail

CHECK = """
import sys

def watch(event, arguments):
    if event == "pickle.find_class":
        raise RuntimeError("something was unpickled")

sys.addaudithook(watch)
import anyio
from guardrail import Guard, Policy
import guardrail.bench, guardrail.cli

text = "The chairman opened it. Women are too emotional to lead a team. Lunch was served."
guard = Guard(Policy(threshold=0.2, max_rounds=1))
checked = guard.check(text)
stream = guard.stream(iter([text[:30], text[30:]]))
streamed = "".join(stream)
assert checked.action in ("rewrite", "mask"), checked.action
assert (stream.result.action, streamed) == (checked.action, checked.text)
assert anyio.run(guard.acheck, text).text == checked.text
assert guard.detect("Lunch was served at nine.").coverage == 1
"""


@pytest.fixture(autouse=True)
def jailed(tmp_path: Path) -> None:
    if jail.run("", tmp_path).returncode == jail.NO_JAIL:
        pytest.skip("needs Linux and seccomp")


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_the_jail_ends_a_process_that_opens_a_socket(tmp_path: Path, family: str) -> None:
    code = f"import socket, threading; opened = threading.Thread(target=socket.socket, args=(socket.{family},))\n"
    assert jail.run(code + "opened.start(); opened.join()", tmp_path).returncode == jail.KILLED


@pytest.mark.model
@pytest.mark.slow
def test_check_stream_and_bench_open_no_socket_unpickle_nothing_and_leave_no_file(tmp_path: Path) -> None:
    done = jail.run(CHECK, tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["models"], ["doctor"], ["--version"]])
def test_the_command_line_opens_no_socket_and_leaves_no_file(tmp_path: Path, arguments: list[str]) -> None:
    code = f"import sys; from guardrail.cli import main; sys.argv = {['guardrail', *arguments]!r}; main()"
    done = jail.run(code, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
