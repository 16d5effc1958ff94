"""Test that the page decides as the guard does when its policy is moved, and that no model runs for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail.config import read_config
from guardrail.policy import Policy
from guardrail.result import Action, Label
from guardrail.server.values import explained, in_force
from guardrail.wire import to_json
from tests.asgi import TEXT
from tests.fakes import WordDetector
from tests.guards import guard
from tests.server.conftest import Open
from tests.server.test_playground import check, marks

pytestmark = pytest.mark.enable_socket


def move(page: Any, label: str, threshold: float) -> None:
    """Move a slider as a hand does."""
    put(page, "input", {f"threshold-{label}": threshold})


def put(page: Any, event: str, values: dict[str, Any]) -> None:
    # The page asks the server for its policy before it shows a slider.
    page.locator("#threshold-hate").wait_for()
    page.evaluate(
        """([event, values]) => {
          for (const [id, value] of Object.entries(values)) {
            const field = document.getElementById(id);
            field.value = value;
            field.dispatchEvent(new Event(event));
          }
        }""",
        [event, values],
    )


def test_sliders_decide_anew_without_a_model(visit: Open) -> None:
    detector = WordDetector()
    page = visit(guard(detector=detector))
    check(page, TEXT)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    calls = detector.calls
    badge = page.locator(".badge")
    move(page, "toxicity", 0.95)
    assert (badge.inner_text().lower(), marks(page)) == ("allow", [])
    assert page.locator("#shown").inner_text() == TEXT
    move(page, "toxicity", 0.9)
    assert (badge.inner_text().lower(), marks(page)) == ("rewrite", [("idiot", "toxicity")])
    page.locator("#action-toxicity").select_option("block")
    assert badge.inner_text().lower() == "block"
    assert page.locator("#shown").inner_text() == Policy().block_message
    page.locator("#action-toxicity").select_option("mask")
    assert badge.inner_text().lower() == "mask"
    assert page.locator("#shown").inner_text() == TEXT.replace("idiot", "[removed]")
    page.locator("#action-toxicity").select_option("rewrite")
    move(page, "hate", 0.005)
    assert "Not rewritten" in page.locator("#changes").inner_text()
    page.locator("#reset").click()
    assert marks(page) == [("idiot", "toxicity")]
    assert "with this page's policy" not in page.locator("#verdict").inner_text()
    assert (detector.calls, asked) == (calls, [])
    assert page.locator("#runs").inner_text() == "1"


TEXTS = (
    TEXT,
    "A stereotype. The hateful chairman took an overdose. Fine.",
    "i\u200bdiot and an i d i o t",
    "Nothing here. At all.",
    "One " + "long sentence with many words and a chairman in it, " * 6 + "and an idiot.",
)
POLICIES = (
    Policy(),
    Policy(threshold=0.95),
    Policy(threshold=0.005),
    Policy(action=Action.MASK, thresholds={Label.TOXICITY: 0.91}),
    Policy(actions={Label.TOXICITY: Action.BLOCK, Label.HATE: Action.ALLOW}),
    Policy(action=Action.FLAG, actions={Label.OBFUSCATION: Action.BLOCK}, thresholds={Label.HARM: 0.001}),
    Policy(action=Action.ALLOW, actions={Label.GENDERED_TERM: Action.RAISE}),
)


def test_the_page_decides_as_the_guard_does(visit: Open) -> None:
    page = visit()
    base = guard()
    for text in TEXTS:
        scores = json.loads(to_json(explained(base, text)))
        for policy in POLICIES:
            door = guard(policy)
            shown = page.evaluate("([e, p]) => decide(e, p)", [scores, json.loads(to_json(in_force(door, "1")))])
            found = door.detect(text)
            decision = policy.decide(found.findings)
            assert (shown["action"], shown["reason"]) == (decision.action, decision.reason)
            assert sorted({(f["label"], f["start"], f["end"]) for f in shown["findings"]}) == sorted(
                {(str(f.label), f.start, f.end) for f in decision.findings}
            )


def test_what_the_page_makes_of_a_text_is_what_the_guard_makes_of_it(visit: Open) -> None:
    page = visit()
    for text in TEXTS:
        check(page, text)
        for policy in (Policy(action=Action.MASK), Policy(action=Action.BLOCK), Policy(action=Action.FLAG)):
            put(page, "change", {f"action-{label}": policy.action_for(label) for label in Label})
            assert page.locator("#shown").text_content() == guard(policy).check(text).text
        page.locator("#reset").click()


def test_the_policy_can_be_copied_and_read(visit: Open, tmp_path: Path) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    move(page, "hate", 0.25)
    page.locator("#action-harm").select_option("block")
    page.locator("#copy").click()
    page.locator("#copied", has_text="Copied.").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    (tmp_path / "policy.toml").write_text(copied, encoding="utf-8")
    policy = read_config(tmp_path / "policy.toml").policy
    assert policy.thresholds[Label.HATE] == 0.25
    limits = guard(policy).thresholds
    assert limits == {**guard().thresholds, Label.HATE: 0.25}
    assert policy.action_for(Label.HARM) is Action.BLOCK
    assert policy.action_for(Label.OBFUSCATION) is Action.FLAG


def test_where_the_clipboard_is_closed_the_policy_is_selected(visit: Open) -> None:
    page = visit()
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('no')))")
    page.locator("#copy").click()
    page.locator("#copied", has_text="press Ctrl+C").wait_for()
    assert page.evaluate("getSelection().toString()").startswith("[policy.thresholds]")
