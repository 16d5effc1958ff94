"""Run every example as a user would and look at what it prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, check=False)


def test_quickstart_prints_a_mended_text() -> None:
    done = run("quickstart.py")
    assert done.returncode == 0, done.stderr
    assert "action:  rewrite" in done.stdout
    assert "Women are too emotional" not in done.stdout
    assert "The meeting is at nine." in done.stdout
    assert "finding: stereotype" in done.stdout


def test_chatbot_shows_clean_replies_whole_and_no_bad_ones() -> None:
    done = run("chatbot_filter.py")
    assert done.returncode == 0, done.stderr
    assert "The meeting is at nine in room 204. Please bring the figures for March." in done.stdout
    assert "Ramadan is the ninth month of the Islamic calendar. Many Muslims fast from dawn to sunset." in done.stdout
    assert "too emotional" not in done.stdout
    assert "idiot" not in done.stdout
    assert done.stderr.count("[guard:") == 2


def test_demo_covers_what_it_promises() -> None:
    done = run("demo.py")
    assert done.returncode == 0, done.stderr
    sections = done.stdout
    for title in ("clean, names groups", "clean, counter-speech", "clean, a review", "JSON and code", "empty"):
        after = sections.split(title, 1)[1].split("\n", 2)[1]
        assert after.startswith("ALLOW"), title
    for title in ("a stereotype, politely", "an insult", "gendered terms", "about a religion", "one bad sentence"):
        after = sections.split(title, 1)[1].split("\n", 2)[1]
        assert not after.startswith("ALLOW"), title


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_run_above(path: Path) -> None:
    assert path.name in Path(__file__).read_text(encoding="utf-8")
