"""Replace lone surrogates, which no tokenizer and no encoder takes."""

from __future__ import annotations

import re

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """Return ``text`` with U+FFFD for every lone surrogate; the length stays the same."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
