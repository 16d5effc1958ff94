"""Make the small authored rows that tests of the data room share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def raw(**changes: object) -> dict[str, Any]:
    """Return a sound biased row, changed as told; a change to ``...`` takes the field away."""
    row: dict[str, Any] = {
        "text": "As a nurse, she will stay late.",
        "label": 1,
        "labels": ["stereotype", "gendered_term"],
        "groups": ["gender"],
        "spans": ["she"],
        "target": "As a nurse, they will stay late.",
        "why": "presumes the nurse's gender",
        "brief": "tiny",
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def clean(text: str = "The nurse stayed late.", **changes: object) -> dict[str, Any]:
    """Return a sound blameless row, changed as told."""
    blameless = {"text": text, "target": text, "label": 0, "labels": [], "groups": [], "spans": []}
    return raw(**(blameless | changes))


def write(folder: Path, name: str, *rows: object) -> None:
    """Write rows as JSON Lines."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
