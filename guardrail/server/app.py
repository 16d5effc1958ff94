"""Put the pages of the sidecar together into one application."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Depends, FastAPI
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.types import ASGIApp

from guardrail import __version__
from guardrail.doors import Streaming
from guardrail.errors import GuardrailError
from guardrail.server import problems
from guardrail.server.limits import Door, Gate
from guardrail.server.metrics import Meter, Metrics
from guardrail.server.pages import Pages
from guardrail.server.settings import Settings
from guardrail.server.site import Site

log = logging.getLogger("guardrail.server")

_ABOUT = (
    "Judge texts and mend them by this server's policy. Offsets count characters (code points). An answer that is no "
    "success, and every log line, holds nothing of the text."
)
# Only to be named in the OpenAPI document: the door asks for the key before it takes a body.
_KEYS = [Depends(HTTPBearer(auto_error=False)), Depends(APIKeyHeader(name="x-api-key", auto_error=False))]


def create_app(guard: Streaming, settings: Settings | None = None) -> FastAPI:
    """Return the sidecar as an ASGI application, for ``guardrail serve`` or a server of one's own.

    It loads the models when it starts, on a thread; ``/readyz`` says when they are there.
    """
    settings = settings or Settings()
    metrics = Metrics()
    gate = Gate(guard.policy.max_running + guard.policy.max_queued, settings.retry_after)
    readiness = Readiness(guard)
    app = FastAPI(
        title="guardrail",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=readiness.lifespan,
        redirect_slashes=False,
    )
    app.state.gate = gate
    _publish_limit(app, settings.max_batch)
    problems.install(app)
    keys = _KEYS if settings.keys else []
    app.include_router(Pages(guard, settings, metrics, gate).router, dependencies=keys)
    app.include_router(Site(readiness, metrics, keys).router)
    # The last one added is the outermost.
    for middleware in (partial(Door, settings=settings), problems.Catch, partial(Meter, metrics=metrics)):
        app.add_middleware(_named(middleware))
    return app


def _publish_limit(app: FastAPI, most: int) -> None:
    """Let the OpenAPI document say how many texts this server takes, not how many any may."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        document = written()
        schemas = document["components"]["schemas"]
        schemas["BatchRequest"]["properties"]["texts"]["maxItems"] = most
        for choice in schemas["ModerationRequest"]["properties"]["input"]["anyOf"]:
            if choice["type"] == "array" and choice["items"].get("type") == "string":
                choice["maxItems"] = most
        return document

    app.openapi = openapi  # type: ignore[method-assign]


class Readiness:
    """Whether the models are loaded and verified."""

    def __init__(self, guard: Streaming) -> None:
        self._guard = guard
        self.ready = False
        self.reason = "the models are being loaded"

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Load the models while the application already answers; end with it."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._load)
            yield
            self.ready, self.reason = False, "the server is shutting down"
            tasks.cancel_scope.cancel()

    async def _load(self) -> None:
        try:
            await anyio.to_thread.run_sync(self._guard.load, abandon_on_cancel=True)
        except GuardrailError as error:
            self.reason = f"{type(error).__name__}: {error}"
            log.error("the models cannot be used: %s", self.reason)
        except Exception as error:
            self.reason = f"a part of the guard failed ({type(error).__name__})"
            log.error("the models cannot be used: %s", problems.where(error))
        else:
            self.ready = True
            log.info("the models are loaded and verified")


def _named(middleware: Callable[..., Any]) -> Any:
    def build(app: ASGIApp) -> ASGIApp:
        built: ASGIApp = middleware(app)
        return built

    return build
