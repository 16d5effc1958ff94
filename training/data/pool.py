"""Read the public pool of labelled rows as masked rows, a random share of each file, by recipe."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from guardrail.result import GROUPS
from guardrail.training.data.schema import LABELS, Row, all_clean, fold_of, known

NAMES = {
    "toxic": "toxicity",
    "hate": "hate",
    "stereotype": "stereotype",
    "loaded": "loaded_language",
    "gendered_term": "gendered_term",
    "unsafe_advice": "harm",
}
QUALITY = {"gold": 1.0, "silver": 0.6, "synthetic": 0.4, "noisy": 0.25}
CLEAN_PROSE = ("clean_llm_outputs", "bold_wiki", "boolq_wiki")
CLEAN_REPLIES = ("normal_oasst", "normal_gpteacher", "normal_dolly_sub", "normal_seed_tasks")
ALL_REPLIES = (*CLEAN_REPLIES, "clean_llm_outputs")
# With many a German and a surname, which does no harm: those are masked rows too.
_TITLE = re.compile(r"\w{3}(?:m[ae]n|wom[ae]n|mankind)\b|\bmankind\b", re.IGNORECASE)
# Replies that one of us read and found stereotypes, gendered terms, abuse or puffery in, so that they are no measure of
# false alarms (of the training fold alone; found among those that a detector scored highest).
_NOT_CLEAN = frozenset(
    (
        "0745421e08fb",
        "1c6b7a911902",
        "299168664f3e",
        "49a2887d804b",
        "4c0f9a5d65b2",
        "4d98ea6c84d8",
        "5a994a3b78a9",
        "a65f319d2bd6",
        "b800a6403fb6",
        "bd7eb62c12c4",
        "d0ef5933477b",
        "d9538353f476",
        "e57f8a438797",
        "e6d140ccd455",
        "f0ce14bacb45",
        "f4b3e011afcb",
    )
)
Splitter = Callable[[str], tuple[tuple[int, int], ...]]


def read_file(folder: Path, name: str) -> Iterator[dict[str, object]]:
    """Yield the raw rows of one pool file; raises ``FileNotFoundError`` naming the file."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def sha256_of(folder: Path, name: str) -> str:
    """Return the hash of one pool file, for the model card."""
    return hashlib.sha256((folder / f"{name}.jsonl.gz").read_bytes()).hexdigest()


def to_row(raw: Mapping[str, object], name: str) -> Row:
    """Turn a raw pool row into a masked row: present for its labels, absent for the rest of its scope."""
    present = {NAMES.get(str(label), str(label)) for label in _strings(raw["labels"])}
    scope = {NAMES.get(str(label), str(label)) for label in _strings(raw["scope"])}
    labels = _masked({label: int(label in present) for label in LABELS if label in scope | present})
    marked = {label.removeprefix("w").removeprefix("g:") for label in present if label.startswith(("g:", "wg:"))}
    groups: dict[str, int] = {group: 1 for group in GROUPS if group in marked}
    if any(label.startswith("g:") for label in present):
        groups = known(GROUPS, sorted(marked))
    for label in scope - present:
        if label.startswith("g:") and label[2:] in GROUPS:
            groups[label[2:]] = 0
    spans = raw.get("spans")
    return Row(
        str(raw["text"]),
        name,
        labels=labels,
        groups=groups,
        spans=None if not isinstance(spans, list) else tuple((int(a), int(b)) for a, b in spans),
        weight=QUALITY.get(str(raw.get("quality")), 0.3),
        fold="dev" if raw.get("fold") == "dev" else "train",
    )


def _masked(labels: dict[str, int]) -> dict[str, int]:
    """Drop the zeros that only say "the annotator had to pick one".

    Most sets file a row under stereotype or under hate, and a hateful row not under toxicity; a detector that learned
    those zeros would split its probability over the labels and pass the plainest attacks on a group.
    """
    unsure = {"hate"} if labels.get("stereotype") else set()
    if labels.get("hate"):
        unsure = {"stereotype", "toxicity"}
    return {label: value for label, value in labels.items() if value or label not in unsure}


def read_pool(folder: Path, caps: Mapping[str, int], split: Splitter, seed: int) -> list[Row]:
    """Read at most ``caps[name]`` rows of each named file, a random sample in an order fixed by ``seed``.

    Long clean prose is cut into sentences, since the run time judges sentences. The neutral side of a pair joins as
    a row on which the pair's labels are absent.
    """
    rows: list[Row] = []
    for name, cap in sorted(caps.items()):
        rng = random.Random(f"{seed}/{name}")
        found = list(_clean_prose(folder, name, split) if name in CLEAN_PROSE else _labelled(folder, name))
        rng.shuffle(found)
        rows += found[:cap]
    return rows


def read_unlabelled(folder: Path, caps: Mapping[str, int], split: Splitter, seed: int) -> list[Row]:
    """Read sentences of at most ``caps[name]`` texts of each file as rows of which nothing is known, for a teacher.

    Here go the files whose labels are too noisy to learn from, and replies of chatbots that nobody labelled.
    """
    rows: list[Row] = []
    for name, cap in sorted(caps.items()):
        texts = [str(raw.get("text") or raw.get("response") or "") for raw in read_file(folder, name)]
        random.Random(f"{seed}/unlabelled/{name}").shuffle(texts)
        pieces = (text[start:end].strip() for text in texts[:cap] for start, end in split(text))
        rows += [Row(piece, f"unlabelled/{name}", fold=fold_of(piece)) for piece in pieces if len(piece) >= 20]
    return rows


def clean_replies(folder: Path, fold: str = "dev", names: Sequence[str] = ALL_REPLIES) -> list[str]:
    """Return whole assistant replies that are taken to be clean, for thresholds; one fold by text hash."""
    texts = (raw.get("response") or raw.get("text") for name in names for raw in read_file(folder, name))
    found = [text for text in texts if isinstance(text, str) and text.strip() and fold_of(text) == fold]
    return [text for text in found if hashlib.sha256(text.encode()).hexdigest()[:12] not in _NOT_CLEAN]


def _labelled(folder: Path, name: str) -> Iterator[Row]:
    for raw in read_file(folder, name):
        if not str(raw.get("text") or "").strip() or raw.get("context_dependent"):
            continue
        row = to_row(raw, name)
        yield row
        target = raw.get("target")
        if isinstance(target, str) and target.strip() and target != row.text:
            neutral = {label: 0 for label in row.labels}
            spans = () if row.spans is not None else None
            yield Row(target, f"{name}/neutral", labels=neutral, spans=spans, weight=row.weight, fold=row.fold)


def _clean_prose(folder: Path, name: str, split: Splitter) -> Iterator[Row]:
    for raw in read_file(folder, name):
        text = str(raw["text"])
        fold = fold_of(text)
        for start, end in split(text):
            sentence = text[start:end].strip()
            if len(sentence) >= 20:
                yield _without_titles(all_clean(sentence, name, weight=0.6, fold=fold))


def _without_titles(row: Row) -> Row:
    """Leave open whether a sentence with "chairman" has a gendered term: its annotators did not look for any."""
    if not _TITLE.search(row.text):
        return row
    return replace(row, labels={label: value for label, value in row.labels.items() if label != "gendered_term"})


def _strings(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
