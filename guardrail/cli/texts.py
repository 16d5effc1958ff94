"""Read the text to check from an argument, a file or stdin, and make any text safe to print on a terminal."""

from __future__ import annotations

import os
import re
import sys

from guardrail.errors import GuardrailError
from guardrail.text.surrogates import without_surrogates

_BYTES_A_CHARACTER = 4
_FILE_NAME = re.compile(r"(?:\.{0,2}|~)/\S+|\S*\w\.[A-Za-z][A-Za-z0-9]{1,4}")
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)
_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *_BIDI), 0xFFFD),
}


def visible(text: str) -> str:
    """Return ``text`` with control characters as pictures: printing it moves no cursor and turns no line around."""
    return encodable(text.replace("\r\n", "\n").translate(_VISIBLE))


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates as U+FFFD, one for one, so that it can be written as UTF-8."""
    return without_surrogates(text)


def read_text(given: str, *, as_text: bool, as_file: bool, max_chars: int) -> str:
    """Return the text that an argument stands for: ``-`` is stdin, the path of a file its content, the rest itself.

    What only looks like the name of a file is refused: a mistyped path must not pass as clean.

    Raises:
        GuardrailError: no such file, no UTF-8, or more bytes than ``max_chars`` characters can have.
    """
    if as_text and as_file:
        raise GuardrailError("--text and --file exclude each other; give one of them")
    if as_text:
        return given
    if given == "-" and not as_file:
        return _decoded("stdin", sys.stdin.buffer.read(_most(max_chars) + 1), max_chars)
    if as_file or os.path.exists(given):
        return _decoded(f"file {given!r}", _file(given, max_chars), max_chars)
    if _FILE_NAME.fullmatch(given):
        raise GuardrailError(
            f"the argument of {len(given)} characters looks like the name of a file, and there is no such file; "
            "give an existing one, or add --text to check the name itself"
        )
    return given


def _file(path: str, max_chars: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_most(max_chars) + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise GuardrailError(
            f"file {path!r} cannot be read: {reason}; give a readable file, or --text to check the words themselves"
        ) from None


def _decoded(name: str, data: bytes, max_chars: int) -> str:
    if len(data) > _most(max_chars):
        raise GuardrailError(
            f"{name} is over max_chars = {max_chars} characters; raise policy.max_chars or cut the text"
        )
    try:
        if b"\x00" in data:
            raise ValueError
        return data.decode("utf-8-sig")
    except ValueError as error:
        at = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else " (it holds NUL bytes)"
        raise GuardrailError(
            f"{name} is not UTF-8 text{at}; convert it first, for instance with iconv -t utf-8"
        ) from None


def _most(max_chars: int) -> int:
    return max_chars * _BYTES_A_CHARACTER
