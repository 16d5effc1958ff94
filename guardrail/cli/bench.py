"""The command ``guardrail bench``: print what this machine measures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.door import tell
from guardrail.cli.output import print_json
from guardrail.config import DETECTOR, REWRITER, Models

if TYPE_CHECKING:
    from guardrail.bench import Report


def bench(
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Runs of every detecting case.")] = 40,
    detector: Annotated[str, typer.Option(help="Name or folder of the detector bundle.")] = DETECTOR,
    rewriter: Annotated[str, typer.Option(help="Name or folder of the rewriter bundle.")] = REWRITER,
    batch: Annotated[
        int, typer.Option(min=0, metavar="TEXTS", help="Judge so many texts in threads, on Ray and on Spark, too.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Measure loading, detecting, streaming and rewriting; the ratios compare between machines, the times do not."""
    from guardrail.bench import measure

    report = measure(Models(detector, rewriter), rounds)
    if batch:
        from guardrail.bench_batch import measure_batches

        found, missing = measure_batches(detector, batch)
        report = replace(report, throughput=tuple(found), skipped=(*report.skipped, *missing))
    if as_json:
        print_json(report)
    else:
        _print(report)
    for reason in report.skipped:
        tell(f"skipped {reason}")


def _print(report: Report) -> None:
    from rich.table import Table

    from guardrail.cli.screen import Screen

    console = Screen()
    console.print(", ".join(f"{name} {value}" for name, value in report.machine.items()))
    times = Table("time", box=None, pad_edge=False)
    for heading in ("p50 ms", "p95 ms", "runs"):
        times.add_column(heading, justify="right")
    for timing in report.timings:
        times.add_row(timing.name, f"{timing.p50_ms:.2f}", f"{timing.p95_ms:.2f}", str(timing.runs))
    ratios = Table("ratio of medians", box=None, pad_edge=False)
    ratios.add_column("times", justify="right")
    for ratio in report.ratios:
        ratios.add_row(ratio.name, f"{ratio.value:.2f}")
    memory = Table("resident memory", box=None, pad_edge=False)
    memory.add_column("MB", justify="right")
    for step, megabytes in report.memory_mb.items():
        memory.add_row(step, str(megabytes))
    counts = Table("count", box=None, pad_edge=False)
    counts.add_column("", justify="right")
    for name, count in report.counts.items():
        counts.add_row(name, str(count))
    batches = Table("batches", box=None, pad_edge=False)
    for heading in ("texts/s", "times", "s to start"):
        batches.add_column(heading, justify="right")
    for way in report.throughput:
        faster = way.texts_per_s / report.throughput[0].texts_per_s
        batches.add_row(way.name, f"{way.texts_per_s:.1f}", f"{faster:.2f}", f"{way.start_s:.1f}")
    for table in (times, ratios, memory, counts, *([batches] if report.throughput else [])):
        console.print()
        console.print(table)
