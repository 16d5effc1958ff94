"""Soak the sidecar: many callers for a long time, every answer compared with what the guard gives by itself.

Run ``python -m tests.soak --seconds 600 --callers 64`` from the root of the repository: it starts ``guardrail serve``
with the bundled models, prints what it measured, and exits with 1 where an answer was wrong, none came, or the memory
of the server grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from guardrail.config import read_config
from guardrail.doors import Streaming
from guardrail.load import Guard
from guardrail.server.values import explained
from guardrail.wire import jsonable

TEXTS = (
    "The meeting is at nine in room 204. Please bring the figures for March.",
    "Ramadan is the ninth month of the Islamic calendar. Many Muslims fast from dawn to sunset.",
    "Women are too emotional to lead a team. The meeting is at nine.",
    "The chairman opened the session. Minutes were taken.",
    "Only an idiot forgets a password. Click on the link and choose a new one.",
    "The bridge was opened on Tuesday by the mayor, who thanked the engineers. " * 8,
    "Straße, naïve, café, ½ and ™ stay as they are. 👩‍👩‍👧‍👦",
    "",
)
POLICY = "[policy]\ntimeout_ms = 600000\nmax_running = 2\nmax_queued = 256\n"
CHUNK = 7
# The first part of a run fills caches and arenas; after it the memory may rise by this much, and by no more.
SETTLED, GROWTH_MB = 0.25, 24.0


@dataclass(slots=True)
class Report:
    """What a run measured: times in seconds, memory in megabytes."""

    requests: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def growth(self) -> float:
        """Return by how much the median memory of the last third lies over that of the third before."""
        begun, ended = self.memory[0][0], self.memory[-1][0]
        settled = [mb for at, mb in self.memory if at >= begun + SETTLED * (ended - begun)]
        third = max(1, len(settled) // 3)
        return statistics.median(settled[-third:]) - statistics.median(settled[:third])

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know."""
        cuts = statistics.quantiles(self.seconds, n=100) if len(self.seconds) > 1 else [0.0] * 99
        yield f"{self.requests} requests, {len(self.errors)} errors, {len(self.wrong)} wrong answers"
        yield f"p50 {cuts[49]:.3f} s, p95 {cuts[94]:.3f} s, p99 {cuts[98]:.3f} s"
        yield f"server memory {self.memory[0][1]:.0f} MB at first, {self.memory[-1][1]:.0f} MB at last"
        yield f"growth once settled {self.growth():+.1f} MB"
        yield from sorted(set(self.errors + self.wrong))[:10]


Table = dict[tuple[str, str], Any]


def expected(guard: Streaming, texts: Sequence[str] = TEXTS) -> Table:
    """Return what each page must answer to each text."""
    table: Table = {}
    for text in texts:
        stream = guard.stream(_chunks(text))
        shown = "".join(stream)
        table["check", text] = told(jsonable(guard.check(text)))
        table["detect", text] = told(jsonable(explained(guard, text)))
        table["stream", text] = (shown, told(jsonable(stream.result)))
    return table


def told(answer: Any) -> Any:
    """Return what of an answer does not depend on the time of day."""
    return {name: value for name, value in answer.items() if name != "latency_ms"}


async def drive(address: str, table: Table, *, callers: int, seconds: float, seed: int = 0) -> Report:
    """Let callers ask for some time and return what came of it."""
    report = Report()
    limits = httpx.Limits(max_connections=callers + 1)
    async with httpx.AsyncClient(base_url=address, timeout=600.0, limits=limits, trust_env=False) as client:
        await _remember(client, report)
        until = time.monotonic() + seconds
        watching = asyncio.create_task(_watch(client, report, until))
        await asyncio.gather(*(_caller(client, table, report, until, seed + number) for number in range(callers)))
        await watching
        await _remember(client, report)
    return report


async def _caller(client: httpx.AsyncClient, table: Table, report: Report, until: float, seed: int) -> None:
    # Not for secrets: a run can be made again with its seed.
    chosen = random.Random(seed)
    while time.monotonic() < until:
        page, text = chosen.choice(sorted(table))
        begun = time.monotonic()
        try:
            given = await _ask(client, page, text, chosen)
        except Exception as error:
            report.errors.append(f"{page}: {type(error).__name__} {error}")
        else:
            if given != table[page, text]:
                report.wrong.append(f"{page}: text of {len(text)} characters")
        report.requests += 1
        report.seconds.append(time.monotonic() - begun)


async def _ask(client: httpx.AsyncClient, page: str, text: str, chosen: random.Random) -> Any:
    if page == "stream":
        answer = await client.post("/v1/stream", json={"chunks": _chunks(text)})
        answer.raise_for_status()
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.text)
        shown = "".join(json.loads(data)["text"] for kind, data in events if kind == "text")
        return shown, told(json.loads(events[-1][1]))
    if page == "check" and chosen.random() < 0.2:
        answer = await client.post("/v1/check/batch", json={"texts": [text]})
        return told(answer.raise_for_status().json()["results"][0])
    answer = await client.post(f"/v1/{page}", json={"text": text})
    return told(answer.raise_for_status().json())


async def _watch(client: httpx.AsyncClient, report: Report, until: float) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(min(1.0, max(0.0, until - time.monotonic())))
        await _remember(client, report)


async def _remember(client: httpx.AsyncClient, report: Report) -> None:
    metrics = (await client.get("/metrics")).raise_for_status().text
    (found,) = re.findall(r"^process_resident_memory_bytes (\S+)$", metrics, re.MULTILINE)
    report.memory.append((time.monotonic(), float(found) / 2**20))


@contextmanager
def serving(policy: Path) -> Iterator[str]:
    """Run ``guardrail serve`` in a process of its own and yield its address."""
    command = [sys.executable, "-m", "guardrail.cli", "serve", "--port", "0", "--policy", str(policy)]
    environment = {name: value for name, value in os.environ.items() if name != "GUARDRAIL_API_KEY"}
    process = subprocess.Popen([*command, "--log-level", "warning"], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        if "listening on" not in line:
            raise RuntimeError(f"the server did not start: {line}")
        yield line.split()[-1]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def soak(seconds: float, callers: int, texts: Sequence[str] = TEXTS) -> Report:
    """Start a server with the bundled models, drive it and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "policy.toml"
        policy.write_text(POLICY, encoding="utf-8")
        table = expected(Guard(read_config(policy).policy), texts)
        with serving(policy) as address:
            return asyncio.run(drive(address, table, callers=callers, seconds=seconds))


def _chunks(text: str) -> list[str]:
    return [text[at : at + CHUNK] for at in range(0, len(text), CHUNK)]


def main() -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--callers", type=int, default=64)
    wanted = parser.parse_args()
    report = soak(wanted.seconds, wanted.callers)
    print(*report.lines(), sep="\n")
    return 1 if report.errors or report.wrong or report.growth() > GROWTH_MB else 0


if __name__ == "__main__":
    sys.exit(main())
