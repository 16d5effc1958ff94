"""Test the decision log: what a record holds, that it never holds the text unasked, and that no record is lost."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import guardrail
from guardrail.audit import AuditLog, policy_hash, record
from guardrail.errors import ConfigError, ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action, Label, Result
from tests.guards import SECRET, failing, guard

KEYS = (
    "time action flagged labels scores groups findings rewrites coverage reason error model versions policy "
    "latency_ms text_sha256 keyed length"
).split()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def test_a_record_says_what_was_decided_and_on_what_grounds(path: Path) -> None:
    policy = Policy(timeout_ms=None)
    text = f"{SECRET} The meeting is at nine."
    result = guard(policy, observers=[AuditLog(path, policy=policy)]).check(text)
    [said] = lines(path)
    assert list(said) == KEYS
    assert abs(datetime.now(UTC) - datetime.fromisoformat(said["time"])) < timedelta(minutes=5)
    assert (said["action"], said["flagged"], said["labels"]) == ("rewrite", True, ["toxicity"])
    assert said["scores"] == {str(label): score for label, score in result.scores.items()}
    [finding] = said["findings"]
    assert (finding["label"], text[finding["start"] : finding["end"]], finding["score"]) == ("toxicity", "idiot", 0.9)
    [change] = said["rewrites"]
    sentence = text[change["start"] : change["end"]]
    assert change["original_sha256"] == hashlib.sha256(sentence.encode()).hexdigest()
    assert (change["rounds"], change["masked"], change["checks"]["unflagged"]) == (1, False, True)
    assert (said["coverage"], said["reason"], said["error"]) == (1.0, "rewrite: toxicity", None)
    assert (said["model"], said["versions"]["guardrail"]) == ("words@1", guardrail.__version__)
    assert said["policy"] == policy_hash(policy)
    assert said["latency_ms"] == pytest.approx(result.latency_ms, abs=0.001)
    assert said["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert (said["keyed"], said["length"]) == (False, len(text))


def test_no_text_is_written_unasked(path: Path) -> None:
    log = AuditLog(path)
    for action in Action:
        watched = guard(Policy(action=action), observers=[log])
        if action is Action.RAISE:
            with pytest.raises(guardrail.GuardrailBlocked):
                watched.check(SECRET)
        else:
            watched.check(SECRET)
    guard(detector=failing(ValueError(SECRET)), observers=[log]).check(SECRET)
    with pytest.raises(ModelRuntimeError):
        guard(Policy(on_error="raise"), detector=failing(ModelRuntimeError(f"not {SECRET}")), observers=[log]).check(
            SECRET
        )
    said = lines(path)
    assert [line["action"] for line in said] == [*Action, "block", "raise"]
    assert [line["error"] for line in said[-2:]] == ["ModelRuntimeError"] * 2
    written = path.read_text(encoding="ascii")
    for word in ("idiot", "Zyxwvut", "spoke", "plain"):
        assert word not in written


def test_the_text_is_written_if_asked_for(path: Path) -> None:
    text = "The idiot 👍 \ud83d spoke."
    result = guard(observers=[AuditLog(path, include_text=True)]).check(text)
    [said] = lines(path)
    assert list(said) == [*KEYS, "text", "released"]
    assert (said["text"], said["released"]) == (text, result.text)


def test_a_salt_keys_every_hash_of_text(path: Path) -> None:
    guard(observers=[AuditLog(path, salt="key")]).check("The idiot spoke.")
    guard(observers=[AuditLog(path, salt=b"other")]).check("The idiot spoke.")
    first, second = lines(path)
    wanted = hmac.new(b"key", b"The idiot spoke.", hashlib.sha256).hexdigest()
    assert first["text_sha256"] == first["rewrites"][0]["original_sha256"] == wanted
    assert second["text_sha256"] != wanted
    assert first["keyed"] and second["keyed"]
    assert hashlib.sha256(b"The idiot spoke.").hexdigest() not in path.read_text(encoding="ascii")


def test_without_a_policy_none_is_named(path: Path) -> None:
    guard(observers=[AuditLog(path)]).check("Yes.")
    assert lines(path)[0]["policy"] is None


@given(st.text(), st.booleans())
def test_every_record_is_one_line_of_json_and_ascii(text: str, include_text: bool) -> None:
    result = Result(Action.ALLOW, text, scores={Label.HATE: 0.123456789})
    said = json.dumps(record(result, text, include_text=include_text))
    assert said.isascii() and "\n" not in said
    assert json.loads(said)["scores"] == {"hate": 0.1235}


def test_policies_have_one_hash_if_they_are_equal() -> None:
    one = Policy(actions={Label.HATE: Action.BLOCK, Label.HARM: Action.FLAG}, threshold="fpr <= 0.01")
    same = Policy(actions={"harm": "flag", "hate": "block"})  # type: ignore[dict-item]
    assert one == same
    assert policy_hash(one) == policy_hash(same)
    assert len({policy_hash(p) for p in (one, Policy(), Policy(mask="-"), Policy(thresholds={Label.HATE: 0.5}))}) == 4


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_only_the_owner_can_read_a_new_log(path: Path) -> None:
    AuditLog(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone/log' cannot be written: No such file or directory; give another path"):
        AuditLog(tmp_path / "gone" / "log")
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        AuditLog(tmp_path)


@pytest.mark.parametrize(("setting", "value"), [("max_bytes", 0), ("keep", 0), ("max_bytes", -5)])
def test_a_limit_out_of_range_is_refused(path: Path, setting: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{setting} = {value} of the audit log must be at least 1"):
        AuditLog(path, **{setting: value})  # type: ignore[arg-type]
    assert not path.exists()


def logged(log: AuditLog, *numbers: int) -> None:
    for number in numbers:
        log(Result(Action.ALLOW, "", model=str(number)), "")


def models(*paths: Path) -> list[str]:
    return [line["model"] for path in paths for line in lines(path)]


def test_a_new_log_goes_on_where_an_old_one_ended(path: Path) -> None:
    logged(AuditLog(path), 1)
    logged(AuditLog(path), 2)
    assert models(path) == ["1", "2"]


def test_a_full_file_makes_room_and_only_so_many_are_kept(path: Path) -> None:
    logged(AuditLog(path), 0)
    size = path.stat().st_size
    logged(AuditLog(path, max_bytes=2 * size, keep=2), *range(1, 9))
    numbered = [path.with_name(f"{path.name}.{number}") for number in (1, 2)]
    assert models(path) == ["8"]
    assert models(numbered[0]) == ["6", "7"]
    assert models(numbered[1]) == ["4", "5"]
    assert sorted(path.parent.iterdir()) == [path, *numbered]


def test_a_record_longer_than_a_file_may_be_is_written_all_the_same(path: Path) -> None:
    log = AuditLog(path, max_bytes=10)
    logged(log, 1, 2)
    assert models(path.with_name(f"{path.name}.1"), path) == ["1", "2"]


def test_a_file_that_was_moved_away_is_made_anew(path: Path) -> None:
    log = AuditLog(path)
    logged(log, 1)
    moved = path.rename(path.with_suffix(".old"))
    logged(log, 2)
    path.unlink()
    logged(log, 3)
    assert (models(moved), models(path)) == (["1"], ["3"])


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX's")
def test_a_file_that_another_process_is_moving_is_written_on(path: Path) -> None:
    import fcntl

    log = AuditLog(path, max_bytes=10)
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        logged(log, 1, 2)
    assert (models(path), list(path.parent.iterdir())) == (["1", "2"], [path])
    logged(log, 3)
    assert models(path) == ["3"]


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX's")
def test_a_file_that_another_process_has_just_moved_is_not_moved_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    log, lock = AuditLog(path, max_bytes=10), fcntl.flock
    logged(log, 1)

    def late(file: int, how: int) -> None:
        if how & fcntl.LOCK_EX:
            path.rename(path.with_suffix(".moved"))
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    logged(log, 2)
    assert (models(path.with_suffix(".moved")), models(path)) == (["1"], ["2"])
    assert len(list(path.parent.iterdir())) == 2


def test_threads_do_not_garble_each_other(path: Path) -> None:
    log = AuditLog(path, max_bytes=20_000, keep=100)
    threads = [threading.Thread(target=logged, args=(log, *range(n, n + 50))) for n in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, models(*path.parent.iterdir()))) == list(range(400))


PROCESS = """
import os, sys
from guardrail.audit import AuditLog
from guardrail.result import Action, Result
log = AuditLog(sys.argv[1], max_bytes=20_000, keep=100)
start = int(sys.argv[2])
log(Result(Action.ALLOW, "", model=str(start)), "")
child = os.fork()
for number in range(start + 1, start + 60):
    if number % 2 == (child == 0):
        log(Result(Action.ALLOW, "", model=str(number)), "")
if child == 0:
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_processes_and_forks_that_share_a_file_lose_no_record_when_it_is_moved(path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(path)]
    running = [subprocess.Popen([*command, str(start)], stderr=subprocess.PIPE) for start in range(0, 240, 60)]
    assert [(process.communicate()[1], process.returncode) for process in running] == [(b"", 0)] * 4
    assert sorted(map(int, models(*path.parent.iterdir()))) == list(range(240))
    assert len(list(path.parent.iterdir())) > 2


def test_a_torn_line_spoils_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, write = AuditLog(path), os.write
    logged(log, 1)

    def full(file: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", torn)
        return write(file, data[:10])

    def torn(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        logged(log, 2)
    monkeypatch.setattr(os, "write", write)
    logged(log, 3)
    first, damaged, last = path.read_text(encoding="ascii").splitlines()
    assert (json.loads(first)["model"], damaged, json.loads(last)["model"]) == ("1", '{"time":"2', "3")
