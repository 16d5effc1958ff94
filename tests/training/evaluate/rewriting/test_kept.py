"""Check that keeping is measured without a floor: unrelated text scores about nought, a copy one."""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("torch")

from guardrail.training.evaluate.rewriting import kept
from guardrail.training.evaluate.rewriting.items import Item, held_out

pytestmark = pytest.mark.training
ITEM = Item("The chairman praised 12 nurses in Leeds.", clean=False, spans=((4, 12),))
NONE = np.zeros(3)


def scores(rewrite: str, item: Item = ITEM) -> dict[str, float]:
    return {key: float(values[0]) for key, values in kept.kept([item], [rewrite], NONE).items()}


@pytest.fixture(scope="module")
def biased() -> list[Item]:
    return [item for item in held_out() if not item.clean]


def test_an_unrelated_rewrite_of_real_texts_scores_about_nought(biased: list[Item]) -> None:
    base = kept.chance(biased)
    others = [item.text for item in biased]
    random.Random(3).shuffle(others)
    found = kept.kept(biased, others, base)
    for key in kept.KEYS:
        assert abs(float(found[key].mean())) < 0.05, key


def test_a_copy_keeps_everything(biased: list[Item]) -> None:
    found = kept.kept(biased, [item.text for item in biased], kept.chance(biased))
    assert all(values == pytest.approx(np.ones(len(biased))) for values in found.values())


def test_a_rewrite_by_hand_keeps_most_and_far_more_than_an_unrelated_one(biased: list[Item]) -> None:
    paired = [item for item in biased if item.reference]
    found = kept.kept(paired, [item.reference or "" for item in paired], kept.chance(paired))
    assert found["retention"].mean() > 0.5
    assert found["faithfulness"].mean() > 0.6


def test_what_is_at_fault_may_go_or_be_replaced() -> None:
    assert scores("The chair praised 12 nurses in Leeds.") == dict.fromkeys(kept.KEYS, 1.0)
    assert scores("Praised 12 nurses in Leeds.") == dict.fromkeys(kept.KEYS, 1.0)


def test_every_lost_word_and_number_costs_retention_only() -> None:
    found = scores("The chair praised nurses.")
    assert found["retention"] == pytest.approx(2 / 4)
    assert (found["faithfulness"], found["relevancy"]) == (1.0, 1.0)


def test_invention_costs_faithfulness_and_retention() -> None:
    found = scores("The chair praised 12 nurses in Leeds after a scandal about money.")
    assert found["faithfulness"] == pytest.approx(1 - 2 / 7)
    assert found["retention"] == pytest.approx(1 - 2 / 7)


@pytest.mark.parametrize(
    "reply", ["I'm sorry, I can't praise nurses in Leeds.", "Rewrite in neutral words: nurses in Leeds."]
)
def test_a_reply_or_an_echo_is_not_relevant(reply: str) -> None:
    assert scores(reply)["relevancy"] == 0.0


def test_each_sentence_counts_for_relevancy() -> None:
    assert scores("The chair praised nurses. It rained.")["relevancy"] == pytest.approx(1 / 2)


@pytest.mark.parametrize("nothing", ["", "...", "of the"])
def test_nothing_said_keeps_nothing(nothing: str) -> None:
    assert scores(nothing) == dict.fromkeys(kept.KEYS, 0.0)


def test_where_all_is_at_fault_all_should_be_kept() -> None:
    whole = Item("Nurses gossip.", clean=False, spans=((0, 14),))
    assert scores("Nurses gossip.", whole)["retention"] == 1.0
    assert scores("Boats sail.", whole)["retention"] == 0.0


def test_a_source_without_content_words_is_kept_as_it_is_or_not_at_all() -> None:
    empty = Item("It is what it is.", clean=False)
    assert scores("It is what it is.", empty)["retention"] == 1.0
    assert scores("Boats sail.", empty)["retention"] == 0.0


def test_inflections_are_one_word() -> None:
    assert kept.words("neighbours neighbour's neighbour") == {"neighbour": 3}
    assert kept.stem("praising") == kept.stem("praised") == kept.stem("praise")


def test_one_item_has_no_other_to_be_compared_with() -> None:
    assert kept.chance([ITEM]).tolist() == kept.chance([]).tolist() == [0.0, 0.0, 0.0]
