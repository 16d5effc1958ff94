"""Train the baseline of every table: tf-idf of words and word pairs, one logistic regression per label and group."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from guardrail.result import GROUPS, Detection, Finding, Label
from guardrail.text.normalize import normalize
from guardrail.training.data.schema import LABELS, Row

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NAME = "tf-idf"
MIN_POSITIVES = 20
FEATURES = 120_000
STRENGTH = 4.0
# A word is marked where it adds at least this share of what the heaviest word of the text adds.
NEAR_BEST = 0.5
_WORD = re.compile(r"(?u)\b\w\w+\b")


@dataclass(frozen=True, slots=True)
class Bag:
    """A trained bag of words: judges whole texts, with one threshold per label."""

    vectorizer: Any
    models: Mapping[str, Any]
    _: KW_ONLY
    limits: Mapping[str, float]
    name: str = NAME

    def detect(self, texts: Sequence[str]) -> list[Detection]:
        """Judge texts in order."""
        if not texts:
            return []
        features = vectorize(self.vectorizer, texts)
        columns = {name: _probability(model, features) for name, model in self.models.items()}
        return [
            self._one(text, {name: float(values[i]) for name, values in columns.items()})
            for i, text in enumerate(texts)
        ]

    def calibrated(self, clean: Sequence[str], target: float) -> Bag:
        """Return the same bag with thresholds at which at most ``target`` of clean texts is flagged."""
        from guardrail.training.detector.calibrate import thresholds

        scores = [{str(label): score for label, score in found.scores.items()} for found in self.detect(clean)]
        return replace(self, limits=thresholds(scores)[f"fpr<={target:g}"])

    def _one(self, text: str, scores: Mapping[str, float]) -> Detection:
        labels = {Label(name): scores.get(name, 0.0) for name in LABELS}
        flagged = [label for label, score in labels.items() if score >= self.limits[label]]
        findings = tuple(
            Finding(label, labels[label], start=start, end=end)
            for label in flagged
            for start, end in self._at(text, label)
        )
        groups = {group: scores.get(group, 0.0) for group in GROUPS}
        return Detection(bool(flagged), labels, groups=groups, findings=findings, model=self.name)

    def _at(self, text: str, label: Label) -> list[tuple[int, int]]:
        words = [match.span() for match in _WORD.finditer(text)]
        known, weights = self.vectorizer.vocabulary_, self.models[label].coef_[0]
        at = [known.get(text[start:end].lower(), -1) for start, end in words]
        added = [weights[i] * self.vectorizer.idf_[i] if i >= 0 else 0.0 for i in at]
        best = max(added, default=0.0)
        marked = [span for span, value in zip(words, added, strict=True) if best > 0 and value >= NEAR_BEST * best]
        return marked or [(0, len(text))]


def train(rows: Sequence[Row]) -> Bag:
    """Train on masked rows; a label or group with fewer than twenty known positives is left out and scores 0.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("the baseline needs training rows and got none; give the folder of the whole pool")
    vectorizer, features = vocabulary([row.text for row in rows])
    models = {}
    for name in (*LABELS, *GROUPS):
        model = fit(features, rows, name)
        if model is not None:
            models[name] = model
    return Bag(vectorizer, models, limits=dict.fromkeys(LABELS, 0.5))


def vocabulary(texts: Sequence[str]) -> tuple[Any, csr_matrix]:
    """Return a fitted vectorizer and the features of the texts it was fitted on, (N, features)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = 2 if len(texts) > 1000 else 1
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=least, max_features=FEATURES, sublinear_tf=True)
    return vectorizer, vectorizer.fit_transform(plain(texts))


def vectorize(vectorizer: Any, texts: Sequence[str]) -> csr_matrix:
    """Return the features of texts, normalised as the run time normalises them."""
    return vectorizer.transform(plain(texts))


def plain(texts: Sequence[str]) -> list[str]:
    """Return texts as the run time's normaliser leaves them."""
    return [normalize(text).text for text in texts]


def fit(features: csr_matrix, rows: Sequence[Row], name: str, keep: np.ndarray | None = None) -> Any:
    """Fit one label or group on the rows that know it, and of them only those in ``keep``; None for too few."""
    from sklearn.linear_model import LogisticRegression

    truth = np.array([row.labels.get(name, row.groups.get(name, -1)) for row in rows])
    known = truth >= 0 if keep is None else (truth >= 0) & keep
    if min((truth[known] == 1).sum(), (truth[known] == 0).sum()) < MIN_POSITIVES:
        return None
    weights = np.array([row.weight for row in rows])
    model = LogisticRegression(C=STRENGTH, solver="liblinear", random_state=17)
    return model.fit(features[known], truth[known], sample_weight=weights[known])


def _probability(model: Any, features: csr_matrix) -> np.ndarray:
    chances: np.ndarray = model.predict_proba(features)[:, 1]
    return chances
