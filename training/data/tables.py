"""Write the figures of the authored rows as a section of Markdown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence

from guardrail.result import GROUPS
from guardrail.training.data.agreement import VERDICT, Agreement
from guardrail.training.data.figures import YARDSTICK_ROWS, Brief, Quality
from guardrail.training.data.schema import LABELS

HEADING = "## How varied, how agreed"
WIDTH = 120
_MADE = (
    "Made by `python -m guardrail.training.data.quality --pool POOL --readme training/data/authored/README.md`; "
    "nothing in this section is typed by hand."
)


def section(quality: Quality) -> str:
    """Return the section, heading first, one newline last."""
    parts = (_counts, _groups, _variety, _giveaway, _worst, _agreement)
    return "\n".join([HEADING, "", *_prose(_MADE), *(line for part in parts for line in ["", *part(quality)])]) + "\n"


def replaced(page: str, new: str) -> str:
    """Return a page with its section of that heading replaced; raises ``ValueError`` where it has none."""
    start = page.find(f"{HEADING}\n")
    if start < 0:
        raise ValueError(f"the page has no line {HEADING!r}; add it where the tables shall stand")
    end = page.find("\n## ", start)
    return page[:start] + new + (page[end:] if end >= 0 else "")


def _prose(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"
    return str(value)


def _counts(quality: Quality) -> Iterator[str]:
    yield "### Rows"
    yield ""
    yield "*Dropped* rows are those in `disputed/`; words are the mean length of a biased and of a blameless text."
    yield ""
    head = ("file", "rows", "positives", "dropped", *LABELS, "words, biased", "words, blameless")
    files = [_count(f"{brief.name}.jsonl", brief) for brief in quality.briefs]
    yield from _table(head, [*files, _count("all", quality.whole)])


def _count(name: str, brief: Brief) -> list[object]:
    words = [f"{value:.1f}" if not math.isnan(value) else "–" for value in (brief.words_biased, brief.words_clean)]
    return [name, brief.rows, brief.positives, brief.dropped, *brief.labels.values(), *words]


def _groups(quality: Quality) -> Iterator[str]:
    yield "Rows that target a group / rows that merely name it:"
    yield ""
    yield from _table(("brief", *GROUPS), [_group(brief) for brief in (*quality.briefs, quality.whole)])


def _group(brief: Brief) -> list[object]:
    return [brief.name, *(f"{brief.groups[name]} / {brief.mentions[name]}" for name in GROUPS)]


def _variety(quality: Quality) -> Iterator[str]:
    yield "### Variety"
    yield ""
    yield from _prose(
        "Distinct word triples among all; similarity of each text to its nearest neighbour in the brief and outside it "
        "(mean of a word and a character tf-idf cosine): mean and 95th percentile over texts. For `heldout`, outside "
        "is the training rows."
    )
    yield ""
    head = ("brief", "distinct triples", "nearest inside", "95 %", "nearest outside", "95 %")
    yield from _table(head, [_near(brief) for brief in (*quality.briefs, quality.whole)])
    if quality.yardsticks:
        yield ""
        yield f"{YARDSTICK_ROWS} texts drawn from each, because both figures depend on how many there are:"
        yield ""
        rows = [(name, triples, near.mean, near.p95) for name, (triples, near) in quality.yardsticks.items()]
        yield from _table(("set", "distinct triples", "nearest", "95 %"), rows)


def _near(brief: Brief) -> list[object]:
    inside, outside = brief.inside, brief.outside
    return [brief.name, brief.trigrams, inside.mean, inside.p95, outside.mean, outside.p95]


def _giveaway(quality: Quality) -> Iterator[str]:
    yield "### What gives the label away"
    yield ""
    yield from _prose(
        "AUC of tf-idf and logistic regression in cross-validation within the brief, and trained on all other training "
        "briefs (*left out*): a brief with a give-away of its own would be much easier within than from outside. "
        "*Style* is a forest that sees only function words, punctuation, length and casing, in cross-validation over "
        "all rows, and trained on all other training briefs; .5 would mean that style tells nothing. Near neighbours "
        "always share a fold."
    )
    yield ""
    head = ("brief", "words, within", "words, left out", "style", "style, left out")
    yield from _table(head, [_aucs(brief) for brief in (*quality.briefs, quality.whole)])
    yield ""
    told = ", ".join(f"{name} {_cell(value)}" for name, value in quality.tells)
    yield from _prose(f"What tells most in style, each alone (AUC; above .5 more of it goes with bias): {told}.")


def _aucs(brief: Brief) -> list[object]:
    return [brief.name, brief.words_within, brief.words_left_out, brief.style_within, brief.style_left_out]


def _worst(quality: Quality) -> Iterator[str]:
    yield "### Nearest pairs"
    yield ""
    yield "By brief and line; labels 1 / 0 are a biased row beside its own blameless neighbour."
    yield ""
    rows = [
        (kind, f"{pair.one}, {pair.other}", " / ".join(map(str, pair.labels)), pair.similarity)
        for kind, pairs in quality.worst.items()
        for pair in pairs
    ]
    yield from _table(("pair", "rows", "labels", "similarity"), rows)


def _agreement(quality: Quality) -> Iterator[str]:
    yield "### Agreement"
    yield ""
    if not quality.agreed:
        yield "No row has a second opinion yet."
        return
    if not quality.whole.dropped:
        yield from _prose(
            f"There are no dropped rows here (they are not shipped), so {VERDICT!r} is agreed on by construction."
        )
        yield ""
    for what, found in (
        ("A sample drawn by seed", quality.sampled),
        ("All rows that have both opinions", quality.agreed),
    ):
        yield f"{what}, kept and dropped ones ({found[0].rows} rows), with the 95 % interval of a bootstrap over rows:"
        yield ""
        yield from _table(
            ("label", "either says so", "agreed", "Cohen's kappa", "95 % interval"), [_agreed(one) for one in found]
        )
        yield ""
    masked = ", ".join(f"{name} {count}" for name, count in quality.masked.items())
    yield from _prose(f"Labels masked in kept rows because the two differ: {masked}.")


def _agreed(one: Agreement) -> list[object]:
    between = "–" if math.isnan(one.low) else f"{_cell(one.low)} to {_cell(one.high)}"
    return [one.name, one.either, one.agreed, one.kappa, between]
