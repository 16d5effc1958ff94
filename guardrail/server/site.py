"""Answer the pages around the judging: the playground, liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.responses import HTMLResponse, JSONResponse, Response

from guardrail.server.metrics import CONTENT_TYPE, Metrics
from guardrail.server.playground import Playground
from guardrail.server.schemas import Status


class Ready(Protocol):
    """What says whether the server can judge."""

    ready: bool
    reason: str


class Site:
    """The pages that take nothing."""

    def __init__(self, readiness: Ready, metrics: Metrics, keys: Sequence[Depends]) -> None:
        self._readiness, self._metrics = readiness, metrics
        self._playground = Playground()
        self.router = APIRouter()
        add = self.router.add_api_route
        add("/", self.playground, methods=["GET"], response_class=HTMLResponse)
        add("/healthz", self.healthz, methods=["GET"], response_model=Status)
        add("/readyz", self.readyz, methods=["GET"], response_model=Status, responses={503: {"model": Status}})
        add(
            "/metrics",
            self.metrics,
            methods=["GET"],
            response_class=Response,
            responses=_METRICS,
            dependencies=keys,
        )

    async def playground(self) -> Response:
        """Show a page to try the guard on."""
        return HTMLResponse(self._playground.html, headers=self._playground.headers)

    async def healthz(self) -> Response:
        """Say that the server lives."""
        return JSONResponse({"status": "ok"})

    async def readyz(self) -> Response:
        """Say whether the models are loaded and verified, with status 503 while they are not."""
        if self._readiness.ready:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": self._readiness.reason}, 503)

    async def metrics(self) -> Response:
        """Return counters and times for Prometheus."""
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)


_METRICS: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."}
}
