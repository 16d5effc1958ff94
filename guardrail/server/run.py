"""Run the sidecar under uvicorn until it is told to stop, and let what runs come to its end."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from guardrail.errors import GuardrailError

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def listen(host: str, port: int) -> socket.socket:
    """Open a socket for connections; port 0 takes a free one.

    Raises:
        GuardrailError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GuardrailError(
            f"cannot listen on {host} port {port}: {reason}; choose another --host or --port"
        ) from None


def address(listening: socket.socket) -> str:
    """Return the address of a socket as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: ASGIApp, listening: socket.socket, *, grace: int, log_level: str) -> None:
    """Serve until SIGINT or SIGTERM, then take no more connections and give running requests ``grace`` seconds."""
    logging.basicConfig(stream=sys.stderr, level=log_level.upper(), format=_FORMAT)
    config = uvicorn.Config(
        app,
        # Its own lines would hold the path as it came, and a path can hold a text.
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=grace,
        lifespan="on",
        ws="none",
    )
    with _signals_taken():
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _signals_taken() -> Iterator[None]:
    """Swallow the signal that uvicorn raises once more after a graceful end: that end is no failure."""

    def nothing(signum: int, frame: FrameType | None) -> None:
        return None

    before = {number: signal.signal(number, nothing) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
