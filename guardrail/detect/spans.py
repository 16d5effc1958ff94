"""Turn one label's per-token scores into stretches of whole words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

SURE = 0.5
NEAR_BEST = 0.6
FAINT = 0.002
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:['’-][\p{L}\p{M}\p{N}]+)*")
_MAX_GAP = 1


def stretches(
    text: str, offsets: Sequence[tuple[int, int]], scores: Sequence[float]
) -> Iterator[tuple[int, int, float]]:
    """Yield (start, end, mean score) of what carries a label, in characters of ``text``, in order.

    A token counts from 0.5, or from 0.6 of the best token where none is that sure: a label that was found lies
    somewhere. Nothing counts below 0.002. Tokens grow to whole words; neighbouring words join.
    """
    best = max((score for (a, b), score in zip(offsets, scores, strict=True) if b > a), default=0.0)
    limit = max(FAINT, min(SURE, NEAR_BEST * best))
    words = [match.span() for match in _WORD.finditer(text)]
    found: list[tuple[int, int, list[float]]] = []
    at = 0
    for (start, end), score in zip(offsets, scores, strict=True):
        if end <= start or score < limit:
            continue
        while at < len(words) and words[at][1] <= start:
            at += 1
        if at < len(words) and words[at][0] < end:
            start, end = min(start, words[at][0]), max(end, words[at][1])
        if found and start <= found[-1][1] + _MAX_GAP:
            found[-1] = (found[-1][0], max(found[-1][1], end), [*found[-1][2], score])
        else:
            found.append((start, end, [score]))
    for start, end, parts in found:
        yield start, end, sum(parts) / len(parts)
