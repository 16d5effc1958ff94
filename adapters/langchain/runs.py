"""Follow one text through the blocks that share it: which block a released piece belongs to, where citations go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

from guardrail.adapters.langchain.blocks import HELD, Block, name_of, read, root_of
from guardrail.result import Action, Result, Rewrite


@dataclass(slots=True)
class Slot:
    """One block of a run: where its text starts and ends in the run's own, and how much was released into it."""

    template: Block
    start: int
    end: int
    written: int = 0
    held: dict[str, Any] = field(default_factory=dict)

    def take(self, block: Block) -> Block:
        """Count a block's text as this slot's, keep what is said about it, and return the rest of the block."""
        self.end += len(read(block))
        for name in HELD:
            value = block.get(name)
            if isinstance(value, (list, str)):
                self.held[name] = self.held[name] + value if name in self.held else value
            elif value is not None:
                self.held[name] = {**self.held.get(name, {}), **value} if isinstance(value, dict) else value
        return {key: value for key, value in block.items() if key not in HELD}


class Run:
    """Blocks of one kind that follow each other: one text to the reader and to the guard."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.slots: list[Slot] = []
        self._pending = ""
        self._decided = 0

    @property
    def length(self) -> int:
        """The number of characters taken so far."""
        return self.slots[-1].end if self.slots else 0

    def slot_for(self, block: Block, *, fresh: bool) -> Slot:
        """Return the slot that a block continues, or a new one; ``fresh`` blocks never continue another."""
        template = {key: block[key] for key in ("type", "index", "key", root_of(block)) if key in block}
        if not fresh and self.slots and name_of(self.slots[-1].template) == name_of(template):
            return self.slots[-1]
        self.slots.append(Slot(template, self.length, self.length))
        return self.slots[-1]

    def add(self, block: Block, *, fresh: bool = False) -> tuple[Slot, Block]:
        """Take a block; return its slot and the block without what is held back of it."""
        slot = self.slot_for(block, fresh=fresh)
        self._pending += read(block)
        return slot, slot.take(block)

    def place(self, released: str, decided: int, rewrites: Sequence[Rewrite] = ()) -> list[tuple[Slot, str]]:
        """Say which slots a released text belongs to, ``decided`` characters of the run having been accounted for.

        What is as it was stays in its own block; what stands for something else goes where that began.
        """
        count = max(0, decided - self._decided)
        piece, self._pending = self._pending[:count], self._pending[count:]
        start, end = self._decided, self._decided + len(piece)
        self._decided = end
        placed = self._mapped(start, piece, [r for r in rewrites if start <= r.start and r.end <= end])
        if "".join(text for _, text in placed) != released:
            placed = self._guessed(start, piece, released)
        for slot, text in placed:
            slot.written += len(text)
        return placed

    def about(self, result: Result | None) -> Iterator[tuple[Slot, Block]]:
        """Yield for each slot what was said about its text and still holds of the text that was released."""
        withheld = result is None or result.action in (Action.BLOCK, Action.RAISE)
        written = 0
        for slot in self.slots:
            kept = {} if withheld or result is None else _kept(slot, result.rewrites, written)
            written += slot.written
            yield slot, kept

    def _mapped(self, start: int, piece: str, rewrites: Sequence[Rewrite]) -> list[tuple[Slot, str]]:
        placed, at = [], start
        for change in rewrites:
            placed += [*self._split(at, piece[at - start : change.start - start]), *self._new(change)]
            at = change.end
        return placed + self._split(at, piece[at - start :])

    def _guessed(self, start: int, piece: str, released: str) -> list[tuple[Slot, str]]:
        """Place text that is no rewrite, such as the message of a policy that blocked: between what is as it was."""
        head = len(commonprefix((piece, released)))
        tail = len(commonprefix((piece[head:][::-1], released[head:][::-1])))
        middle = released[head : len(released) - tail]
        end = start + len(piece)
        placed = self._split(start, piece[:head]) + ([(self._at(start + head), middle)] if middle else [])
        return placed + self._split(end - tail, piece[len(piece) - tail :])

    def _new(self, change: Rewrite) -> list[tuple[Slot, str]]:
        return [(self._at(change.start), change.replacement)] if change.replacement else []

    def _split(self, start: int, text: str) -> list[tuple[Slot, str]]:
        end = start + len(text)
        spans = [(slot, max(slot.start, start), min(slot.end, end)) for slot in self.slots if slot.end > start]
        return [(slot, text[a - start : b - start]) for slot, a, b in spans if b > a]

    def _at(self, offset: int) -> Slot:
        return next((slot for slot in self.slots if offset < slot.end), self.slots[-1])


def _kept(slot: Slot, rewrites: Sequence[Rewrite], written: int) -> Block:
    whole = not any(r.start < slot.end and slot.start < r.end for r in rewrites)
    kept: Block = {}
    for name, value in slot.held.items():
        if name in ("annotations", "citations") and isinstance(value, list):
            moved = [_moved(item, slot, rewrites, written, whole=whole) for item in value]
            value = [item for item in moved if item is not None]
            if value or not slot.held[name]:
                kept[name] = value
        elif whole:
            kept[name] = value
    return kept


def _moved(item: Any, slot: Slot, rewrites: Sequence[Rewrite], written: int, *, whole: bool) -> Any:
    """Return a citation with its offsets moved to where its text is now, or None where that text is gone."""
    first, last = (item.get("start_index"), item.get("end_index")) if isinstance(item, dict) else (None, None)
    if not isinstance(first, int) or not isinstance(last, int):
        return item if whole else None
    start, end = slot.start + first, slot.start + last
    if any(r.start < end and start < r.end for r in rewrites):
        return None
    grown = sum(len(r.replacement) - (r.end - r.start) for r in rewrites if r.end <= start)
    first, last = start + grown - written, end + grown - written
    if not 0 <= first <= last <= slot.written:
        return None
    return {**item, "start_index": first, "end_index": last}
