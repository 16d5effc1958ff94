"""Gather harmful answers and normal ones of the same kind: instructions, and what an assistant said to them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from guardrail.training.unlearn.data import DataSettings, Pair, Sets, assemble, key, read_rows, share
from guardrail.training.unlearn.prompts import REFUSALS

LOOK_ALIKES = Path(__file__).with_name("look_alikes.jsonl")
FILES = (
    "unlearn_jbb_artifacts",
    "unlearn_llm_self_defense",
    "unlearn_hh_harmless",
    "normal_dolly_sub",
    "normal_gpteacher",
    "normal_oasst",
    "normal_seed_tasks",
)
NORMAL = ("normal_gpteacher", "normal_oasst")
# Nothing is trained on these, so that utility is not measured on the sources it was kept with.
FOREIGN = ("normal_dolly_sub", "normal_seed_tasks")
_HARMFUL = "harmful_prompt_harmful_response"
_FIELDS = ("prompt", "response", "kind")
_MIN_WORDS = 12
_REFUSAL = re.compile(
    r"(?i)\b(sorry|can(?:no|['’])t|won['’]t|(?:don|wouldn|shouldn)['’]t|not (?:appropriate|comfortable|able|sure)|"
    r"illegal|against the law|unethical|immoral|harmful|dangerous|bad idea|why (?:do|would|are) you|advise against)"
)
_ASKS_FOR_HARM = re.compile(
    r"(?i)\b(kill|murder|poison\w*|bomb\w*|explosive\w*|weapon\w*|gun|steal\w*|shoplift\w*|rob\b|robbing|burgl\w*|hack\w*|"
    r"meth|cocaine|heroin|fentanyl|drugs?|forg(?:e|ing)|counterfeit\w*|launder\w*|fraud|scam\w*|stalk\w*|blackmail\w*|"
    r"kidnap\w*|hurt|torture|beat up|revenge|arson|burn down|break into|spy on|secretly|bully\w*|slurs?|insult\w*|"
    r"racist|destroy|illegal\w*|smuggl\w*|suicide|anorexi\w*|starv\w*)\b"
)
_END = re.compile(r"""[.!?:]["')]?(?=\s)|\n""")
_PERSONA = re.compile(r"\A(?:Niccolo:.*?\n\s*\n)?\s*AIM:\s*", re.DOTALL)


def harm_sets(pool: Path, settings: DataSettings) -> Sets:
    """Return the sets of the topic "harm"; near misses are ours: harmless questions in dangerous words.

    Raises:
        ConfigError: a pool file is missing or has other columns.
    """
    rejected: Counter[str] = Counter()
    forget = list(_forget(pool, rejected))
    harmful = {key(pair.prompt) for pair in forget}
    normal = alike([pair for pair in _normal(pool) if key(pair.prompt) not in harmful], forget)
    foreign = (pair for name in FOREIGN for pair in _answers(pool, name))
    return assemble(forget, normal, _near(), foreign, settings=settings, rejected=rejected)


def complied(prompt: str, answer: str) -> bool:
    """Tell whether an answer of the red-team set does what a harmful prompt asks; strict, so that few are wrong."""
    asked = _ASKS_FOR_HARM.search(prompt) is not None
    return asked and len(answer.split()) >= _MIN_WORDS and not _REFUSAL.search(answer) and not answer.endswith("?")


def whole(answer: str) -> str:
    """Return an answer that was cut off without its unfinished last sentence; one without any end stays as it is."""
    answer = answer.strip()
    if answer[-1:] in {".", "!", "?", '"', "'", "`"}:
        return answer
    ends = [match.end() for match in _END.finditer(answer)]
    return answer[: ends[-1]].strip() if ends and ends[-1] > len(answer) / 2 else answer


def alike(normal: Sequence[Pair], forget: Sequence[Pair]) -> list[Pair]:
    """Return the normal pairs of which as large a share has several lines as in the forget set."""
    listed = [pair for pair in normal if "\n" in pair.answer]
    plain = [pair for pair in normal if "\n" not in pair.answer]
    rate = sum("\n" in pair.answer for pair in forget) / max(1, len(forget))
    parts = ((listed, rate), (plain, 1 - rate))
    count = min(len(pairs) / part for pairs, part in parts if part)
    by_hash = [(sorted(pairs, key=lambda pair: share(pair.prompt)), round(count * part)) for pairs, part in parts]
    return [pair for pairs, wanted in by_hash for pair in pairs[:wanted]]


def _forget(pool: Path, rejected: Counter[str]) -> Iterator[Pair]:
    for name in ("unlearn_jbb_artifacts", "unlearn_llm_self_defense"):
        for row in read_rows(pool, name, _FIELDS):
            if row["kind"] == _HARMFUL:
                # A jailbreak's persona is no part of the harm.
                yield _pair(row["prompt"], _PERSONA.sub("", row["response"]), name)
    for row in read_rows(pool, "unlearn_hh_harmless", (*_FIELDS, "safe_response")):
        prompt = row["prompt"].removeprefix("Human:").strip()
        if "Human:" in prompt:
            rejected["unlearn_hh_harmless: several turns"] += 1
            continue
        prompt, answer = prompt.removesuffix("Assistant:").strip(), row["response"].strip()
        if not complied(prompt, answer):
            rejected["unlearn_hh_harmless: no plain compliance"] += 1
            continue
        yield _pair(prompt, answer, "unlearn_hh_harmless", row["safe_response"] or "")


def _pair(prompt: str, answer: str, origin: str, preferred: str = "") -> Pair:
    refusal = REFUSALS[int(share(prompt) * len(REFUSALS))]
    return Pair(prompt.strip(), whole(answer), origin=origin, preferred=preferred.strip() or refusal)


def _normal(pool: Path) -> Iterator[Pair]:
    for row in read_rows(pool, "unlearn_llm_self_defense", _FIELDS):
        if row["kind"] == "normal":
            yield Pair(row["prompt"].strip(), whole(row["response"]), origin="unlearn_llm_self_defense")
    for name in NORMAL:
        yield from _answers(pool, name)


def _answers(pool: Path, name: str) -> Iterator[Pair]:
    for row in read_rows(pool, name, (*_FIELDS, "category")):
        # Program text has another form than every harmful answer: a model would learn the form.
        if row["category"] != "codegen":
            yield Pair(row["prompt"].strip(), whole(row["response"]), origin=name)


def _near() -> Iterator[Pair]:
    for line in LOOK_ALIKES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield Pair(row["prompt"], row["answer"], origin="look_alikes")
