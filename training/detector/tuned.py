"""Hold what a fine-tuning gave and write its card: figures before and after, measured, never typed."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path

from guardrail.models.bundle import Bundle
from guardrail.training.bundles import file_sha256
from guardrail.training.detector.tune import Gently, Tuning


@dataclass(frozen=True, slots=True)
class Figures:
    """What a bundle makes of labelled texts, by any label at the default threshold: shares and AUC in [0, 1]."""

    texts: int
    _: KW_ONLY
    recall: float
    false_positives: float
    auc: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """A new bundle, and what the old and the new one make of the held-out tenth and of rows that are not the user's.

    ``refitted`` are the labels with a new calibration; the others keep that of the bundle it started from.
    """

    bundle: Path
    name: str
    tuning: Tuning
    _: KW_ONLY
    rows: int
    refitted: tuple[str, ...]
    held_out: tuple[Figures, Figures]
    elsewhere: tuple[Figures, Figures]
    seconds: float
    energy: str

    def lines(self) -> Iterator[str]:
        """Yield a table of the figures before and after as Markdown."""
        yield "| | texts | recall | false positives | AUC |"
        yield "| --- | --- | --- | --- | --- |"
        for title, both in (("held-out rows of yours", self.held_out), ("rows of this package", self.elsewhere)):
            for when, one in zip(("before", "after"), both, strict=True):
                yield (
                    f"| {title}, {when} | {one.texts} | {one.recall:.1%} | {one.false_positives:.1%} | {one.auc:.3f} |"
                )


def metrics(tuned: Tuned) -> dict[str, object]:
    """Return the figures as JSON holds them; no text and no folder of this machine is among them."""
    return {
        "rows": tuned.rows,
        "losses": tuned.tuning.losses,
        "best_epoch": tuned.tuning.best,
        "refitted": tuned.refitted,
        "held_out": dict(zip(("before", "after"), map(asdict, tuned.held_out), strict=True)),
        "elsewhere": dict(zip(("before", "after"), map(asdict, tuned.elsewhere), strict=True)),
        "seconds": tuned.seconds,
    }


def card(start: Bundle, rows: Path, how: Gently, tuned: Tuned) -> str:
    """Return the card as Markdown; ``rows`` is the file of the user's rows, of which it holds the hash alone."""
    epochs = f"epoch {tuned.tuning.best} of {len(tuned.tuning.losses) - 1} kept"
    refitted = f"refitted on held-out rows for {', '.join(tuned.refitted)}" if tuned.refitted else "as it was"
    return "\n".join(
        (
            f"# {tuned.name}\n",
            f"{start.name} {start.version}, fine-tuned on {tuned.rows} rows of a user's own. Its weights were taken",
            "back out of its int8 file and the embeddings left as they are.\n",
            "## How it was made\n",
            f"- Rows: sha256 {file_sha256(rows)[:16]}; a tenth was held out.",
            f"- Rates {how.learning_rate:g} and {how.head_rate:g} (heads), seed {how.seed}, {epochs}.",
            f"- Calibration: {refitted}. Thresholds: those of {start.name}; `guardrail calibrate` fits your traffic.",
            f"- Hardware: {platform.machine()}; {tuned.seconds:.0f} s in all. Energy in training: {tuned.energy}.\n",
            "## Measured\n",
            "By any label at the default threshold, as it runs.\n",
            *tuned.lines(),
            "",
        )
    )
