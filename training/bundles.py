"""Write a model bundle's ``bundle.toml``: what the model is and the sha256 and size of each of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

Scalar = str | int | float | bool | tuple[str, ...] | tuple[float, ...]
Facts = Mapping[str, Scalar | Mapping[str, Scalar]]


def file_sha256(path: Path) -> str:
    """Return the file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bundle(folder: Path, facts: Facts) -> None:
    """Write ``bundle.toml`` with ``facts``, plain values first, and every other file that lies in ``folder``."""
    lines = [f"{key} = {_value(value)}" for key, value in facts.items() if not isinstance(value, Mapping)]
    tables = {key: value for key, value in facts.items() if isinstance(value, Mapping)}
    for file in sorted(folder.iterdir()):
        if file.name != "bundle.toml":
            tables[f'files."{file.name}"'] = {"sha256": file_sha256(file), "size": file.stat().st_size}
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    (folder / "bundle.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _value(value: Scalar) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(part) for part in value) + "]"
    # JSON and TOML write strings, numbers and booleans alike.
    return json.dumps(value)
