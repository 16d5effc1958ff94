"""Judge a file of rows: ``guardrail check --input`` reads JSON lines, CSV or Parquet and goes on where it was stopped.

pip install "guardrail-sdk[batch]"
python examples/batch_file.py            # in this process
python examples/batch_file.py ray        # on Ray: pip install "guardrail-sdk[ray]"
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TEXTS = [
    "The meeting is at nine.",
    "Women are too emotional to lead a team.",
    None,
    "Only an idiot would ask that.",
    "Amina, who is Muslim, chairs the chess club.",
]


def main() -> None:
    """Write rows, have them flagged and print what came out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ({"id": f"reply-{number}", "text": text} for number, text in enumerate(TEXTS, 1))
        (folder / "replies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        # Nothing is rewritten: a data set is to be sorted.
        (folder / "guardrail.toml").write_text('[policy]\naction = "flag"\n', encoding="utf-8")
        engine = sys.argv[1] if len(sys.argv) > 1 else "local"
        command = "check --input replies.jsonl --output flagged.csv --keep id --policy guardrail.toml --engine"
        subprocess.run([sys.executable, "-m", "guardrail.cli", *command.split(), engine], cwd=folder, check=False)
        with (folder / "flagged.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                print(f"{row['id']}  {row['action']:5}  {', '.join(json.loads(row['labels'])):10}  {row['text']}")


if __name__ == "__main__":
    main()
