"""Test that a run over a file goes on where it was killed: no row twice, none lost, and only with the same settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from guardrail.cli.door import FAILED, INTERRUPTED
from tests.cli import no_colour, run  # noqa: F401
from tests.fakes import WordDetector
from tests.guards import WAIT

pytest.importorskip("pyarrow", reason="needs the [batch] extra")
pytestmark = pytest.mark.usefixtures("no_colour")
ROWS = 40
CHUNK = 4


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = (
        json.dumps({"id": number, "lang": "en", "text": f"The idiot spoke {number} times."}) for number in range(ROWS)
    )
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def command(source: Path, out: Path, *more: str) -> list[str]:
    return ["check", "--input", str(source), "--output", str(out), "--keep", "id", "--chunk", str(CHUNK), *more]


def batch(source: Path, out: Path, *more: str, detector: WordDetector | None = None) -> Result:
    return run(*command(source, out, *more), detector=detector)


def interrupt(after: int) -> WordDetector:
    """Return a detector that is interrupted when it is called for the time after next ``after`` texts."""
    detector: WordDetector

    def stop() -> None:
        if detector.calls > after:
            raise KeyboardInterrupt

    detector = WordDetector(before=stop)
    return detector


def assert_complete(out: Path) -> None:
    """Look at every row: there once, in order, judged."""
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in rows] == [int(row["id"]) for row in rows] == list(range(ROWS))
    assert [row["text"] for row in rows] == [f"The plain spoke {number} times." for number in range(ROWS)]
    assert [path.name for path in sorted(out.parent.iterdir())] == ["in.jsonl", out.name]


@pytest.mark.parametrize("texts", [0, 1, CHUNK, CHUNK + 1, ROWS // 2, ROWS - 1])
def test_an_interrupted_run_goes_on_and_judges_only_the_rest(source: Path, out: Path, texts: int) -> None:
    # A text that is rewritten is judged twice: before and after.
    stopped = batch(source, out, detector=interrupt(2 * texts))
    assert stopped.exit_code == INTERRUPTED
    assert not out.exists()
    whole = texts // CHUNK
    assert ("go on with --resume" in stopped.stderr) is (whole > 0)
    rest = WordDetector()
    assert batch(source, out, "--resume", detector=rest).exit_code == 1
    assert rest.calls == 2 * (ROWS - whole * CHUNK)
    assert_complete(out)


@pytest.mark.parametrize("writes", range(0, ROWS // CHUNK + 3, 2))
def test_a_run_that_is_stopped_at_any_write_goes_on(
    source: Path, out: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, done = os.replace, [0]

    def stop(old: str, new: str) -> None:
        if done[0] == writes:
            raise KeyboardInterrupt
        done[0] += 1
        replace(old, new)

    monkeypatch.setattr(os, "replace", stop)
    stopped = batch(source, out)
    monkeypatch.setattr(os, "replace", replace)
    assert stopped.exit_code == (INTERRUPTED if writes < ROWS // CHUNK + 2 else 1)
    if not out.exists():
        assert batch(source, out, "--resume").exit_code == 1
    assert_complete(out)


def test_a_run_that_was_stopped_between_joining_and_clearing_up_goes_on(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", stop)
        assert batch(source, out).exit_code == INTERRUPTED
    assert out.exists()
    detector = WordDetector()
    assert batch(source, out, "--resume", detector=detector).exit_code == 1
    assert detector.calls == 0
    assert_complete(out)


PROCESS = """
import sys, time
from guardrail.cli import main
from guardrail.guard import Pipeline
from tests.fakes import MapRewriter, WordDetector, plain_words
words = WordDetector(before=lambda: time.sleep(0.02))
main(lambda config, detect_only: Pipeline(config.policy, words, MapRewriter(plain_words)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_loses_no_row_and_writes_none_twice(source: Path, out: Path) -> None:
    parts = out.with_name(f"{out.name}.parts")
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, *command(source, out)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stderr=subprocess.PIPE,
    )
    _wait(lambda: len(list(parts.glob("part-*.parquet"))) >= 2 or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert (process.communicate()[1], process.returncode) == (b"", -signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in parts.glob("part-*.parquet")}
    assert 2 <= len(done) < ROWS // CHUNK
    rest = WordDetector()
    assert batch(source, out, "--resume", detector=rest).exit_code == 1
    assert rest.calls == 2 * (ROWS - len(done) * CHUNK)
    assert_complete(out)


def _wait(until: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(2 * WAIT / 0.02)):
        if until():
            return
        pause.wait(0.02)
    raise AssertionError("waited too long")


def test_going_on_must_be_asked_for(source: Path, out: Path) -> None:
    batch(source, out, detector=interrupt(ROWS))
    again = batch(source, out)
    assert again.exit_code == FAILED
    assert "out.jsonl' was interrupted; go on with --resume, or remove" in again.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--chunk", "5"], "the interrupted run had chunk = 4 and now it is 5; give the same again, or remove"),
        (["--field", "id"], "the interrupted run had field = 'text' and now it is 'id'"),
        (["--keep", "lang"], "the interrupted run had keep = ['id'] and now it is ['id', 'lang']"),
    ],
)
def test_it_goes_on_only_with_the_same_settings(source: Path, out: Path, more: list[str], said: str) -> None:
    batch(source, out, detector=interrupt(ROWS))
    again = batch(source, out, "--resume", *more)
    assert (again.exit_code, said in again.stderr) == (FAILED, True)
    assert out.with_name("out.jsonl.parts").exists()


