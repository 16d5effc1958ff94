"""The command ``guardrail audit``: read decision logs, filter them, sum them up and plot them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from guardrail.cli.output import print_json
from guardrail.cli.texts import visible
from guardrail.errors import GuardrailError
from guardrail.result import Action, Label

if TYPE_CHECKING:
    from guardrail.cli.audit_log import Summary

_HOURS = 24

E = TypeVar("E", bound=StrEnum)


def audit(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Logs that AuditLog wrote.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="From 2026-11-21T09:30 (UTC) or an age: 30m, 24h.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Before this time or age.")] = "",
    action: Annotated[list[str] | None, typer.Option(help="Only decisions with this action; may be repeated.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Only decisions with this label; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
    plot: Annotated[str, typer.Option(metavar="FILE", help="Draw the summary as .svg or .png, too.")] = "",
) -> None:
    """Sum up what a guard decided: actions, labels, hours, latency, scores; damaged lines are counted."""
    from guardrail.cli.audit_log import Wanted, moment, summarise

    wanted = Wanted(
        moment(since) if since else None,
        moment(until) if until else None,
        actions=_known(Action, action or ()),
        labels=_known(Label, label or ()),
    )
    if plot:
        from guardrail.cli.audit_plot import check_plot

        check_plot(Path(plot))
    summary = summarise(files, wanted)
    if plot:
        from guardrail.cli.audit_plot import draw

        draw(summary, Path(plot))
    if as_json:
        print_json(summary)
    else:
        _print(summary)


def _known(kind: type[E], names: Iterable[str]) -> frozenset[str]:
    for name in names:
        if name not in set(kind):
            raise GuardrailError(f"{name!r} is no {kind.__name__.lower()}; there are {', '.join(kind)}")
    return frozenset(names)


def _print(summary: Summary) -> None:
    from guardrail.cli.screen import Screen

    console = Screen()
    console.print(
        f"{summary.records} decisions, {summary.flagged} flagged; {summary.others} others left out, "
        f"{summary.damaged} damaged lines"
    )
    if not summary.records:
        return
    console.print(f"from {summary.first} to {summary.last}")
    for title, counts in (("action", summary.actions), ("label", summary.labels), ("error", summary.errors)):
        if counts:
            _print_counts(title, counts, summary.records)
    _print_counts("model", summary.models, summary.records)
    _print_counts("policy", {name[:12]: count for name, count in summary.policies.items()}, summary.records)
    console.print()
    console.print("latency  " + "  ".join(f"{name} {value:.1f} ms" for name, value in summary.latency_ms.items()))
    _print_scores(summary)
    _print_hours(summary)


def _print_counts(title: str, counts: Mapping[str, int], records: int) -> None:
    rows = [[visible(name), str(count), f"{count / records:.1%}"] for name, count in counts.items()]
    if rows:
        _print_table([title, "decisions", "share"], rows)


def _print_scores(summary: Summary) -> None:
    from guardrail.cli.audit_log import BINS

    rows = [[label, *map(str, counts)] for label, counts in summary.scores.items()]
    if rows:
        _print_table(["scores from", *(f"{index / BINS:.1f}" for index in range(BINS))], rows)


def _print_hours(summary: Summary) -> None:
    shown = list(summary.hours.items())[-_HOURS:]
    rows = [[hour[:16], *(str(counts.get(action, 0)) for action in summary.actions)] for hour, counts in shown]
    _print_table(["hour (UTC)", *summary.actions], rows)
    if len(summary.hours) > _HOURS:
        typer.echo(f"{len(summary.hours) - _HOURS} earlier hours are left out; --json has them")


def _print_table(headings: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    from guardrail.cli.screen import Screen

    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    for row in rows:
        table.add_row(*row)
    console = Screen()
    console.print()
    console.print(table)
