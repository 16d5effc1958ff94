"""Run the blocks of the README; ``python -m tests.readme`` writes what they print today into it."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.scripts import example

ROOT = Path(__file__).parents[1]
PATH = ROOT / "README.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
# Times are those of one run, and processors round int8 sums differently.
_TIMES = re.compile(r"\d+(\.\d)? ms|\d{4}-\d\d-\d\dT[\d:.+]+")
_SCORE = re.compile(r"\b([01]\.\d\d)\d*")
_SERVED = "http://127.0.0.1:8000"


def printed(kind: str, code: str) -> str:
    """Run a block of Python, or of the console, and return what it prints, without blanks at the ends of lines."""
    lines = [line.rstrip() for line in _run(kind, code).rstrip().splitlines()]
    return "\n".join(lines) + "\n"


def _run(kind: str, code: str) -> str:
    if kind == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        return out.getvalue()
    commands = [line.removeprefix("$ ") for line in code.splitlines()]
    if commands[0].startswith("guardrail serve"):
        return "".join(_asked(commands[1:]))
    return "".join(map(_console, commands))


def same(left: str, right: str) -> bool:
    """Compare word for word; times not at all, scores to 0.05."""
    (words, scores), (others, theirs) = map(_parts, (left, right))
    return words == others and all(abs(one - other) <= 0.05 for one, other in zip(scores, theirs, strict=True))


def _parts(text: str) -> tuple[list[str], list[float]]:
    parts = _SCORE.split(_TIMES.sub("T", text))
    return parts[::2], [float(score) for score in parts[1::2]]


def _console(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program == "python":
        run = example(arguments[0].removeprefix("examples/"), *arguments[1:])
        assert run.returncode == 0, run.stderr
        return run.stdout
    line = [sys.executable, "-m", "guardrail.cli", *arguments]
    run = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (program, run.stderr) == ("guardrail", "")
    return run.stdout


def _asked(commands: list[str]) -> Iterator[str]:
    """Run commands against a sidecar on a free port."""
    line = [sys.executable, "-m", "guardrail.cli", "serve", "--port", "0", "--log-level", "warning"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as sidecar:
        assert sidecar.stderr is not None
        address = sidecar.stderr.readline().split()[-1]
        try:
            for command in commands:
                yield subprocess.check_output(["bash", "-c", command.replace(_SERVED, address)], text=True)
        finally:
            sidecar.terminate()


def _mended(block: re.Match[str]) -> str:
    kind, code, said = block.groups()
    if kind not in ("python", "console") or said is None:
        return block[0]
    now = printed(kind, code)
    return block[0] if same(now, said) else f"```{kind}\n{code}```\n\n```text\n{now}```"


if __name__ == "__main__":
    PATH.write_text(BLOCK.sub(_mended, PATH.read_text(encoding="utf-8")), encoding="utf-8")
