"""Draw the summary of a decision log: decisions by hour, their latency, and the scores of each label."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardrail.cli.audit_log import BINS, LATENCIES, Summary
from guardrail.errors import GuardrailError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")
# From mild to severe; readable on white, and told apart by people who see no red and green.
_COLOURS = {
    "allow": "#9fb4c7",
    "flag": "#f2c14e",
    "rewrite": "#3b82c4",
    "mask": "#8e6bbf",
    "block": "#c0504d",
    "raise": "#5b1a18",
}
_SHADES = ("#3b82c4", "#d9822b", "#3f9a5f", "#c0504d", "#8e6bbf", "#a0803c", "#5aa6a6")


def check_plot(path: Path) -> None:
    """Refuse early what ``draw`` could not do.

    Raises:
        GuardrailError: the ending is none of ``FORMATS``, or matplotlib is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise GuardrailError(
            f"a plot cannot be written to {path.name!r}; give a name that ends in {' or '.join(FORMATS)}"
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise GuardrailError('plots need matplotlib: pip install "guardrail-sdk[plot]"') from None


def draw(summary: Summary, path: Path) -> None:
    """Write the plot as SVG or PNG, by the ending of ``path``; raises ``OSError`` where it cannot be written."""
    # A bare Figure: pyplot keeps every figure alive and looks for a screen.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 9), layout="constrained", dpi=120)
        hours, latencies, scores = figure.subplots(3, 1)
        _draw_hours(hours, summary)
        _draw_latencies(latencies, summary)
        _draw_scores(scores, summary)
        for axes in (hours, latencies, scores):
            axes.spines[["top", "right"]].set_visible(False)
            axes.grid(axis="y", alpha=0.3, linewidth=0.5)
            axes.set_axisbelow(True)
        kind = path.suffix[1:].lower()
        figure.savefig(path, format=kind, metadata={"Date": None} if kind == "svg" else None)


def _draw_hours(axes: Axes, summary: Summary) -> None:
    times: list[Any] = [datetime.fromisoformat(hour) for hour in summary.hours]
    below = [0] * len(times)
    for action in summary.actions:
        counts = [by_action.get(action, 0) for by_action in summary.hours.values()]
        # A bar is as wide as its hour, in days.
        axes.bar(times, counts, width=1 / 24, align="edge", bottom=below, color=_COLOURS[action], label=action)
        below = [low + count for low, count in zip(below, counts, strict=True)]
    axes.set(title=f"{summary.records:,} decisions, {summary.flagged:,} flagged", ylabel="decisions an hour (UTC)")
    if times:
        # Room for the legend over the highest bar.
        axes.margins(x=0.01, y=0.2)
        axes.legend(frameon=False, ncols=len(summary.actions))
        axes.tick_params(axis="x", rotation=20)


def _draw_latencies(axes: Axes, summary: Summary) -> None:
    names = [*(f"≤ {end:,}" for end in LATENCIES), f"> {LATENCIES[-1]:,}"]
    axes.bar(names, summary.latencies, color=_COLOURS["rewrite"], width=0.9)
    said = ", ".join(f"{name} {value:,.1f} ms" for name, value in summary.latency_ms.items())
    axes.set(title=f"latency: {said}" if said else "latency", xlabel="milliseconds", ylabel="decisions")
    axes.tick_params(axis="x", rotation=30)


def _draw_scores(axes: Axes, summary: Summary) -> None:
    width = 0.8 / max(1, len(summary.scores)) / BINS
    for place, (label, counts) in enumerate(summary.scores.items()):
        at = [(index + 0.1) / BINS + place * width for index in range(BINS)]
        axes.bar(at, counts, width=width, align="edge", color=_SHADES[place], label=label)
    # Nearly all scores lie in the lowest tenth: a plain scale would show nothing else.
    axes.set(title="scores by label", xlabel="score", ylabel="texts", xlim=(0, 1), yscale="symlog")
    if summary.scores:
        axes.legend(frameon=False, ncols=4)
