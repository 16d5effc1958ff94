"""Test the playground as a person uses it: type, click, stream, tab, in light and dark."""

from __future__ import annotations

import re
from typing import Any

import pytest

from guardrail.doors import Streaming
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.server.playground import Playground
from guardrail.server.settings import Settings
from tests.asgi import MENDED, TEXT
from tests.fakes import MapRewriter, WordDetector
from tests.guards import failing, guard
from tests.server.conftest import Open
from tests.sidecar import CLOSED, KEY

pytestmark = pytest.mark.enable_socket


def test_the_page_is_one_file_that_lets_nothing_else_in() -> None:
    page = Playground()
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", page.html)
    assert not re.search(r"\sstyle=|\son\w+=|@import|url\(", page.html)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "/*style*/" not in page.html and "/*script*/" not in page.html


def check(page: Any, text: str) -> None:
    runs = int(page.locator("#runs").text_content())
    page.locator("#text").fill(text)
    page.locator("#check").click()
    # The verdict of the text before is there until then.
    page.locator("#runs", has_text=str(runs + 1)).wait_for()


def marks(page: Any) -> list[tuple[str, str]]:
    return [(mark.inner_text(), mark.get_attribute("data-labels")) for mark in page.locator("mark").all()]


def test_a_text_is_marked_explained_and_rewritten(visit: Open) -> None:
    page = visit()
    check(page, TEXT)
    assert page.locator(".badge").inner_text().lower() == "rewrite"
    assert "rewrite: toxicity" in page.locator("#verdict").inner_text()
    assert marks(page) == [("idiot", "toxicity")]
    assert page.locator("#marked").inner_text() == TEXT
    assert page.locator("#shown").inner_text() == MENDED
    assert page.locator("#changes del").inner_text().strip() == "idiot"
    assert page.locator("#changes ins").inner_text().strip() == "plain"
    assert "0.90" in page.locator("#details .over").inner_text()


def test_scores_and_groups_show_on_hover(visit: Open) -> None:
    page = visit()
    check(page, "The meeting is at nine. A stereotype spoke.")
    sentences = page.locator(".sentence")
    assert sentences.count() == 2
    sentences.nth(0).hover()
    assert "About no group in particular." in page.locator("#details").inner_text()
    sentences.nth(1).hover()
    assert "About: gender, race, religion" in page.locator("#details").inner_text()
    assert page.locator("#details .score").count() == 6


def test_everything_is_reached_by_the_keyboard(visit: Open) -> None:
    page = visit()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#text").focus()
    page.keyboard.type(TEXT)
    page.keyboard.press("Control+Enter")
    page.locator(".badge").wait_for()
    reached: dict[str, str] = {}
    for _ in range(40):
        page.keyboard.press("Tab")
        who = page.evaluate("document.activeElement.id || document.activeElement.className")
        reached.setdefault(who, page.locator("#details").inner_text())
    wanted = {"check", "stream", "sample", "threshold-toxicity", "action-toxicity", "reset", "copy"}
    assert wanted <= set(reached)
    assert any(name.startswith("sentence") for name in reached)
    page.locator("#threshold-toxicity").focus()
    page.keyboard.press("End")
    assert page.locator(".badge").inner_text().lower() == "allow"
    page.locator("#threshold-toxicity").focus()
    page.keyboard.press("Home")
    assert page.locator(".badge").inner_text().lower() == "rewrite"


def test_a_sample_can_be_streamed(visit: Open) -> None:
    page = visit()
    page.locator("#sample").select_option(label="An insult")
    assert "idiot" in page.locator("#text").input_value()
    page.locator("#stream").click()
    page.locator("#ended", has_text="Ended after").wait_for()
    pieces = [piece.inner_text() for piece in page.locator(".piece").all()]
    assert len(pieces) == 2
    assert "plain forgets a password." in pieces[0] and "idiot" not in "".join(pieces)
    assert "rewrite: toxicity" in page.locator("#ended").inner_text()


