"""Say what a door shows of a case, what it must show, and where both differ.

Every door gives the action, the text and the findings of ``Guard.check``. What it does not carry, and why:

==========================  ============================================================================================
wrap, of text               the text alone: that is what the function returns
GuardedChatModel            neither scores, groups nor the hashes of rewrites: ``response_metadata`` goes to providers
OpenAI, LiteLLM             no verdict on an empty text: there is no text to judge
ASGI middleware             the text alone: the body belongs to the application
sidecar, ASGI, CLI, tables  a lone surrogate as U+FFFD: UTF-8 has none
CLI, ASGI whole             the kind of a failure: a message for people, a status
ray, spark                  no groups, rewrites or latency: see ``guardrail.table.COLUMNS``
==========================  ============================================================================================

A door that streams (``flows``) differs where a text is cut short in flight, since what went before is out already: its
text is ``check(the sentences before).text`` and the message (without it where the policy raises), its findings are
those up to the sentence at fault, and its scores no higher. Over ``max_chars`` it has judged what ``check`` refuses to
scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from guardrail.doors import Streaming
from guardrail.errors import GuardrailBlocked, GuardrailError
from guardrail.result import Action, Result
from guardrail.text.surrogates import without_surrogates
from guardrail.wire import jsonable
from tests.conformance.cases import Case

Verdict = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a consumer got: the text, the verdict that came with it, and the name of the error that ended it."""

    text: str
    verdict: Verdict = field(default_factory=dict)
    raised: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """A way to have a text judged; ``encodes`` says that it writes UTF-8, ``bare`` that it carries the text alone."""

    name: str
    drive: Callable[[Streaming, str], Seen]
    flows: bool = False
    encodes: bool = False
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``check`` says of a case: a result, also where it raised it, or the name of another error."""

    result: Result | None
    raised: str = ""


def verdict_of(result: Result | None) -> dict[str, Any]:
    """Return a result as plain values, without what differs from call to call."""
    value = jsonable(result)
    assert isinstance(value, dict)
    return plain(value)


def plain(value: Verdict) -> dict[str, Any]:
    """Return a verdict without its text, which is compared by itself, and its latency."""
    return {name: item for name, item in value.items() if name not in ("text", "latency_ms", "field")}


def caught(error: Exception, text: str = "") -> Seen:
    """Return what was seen where a door raised; the error of another package has ours as its cause."""
    while not isinstance(error, GuardrailError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, GuardrailBlocked):
        return Seen(text, verdict_of(error.result), "GuardrailBlocked")
    if not isinstance(error, GuardrailError):
        raise error
    return Seen(text, raised=type(error).__name__)


def checked(door: Streaming, text: str) -> Wanted:
    """Ask ``check``."""
    try:
        return Wanted(door.check(text))
    except GuardrailBlocked as error:
        return Wanted(error.result, "GuardrailBlocked")
    except GuardrailError as error:
        return Wanted(None, type(error).__name__)


def differences(case: Case, door: Door, seen: Seen, wanted: Wanted, guard: Streaming) -> list[str]:
    """Return where what was seen is not what ``check`` says; ``guard`` is asked what goes before a cut."""
    found = _raised(seen, wanted)
    texts = _texts(case, door, seen, wanted, guard)
    if (without_surrogates(seen.text) if door.encodes else seen.text) not in texts:
        found.append(f"text: {seen.text!r} is not {texts[-1]!r}")
    if wanted.result is None or (seen.raised and not seen.verdict):
        return found
    if not seen.verdict:
        return found if door.bare or not case.text else [*found, "no verdict"]
    cut = door.flows and wanted.result.action in (Action.BLOCK, Action.RAISE)
    want = verdict_of(wanted.result)
    if cut:
        at = _cut(case, wanted.result)
        want["findings"] = [finding for finding in want["findings"] if finding["sentence"][0] <= at]
    loose = _loose(cut=cut, over=door.flows and case.too_long)
    names = [name for name in seen.verdict if name not in loose]
    found += [f"{n}: {seen.verdict[n]!r} is not {want[n]!r}" for n in names if not _same(want[n], seen.verdict[n])]
    if cut and any(score > want["scores"][label] for label, score in _scores(seen, case).items()):
        found.append("a score is higher than that of the whole text")
    return found


def _raised(seen: Seen, wanted: Wanted) -> list[str]:
    as_result = seen.verdict.get("action") == "raise" and wanted.raised == "GuardrailBlocked"
    unnamed = seen.raised == "GuardrailError" and wanted.raised not in ("", "GuardrailBlocked")
    if seen.raised == wanted.raised or unnamed or (as_result and not seen.raised):
        return []
    return [f"raised: {seen.raised or 'nothing'!r} is not {wanted.raised or 'nothing'!r}"]


def _texts(case: Case, door: Door, seen: Seen, wanted: Wanted, guard: Streaming) -> list[str]:
    """Return the texts that the door may show: one, but for a text that is cut at its length."""
    result, text = wanted.result, case.text
    action = Action.RAISE if result is None else result.action
    message = "" if action is Action.RAISE else case.policy.block_message
    if action not in (Action.BLOCK, Action.RAISE):
        texts = ["" if result is None else result.text]
    elif not door.flows:
        texts = ["" if seen.raised or result is None else result.text]
    elif case.too_long:
        # How much fits is a matter of sentences; it must be some, as it came.
        most = case.policy.max_chars
        texts = [text[:end] + message for end in range(1, most + 1)]
    else:
        at = 0 if result is None else _cut(case, result)
        texts = [guard.check(text[:at]).text + message if at else message]
    return [without_surrogates(each) for each in texts] if door.encodes else texts


def _cut(case: Case, result: Result) -> int:
    """Return where the first sentence begins for which the policy blocks; 0 if it is no finding that it blocks for."""
    ending = (Action.REWRITE,) if case.fault == "rewriter" else (Action.BLOCK, Action.RAISE)
    found = [f.sentence[0] for f in result.findings if case.policy.action_for(f.label) in ending]
    return min(found, default=0)


def _loose(*, cut: bool, over: bool) -> frozenset[str]:
    return frozenset({*(("scores", "rewrites") if cut else ()), *(("scores", "groups", "coverage") if over else ())})


def _scores(seen: Seen, case: Case) -> Verdict:
    scores: Verdict = {} if case.too_long else seen.verdict.get("scores", {})
    return scores


def _same(want: Any, got: Any) -> bool:
    """Compare as much as ``got`` carries of each item of a list."""
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(_same(one, other) for one, other in zip(want, got, strict=True))
    if isinstance(want, dict) and isinstance(got, dict) and "start" in want:
        return bool(got) and all(name in want and want[name] == value for name, value in got.items())
    return bool(want == got)
