"""Ask the sidecar in this process, on guards that know words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient

from guardrail.doors import Streaming
from guardrail.server.app import create_app
from guardrail.server.settings import Settings, digests
from tests.asgi import events_of
from tests.guards import guard

KEY = "correct-horse-battery"
CLOSED = Settings(keys=digests([KEY, "another-key-entirely"]))


@contextmanager
def sidecar(door: Streaming | None = None, settings: Settings | None = None) -> Iterator[TestClient]:
    """Start an application as a server would and yield a client; what the application raises passes."""
    with TestClient(create_app(door or guard(), settings), raise_server_exceptions=True) as client:
        yield client


def streamed(body: str) -> tuple[str, str, Any]:
    """Return the shown text, the type of the last event and its value."""
    *texts, (kind, last) = events_of(body)
    assert {name for name, _ in texts} <= {"text"}
    return "".join(json.loads(data)["text"] for _, data in texts), kind, json.loads(last)
