"""Cut texts into chunks and drive streams with them, for the tests of every door that streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

from hypothesis import strategies as st

from guardrail.doors import Streaming
from guardrail.result import Result

PARTS = [
    *(
        "The calm day passed",
        "Women talk",
        "Dr. Smith met men",
        "It's 3.5 km",
        "**He** left",
        "`x = 1`",
        "we saw <b>it</b>",
    ),
    *(
        'she said "yes, fine"',
        "(nobody asked)",
        "\u201cwell\u201d he said",
        "naïve Zoë",
        "你好",
        "👍🏽",
        "- an item",
        "1. one",
        "# A title",
    ),
    *(
        "the idiot spoke",
        "a chairman",
        "this stereotype",
        "a draconian rule",
        "i\u200bdiot",
        "ｉｄｉｏｔ",
        "id<b>io</b>t",
    ),
]
ENDS = [
    ". ",
    "! ",
    "? ",
    "... ",
    ", ",
    ": ",
    " - ",
    '." ',
    ".) ",
    "\n",
    "\n\n",
    "\r\n",
    ".\n- ",
    " and then\nit ",
    "\u2026 ",
    "。 ",
]

texts = st.lists(st.tuples(st.sampled_from(PARTS), st.sampled_from(ENDS)), max_size=14).map(
    lambda parts: "".join(part + end for part, end in parts)
)
any_texts = st.one_of(texts, st.text(st.characters(codec=None), max_size=120))


def chunked(text: str, sizes: Iterable[int]) -> Iterator[str]:
    """Cut ``text`` into chunks of these sizes; what they leave is the last chunk."""
    at = 0
    for size in sizes:
        yield text[at : at + size]
        at += size
    yield text[at:]


def fed(guard: Streaming, chunks: Iterable[str], *, max_hold: int = 1000) -> tuple[str, Result]:
    """Feed an engine and return everything that it released, with its result."""
    engine = guard.open_stream(max_hold=max_hold)
    released = "".join([engine.feed(chunk) for chunk in chunks] + [engine.finish()])
    assert engine.result is not None
    return released, engine.result


async def later(chunks: Iterable[str]) -> AsyncIterator[str]:
    """Give the chunks as an asynchronous source."""
    for chunk in chunks:
        yield chunk
