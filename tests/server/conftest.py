"""Open the playground in headless Chromium; where there is none, its tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from guardrail.doors import Streaming
from guardrail.server.app import create_app
from guardrail.server.settings import Settings
from tests.guards import guard
from tests.servers import served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
# Without the switches of the network it asks for hosts that a closed network does not have.
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium for the tests of one module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    if not CHROMIUM:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    import pytest_socket

    pytest_socket.enable_socket()
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Serve a guard and open its page; at the end nothing may have gone wrong on it, nor left for elsewhere."""
    faults: list[str] = []
    with ExitStack() as stack:

        def opened(door: Streaming | None = None, settings: Settings | None = None, **context: Any) -> Any:
            address = stack.enter_context(served(create_app(door or guard(), settings)))
            pages = browser.new_context(viewport={"width": 1200, "height": 900}, **context)
            stack.callback(pages.close)
            page = pages.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on(
                "request", lambda asked: None if asked.url.startswith((address, "data:")) else faults.append(asked.url)
            )
            page.goto(address)
            return page

        yield opened
    assert faults == []
