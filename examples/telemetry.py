"""Keep a decision log without any text, read it with ``guardrail audit``, and report spans to OpenTelemetry.

pip install "guardrail-sdk[otel]"
python examples/telemetry.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from guardrail import Action, Guard, Policy
from guardrail.audit import AuditLog
from guardrail.telemetry import OpenTelemetry

TEXTS = ["The meeting is at nine.", "Women are too emotional to lead a team.", "Only an idiot would ask that."]


def main() -> None:
    """Judge three texts and print their spans, a record and the beginning of the summary."""
    spans, policy = InMemorySpanExporter(), Policy(action=Action.BLOCK)
    provider = TracerProvider()  # yours, with your exporter; without one, the process's own is taken
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decisions.jsonl"
        log = AuditLog(path, policy=policy, salt="a secret")
        Guard(policy, observers=[log, OpenTelemetry(tracer_provider=provider)]).check_many(TEXTS)
        for span in spans.get_finished_spans():
            said = span.attributes or {}
            print("span:  ", span.name, said["guardrail.action"], said["guardrail.labels"])
        record = json.loads(path.read_text(encoding="utf-8").splitlines()[1])
        print("record:", {name: record[name] for name in ("action", "labels", "length", "keyed")})
        audit = subprocess.check_output([sys.executable, "-m", "guardrail.cli", "audit", str(path)], text=True)
        print(*audit.splitlines()[:10], "(models, policies, latency, scores and hours follow)", sep="\n")


if __name__ == "__main__":
    main()
