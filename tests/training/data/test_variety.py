"""Check the measures of variety on texts whose neighbours are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")

from guardrail.training.data import variety
from guardrail.training.data.variety import Neighbours, Pair, closest, distinct_trigrams, families, nearness

TEXTS = [
    "The mill on the river stands empty now.",
    "Seventeen violins were tuned before noon.",
    "The mill on the river stands empty today.",
    "Please send both invoices by Friday.",
    "Seventeen violins were tuned before noon!",
]
SETS = ["a", "a", "a", "b", "b"]


def test_distinct_trigrams_as_counted_by_hand() -> None:
    assert distinct_trigrams(["a b c d", "A, b, c!"]) == pytest.approx(2 / 3)
    assert distinct_trigrams(["one two three four"]) == 1.0
    assert math.isnan(distinct_trigrams(["one two", ""]))


@pytest.mark.parametrize("chunk", [1, 2, 512])
def test_neighbours_are_found_in_the_set_and_outside_it(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(variety, "CHUNK", chunk)
    near = variety.neighbours(TEXTS, SETS)
    assert (near.inside_at[0], near.inside_at[2]) == (2, 0)
    assert (near.outside_at[1], near.outside_at[4]) == (4, 1)
    assert near.outside[[1, 4]] == pytest.approx(near.outside[1])
    assert near.inside[[0, 2]] == pytest.approx(near.inside[0])
    assert 0.5 < near.inside[0] < 0.9 < near.outside[1] < 1.0
    assert near.inside[3] < 0.2


def test_equal_texts_are_as_near_as_can_be() -> None:
    near = variety.neighbours([TEXTS[0], TEXTS[1], TEXTS[0]], ["a", "a", "b"])
    assert near.outside[0] == near.outside[2] == pytest.approx(1.0)


def test_nobody_is_its_own_neighbour() -> None:
    near = variety.neighbours(TEXTS[:2], ["a", "b"])
    assert list(near.inside) == [-1.0, -1.0]
    assert list(near.outside_at) == [1, 0]


def test_nearness_leaves_out_texts_without_a_neighbour() -> None:
    summary = nearness(np.array([0.0, 0.2, 1.0, -1.0]))
    assert summary.mean == pytest.approx(0.4)
    assert summary.p95 == pytest.approx(0.92)
    assert math.isnan(nearness(np.array([-1.0])).mean)


def test_the_closest_pairs_come_first_and_once() -> None:
    pairs = closest(np.array([0.9, 0.5, 0.9, 0.7, -1.0]), np.array([2, 0, 0, 1, 0]), 3)
    assert pairs == [Pair(0, 2, 0.9), Pair(1, 3, 0.7), Pair(0, 1, 0.5)]
    assert closest(np.array([-1.0]), np.array([0]), 3) == []


def test_families_are_chains_of_near_neighbours() -> None:
    at = np.array([1, 2, 1, 0, 3, 4])
    near = Neighbours(np.array([0.9, 0.8, 0.8, 0.1, 0.9, 0.05]), at, at, at)
    found = families(near)
    assert found[0] == found[1] == found[2]
    assert found[3] == found[4]
    assert len(set(found)) == 3


def test_a_yardstick_is_drawn_by_seed_and_templates_measure_worse() -> None:
    templates = [f"People from town {i} are always late for work." for i in range(40)]
    words = [f"word{i}" for i in range(400)]
    varied = [" ".join(words[i : i + 9]) for i in range(0, 360, 9)]
    poor, good = variety.yardstick(templates, 20, 5), variety.yardstick(varied, 20, 5)
    assert poor == variety.yardstick(templates, 20, 5)
    assert poor[0] < 0.5 < good[0] == 1.0
    assert good[1].mean < 0.4 < poor[1].mean
