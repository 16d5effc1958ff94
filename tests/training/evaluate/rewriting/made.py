"""Make a small measured set whose figures can be counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from guardrail.training.detector.recipe import Recipe, find_recipe
from guardrail.training.evaluate.rewriting.columns import Measured, measure
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.judges import Verdicts
from guardrail.training.evaluate.rewriting.writers import Output

WHOLE, COPY = "pipeline, r@1", "copy"
CHAIR, MAN, SLY, CLEAN = (
    "The chairman of the club spoke first.",
    "The idiot wrote 12 long reports on roads.",
    "A quiet insinuation about the neighbours of ours.",
    "The meeting is at nine.",
)
VILE = "<script>alert('Zyxwvut')</script> is a chairman."
AT = (VILE.index("chairman"), len(VILE) - 1)
ITEMS = [
    Item(
        CHAIR,
        clean=False,
        reference="The chair of the club spoke first.",
        labels=("gendered_term",),
        groups=("gender",),
        spans=((4, 12),),
        origin="b",
        own=True,
    ),
    Item(MAN, clean=False, labels=("toxicity",), spans=((4, 9),), origin="b", register="news", own=True),
    Item(SLY, clean=False, labels=("stereotype",), origin="c", own=True),
    Item(CLEAN, clean=True, origin="b", own=True),
    Item(
        VILE, clean=False, labels=("gendered_term",), spans=((VILE.index("chairman"), len(VILE) - 1),), origin="theirs"
    ),
]
OUTPUTS = {
    WHOLE: [
        Output("The chair of the club spoke first."),
        Output("[removed]", masked=True, failed=("unflagged",)),
        Output(SLY, touched=False),
        Output(CLEAN, touched=False),
        Output(VILE.replace("chairman", "chair")),
    ],
    COPY: [Output(item.text) for item in ITEMS],
}
STRICT = Verdicts(
    np.array([True, True, True, False, True]),
    {WHOLE: np.array([False, False, True, False, True]), COPY: np.array([True, True, True, False, True])},
)
MILD = Verdicts(
    np.array([True, True, False, False, False]),
    {WHOLE: np.array([False, False, False, False, False]), COPY: np.array([True, True, False, False, False])},
)


def recipe_of(pool: Path) -> Recipe:
    """Return the shipped recipe with those files only that a tiny pool has."""
    raw = Recipe.read(find_recipe("detector")).raw
    caps = {name: cap for name, cap in raw["data"]["caps"].items() if (pool / f"{name}.jsonl.gz").is_file()}
    return Recipe({**raw, "data": {**raw["data"], "caps": caps}})


def measured() -> Measured:
    return measure(ITEMS, OUTPUTS, {"strict": STRICT, "mild": MILD})
