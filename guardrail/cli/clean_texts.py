"""Read a user's own clean texts, one a line, and name faults by file and line, never by what the line says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from guardrail.errors import GuardrailError


def read_clean_texts(path: Path, field: str, max_chars: int) -> list[str]:
    """Return the texts of a ``.txt`` file, one a line, or of JSON lines, in ``field``; blank ones are left out.

    Raises:
        GuardrailError: a line is no JSON object with that field, is too long, or no UTF-8; names the line.
        OSError: the file cannot be read.
    """
    plain = path.suffix.lower() == ".txt"
    texts = []
    for number, line in _lines(path):
        where = f"{path.name}:{number}"
        text = line if plain else _field(line, field, where)
        if len(text) > max_chars:
            raise GuardrailError(
                f"{where} is over max_chars = {max_chars} characters; cut it or raise policy.max_chars"
            )
        if text.strip():
            texts.append(text)
    return texts


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # By bytes: a text may hold other line ends, such as U+2028, that splitlines would cut at.
    for number, data in enumerate(path.read_bytes().split(b"\n"), 1):
        if data.strip():
            try:
                yield number, data.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise GuardrailError(
                    f"{path.name}:{number} is not UTF-8; convert the file first, for instance with iconv -t utf-8"
                ) from None


def _field(line: str, field: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise GuardrailError(f"{where} is no JSON object; give JSON lines, or a .txt file with one text a line")
    text = row.get(field)
    if not isinstance(text, str):
        found = "is missing" if field not in row else f"is a {type(text).__name__}"
        raise GuardrailError(f"{where}: the field {field!r} {found}; name the field that holds the text with --field")
    return text
