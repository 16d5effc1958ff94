"""Show that the authored rows are varied, that little but bias gives them away, and that two annotators agree on them.

python -m guardrail.training.data.quality --pool POOL --readme training/data/authored/README.md

Prints the tables; ``--readme`` puts them into that page's section "How varied, how agreed" instead. ``--pool`` adds
public sets to compare with.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from guardrail.training.data.authored import FOLDER
from guardrail.training.data.figures import SAMPLE, SEED, Quality, as_json, measure
from guardrail.training.data.lint import raw_rows
from guardrail.training.data.tables import replaced, section


def alike_texts(folder: Path, quality: Quality) -> str:
    """Return the texts of the nearest pairs, to read; they are training data, half of them vile."""
    paths = sorted(folder.glob("*.jsonl"))
    texts = {f"{path.stem}:{number}": raw["text"] for path in paths for number, raw in raw_rows(path)}
    pairs = [pair for found in quality.worst.values() for pair in found]
    return "\n".join(f"\n{where}\n{texts[where]}" for pair in pairs for where in (pair.one, pair.other)) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, and write or print."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.sample < 1:
        parser.error(f"--sample is {args.sample}; draw at least one row")
    try:
        # Read first: measuring takes minutes.
        page = _page(args.readme) if args.readme else ""
        quality = measure(args.folder, sample=args.sample, seed=args.seed, pool=args.pool)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{error}\n")
    if args.readme:
        args.readme.write_text(replaced(page, section(quality)), encoding="utf-8")
    else:
        print(section(quality), end="")
    if args.json:
        args.json.write_text(as_json(quality), encoding="utf-8")
    if args.texts:
        print(alike_texts(args.folder, quality), end="")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="folder of authored rows (default: our own)")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="rows to draw for the agreement (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the draws (%(default)s)")
    parser.add_argument("--pool", type=Path, help="folder of public sets to compare the variety with")
    parser.add_argument("--readme", type=Path, help="put the tables into this page instead of printing them")
    parser.add_argument("--json", type=Path, help="write all figures as JSON")
    parser.add_argument("--texts", action="store_true", help="print the texts of the nearest pairs, too")
    return parser


def _page(path: Path) -> str:
    page = path.read_text(encoding="utf-8")
    replaced(page, "")
    return page


if __name__ == "__main__":
    main()