def test_text_is_text_and_offsets_count_characters(visit: Open) -> None:
    page = visit()
    text = "👋🏽 <img src=x onerror=alert(1)> 𝐢𝐝𝐢𝐨𝐭 & e\u0301te\u0301 chairman"
    check(page, text)
    assert page.locator("#marked").inner_text() == text
    assert page.locator("#marked img").count() == 0
    assert marks(page) == [("𝐢𝐝𝐢𝐨𝐭", "toxicity"), ("chairman", "gendered_term")]


def test_nothing_is_allowed_and_empty(visit: Open) -> None:
    page = visit()
    check(page, " ")
    assert page.locator(".badge").inner_text().lower() == "allow"
    assert page.locator("mark, .change").count() == 0


def test_a_blocking_policy_shows_the_message(visit: Open) -> None:
    for action in (Action.BLOCK, Action.RAISE):
        page = visit(guard(Policy(action=action)))
        check(page, TEXT)
        assert page.locator(".badge").inner_text().lower() == action
        assert page.locator("#shown").inner_text() == Policy().block_message


def test_what_cannot_be_rewritten_is_shown_masked(visit: Open) -> None:
    page = visit(Streaming(Policy(), WordDetector(), MapRewriter(lambda request: request.sentence)))
    check(page, TEXT)
    assert page.locator(".badge").inner_text().lower() == "mask"
    assert page.locator("#shown").inner_text() == "The meeting is at nine. [removed] Bye, all of you."
    assert page.locator("#changes del").inner_text() == "The idiot spoke."


def test_the_page_asks_for_the_key(visit: Open) -> None:
    page = visit(settings=CLOSED)
    dialog = page.locator("#asking")
    dialog.wait_for()
    page.locator("#key").fill("a-wrong-key-of-some-length")
    page.keyboard.press("Enter")
    page.locator("#refused").wait_for()
    page.locator("#key").fill(KEY)
    page.keyboard.press("Enter")
    page.locator("#threshold-hate").wait_for()
    check(page, TEXT)
    assert page.locator("#shown").inner_text() == MENDED
    assert KEY not in page.content()
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0


def test_without_the_key_the_page_says_so(visit: Open) -> None:
    page = visit(settings=CLOSED)
    page.locator("#asking").wait_for()
    page.keyboard.press("Escape")
    page.locator("#problem", has_text="This server wants an API key.").wait_for()


def test_a_failure_is_said_in_words(visit: Open) -> None:
    page = visit(settings=Settings(max_body=100))
    page.locator("#text").fill("x" * 200)
    page.locator("#check").click()
    page.locator("#problem", has_text="over max_body = 100 bytes").wait_for()
    page = visit(guard(Policy(on_error="raise"), detector=failing(RuntimeError("idiot"))))
    page.locator("#text").fill("The idiot spoke.")
    page.locator("#stream").click()
    page.locator("#problem", has_text="ModelRuntimeError").wait_for()


CONTRAST = """
(selector) => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const color = getComputedStyle(node).backgroundColor;
    return rgb(color)[3] === 255 || !node.parentElement ? color : behind(node.parentElement);
  };
  return [...document.querySelectorAll(selector)].map((node) => {
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(rgb(behind(node)))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}
"""
EVERY = "The stereotype, hateful idiot, draconian chairman, overdose. A\u200b\u200b hid\u200bden word."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_dark(visit: Open, scheme: str) -> None:
    page = visit(guard(Policy(action=Action.FLAG)), color_scheme=scheme)
    check(page, EVERY)
    assert {label for _, labels in marks(page) for label in labels.split()} >= {"hate", "harm", "stereotype"}
    for selector in ("body", "textarea", "mark", "mark small", ".dim", ".badge", "button", "select", "summary", "pre"):
        ratios = page.evaluate(CONTRAST, selector)
        assert ratios and min(ratios) >= 4.5, (selector, ratios)
    assert min(page.evaluate(CONTRAST, "body, mark")) >= 7
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 18, 22)"
    assert dark is (scheme == "dark")


@pytest.mark.parametrize("width", [320, 700, 1600])
def test_no_width_needs_scrolling_aside(visit: Open, width: int) -> None:
    page = visit()
    page.set_viewport_size({"width": width, "height": 700})
    check(page, f"{TEXT} {'unbroken' * 40}")
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
