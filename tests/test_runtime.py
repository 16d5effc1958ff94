"""Test the bounds of a call: deadlines that stop a running model, the limiter, and what happens after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from guardrail._runtime import Deadline, Limiter, PerProcess
from guardrail.errors import DeadlineError, OverloadedError

WAIT = 30.0


def expired() -> Deadline:
    return Deadline(0.0)


def test_no_time_limit_never_expires() -> None:
    deadline = Deadline()
    deadline.check()
    assert not deadline.expired


def test_a_passed_deadline_says_what_to_do() -> None:
    with pytest.raises(DeadlineError, match=r"the time budget of 0 s ran out; raise policy.timeout_ms"):
        expired().check()


@pytest.mark.parametrize("seconds", [None, 3600.0])
def test_a_cancelled_deadline_is_over_and_stops_what_runs(seconds: float | None) -> None:
    deadline, options = Deadline(seconds), SimpleNamespace(terminate=False)
    with pytest.raises(DeadlineError, match="cancelled"), deadline.stopping(options):
        deadline.cancel()
        assert options.terminate
        raise RuntimeError("terminated")
    assert deadline.expired


def test_a_running_model_is_told_to_stop_and_its_error_becomes_a_deadline_error() -> None:
    stopped = threading.Event()

    class Options:
        terminate = False

        def __setattr__(self, name: str, value: object) -> None:
            stopped.set()

    with pytest.raises(DeadlineError), Deadline(0.01).stopping(Options()):
        assert stopped.wait(WAIT)
        raise RuntimeError("terminated")


def test_an_error_within_the_time_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="own"), Deadline(3600).stopping(SimpleNamespace(terminate=False)):
        raise RuntimeError("own")


def test_nothing_is_started_after_the_deadline() -> None:
    with pytest.raises(DeadlineError), expired().stopping(SimpleNamespace(terminate=False)):
        pytest.fail("the block ran")


def test_no_timer_outlives_its_call() -> None:
    timers = []
    for _ in range(20):
        with Deadline(3600).stopping(SimpleNamespace(terminate=False)):
            timers += [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(WAIT)
    assert len(timers) >= 20
    assert not any(timer.is_alive() for timer in timers)


def test_the_limiter_refuses_at_once_what_is_over_its_places() -> None:
    limiter = Limiter(1, 0)
    refusal = pytest.raises(OverloadedError, match="1 calls run and 0 wait already; raise max_running")
    with limiter.admit(Deadline()), refusal, limiter.admit(Deadline()):
        pytest.fail("a second call got in")
    with limiter.admit(Deadline()):
        pass


def test_a_waiting_call_gives_up_at_its_deadline_and_leaves_its_place() -> None:
    limiter = Limiter(1, 1)
    with limiter.admit(Deadline()):
        for _ in range(3):
            with pytest.raises(DeadlineError), limiter.admit(Deadline(0.01)):
                pytest.fail("a second call got in")
    with limiter.admit(Deadline()):
        pass


def test_a_waiting_call_goes_on_when_a_place_is_free() -> None:
    limiter, entered = Limiter(1, 1), threading.Event()

    def second() -> None:
        with limiter.admit(Deadline(WAIT)):
            entered.set()

    thread = threading.Thread(target=second)
    with limiter.admit(Deadline()):
        thread.start()
        assert not entered.wait(0.1)
    thread.join(WAIT)
    assert entered.is_set()


def test_an_error_inside_frees_the_place() -> None:
    limiter = Limiter(1, 0)
    with pytest.raises(RuntimeError), limiter.admit(Deadline()):
        raise RuntimeError
    with limiter.admit(Deadline()):
        pass


def test_never_more_calls_run_than_allowed() -> None:
    limiter, lock, running, most = Limiter(3, 20), threading.Lock(), [0], [0]

    def call() -> None:
        for _ in range(20):
            with limiter.admit(Deadline()):
                with lock:
                    running[0] += 1
                    most[0] = max(most[0], running[0])
                with lock:
                    running[0] -= 1

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert running == [0]
    assert 1 <= most[0] <= 3


def test_a_value_is_built_once_by_many_threads() -> None:
    built: list[int] = []
    gate = threading.Barrier(8)

    def build() -> object:
        built.append(1)
        return object()

    value = PerProcess(build)
    found: list[object] = []

    def get() -> None:
        gate.wait(WAIT)
        found.append(value.get())

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert (len(built), len(found), len({id(one) for one in found})) == (1, 8, 1)


def test_a_failed_build_is_tried_again() -> None:
    answers: Iterator[RuntimeError | str] = iter([RuntimeError("first"), "second"])

    def build() -> str:
        answer = next(answers)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    value = PerProcess(build)
    with pytest.raises(RuntimeError, match="first"):
        value.get()
    assert value.get() == "second"


FORK = """
import os, sys, threading
from guardrail._runtime import Deadline, Limiter, PerProcess

destroyed = []
class Session:
    def __init__(self): self.pid = os.getpid()
    def __del__(self): destroyed.append(self.pid)

started, go_on = threading.Event(), threading.Event()
def slow():
    started.set()
    go_on.wait()
    return Session()

built, building, limiter = PerProcess(Session), PerProcess(slow), Limiter(1, 0)
parent = built.get()
threading.Thread(target=building.get, daemon=True).start()
started.wait()
with limiter.admit(Deadline()):
    # Here another thread holds the lock of `building`, and this one the limiter's only place.
    child = os.fork()
    if child == 0:
        del parent
        go_on.set()
        with limiter.admit(Deadline(30)):
            good = built.get().pid == building.get().pid == os.getpid() and not destroyed
        os._exit(0 if good else 1)
go_on.set()
_, status = os.waitpid(child, 0)
same = built.get() is parent and parent.pid == os.getpid()
os._exit(os.waitstatus_to_exitcode(status) if same else 2)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_process_builds_its_own_and_inherits_no_held_lock() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
