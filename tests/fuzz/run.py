"""Fuzz one target with atheris, which is no requirement of this project: pip install atheris, Linux, Python 3.11.

python -m tests.fuzz.run normaliser -max_total_time=60

What it finds is written to crash-*; mend it and put the smallest such file into tests/fuzz/corpus/TARGET.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def main() -> None:
    """Fuzz the target that the command line names, from the corpus on; further options are those of libFuzzer."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    with atheris.instrument_imports(include=["guardrail", "tomllib"]):
        from tests.fuzz.targets import LONGEST, TARGETS

    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"{name or 'nothing'} is no target; give one of {', '.join(TARGETS)}")
    grown = tempfile.mkdtemp(prefix=f"fuzz-{name}-")
    print(f"new inputs go to {grown}")
    atheris.Setup([name, grown, str(CORPUS / name), f"-max_len={LONGEST}", "-timeout=20", *options], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
