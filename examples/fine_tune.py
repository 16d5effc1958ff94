"""Fine-tune the shipped detector on rows of your own, on a CPU, and use the bundle that comes out.

python examples/fine_tune.py my.jsonl my-detector

A row of the file: {"text": "Only a snorfblat would ask.", "labels": ["toxicity"]}, with [] where the text is fine.
"""

import sys
from pathlib import Path

from guardrail import Guard
from guardrail.training.detector.fine_tune import fine_tune


def main() -> None:
    """Train, print figures before and after, and open the new detector."""
    rows, out = Path(sys.argv[1]), Path(sys.argv[2])
    tuned = fine_tune("detector-fast", rows, out)
    print("\n".join(tuned.lines()))
    found = Guard(detector=out).detect("The meeting is at nine.")
    print(f"{found.model}: flagged {found.flagged}")


if __name__ == "__main__":
    main()
