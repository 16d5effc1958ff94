"""Measure what tells biased rows from blameless ones without being bias: a brief's own habits, and style alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from guardrail.training.evaluate.metrics import auc

FOLDS = 5
TREES = 200
SEED = 17
# No "he", "she", "they", and no "all", "every", "never": these carry the bias itself.
_FUNCTION = (
    "a an the this that these those of in on at by for with from to into over under about after before between "
    "through during without within against as and or but nor so yet if because while although though when where who "
    "whom whose which what how why than then there here is are was were be been being am has have had do does did "
    "will would shall should can could may might must not no i me my we us our you your it its"
).split()
_MARKS = {
    "full stops": ".",
    "commas": ",",
    "semicolons": ";",
    "colons": ":",
    "exclamation marks": "!",
    "question marks": "?",
    "hyphens": "-",
    "dashes": "–—",
    "double quotes": '"“”',
    "single quotes": "'‘’",
    "brackets": "()[]",
    "signs": "/%$£#*_`|=<>@&",
    "line breaks": "\n",
    "ellipses": "…",
}
_SHAPE = (
    "length in characters",
    "length in words",
    "letters per word",
    "sentences",
    "words per sentence",
    "capital letters",
    "capitalised words",
    "words in capitals",
    "small first letter",
    "digits",
    "letters outside ASCII",
    "final mark",
)
Inputs = Sequence[str] | np.ndarray
STYLE = (*(f'"{word}"' for word in _FUNCTION), *_MARKS, *_SHAPE)


def auc_of(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the AUC of scores; NaN where they could not be had, or without both classes."""
    return float("nan") if np.isnan(scores).any() else auc(scores, truth)


def words_within(texts: Sequence[str], truth: np.ndarray, ties: Sequence[str]) -> float:
    """Return the AUC of tf-idf and logistic regression in cross-validation over these texts alone.

    Texts of equal ``ties`` share a fold. NaN where a class has fewer ties than there are folds.
    """
    return auc_of(_crossed(_words(), list(texts), truth, ties), truth)


def style_within(features: np.ndarray, truth: np.ndarray, ties: Sequence[str]) -> np.ndarray:
    """Return how biased each text looks (N,) to a forest that sees ``style`` features alone, in cross-validation.

    Ties as in ``words_within``; all NaN where a class has fewer ties than there are folds.
    """
    return _crossed(_forest(), features, truth, ties)


def words_left_out(train: Sequence[str], train_truth: np.ndarray, test: Sequence[str], truth: np.ndarray) -> float:
    """Return the AUC on ``test`` of tf-idf and logistic regression fitted on ``train``; NaN without both classes."""
    return _unseen(_words(), train, train_truth, test, truth)


def style_left_out(train: np.ndarray, train_truth: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Return the AUC on ``test`` of a forest fitted on the ``style`` features ``train``; NaN without both classes."""
    return _unseen(_forest(), train, train_truth, test, truth)


def tells(features: np.ndarray, truth: np.ndarray, count: int) -> list[tuple[str, float]]:
    """Return the features of style that tell most on their own, each with its AUC: above .5 more of it means biased."""
    found = [(name, auc(features[:, i], truth)) for i, name in enumerate(STYLE)]
    return sorted((one for one in found if not math.isnan(one[1])), key=lambda one: -abs(one[1] - 0.5))[:count]


def style(texts: Sequence[str]) -> np.ndarray:
    """Return what ``STYLE`` names of each text (N, len(STYLE)): function words, punctuation, length, casing."""
    return np.array([_features(text) for text in texts], float).reshape(len(texts), len(STYLE))


def _words() -> Pipeline:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    return make_pipeline(words, LogisticRegression(C=4.0, max_iter=1000))


def _forest() -> ExtraTreesClassifier:
    return ExtraTreesClassifier(TREES, min_samples_leaf=3, random_state=SEED)


def _unseen(model: Any, train: Inputs, train_truth: np.ndarray, test: Inputs, truth: np.ndarray) -> float:
    if len(set(train_truth)) < 2 or len(set(truth)) < 2:
        return float("nan")
    return auc(model.fit(train, train_truth).predict_proba(test)[:, 1], truth)


def _crossed(model: Any, inputs: Inputs, truth: np.ndarray, ties: Sequence[str]) -> np.ndarray:
    # A tie counts once: a class with fewer of them than folds would be missing from one.
    if min(len({tie for tie, one in zip(ties, truth, strict=True) if one == side}) for side in (0, 1)) < FOLDS:
        return np.full(len(truth), np.nan)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    scores = cross_val_predict(model, inputs, truth, groups=list(ties), cv=folds, method="predict_proba")
    biased: np.ndarray = scores[:, 1]
    return biased


def _features(text: str) -> list[float]:
    words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text)
    counts = Counter(word.lower() for word in words)
    marks = [sum(text.count(mark) for mark in marks) / max(1, len(text)) for marks in _MARKS.values()]
    return [*(counts[word] / max(1, len(words)) for word in _FUNCTION), *marks, *_shape(text, words)]


def _shape(text: str, words: Sequence[str]) -> list[float]:
    length, letters = max(1, len(text)), [c for c in text if c.isalpha()]
    count, sentences = max(1, len(words)), max(1, len(re.findall(r"[.!?…]+(?=\s|$)", text)))
    return [
        math.log(length),
        math.log(count),
        len(letters) / count,
        sentences,
        count / sentences,
        sum(c.isupper() for c in letters) / max(1, len(letters)),
        sum(word[0].isupper() for word in words) / count,
        sum(word.isupper() and len(word) > 1 for word in words) / count,
        float(text[:1].islower()),
        sum(c.isdigit() for c in text) / length,
        sum(ord(c) > 127 for c in text) / length,
        float(text.rstrip()[-1:] in tuple(".!?…")),
    ]
