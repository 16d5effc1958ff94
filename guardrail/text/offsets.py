"""Carry offsets through edits of a text, so that a place in the result points into the text before."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add

Edit = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Runs:
    """The stretches one round of edits changed; whatever lies between them moved as a block.

    Parallel arrays, one entry per edit in order: where it stood in the old text and where it stands in the new one.
    """

    old_starts: array[int]
    old_ends: array[int]
    new_starts: array[int]
    new_ends: array[int]

    def start(self, position: int) -> int:
        """Return the old offset at which the character at new ``position`` begins."""
        run = bisect_right(self.new_starts, position) - 1
        if run < 0:
            return position
        if position < self.new_ends[run]:
            return self.old_starts[run]
        return self.old_ends[run] + position - self.new_ends[run]

    def end(self, position: int) -> int:
        """Return the old offset at which the character before new ``position`` ends."""
        if position == 0:
            return 0
        run = bisect_right(self.new_starts, position - 1) - 1
        if run < 0:
            return position
        if position <= self.new_ends[run]:
            return self.old_ends[run]
        return self.old_ends[run] + position - self.new_ends[run]


def apply(text: str, edits: Sequence[Edit]) -> tuple[str, Runs]:
    """Replace each ``(start, end, replacement)``; the edits are in order and do not overlap."""
    pieces: list[str] = []
    read = 0
    for start, end, replacement in edits:
        pieces += (text[read:start], replacement)
        read = end
    pieces.append(text[read:])
    starts = array("q", [start for start, _, _ in edits])
    ends = array("q", [end for _, end, _ in edits])
    shifts = list(accumulate((len(replacement) - end + start for start, end, replacement in edits), initial=0))
    return "".join(pieces), Runs(
        starts, ends, array("q", map(add, starts, shifts)), array("q", map(add, ends, shifts[1:]))
    )


def without_overlaps(edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits in order, less each that begins before the one kept last has ended."""
    kept: list[Edit] = []
    for edit in sorted(edits):
        if not kept or edit[0] >= kept[-1][1]:
            kept.append(edit)
    return kept