def test_it_goes_on_only_with_the_same_policy(source: Path, out: Path, tmp_path: Path) -> None:
    batch(source, out, detector=interrupt(ROWS))
    (tmp_path / "policy.toml").write_text('[policy]\naction = "mask"\n', encoding="utf-8")
    again = batch(source, out, "--resume", "--policy", str(tmp_path / "policy.toml"))
    assert "the interrupted run had policy = " in again.stderr


def test_it_goes_on_only_with_the_same_input(source: Path, out: Path) -> None:
    batch(source, out, detector=interrupt(ROWS))
    source.write_text(source.read_text(encoding="utf-8") + "\n{}", encoding="utf-8")
    assert "the interrupted run had input_size = " in batch(source, out, "--resume").stderr


def test_an_output_that_exists_is_not_written_over(source: Path, out: Path) -> None:
    out.write_text("mine", encoding="utf-8")
    for more in ([], ["--resume"]):
        result = batch(source, out, *more)
        assert (result.exit_code, "out.jsonl' exists; remove it, or give another --output" in result.stderr) == (
            2,
            True,
        )
    assert out.read_text(encoding="utf-8") == "mine"


def test_a_folder_of_somebody_else_is_left_alone(source: Path, out: Path) -> None:
    folder = out.with_name("out.jsonl.parts")
    folder.mkdir()
    (folder / "letter.txt").write_text("mine", encoding="utf-8")
    assert "out.jsonl.parts' holds no run; remove it, or give another --output" in batch(source, out).stderr
    (folder / "manifest.json").write_text("{", encoding="utf-8")
    assert "out.jsonl.parts' holds no run; remove it to begin anew" in batch(source, out, "--resume").stderr
    assert (folder / "letter.txt").read_text(encoding="utf-8") == "mine"


def test_resume_on_nothing_begins(source: Path, out: Path) -> None:
    assert batch(source, out, "--resume").exit_code == 1
    assert_complete(out)


def test_what_is_read_ahead_is_bounded(source: Path) -> None:
    from guardrail.cli.batch_read import open_rows

    source.write_text(source.read_text(encoding="utf-8") * 500, encoding="utf-8")
    reader = open_rows(source, "text", ())
    next(reader.chunks(CHUNK))
    assert 0 < reader.done < reader.total / 10
