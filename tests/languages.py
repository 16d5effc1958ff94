"""Measure how often clean English is called foreign, and how often foreign sentences are recognised.

Run ``python -m tests.languages --clean FILE`` from the root of the repository, FILE being (gzipped) JSON lines with
``text``; without it only the sentences of ``tests/text/languages`` are tried.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from guardrail.text.languages import understood

HERE = Path(__file__).parent / "text" / "languages"
DETECTOR = ("en",)
MIN_WORDS = 8


def sentences() -> dict[str, list[str]]:
    """Return sentences of at least ``MIN_WORDS`` words by language."""
    lines = {path.stem: path.read_text("utf-8").splitlines() for path in sorted(HERE.glob("*.txt"))}
    return {code: [line for line in own if len(line.split()) >= MIN_WORDS] for code, own in lines.items()}


def plain(text: str) -> str:
    """Return ``text`` without accents, as many people type it."""
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def recognised(texts: Sequence[str]) -> float:
    """Return the share of texts that are not understood."""
    return sum(not understood(text, DETECTOR) for text in texts) / len(texts)


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a file of JSON lines."""
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as lines:
        yield from (str(json.loads(line)["text"]) for line in lines)


def main() -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, action="append", default=[])
    parser.add_argument("--show", action="store_true", help="print the beginnings of what was called foreign")
    wanted = parser.parse_args()
    for code, own in sentences().items():
        share = recognised([*own, *map(plain, own)])
        print(f"{code}: {len(own)} sentences, {recognised(own):.1%} recognised, {share:.1%} with and without accents")
    for path in wanted.clean:
        texts = list(texts_of(path))
        foreign = [text for text in texts if not understood(text, DETECTOR)]
        print(f"{path.name}: {len(foreign)} of {len(texts)} called foreign ({len(foreign) / len(texts):.3%})")
        if wanted.show:
            print(*(repr(text[:200]) for text in foreign), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
