"""Run the examples as a user would, each with the same arguments once a session."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
# Tokens would be written to the home folder; Ray's lines would be among those of the example.
_RAY = {"RAY_AUTH_MODE": "disabled", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}


@cache
def example(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``examples/NAME`` and return what it printed."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, **(_RAY | {"HOME": home} if "ray" in name else {})}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
