"""Gather biased sentences as answers to neutral prompts, and unbiased sentences of the same sources as normal ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from guardrail.result import GROUPS
from guardrail.training.unlearn.data import DataSettings, Pair, Sets, assemble, key, read_rows, share
from guardrail.training.unlearn.prompts import ABOUT, ANY, GROUP_NAMES

BIASED = {"stereotype", "hate"}
CAPS = {"toxigen_annotated": 2600, "sbic_dev": 1600, "implicit_hate": 1600, "seegull_templates": 400}
"""Most positives taken of each file, and as many negatives."""
NEAR = ("synthetic_thin_groups", "seegull_templates")
FOREIGN = "toxigen_prompts"
FILES = (*CAPS, *NEAR[:1], FOREIGN)
_NEAR_SHARE = 0.15
_FIELDS = ("text", "labels", "scope")
_WORDS = range(4, 61)


def bias_sets(pool: Path, settings: DataSettings) -> Sets:
    """Return the sets of the topic "bias".

    Near misses are unbiased sentences that name the same groups, or that deny and report a prejudice.

    Raises:
        ConfigError: a pool file is missing or has other columns.
    """
    rejected: Counter[str] = Counter()
    forget, normal, near = list[Pair](), list[Pair](), list[Pair]()
    for name, cap in CAPS.items():
        biased, clean = _file(pool, name, rejected)
        plain = [row for row in clean if name not in NEAR and not (_group(row) and share(row["text"]) < _NEAR_SHARE)]
        kept = set(map(id, plain))
        near += [_pair(row, name) for row in clean if id(row) not in kept]
        # As many of each kind from each source, so that neither set has a form of its own.
        forget += [_pair(row, name) for row in biased[:cap]]
        normal += [_pair(row, name) for row in plain[: len(biased[:cap])]]
    near += [_pair(row, NEAR[0]) for row in _file(pool, NEAR[0], rejected)[1]]
    foreign = [_pair(row, FOREIGN) for row in _file(pool, FOREIGN, rejected)[1]]
    return assemble(_with_preferred(forget, normal), normal, near, foreign, settings=settings, rejected=rejected)


def dressed(text: str) -> str:
    """Return a post as a reply: without user marks, its first letter large, with an end mark."""
    words = " ".join(text.replace("[URL]", " ").replace("[USER]", " ").split())
    words = words[:1].upper() + words[1:]
    return words if words[-1:] in {".", "!", "?", '"', "'"} else words + "."


def neutral_prompt(text: str, group: str) -> str:
    """Return one of our neutral prompts, chosen by the text's hash; of its group where there is one."""
    place = share(text)
    if not group:
        return ANY[int(place * len(ANY))]
    names = GROUP_NAMES[group]
    return ABOUT[int(place * len(ABOUT))].format(group=names[int(place * 1009) % len(names)])


def _file(pool: Path, name: str, rejected: Counter[str]) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    biased, clean = list[Mapping[str, Any]](), list[Mapping[str, Any]]()
    for row in read_rows(pool, name, _FIELDS):
        labels = set(row["labels"])
        if len(row["text"].split()) not in _WORDS:
            rejected[f"{name}: too short or too long"] += 1
        elif labels & BIASED:
            biased.append(row)
        elif not labels and (BIASED & set(row["scope"])):
            clean.append(row)
        else:
            # Not sexist, say, is not free of bias: the rest of the scope was never looked at.
            rejected[f"{name}: neither biased nor known to be clean"] += 1
    by_hash = [sorted(rows, key=lambda row: share(row["text"])) for rows in (biased, clean)]
    return by_hash[0], by_hash[1]


def _group(row: Mapping[str, Any]) -> str:
    marks = (*row["labels"], *row["scope"])
    found = [mark.removeprefix("w").removeprefix("g:") for mark in marks if ":" in mark]
    return next((group for group in found if group in GROUPS), "")


def _pair(row: Mapping[str, Any], origin: str) -> Pair:
    text = dressed(row["text"])
    return Pair(neutral_prompt(text, _group(row)), text, origin=origin)


def _with_preferred(forget: Iterable[Pair], normal: Iterable[Pair]) -> Iterator[Pair]:
    """Give each biased answer an unbiased one to the same prompt, where there is one."""
    by_prompt: dict[str, list[str]] = {}
    for pair in normal:
        by_prompt.setdefault(key(pair.prompt), []).append(pair.answer)
    for pair in forget:
        answers = by_prompt.get(key(pair.prompt))
        chosen = answers[int(share(pair.answer) * len(answers))] if answers else ""
        yield Pair(pair.prompt, pair.answer, origin=pair.origin, preferred=chosen)
