"""Check what can be checked of the Dockerfile without an engine: its sources, its options and its health check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guardrail.server.app import create_app
from tests.cli import run
from tests.guards import failing, guard
from tests.servers import served

ROOT = Path(__file__).parents[1]
LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()


def arguments(instruction: str) -> list[str]:
    return [line.removeprefix(instruction).strip() for line in LINES if line.startswith(f"{instruction} ")]


def test_every_source_is_there_and_in_the_context() -> None:
    sources = [name for copy in arguments("COPY") if "--from" not in copy for name in copy.split()[:-1]]
    context = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert all((ROOT / source).exists() and f"!{source}" in context for source in sources)
    assert {"guardrail", "adapters", "training"} <= set(sources)


def test_it_runs_without_root_and_with_options_that_exist() -> None:
    assert arguments("USER") == ["10001"]
    assert json.loads(arguments("ENTRYPOINT")[0]) == ["guardrail", "serve"]
    options = [word for word in json.loads(arguments("CMD")[0]) if word.startswith("--")]
    known = run("serve", "--help").stdout
    assert options and all(option in known for option in options)


@pytest.mark.enable_socket
@pytest.mark.parametrize("healthy", [True, False])
def test_the_health_check_sees_whether_the_server_is_ready(healthy: bool) -> None:
    command = json.loads(arguments("HEALTHCHECK")[0].partition("CMD ")[2])
    door = guard() if healthy else guard(detector=failing(RuntimeError("no model")))
    with served(create_app(door), lifespan="on") as address:
        code = command[2].replace("http://127.0.0.1:8000", address)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        for _ in range(50):
            if (done.returncode == 0) is healthy:
                break
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode == 0) is healthy
    assert command[0] == "python"
