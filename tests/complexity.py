"""Show that the time of a check grows with the length of the text and not faster, whatever the text is made of.

Run ``python -m tests.complexity`` from the root of the repository. For each hostile generator it checks texts of n and
2n characters on fakes, through ``check`` and through a stream, prints time(2n)/time(n) in CPU time, the least of some
runs, and exits with 1 where one is over 2.5. Tests count calls instead: a clock would make them fail on a busy machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType

from guardrail.doors import Streaming
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.text import languages
from tests.fakes import WordDetector
from tests.guards import guard

MOST = 2.5
CHUNK = 64

HOSTILE: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {
        "one word": lambda n: "w" * n,
        "marks": lambda n: "a" + "\u0300\u0327" * (n // 2),
        "zero width": lambda n: "a\u200b" * (n // 2),
        "open tags": lambda n: "<a " * (n // 3),
        "entities": lambda n: "&amp;" * (n // 5),
        "nested entities": lambda n: "&" + "amp;" * (n // 4),
        "full stops": lambda n: "a. " * (n // 3),
        "quotes": lambda n: '"(' * (n // 2),
        "spaced letters": lambda n: "i d " * (n // 4),
        "bidi": lambda n: "\u202eab" * (n // 3),
        "tag characters": lambda n: "\U000e0061\U0001f600" * (n // 2),
        "backspaces": lambda n: "ab\b" * (n // 3),
        "percent": lambda n: "%41" * (n // 3),
        "base64": lambda n: "SGVsbG8g" * (n // 8),
        "look-alikes": lambda n: "\u0430\u0441\u0435 ace " * (n // 8),
        "line breaks": lambda n: "and\n" * (n // 4),
        "white space": lambda n: " \t" * (n // 2),
        "flagged words": lambda n: "The idiot spoke up. " * (n // 20),
        "foreign words": lambda n: "wir gehen bald nach hause ja " * (n // 29),
    }
)


def door() -> Streaming:
    """Return a guard that masks: the rewriter's own work is not what is looked at."""
    policy = Policy(action=Action.MASK, max_chars=100_000_000, timeout_ms=None)
    return guard(policy, detector=WordDetector(200))


def checked(own: Streaming, text: str) -> None:
    """Check a text."""
    own.check(text)


def streamed(own: Streaming, text: str) -> None:
    """Stream a text in small chunks."""
    for _ in own.stream(text[at : at + CHUNK] for at in range(0, len(text), CHUNK)):
        pass


WAYS: Mapping[str, Callable[[Streaming, str], None]] = MappingProxyType({"check": checked, "stream": streamed})


def least(work: Callable[[], None], runs: int) -> float:
    """Return the least CPU time of some runs, in seconds."""
    times = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def ratios(size: int, runs: int) -> Iterator[tuple[str, str, float, float]]:
    """Yield a generator's name, the way in, the seconds for ``size`` characters and the ratio of twice as many."""
    languages.load()
    own = door()
    for name, make in HOSTILE.items():
        short, long = make(size), make(2 * size)
        for way, work in WAYS.items():
            once, twice = (least(partial(work, own, text), runs) for text in (short, long))
            yield name, way, once, twice / once


def main() -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    wanted = parser.parse_args()
    worst = 0.0
    for name, way, seconds, ratio in ratios(wanted.size, wanted.runs):
        worst = max(worst, ratio)
        print(f"{name:16} {way:6}  {seconds:7.3f} s  x{ratio:.2f}", flush=True)
    print(f"worst x{worst:.2f}, allowed x{MOST:.2f}")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
