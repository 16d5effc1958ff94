"""The command ``guardrail calibrate``: fit the thresholds to a user's own clean texts and write a policy file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardrail.cli.clean_texts import read_clean_texts
from guardrail.cli.output import print_json
from guardrail.cli.policy_file import write_policy
from guardrail.config import Config, read_config
from guardrail.errors import ConfigError
from guardrail.result import MODEL_LABELS, Action, Detection, Label

if TYPE_CHECKING:
    from guardrail.guard import Pipeline

CHUNK = 32
MOST = 0.5


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found: shares in [0, 1] of the very texts that it was fitted on.

    ``interval`` is the 95 % interval of ``after`` (Wilson); ``disguised`` texts stay flagged at any threshold.
    """

    texts: int
    fpr: float
    before: float
    after: float
    interval: tuple[float, float]
    disguised: int
    thresholds: dict[str, float]
    detector: str
    policy: str


def calibrate(
    context: typer.Context,
    clean: Annotated[Path, typer.Option(metavar="FILE", help="Texts that are fine: JSON lines, or .txt, one a line.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The TOML file to write, for Guard.from_config.")],
    fpr: Annotated[float, typer.Option(help="Share of the clean texts that may be flagged, up to 0.5.")] = 0.01,
    field: Annotated[str, typer.Option(help="Field of a JSON line that holds the text.")] = "text",
    policy: Annotated[str, typer.Option(metavar="FILE", help="TOML file whose other settings are kept.")] = "",
    detector: Annotated[str, typer.Option(help="Name or folder of the detector bundle.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Choose thresholds at which at most a given share of your own clean texts is flagged. No text is printed."""
    from guardrail.thresholds import texts_needed

    if not 0 < fpr <= MOST:
        raise ConfigError(f"--fpr = {fpr:g} must be above 0 and at most {MOST}; 0.01 means one clean text in a hundred")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"--out {out} cannot be written: there is no folder {out.absolute().parent}; create it first")
    config = read_config(policy) if policy else Config()
    if detector:
        config = replace(config, models=replace(config.models, detector=detector))
    texts = read_clean_texts(clean, field, config.policy.max_chars)
    if len(texts) < texts_needed(fpr):
        raise ConfigError(
            f"{clean.name} holds {len(texts)} texts; a rate of {fpr:g} needs at least {texts_needed(fpr)} (3 / fpr);"
            " give more texts or a higher --fpr"
        )
    found = _fitted(context, config, texts, fpr, str(out))
    write_policy(out, policy, found.thresholds, config.models.detector, _remark(found))
    if as_json:
        print_json(found)
    else:
        _print(found)


def _fitted(context: typer.Context, config: Config, texts: Sequence[str], fpr: float, out: str) -> Calibration:
    from guardrail.cli.parts import guard_for
    from guardrail.thresholds import choose, count_flagged, wilson

    labels = [label for label in MODEL_LABELS if config.policy.action_for(label) is not Action.ALLOW]
    if not labels:
        raise ConfigError('the policy allows every label, so no threshold counts; take an action = "allow" out of it')
    # Each text gets its time here, however slow the machine is.
    patient = replace(config, policy=replace(config.policy, timeout_ms=None))
    seen = list(_judged(guard_for(context, patient, detect_only=True), texts))
    scores = [{str(label): found.scores[label] for label in labels} for found in seen]
    limits = choose(scores, [str(label) for label in labels], fpr)
    hits = count_flagged(scores, limits)
    if hits > fpr * len(texts):
        raise ConfigError(
            f"{hits} of {len(texts)} texts have a score of 1, which no threshold is above: a rate of {fpr:g} cannot be"
            " reached; look at these texts, or set the action of their label to allow"
        )
    return Calibration(
        len(texts),
        fpr,
        before=sum(any(finding.label in labels for finding in found.findings) for found in seen) / len(texts),
        after=hits / len(texts),
        interval=wilson(hits, len(texts)),
        disguised=sum(any(finding.label is Label.OBFUSCATION for finding in found.findings) for found in seen),
        thresholds=limits,
        detector=seen[0].model,
        policy=out,
    )


def _judged(guard: Pipeline, texts: Sequence[str]) -> Iterator[Detection]:
    from rich.console import Console
    from rich.progress import track

    starts = range(0, len(texts), CHUNK)
    screen = Console(stderr=True)
    for start in track(starts, "judging", console=screen, transient=True, disable=not screen.is_terminal):
        yield from guard.detect_many(texts[start : start + CHUNK])


def _remark(found: Calibration) -> str:
    return (
        f"Written by guardrail calibrate: at these thresholds of {found.detector}, {found.after:.2%} of"
        f" {found.texts} clean texts are flagged (asked for: {found.fpr:.2%})."
    )


def _print(found: Calibration) -> None:
    low, high = found.interval
    typer.echo(f"{found.texts} clean texts judged by {found.detector}")
    typer.echo(f"flagged before: {found.before:.2%}")
    typer.echo(f"flagged after:  {found.after:.2%}, 95 % interval {low:.2%} to {high:.2%}, on these same texts")
    for label, limit in found.thresholds.items():
        typer.echo(f"  {label:<16} {limit:.4f}")
    if found.disguised:
        typer.echo(f"{found.disguised} texts hide letters (obfuscation); they are flagged at any threshold")
    typer.echo(f'wrote {found.policy}; use it with Guard.from_config("{found.policy}")')
