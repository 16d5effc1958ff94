"""Count what the sidecar does for Prometheus: pages, decisions, labels and times, never a text."""

from __future__ import annotations

import logging
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardrail import __version__
from guardrail.result import Detection, Result
from guardrail.server.values import Explanation

log = logging.getLogger("guardrail.server")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CHARACTERS = (100, 1_000, 10_000, 100_000, 1_000_000)
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Gauge("guardrail_build_info", "Always 1.", ["version"], registry=registry).labels(__version__).set(1)
        self._requests = Counter(
            "guardrail_http_requests",
            "Requests by page, method and status.",
            ["page", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "guardrail_http_request_seconds", "Time to the last byte.", ["page"], buckets=_SECONDS, registry=registry
        )
        self._running = Gauge("guardrail_http_requests_running", "Requests being answered.", registry=registry)
        self._decisions = Counter("guardrail_decisions", "Texts by what was done.", ["action"], registry=registry)
        self._labels = Counter("guardrail_labels", "Texts in which a label was found.", ["label"], registry=registry)
        self._failures = Counter("guardrail_failures", "Texts that were not judged.", ["error"], registry=registry)
        self._length = Histogram(
            "guardrail_text_characters", "Length of the judged texts.", buckets=_CHARACTERS, registry=registry
        )

    def judged(self, length: int, found: Result | Detection | Explanation) -> None:
        """Count a text of ``length`` characters and what became of it."""
        self._length.observe(length)
        for label in sorted({finding.label for finding in found.findings}):
            self._labels.labels(label).inc()
        if isinstance(found, Result):
            self._decisions.labels(found.action).inc()
            if found.error is not None:
                self._failures.labels(found.error.partition(":")[0]).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request; its page is the name of the route, since a path can hold anything."""
        page = getattr(scope.get("route"), "path", "unknown")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(page, method, str(status)).inc()
        self._seconds.labels(page).observe(seconds)
        log.info("%s %s %d %.1f ms", method, page, status, seconds * 1000)


class Meter:
    """The middleware that counts requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and count it, also where it ends in an error or nobody waits for the answer any more."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499
        begun = time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics._running.track_inprogress():
            try:
                await self._app(scope, receive, watched)
            finally:
                self._metrics.answered(scope, status, time.perf_counter() - begun)
