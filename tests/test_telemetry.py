"""Test spans and metrics on OpenTelemetry's own SDK, in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from guardrail.errors import ModelRuntimeError
from guardrail.policy import Policy
from guardrail.result import Action
from tests.guards import SECRET, failing, guard

pytest.importorskip("opentelemetry.sdk", reason="needs the [otel] extra")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from guardrail.telemetry import OpenTelemetry


class Collected:
    """Take in what is reported."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.observer = OpenTelemetry(
            tracer_provider=self.tracers, meter_provider=MeterProvider(metric_readers=[self._reader])
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        spans: tuple[ReadableSpan, ...] = self._spans.get_finished_spans()
        return spans

    def metrics(self) -> Mapping[str, Mapping[tuple[str, ...], float]]:
        data: Any = self._reader.get_metrics_data()
        [scope] = json.loads(data.to_json())["resource_metrics"][0]["scope_metrics"]
        return {
            metric["name"]: {
                tuple(point["attributes"].values()): point.get("value", point.get("count"))
                for point in metric["data"]["data_points"]
            }
            for metric in scope["metrics"]
        }


def test_a_decision_is_a_span_with_its_verdict() -> None:
    collected = Collected()
    text = f"{SECRET} The chairman spoke too."
    result = guard(observers=[collected.observer]).check(text)
    [span] = collected.spans
    assert span.name == "guardrail.check"
    assert dict(span.attributes or {}) == {
        "guardrail.action": "rewrite",
        "guardrail.flagged": True,
        "guardrail.labels": ("gendered_term", "toxicity"),
        "guardrail.findings": 2,
        "guardrail.rewrites": 2,
        "guardrail.coverage": 1.0,
        "guardrail.model": "words@1",
        "guardrail.input.length": len(text),
        "guardrail.output.length": len(result.text),
    }
    assert span.start_time is not None and span.end_time is not None
    assert (span.end_time - span.start_time) / 1e6 == pytest.approx(result.latency_ms, abs=0.001)
    assert span.status.status_code is StatusCode.UNSET


def test_the_span_lies_under_the_one_that_is_current_also_from_a_worker_thread() -> None:
    import anyio

    collected = Collected()
    watched = guard(observers=[collected.observer])
    with collected.tracers.get_tracer("app").start_as_current_span("request") as outer:
        watched.check("Yes.")
        anyio.run(watched.acheck, "Yes.")
    inner = [span for span in collected.spans if span.name == "guardrail.check"]
    assert [span.parent and span.parent.span_id for span in inner] == [outer.get_span_context().span_id] * 2


def test_decisions_are_counted_by_action_and_label_and_timed() -> None:
    collected = Collected()
    for text in ("Yes.", "The idiot, an idiot. That idiot.", "The idiot chairman spoke.", ""):
        guard(observers=[collected.observer]).check(text)
    guard(Policy(action=Action.BLOCK), observers=[collected.observer]).check("The idiot spoke.")
    metrics = collected.metrics()
    assert metrics["guardrail.decisions"] == {("allow",): 2, ("rewrite",): 2, ("block",): 1}
    assert metrics["guardrail.labels"] == {
        ("rewrite", "toxicity"): 2,
        ("rewrite", "gendered_term"): 1,
        ("block", "toxicity"): 1,
    }
    assert metrics["guardrail.duration"] == metrics["guardrail.decisions"]


def test_a_failure_is_an_error_that_quotes_nothing() -> None:
    collected = Collected()
    guard(detector=failing(ModelRuntimeError(f"cannot read {SECRET}")), observers=[collected.observer]).check(SECRET)
    [span] = collected.spans
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == span.status.description == "ModelRuntimeError"
    assert "Zyxwvut" not in span.to_json()


def test_without_an_sdk_nothing_is_reported_and_nothing_fails() -> None:
    assert guard(observers=[OpenTelemetry()]).check("Yes.").action is Action.ALLOW


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r'pip install "guardrail-sdk\[otel\]"'):
        OpenTelemetry()
