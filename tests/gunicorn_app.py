"""An ASGI application whose guard has judged a text before any worker is forked: what gunicorn's ``--preload`` does."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

from guardrail.adapters.asgi import GuardMiddleware
from guardrail.load import Guard
from guardrail.policy import Policy
from guardrail.result import Action

TEXT = "Only an idiot forgets a password. The meeting is at nine."
DOOR = Guard(Policy(action=Action.MASK, timeout_ms=600_000))
DOOR.check(TEXT)


async def plain(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Answer every request with the same text and the number of the process."""
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-process", str(os.getpid()).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": TEXT.encode()})


app = GuardMiddleware(plain, guard=DOOR)
