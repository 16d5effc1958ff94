"""Serve applications on loopback for the length of a test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from guardrail.server.run import address, listen
from tests.guards import WAIT


class Server(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


@contextmanager
def served(app: Any, **settings: Any) -> Iterator[str]:
    """Serve ``app`` on a free port and yield its address."""
    with listen("127.0.0.1", 0) as listening:
        server = Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=10, ws="none", **settings)
        )
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert server.up.wait(WAIT), "the server did not start"
        try:
            yield address(listening)
        finally:
            server.should_exit = True
            thread.join(WAIT)
            assert not thread.is_alive()


async def raw(address: str, *parts: bytes) -> bytes:
    """Write parts to a connection as they are and return everything that comes back."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for part in parts:
        writer.write(part)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer
