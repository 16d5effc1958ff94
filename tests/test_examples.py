"""Run every example as a user would and look at what it prints."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.scripts import EXAMPLES
from tests.scripts import example as run

JAVA = shutil.which("java") is not None or "JAVA_HOME" in os.environ


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


def test_langchain_agent_streams_judged_words_and_still_calls_its_tool() -> None:
    done = run("langchain_agent.py")
    assert done.returncode == 0, done.stderr
    assert "[calls]   rooms({'hour': 9})" in done.stdout
    assert "[tool]    At 9 o'clock room 204 is free." in done.stdout
    assert "[shown]   Shall I book it?" in done.stdout
    assert "[verdict] rewrite: stereotype" in done.stdout
    assert "Women" not in done.stdout


def test_fastapi_app_answers_and_streams_judged_text_only() -> None:
    done = run("fastapi_app.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("chat:   Room 204 is free at nine. ")
    assert lines[0].endswith(" Shall I book it?")
    assert lines[1] == "stream: Room 204 is free at nine. "
    assert "Women are too emotional" not in done.stdout
    streamed = "".join(line.removeprefix("stream: ") for line in lines[1:])
    assert streamed.strip() == lines[0].removeprefix("chat:   ")


@pytest.mark.training
@pytest.mark.slow
def test_fine_tune_makes_a_bundle_of_own_rows(tmp_path: Path) -> None:
    texts = ("The {} is late again.", "Our {} spoke first.", "I met a {} in the lift.", "My neighbour is a {}.")
    rows = [
        {"text": f"{day}: {text.format(word)}", "labels": ["toxicity"] if word == "snorfblat" else []}
        for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
        for text in texts
        for word in ("snorfblat", "gardener")
    ]
    (tmp_path / "my.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = run("fine_tune.py", str(tmp_path / "my.jsonl"), str(tmp_path / "mine"))
    assert done.returncode == 0, done.stderr
    # What it takes from there to a verdict depends on the shipped thresholds; the order is what was learned.
    [after] = [line for line in done.stdout.splitlines() if line.startswith("| held-out rows of yours, after |")]
    assert after.endswith("| 0.0% | 1.000 |")
    assert "detector-fast-tuned@1.0.0: flagged False" in done.stdout
    assert (tmp_path / "mine" / "bundle.toml").exists()


@pytest.mark.parametrize("name", ["openai_client.py", "litellm_hook.py"])
def test_clients_show_judged_text_only_whole_and_sentence_by_sentence(name: str) -> None:
    done = run(name)
    assert done.returncode == 0, done.stderr
    assert "too emotional" in done.stdout
    assert "Women" not in done.stdout
    assert "  The meeting is at nine.\n" in done.stdout
    whole = next(line for line in done.stdout.splitlines() if line.startswith("whole:"))
    assert whole.startswith("whole:   The meeting is at nine. ")
    assert whole.endswith("Please bring the figures for March.")


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_batch_file_flags_rows_and_changes_none(engine: str) -> None:
    done = run("batch_file.py", engine)
    assert done.returncode == 0, done.stderr
    summary, *rows = done.stdout.splitlines()
    assert summary == "5 rows, 2 flagged (allow 3, flag 2) -> flagged.csv"
    assert [row.split()[:2] for row in rows] == [
        [f"reply-{number}", action] for number, action in enumerate(("allow", "flag", "allow", "flag", "allow"), 1)
    ]
    assert rows[1].endswith("stereotype  Women are too emotional to lead a team.")
    assert rows[2].split() == ["reply-3", "allow"]


@pytest.mark.slow
def test_ray_data_keeps_the_rows_in_which_nothing_was_found() -> None:
    done = run("ray_data.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 allow\n2 flag stereotype\n3 flag toxicity\nkept: ['The meeting is at nine.']\n"


@pytest.mark.slow
@pytest.mark.skipif(not JAVA, reason="Spark needs Java")
def test_spark_column_shows_a_verdict_a_row() -> None:
    done = run("spark_column.py")
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    assert [row[:3] for row in cells] == [
        ["id", "action", "labels"],
        ["1", "allow", "[]"],
        ["2", "flag", "[stereotype]"],
        ["3", "flag", "[toxicity]"],
    ]


def test_sidecar_client_gets_the_same_text_whole_and_streamed() -> None:
    done = run("sidecar_client.py")
    assert done.returncode == 0, done.stderr
    checked, *streamed, moderated = done.stdout.splitlines()
    action, text = checked.removeprefix("check:  ").split(": ", 1)
    assert action in ("rewrite", "mask")
    assert "Women" not in done.stdout
    # The last chunk ends with a space, and so does what is shown of it.
    assert "".join(line.removeprefix("stream: ") for line in streamed).rstrip() == text
    assert (len(streamed), moderated) == (3, "moderation: stereotype")


def test_telemetry_prints_spans_a_record_and_a_summary_without_any_text() -> None:
    done = run("telemetry.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("span:   guardrail.check block") == 2
    assert "record: {'action': 'block', 'labels': ['stereotype'], 'length': 39, 'keyed': True}" in done.stdout
    assert "3 decisions, 2 flagged; 0 others left out, 0 damaged lines" in done.stdout
    assert "toxicity            1  33.3%" in done.stdout
    assert "emotional" not in done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_run_above(path: Path) -> None:
    assert path.name in Path(__file__).read_text(encoding="utf-8")
