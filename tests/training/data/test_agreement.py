"""Check Cohen's kappa against values worked out by hand and against scikit-learn, and the draw of the sample."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from guardrail.training.data.agreement import VERDICT, agreement, draw, kappa
from guardrail.training.data.schema import LABELS
from tests.training.rows import clean, raw

sklearn = pytest.importorskip("sklearn.metrics")


def biased(*second: str, text: str = "A row.") -> dict[str, object]:
    """Return a row whose first label is stereotype, and what the second annotator said."""
    return raw(text=text, labels=["stereotype"], second=list(second))


def test_kappa_as_worked_out_by_hand() -> None:
    # 20 times both say yes, 15 times both say no, 5 and 10 times only one: Cohen's own kind of table.
    first = np.array([1] * 25 + [0] * 25)
    second = np.array([1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    assert kappa(first, second) == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_kappa_is_one_for_the_same_and_minus_one_for_the_opposite() -> None:
    first = np.array([1, 0, 1, 0])
    assert kappa(first, first) == 1.0
    assert kappa(first, 1 - first) == -1.0
    assert kappa(first, np.array([1, 1, 0, 0])) == 0.0


def test_kappa_is_unknown_where_both_always_say_the_same() -> None:
    assert math.isnan(kappa(np.zeros(5), np.zeros(5)))
    assert math.isnan(kappa(np.ones(5), np.ones(5)))


def test_kappa_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        first, second = (rng.random((2, 40)) < rng.random()).astype(int)
        if 0 < first.sum() + second.sum() < 80:
            assert kappa(first, second) == pytest.approx(sklearn.cohen_kappa_score(first, second))


def test_agreement_tells_the_verdict_first_and_then_each_label() -> None:
    rows = [biased("stereotype"), biased("stereotype", "hate"), biased(), clean(second=["hate"]), clean(second=[])]
    found = {one.name: one for one in agreement(rows)}
    assert list(found) == [VERDICT, *LABELS]
    verdict, stereotype, hate = found[VERDICT], found["stereotype"], found["hate"]
    assert (verdict.rows, verdict.either, verdict.agreed) == (5, 4, 0.6)
    assert (stereotype.rows, stereotype.either, stereotype.agreed) == (5, 3, 0.8)
    assert (hate.rows, hate.either, hate.agreed, hate.kappa) == (5, 2, 0.6, 0.0)
    assert (found["harm"].either, found["harm"].agreed) == (0, 1.0)
    assert math.isnan(found["harm"].kappa)
    assert math.isnan(found["harm"].low)


def test_the_interval_holds_the_value_and_narrows_with_more_rows() -> None:
    few = [biased("stereotype")] * 12 + [biased()] * 3 + [clean(second=[])] * 15
    small, large = agreement(few)[0], agreement(few * 20)[0]
    assert small.low < small.kappa < small.high
    assert large.kappa == pytest.approx(small.kappa)
    assert large.high - large.low < (small.high - small.low) / 2


def test_rows_without_a_second_opinion_take_no_part() -> None:
    assert agreement([raw(), clean()]) == []
    assert agreement([raw(), biased("stereotype"), clean(second=[])])[0].rows == 2


def test_the_draw_is_fixed_by_its_seed_and_not_by_the_order_of_rows() -> None:
    rows = [biased("stereotype", text=f"Row {i}.") for i in range(50)] + [raw(text="No second opinion.")]
    drawn = draw(rows, 20, 7)
    shuffled = random.Random(1).sample(rows, len(rows))
    assert draw(shuffled, 20, 7) == drawn != draw(rows, 20, 8)
    assert len({row["text"] for row in drawn}) == 20
    assert len(draw(rows, 99, 7)) == 50
