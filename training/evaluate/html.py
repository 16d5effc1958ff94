"""Write a report as one HTML file that loads nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guardrail.training.evaluate import plots
from guardrail.training.evaluate.layout import layout, shown, shown_bound
from guardrail.training.evaluate.report import Report
from guardrail.training.evaluate.targets import Verdict

TEMPLATES = Path(__file__).parent
TEMPLATE = "report.html.j2"


def render(report: Report) -> str:
    """Return the report as HTML; the texts of ``report.examples`` are its only texts, and every one is escaped."""
    noise = report.section("robustness.noise")
    drawings = {}
    if report.reliability:
        drawings["Reliability: what a probability is worth"] = plots.reliability_plot(report.reliability)
    if noise is not None:
        drawings["Noise: AUC under disturbed spelling"] = plots.noise_plot(noise, report.system)
        drawings["Noise: biased texts still flagged"] = plots.noise_plot(noise, report.system, "recall")
    return filled(TEMPLATE, report, drawings, examples=report.examples)


def filled(template: str, report: Report, drawings: Mapping[str, str], **more: object) -> str:
    """Return a template of this folder filled with a report and ``more``; all but ``drawings``, SVG, is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FileSystemLoader(TEMPLATES),
    )
    return environment.get_template(template).render(
        about=report.about,
        system=report.system,
        targets=[(target, shown_bound(target), shown(target.found, target.what)) for target in report.targets],
        passed=sum(target.verdict is Verdict.PASS for target in report.targets),
        measured=sum(target.verdict is not Verdict.UNMEASURED for target in report.targets),
        tables=[(section, *layout(section)) for section in report.sections],
        drawings={title: Markup(drawing) for title, drawing in drawings.items()},
        **more,
    )
