"""Draw a report's curves as SVG that needs no other file and reads on light and on dark paper."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guardrail.training.data.noise import FAMILIES
from guardrail.training.evaluate.metrics import Bin
from guardrail.training.evaluate.robustness import CLEAN, LEVELS
from guardrail.training.evaluate.section import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Middle grey and middle tones stand out from white and from black alike.
INK = "#808890"
COLOURS = ("#3b82c4", "#d9822b", "#3f9a5f", "#c0504d", "#8e6bbf", "#a0803c", "#d0679d", "#5aa6a6", "#7f7f7f")
LEAST_ROWS = 10
_STYLE: Any = {"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "guardrail", "font.size": 9}


def reliability_plot(bins: Mapping[str, Sequence[Bin]]) -> str:
    """Return the reliability diagram: how often a label was right at each confidence; the diagonal is perfect."""
    # A handful of rows says nothing of a share.
    known = {label: [one for one in found if one.rows >= LEAST_ROWS] for label, found in bins.items()}
    known = {label: found for label, found in known.items() if found}
    figure, axes = canvas(4.6, 4.2)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle="--")
    for (label, found), colour in zip(known.items(), COLOURS, strict=False):
        sizes = [4 + 60 * (one.rows / sum(b.rows for b in found)) ** 0.5 for one in found]
        line = [one.confidence for one in found], [one.frequency for one in found]
        axes.plot(*line, color=colour, linewidth=1.2, label=label.replace("_", " "))
        axes.scatter(*line, s=sizes, color=colour)
    axes.set(xlabel="probability said", ylabel="share that was so", xlim=(0, 1), ylim=(0, 1))
    return svg(figure, axes)


def noise_plot(section: Section, system: str, key: str = "auc") -> str:
    """Return the noise curve of one system: the figure ``key`` against the share of words that was disturbed."""
    figure, axes = canvas(6.4, 4.2)
    for family, colour in zip(FAMILIES, COLOURS, strict=True):
        rows = [row for row in section.rows if row.startswith(family)]
        values = [section.figure(row, system, key) for row in (CLEAN, *rows)]
        style = ":" if rows and "never" in rows[0] else "-"
        label = f"{family} (held out)" if style == ":" else family
        axes.plot([0, *LEVELS][: len(values)], values, color=colour, linewidth=1.4, linestyle=style, label=label)
    axes.set(xlabel="share of words disturbed", ylabel=key.replace("_", " ").replace("auc", "AUC"), xlim=(0, 1))
    return svg(figure, axes)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty drawing of ``width`` by ``height`` inches and its axes."""
    # A bare Figure: pyplot keeps every figure alive and looks for a screen.
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
    for part in axes.spines.values():
        part.set_color(INK)
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.25, linewidth=0.5)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def svg(figure: Figure, axes: Axes) -> str:
    """Return a drawing as inline SVG, with a legend where something is labelled."""
    from matplotlib import rc_context

    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    buffer = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    # The prologue and the metadata name foreign addresses; inline, only the drawing itself is wanted.
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    return drawn[drawn.index("<svg") :].strip()
