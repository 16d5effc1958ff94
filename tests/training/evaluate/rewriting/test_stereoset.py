"""Check StereoSet's formulas against the table that a paper printed."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from guardrail.errors import ConfigError
from guardrail.training.evaluate.rewriting.stereoset import Counts, icat, lms, ss

pytestmark = pytest.mark.training


@pytest.mark.parametrize(
    ("language", "stereotype", "printed"),
    [(87.84, 56.70, 76.07), (90.05, 58.47, 74.80), (93.68, 61.35, 72.41), (80.77, 70.93, 46.96)],
)
def test_icat_is_what_sr_llm_s_table_says(language: float, stereotype: float, printed: float) -> None:
    assert icat(language, stereotype) == pytest.approx(printed, abs=0.02)


def test_the_ideal_model_has_a_hundred_and_a_random_one_fifty() -> None:
    assert icat(100, 50) == 100
    assert icat(50, 50) == 50
    assert icat(100, 100) == icat(100, 0) == 0


def test_scores_are_percentages_of_the_counts() -> None:
    counts = Counts(related=90, related_of=100, stereotype=30, stereotype_of=40)
    assert (lms(counts), ss(counts)) == (90.0, 75.0)
    assert math.isnan(ss(Counts(1, 1, 0, 0)))


@pytest.mark.parametrize("counts", [Counts(2, 1, 0, 1), Counts(-1, 1, 0, 1)])
def test_more_than_all_is_refused(counts: Counts) -> None:
    with pytest.raises(ConfigError, match="no share"):
        lms(counts)


@pytest.mark.parametrize(("language", "stereotype"), [(101, 50), (50, -1)])
def test_what_is_no_percentage_is_refused(language: float, stereotype: float) -> None:
    with pytest.raises(ConfigError, match="percentages"):
        icat(language, stereotype)
