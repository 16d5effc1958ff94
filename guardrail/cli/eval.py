"""The commands ``guardrail eval``: measure a detector on labelled texts, and what sources teach about each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.door import tell
from guardrail.config import DETECTOR
from guardrail.errors import ConfigError

if TYPE_CHECKING:
    from guardrail.policy import Policy
    from guardrail.training.evaluate.report import Report
    from guardrail.training.evaluate.section import Section

app = typer.Typer(help="Measure models on labelled texts; needs guardrail-sdk[train].", no_args_is_help=True)
_EXTRA = 'pip install "guardrail-sdk[train]"'
_PRINTED = ("clean", "fairness.swaps", "fairness.mentions")
_FIGURES = ("rows", "biased", "replies", "pairs", "texts", "auc", "macro_f1", "false_positives", "mean_shift")
_WIDE = 160
_COLOURS = {"PASS": "green", "short": "yellow"}


@app.command()
def detector(
    bundle: Annotated[str, typer.Option(help="Name or folder of the detector bundle.")] = DETECTOR,
    data: Annotated[
        list[Path] | None, typer.Option(help="JSONL with text and label or labels; may be given several times.")
    ] = None,
    pool: Annotated[Path | None, typer.Option(help="Folder of the public pool; adds its dev fold and tf-idf.")] = None,
    recipe: Annotated[str, typer.Option(help="Recipe that names the baseline's training rows.")] = "detector",
    compare: Annotated[
        list[str] | None, typer.Option(metavar="NAME=DIR", help="Another bundle beside it, the largest first.")
    ] = None,
    threshold: Annotated[str, typer.Option(help="Number in (0, 1], or a false-positive target.")] = "fpr<=0.01",
    out: Annotated[Path | None, typer.Option(help="Write the report as one HTML file.")] = None,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures as JSON.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Show this many of the worst texts in the HTML.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the texts, for a first look.")] = False,
) -> None:
    """Measure a detector bundle: accuracy, spans, calibration, fairness, noise, long texts and latency."""
    try:
        from guardrail.training.detector.recipe import Recipe, find_recipe
        from guardrail.training.evaluate.detector import QUICK, Plan, evaluate
    except ImportError as error:
        raise ConfigError(f"guardrail eval needs {error.name}; {_EXTRA}") from error
    for path in (out, as_json):
        _check_folder(path)
    plan = Plan(
        data=tuple(data or ()),
        recipe=Recipe.read(find_recipe(recipe)) if pool else None,
        compare=_named(compare or []),
        policy=_policy(threshold),
        examples=examples,
        size=QUICK if quick else None,
    )
    _check_files(pool, plan.data)
    report = evaluate(_place(bundle), pool, plan, tell)
    _write(report, out, as_json)
    _print(report)


@app.command()
def loso(
    pool: Annotated[Path, typer.Option("--data", help="Folder of the public pool.")],
    recipe: Annotated[str, typer.Option(help="Recipe that names the rows.")] = "detector",
    base: Annotated[str, typer.Option(help="Small encoder, folder or hub id: trains it too, source by source.")] = "",
    rows: Annotated[int, typer.Option(min=100, help="Training rows that are drawn.")] = 40_000,
    out: Annotated[Path | None, typer.Option(help="Write the table as JSON.")] = None,
) -> None:
    """Leave one source out of training at a time: AUC on its dev fold with it and without it."""
    try:
        from guardrail.training.detector.recipe import Recipe, find_recipe
        from guardrail.training.evaluate.loso import run
    except ImportError as error:
        raise ConfigError(f"guardrail eval needs {error.name}; {_EXTRA}") from error
    _check_folder(out)
    _check_pool(pool)
    sections = run(Recipe.read(find_recipe(recipe)), pool, base, rows, tell)
    if out:
        from guardrail.training.evaluate.report import sections_json

        out.write_text(sections_json(sections) + "\n", encoding="utf-8")
    for section in sections:
        _print_table(section)


def _check_files(pool: Path | None, data: Sequence[Path]) -> None:
    if pool:
        _check_pool(pool)
    if missing := [path for path in data if not path.is_file()]:
        raise ConfigError(f"--data {missing[0]} is no file; give a JSONL file of labelled texts")


def _check_pool(pool: Path) -> None:
    if not any(pool.glob("*.jsonl.gz")):
        raise ConfigError(f"{pool} holds no *.jsonl.gz; give the folder of the public pool")


def _check_folder(path: Path | None) -> None:
    # Before the minutes of measuring, not after them.
    if path is not None and not path.absolute().parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.absolute().parent}; create it first")


def _named(given: list[str]) -> dict[str, str | Path]:
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, _, place in pairs if not name or not place]:
        raise ConfigError(f"--compare {wrong[0]!r} must be NAME=DIR, such as teacher=run/teacher_bundle")
    names = [name for name, _, _ in pairs]
    if len(set(names)) < len(names):
        raise ConfigError("--compare names a column twice; give each bundle a name of its own")
    return {name: _place(place) for name, _, place in pairs}


def _place(bundle: str) -> str | Path:
    # What has a separator is a folder; a bare name may be a bundled model, which a folder here must not replace.
    return Path(bundle) if "/" in bundle or "\\" in bundle else bundle


def _policy(threshold: str) -> Policy:
    from guardrail.policy import Policy

    try:
        return Policy(threshold=float(threshold))
    except ValueError:
        return Policy(threshold=threshold)


def _write(report: Report, out: Path | None, as_json: Path | None) -> None:
    if as_json:
        from guardrail.training.evaluate.report import to_json

        as_json.write_text(to_json(report) + "\n", encoding="utf-8")
    if out:
        from guardrail.training.evaluate.html import render

        out.write_text(render(report), encoding="utf-8")
        tell(f"wrote {out}")


def _print(report: Report) -> None:
    from rich.table import Table

    from guardrail.cli.screen import Screen
    from guardrail.training.evaluate.layout import chosen, shown, shown_bound

    for section in report.sections:
        if section.name in _PRINTED or section.name.endswith(".overview"):
            _print_table(chosen(section, _FIGURES))
    table = Table("target", "bound", "found", "verdict", box=None, pad_edge=False)
    for target in report.targets:
        found, verdict = shown(target.found, target.what), target.verdict.value
        table.add_row(target.what, shown_bound(target), found, verdict, style=_COLOURS.get(verdict, ""))
    Screen().print(table)


def _print_table(section: Section) -> None:
    from rich.table import Table

    from guardrail.cli.screen import Screen
    from guardrail.training.evaluate.layout import layout

    headings, rows = layout(section)
    table = Table(section.title, box=None, pad_edge=False)
    for heading, system in headings:
        table.add_column(f"{heading} {system}".strip(), justify="right")
    for name, cells in rows:
        table.add_row(name, *cells)
    screen = Screen()
    # A pipe has no width; a terminal wraps what is too wide for it rather than cutting the figures.
    screen.width = max(screen.width, _WIDE)
    screen.print(table)
    screen.print()
