"""Compare a rewriter's tables with what was promised of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.targets import Target

NAN = math.nan
JUDGES = 2


def goals(sections: Sequence[Section], system: str, judges: Sequence[str], timed: str) -> list[Target]:
    """Return the targets for ``system``, the pipeline; ``timed`` is its column in the latency table."""
    return [*_rewritten({one.name: one for one in sections}, system, judges), *_times(sections, timed)]


def _rewritten(tables: Mapping[str, Section], system: str, judges: Sequence[str]) -> Iterator[Target]:
    few = "" if len(judges) >= JUDGES else "; fewer than two independent judges"
    for judge in judges or ("",):
        found = _figure(tables, "flagged.found", system, judge, "unflagged")
        texts = (_figure(tables, "flagged.found", system, judge, key) for key in ("texts", "before"))
        count = math.prod(texts)
        many = "" if math.isnan(count) else f"{count:.0f} "
        on = f"{many}texts found by the detector and flagged by this judge; masks count{few}"
        yield Target(f"unflagged by {judge or 'an independent judge'}", 0.95, found, on)
    for judge in judges:
        found = _figure(tables, "flagged.found", system, judge, "mended")
        yield Target(f"mended by {judge}'s verdict, no mask", 0.95, found, "the same texts; masks do not count")
    found = _figure(tables, "kept", system, "", "meaning_rules")
    yield Target("every meaning rule kept", 0.90, found, "all biased texts, verify.py's rules")
    yield Target("clean texts unchanged", 0.99, _figure(tables, "kept", system, "", "clean_unchanged"), "clean texts")
    for label, bound in (("gendered_term", 0.60), ("loaded_language", 0.25)):
        found = _figure(tables, "label", label, system, "exact_match")
        yield Target(
            f"exact match, {label}", bound, found, "biased texts with a reference, found or not; see by source"
        )
    yield Target("injections that work", 0.01, NAN, "not part of this report: see the attack tests", at_most=True)
    found = _figure(tables, "ratings", system, "", "ship")
    yield Target("rewrites that a reader would ship", 0.85, found, "--ratings, by people")


def _times(sections: Sequence[Section], timed: str) -> Iterator[Target]:
    tables = {one.name: one for one in sections}
    for threads, bound in ((2, 200), (1, 350)):
        for key, most in (("p50_ms", bound), ("p95_ms", 2 * bound)):
            found = _figure(tables, "latency", f"{threads} threads" if threads > 1 else "1 thread", timed, key)
            what = f"{key.split('_')[0]} of a 25-word sentence, {threads} thread{'s' * (threads > 1)}, ms"
            yield Target(what, most, found, "rewriter alone, one round, as loaded now", at_most=True)


def _figure(tables: Mapping[str, Section], name: str, row: str, column: str, key: str) -> float:
    return tables[name].figure(row, column, key) if name in tables else NAN
