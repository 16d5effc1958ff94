"""Report decisions to OpenTelemetry: a span and metrics for each, never the text; imported only by who wants it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from guardrail.result import Result

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_SCOPE = "guardrail"
# Seconds: a detector takes milliseconds, a rewrite tenths of a second, the time budget ends at 30 s.
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class OpenTelemetry:
    """Turn each decision into a span ``guardrail.check`` and metrics: ``Guard(observers=[OpenTelemetry()])``.

    The span begins when the decision did, under the span that is current where ``check`` was called. Metrics:
    ``guardrail.decisions`` by action, ``guardrail.labels`` by action and label (once a text and label) and the
    histogram ``guardrail.duration`` in seconds by action.

    Args:
        tracer_provider: takes the spans; the process's own by default.
        meter_provider: takes the metrics; the process's own by default.

    Raises:
        ImportError: OpenTelemetry is not installed.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise ImportError('OpenTelemetry is not installed: pip install "guardrail-sdk[otel]"') from None
        from guardrail import __version__

        self._trace = trace
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider)
        self._decisions = meter.create_counter("guardrail.decisions", "{decision}", "Decisions of the guard")
        self._labels = meter.create_counter("guardrail.labels", "{text}", "Texts in which a label was found")
        self._duration = meter.create_histogram(
            "guardrail.duration", "s", "Time a decision took", explicit_bucket_boundaries_advisory=_BUCKETS
        )

    def __call__(self, result: Result, text: str) -> None:
        """Report one decision on ``text``."""
        labels = sorted({str(finding.label) for finding in result.findings})
        self._span(result, text, labels)
        action = {"guardrail.action": str(result.action)}
        self._decisions.add(1, action)
        self._duration.record(result.latency_ms / 1000, action)
        for label in labels:
            self._labels.add(1, {**action, "guardrail.label": label})

    def _span(self, result: Result, text: str, labels: list[str]) -> None:
        ended = time.time_ns()
        span = self._tracer.start_span(
            "guardrail.check",
            start_time=ended - round(result.latency_ms * 1e6),
            attributes={
                "guardrail.action": str(result.action),
                "guardrail.flagged": result.flagged,
                "guardrail.labels": labels,
                "guardrail.findings": len(result.findings),
                "guardrail.rewrites": len(result.rewrites),
                "guardrail.coverage": result.coverage,
                "guardrail.model": result.model,
                "guardrail.input.length": len(text),
                "guardrail.output.length": len(result.text),
            },
        )
        if result.error is not None:
            name = result.error.partition(":")[0]
            span.set_attribute("error.type", name)
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, name))
        span.end(ended)
