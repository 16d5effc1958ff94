"""Test ``guardrail audit``: what it counts, what it leaves out, and that damaged lines are no end."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.audit import AuditLog
from guardrail.cli.audit_log import LATENCIES, moment, parse
from guardrail.errors import GuardrailError
from guardrail.policy import Policy
from tests.cli import no_colour, run  # noqa: F401
from tests.guards import guard

pytestmark = pytest.mark.usefixtures("no_colour")
START = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)


def entry(hours: float = 0, **changes: object) -> dict[str, object]:
    return {
        "time": (START + timedelta(hours=hours)).isoformat(),
        "action": "allow",
        "flagged": False,
        "labels": [],
        "scores": {"hate": 0.02, "toxicity": 0.0},
        "latency_ms": 4.0,
        "error": None,
        "model": "words@1",
        "policy": "ab" * 32,
        **changes,
    }


ENTRIES = [
    entry(0),
    entry(1, latency_ms=7.5),
    entry(2, action="rewrite", flagged=True, labels=["hate", "toxicity"], scores={"hate": 0.97, "toxicity": 1.0}),
    entry(2.5, action="block", flagged=True, labels=["hate"], scores={"hate": 0.5}, latency_ms=300.0),
    entry(26, action="block", error="DeadlineError", scores={}, latency_ms=30_001.0, policy=None),
]


def written(path: Path, *entries: object) -> str:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in entries]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def log(tmp_path: Path) -> str:
    return written(tmp_path / "decisions.jsonl", *ENTRIES)


def summary(*arguments: str) -> dict[str, Any]:
    result = run("audit", *arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_log_is_summed_up(log: str) -> None:
    found = summary(log)
    assert (found["records"], found["flagged"], found["others"], found["damaged"]) == (5, 2, 0, 0)
    assert (found["first"], found["last"]) == ("2026-11-20T22:30:00+00:00", "2026-11-22T00:30:00+00:00")
    assert found["actions"] == {"allow": 2, "rewrite": 1, "block": 2}
    assert found["labels"] == {"hate": 2, "toxicity": 1}
    assert found["errors"] == {"DeadlineError": 1}
    assert (found["models"], found["policies"]) == ({"words@1": 5}, {"ab" * 32: 4})
    assert found["hours"] == {
        "2026-11-20T22:00:00+00:00": {"allow": 1},
        "2026-11-20T23:00:00+00:00": {"allow": 1},
        "2026-11-21T00:00:00+00:00": {"rewrite": 1},
        "2026-11-21T01:00:00+00:00": {"block": 1},
        "2026-11-22T00:00:00+00:00": {"block": 1},
    }
    assert found["latency_ms"] == {"p50": 7.5, "p90": 30_001.0, "p99": 30_001.0, "max": 30_001.0}
    bins = dict(zip([*LATENCIES, "more"], found["latencies"], strict=True))
    assert {end: count for end, count in bins.items() if count} == {5: 2, 10: 1, 500: 1, "more": 1}
    assert found["scores"]["hate"] == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert found["scores"]["toxicity"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_what_a_guard_logs_is_read(tmp_path: Path) -> None:
    path, policy = tmp_path / "decisions.jsonl", Policy()
    watched = guard(policy, observers=[AuditLog(path, policy=policy)])
    for text in ("Yes.", "The idiot spoke.", "The chairman spoke.", ""):
        watched.check(text)
    found = summary(str(path))
    assert found["actions"] == {"allow": 2, "rewrite": 2}
    assert found["labels"] == {"toxicity": 1, "gendered_term": 1}
    assert found["damaged"] == 0


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--action", "block"], 2),
        (["--action", "block", "--action", "rewrite"], 3),
        (["--label", "toxicity"], 1),
        (["--label", "hate", "--action", "block"], 1),
        (["--label", "harm"], 0),
        (["--since", "2026-11-21"], 3),
        (["--until", "2026-11-21"], 2),
        (["--since", "2026-11-20T23:30", "--until", "2026-11-21T01:00:00Z"], 2),
        (["--since", "2026-11-21T01:30+01:00"], 3),
        (["--since", "1000w"], 5),
    ],
)
def test_only_what_is_wanted_counts(log: str, arguments: list[str], left: int) -> None:
    found = summary(log, *arguments)
    assert (found["records"], found["others"]) == (left, 5 - left)
    assert sum(found["actions"].values()) == sum(found["latencies"]) == left


def test_several_files_are_one_log(tmp_path: Path, log: str) -> None:
    older = written(tmp_path / "decisions.jsonl.1", entry(-50))
    found = summary(older, log)
    assert (found["records"], found["first"]) == (6, "2026-11-18T20:30:00+00:00")


DAMAGED = [
    "garbage",
    '{"time":"2',
    "[]",
    "null",
    '"text"',
    json.dumps(entry(time="soon")),
    json.dumps(entry(time=5)),
    json.dumps(entry(action="delete")),
    json.dumps(entry(labels=["rudeness"])),
    json.dumps(entry(labels=None)),
    json.dumps(entry(scores={"hate": 1.5})),
    json.dumps(entry(scores={"hate": "high"})),
    json.dumps(entry(latency_ms=-1)),
    json.dumps(entry(latency_ms=float("nan"))),
    json.dumps(entry(latency_ms=float("inf"))),
    json.dumps({key: value for key, value in entry().items() if key != "model"}),
    "[" * 100_000,
    "\ufffd\x00",
]


def test_what_no_record_names_is_not_printed(tmp_path: Path) -> None:
    output = run("audit", written(tmp_path / "log", entry(policy=None, scores={}))).stdout
    assert "model" in output
    assert "policy" not in output and "scores" not in output and "label" not in output


def test_damaged_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "log", *DAMAGED, "", "   ", ENTRIES[0])
    found = summary(path)
    assert (found["records"], found["damaged"]) == (1, len(DAMAGED))
    assert f"{len(DAMAGED)} damaged lines" in run("audit", path).stdout


@given(st.binary())
def test_no_line_is_too_strange(line: bytes) -> None:
    assert parse(line) is None or json.loads(line)


def test_a_file_without_one_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10)
    result = run("audit", str(tmp_path / "picture"))
    assert result.exit_code == 2
    assert "picture' holds no record of a decision log; give a file that AuditLog has written" in result.stderr


def test_an_empty_log_is_no_error(tmp_path: Path) -> None:
    found = summary(written(tmp_path / "log"))
    assert (found["records"], found["first"], found["latency_ms"], found["scores"]) == (0, "", {}, {})
    assert run("audit", str(tmp_path / "log")).stdout == "0 decisions, 0 flagged; 0 others left out, 0 damaged lines\n"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = run("audit", str(tmp_path / "gone"))
    assert (result.exit_code, "gone' cannot be read: No such file" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "'yesterday' is no time; give 2026-11-21, 2026-11-21T09:30 (UTC), or an age"),
        (["--until", "99999999999w"], "'99999999999w' is no time"),
        (["--action", "delete"], "'delete' is no action; there are allow, flag, rewrite, mask, block, raise"),
        (["--label", "rude"], "'rude' is no label; there are stereotype, hate"),
        (["--plot", "out.pdf"], "a plot cannot be written to 'out.pdf'; give a name that ends in .svg or .png"),
    ],
)
def test_a_wrong_option_is_refused_with_the_remedy(log: str, arguments: list[str], said: str) -> None:
    result = run("audit", log, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_an_age_is_counted_back_from_now() -> None:
    assert moment("90m", START) == START - timedelta(minutes=90)
    assert moment("7d", START) == START - timedelta(days=7)
    with pytest.raises(GuardrailError):
        moment("", START)


def test_the_tables_are_printed_and_cannot_steer_the_terminal(tmp_path: Path) -> None:
    hours = [entry(hour, model="words\x1b[2J\u202e") for hour in range(30)]
    output = run("audit", written(tmp_path / "log", *hours, *ENTRIES[2:])).stdout
    for said in ("33 decisions, 2 flagged", "latency  p50 4.0 ms", "scores from"):
        assert said in output
    assert re.search(r"^rewrite +1 +3\.0%$", output, re.MULTILINE)
    assert "6 earlier hours are left out; --json has them" in output
    assert "abababababab " in output and "ab" * 7 not in output
    assert not set(output) & set("\x1b\u202e")


def test_the_plot_shows_the_summary(log: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the [plot] extra")
    picture, drawing = tmp_path / "out.PNG", tmp_path / "out.svg"
    assert run("audit", log, "--plot", str(picture)).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run("audit", log, "--plot", str(drawing)).exit_code == 0
    drawn = drawing.read_text(encoding="utf-8")
    for said in ("5 decisions, 2 flagged", "latency: p50 7.5 ms", "scores by label", "rewrite", "toxicity"):
        assert said in drawn


def test_an_empty_log_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the [plot] extra")
    drawing = tmp_path / "out.svg"
    assert run("audit", written(tmp_path / "log"), "--plot", str(drawing)).exit_code == 0
    assert "0 decisions, 0 flagged" in drawing.read_text(encoding="utf-8")


def test_without_matplotlib_the_remedy_is_said_before_the_log_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run("audit", "gone", "--plot", "out.svg")
    assert result.exit_code == 2
    assert 'plots need matplotlib: pip install "guardrail-sdk[plot]"' in result.stderr
