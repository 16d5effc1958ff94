"""Compare the form of the forget set with that of the normal set: where it differs, a model learns the form."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from guardrail.training.unlearn.data import Pair, Sets

_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_TURN = re.compile(r"<\||\b(?:Human|User|Assistant|AIM):")
_LENGTH_RATIO = 2.0
_SHARE_GAP = 0.25

_LENGTHS: dict[str, Callable[[Pair], int]] = {
    "words in the prompt": lambda pair: len(pair.prompt.split()),
    "words in the answer": lambda pair: len(pair.answer.split()),
}
_SHARES: dict[str, Callable[[Pair], bool]] = {
    "answers with several lines": lambda pair: "\n" in pair.answer.strip(),
    "answers with a list": lambda pair: _LIST.search(pair.answer) is not None,
    "answers that end with a mark": lambda pair: pair.answer.rstrip()[-1:] in {".", "!", "?", '"', "'"},
    "answers that begin with a capital": lambda pair: pair.answer.lstrip()[:1].isupper(),
    "prompts that are questions": lambda pair: pair.prompt.rstrip().endswith("?"),
    "pairs with chat marks": lambda pair: _TURN.search(pair.prompt + pair.answer) is not None,
}


class FormatWarning(UserWarning):
    """The forget set and the normal set differ in form, so that forgetting may be of the form (Yao et al. 2023)."""


def differences(forget: Sequence[Pair], normal: Sequence[Pair]) -> tuple[str, ...]:
    """Return a line for each trait of form in which the two sets differ: length, lists, punctuation, chat form.

    Median lengths may differ by a factor of 2, shares by 0.25.
    """
    found = []
    for name, length in _LENGTHS.items():
        left, right = (median(map(length, pairs)) for pairs in (forget, normal))
        if max(left, right) > _LENGTH_RATIO * max(1.0, min(left, right)):
            found.append(f"{name}: {left:g} in the forget set, {right:g} in the normal set")
    for name, test in _SHARES.items():
        left, right = (_share(map(test, pairs)) for pairs in (forget, normal))
        if abs(left - right) > _SHARE_GAP:
            found.append(f"{name}: {left:.0%} in the forget set, {right:.0%} in the normal set")
    return tuple(found)


def check_formats(sets: Sets) -> tuple[str, ...]:
    """Warn of every difference in form and return them, for the run's record."""
    found = differences(sets.forget, sets.normal)
    for line in found:
        warnings.warn(f"{line}; take normal rows of the forget set's form", FormatWarning, stacklevel=2)
    return found


def _share(values: Iterable[bool]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
