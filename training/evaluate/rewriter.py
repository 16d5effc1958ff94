"""Measure a rewriter bundle on authored pairs kept out of training: what is flagged before and after, what was kept.

python -m guardrail.training.evaluate.rewriter --rewriter sr --judge TEACHER_BUNDLE --out report.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from guardrail._runtime import Deadline
from guardrail.config import DETECTOR
from guardrail.guard import Pipeline
from guardrail.judge import Judge
from guardrail.load import load_detector, load_rewriter
from guardrail.policy import Policy
from guardrail.result import Action
from guardrail.rewrite.base import Rewriter, RewriteRequest
from guardrail.rewrite.verify import similarity, verify
from guardrail.training.data.authored import Authored, read_authored


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one held-out text."""

    text: str
    target: str
    clean: bool
    shown: str
    action: Action
    failed_rules: tuple[str, ...]


def run(guard: Pipeline, items: Sequence[Authored]) -> list[Outcome]:
    """Check every text as an application would."""
    outcomes = []
    for item in items:
        result = guard.check(item.text)
        failed = {name for rewrite in result.rewrites for name, held in rewrite.checks.items() if not held}
        outcomes.append(
            Outcome(item.text, item.target, not item.labels, result.text, result.action, tuple(sorted(failed)))
        )
    return outcomes


def pipeline_table(outcomes: Sequence[Outcome], judge: Judge | None) -> dict[str, object]:
    """Return shares over the held-out rows: flagged, mended, masked, by another judge too; clean rows untouched."""
    biased, clean = ([o for o in outcomes if o.clean is side] for side in (False, True))
    touched = [o for o in biased if o.action is not Action.ALLOW]
    mended = [o for o in touched if o.action is Action.REWRITE]
    table: dict[str, object] = {
        "biased": len(biased),
        "flagged": len(touched),
        "rewritten": len(mended),
        "masked": len(touched) - len(mended),
        "clean": len(clean),
        "clean_unchanged": sum(o.shown == o.text for o in clean),
        "exact_match_where_rewritten": _share([o.shown == o.target for o in mended]),
        "similarity_to_source": _share([similarity(o.text, o.shown) for o in mended]),
        "failed_rules_where_masked": dict(Counter(name for o in touched for name in o.failed_rules)),
    }
    if judge is not None and touched:
        before = judge.detect([o.text for o in touched], Deadline(None))
        after = judge.detect([o.shown for o in touched], Deadline(None))
        was = [d.flagged for d in before]
        table["other_judge_flags_before"] = _share(was)
        table["other_judge_unflagged_after"] = _share([not a.flagged for b, a in zip(was, after, strict=True) if b])
    return table


def rewriter_table(rewriter: Rewriter, items: Sequence[Authored]) -> dict[str, object]:
    """Return what the rewriter does alone, no detector, no retries: rules held, copies, no-ops on clean text."""
    answers, seconds = [], []
    for item in items:
        begun = time.perf_counter()
        flags = tuple((label, span) for label, span in zip(item.labels, item.spans, strict=False))
        answers += rewriter.rewrite([RewriteRequest(item.text, flags=flags)], Deadline(None))
        seconds.append(time.perf_counter() - begun)
    pairs = list(zip(items, answers, strict=True))
    biased, clean = ([(i, a) for i, a in pairs if bool(i.labels) is side] for side in (True, False))
    checks = [verify(item.text, answer) for item, answer in biased]
    return {
        "rules_all_held": _share([all(check.values()) for check in checks]),
        "rules_failed": dict(Counter(name for check in checks for name, held in check.items() if not held)),
        "exact_match": _share([answer == item.target for item, answer in biased]),
        "copied_biased_text": _share([answer == item.text for item, answer in biased]),
        "clean_unchanged": _share([answer == item.text for item, answer in clean]),
        "seconds_p50": float(np.percentile(seconds, 50)) if seconds else float("nan"),
        "seconds_p95": float(np.percentile(seconds, 95)) if seconds else float("nan"),
    }


def _share(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


def card_lines(report: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return a report as lines for a model card."""
    lines = ["", "## Measured", ""]
    lines += [
        "By `python -m guardrail.training.evaluate.rewriter --judge TEACHER`, on authored rows kept out of training."
    ]
    for name, table in report.items():
        lines += ["", f"| {name.replace('_', ' ')} | |", "| --- | --- |"]
        lines += [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in table.items()]
    return lines


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {count}" for key, count in value.items()) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", default=DETECTOR, help="detector bundle: name or folder")
    parser.add_argument("--rewriter", default="sr", help="rewriter bundle: name or folder")
    parser.add_argument("--judge", help="another detector bundle that judges before and after")
    parser.add_argument("--out", type=Path, help="write the tables as JSON")
    parser.add_argument(
        "--examples", type=Path, help="write every changed text, before and after, to read; not for the repository"
    )
    args = parser.parse_args()
    items = read_authored(held_out=True)
    rewriter = load_rewriter(args.rewriter)
    guard = Pipeline(Policy(timeout_ms=None), load_detector(args.detector), rewriter)
    outcomes = run(guard, items)
    judge = Judge(load_detector(args.judge), Policy()) if args.judge else None
    report = {"pipeline": pipeline_table(outcomes, judge), "rewriter_alone": rewriter_table(rewriter, items)}
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if args.examples:
        lines = [f"{o.action}\n- {o.text}\n+ {o.shown}\n= {o.target}\n" for o in outcomes if o.shown != o.text]
        args.examples.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
