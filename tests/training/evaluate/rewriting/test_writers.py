"""Check that every system is given the same texts and that its rewrite comes back in their place."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from guardrail.guard import Pipeline
from guardrail.policy import Policy
from guardrail.rewrite.base import RewriteRequest
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.writers import MASK, Alone, Output, Whole, edits, requests_of, without_spans
from tests.fakes import MapRewriter, WordDetector, plain_words

pytestmark = pytest.mark.training
TEXT = "Tea is at four. The chairman of the club spoke first, you idiot."
BIASED = Item(TEXT, clean=False, labels=("gendered_term", "toxicity"), spans=((20, 28), (58, 63)))
CLEAN = Item("It is nine. Tea is at four.", clean=True)


def test_the_mask_is_the_policy_s() -> None:
    assert Policy().mask == MASK


def test_the_pipeline_is_told_nothing_and_says_what_became_of_a_text() -> None:
    def stubborn(request: RewriteRequest) -> str:
        return request.sentence if "last" in request.sentence else plain_words(request)

    guard = Pipeline(Policy(), WordDetector(), MapRewriter(stubborn))
    good, clean, bad = Whole("whole", guard).write(
        [BIASED, CLEAN, Item("The chairman of the club spoke last.", clean=False)]
    )
    assert good == Output("Tea is at four. The plain of the club spoke first, you plain.")
    assert clean == Output(CLEAN.text, touched=False)
    assert (bad.text, bad.masked, bad.failed) == (MASK, True, ("unflagged",))


def test_a_rewriter_alone_gets_the_sentences_at_fault_with_what_is_wrong_with_them() -> None:
    fake = MapRewriter(plain_words)
    (output,) = Alone("alone", fake).write([BIASED])
    (asked,) = fake.requests
    assert asked.sentence == "The chairman of the club spoke first, you idiot."
    assert asked.before == "Tea is at four."
    assert asked.flags == (("gendered_term", "chairman"), ("toxicity", "idiot"))
    assert output.text == "Tea is at four. The plain of the club spoke first, you plain."


def test_a_clean_text_is_given_sentence_by_sentence_and_unmarked() -> None:
    fake = MapRewriter(lambda request: request.sentence.upper())
    (output,) = Alone("alone", fake).write([CLEAN])
    assert [request.flags for request in fake.requests] == [(), ()]
    assert output.text == CLEAN.text.upper()


def test_a_text_whose_stretches_nobody_knows_is_given_with_its_labels() -> None:
    item = Item("The chairman sat. He left.", clean=False, labels=("gendered_term",))
    assert [request.flags for _, request in requests_of(item)] == [(("gendered_term", ""),)] * 2


def test_many_items_keep_their_order_over_batches() -> None:
    items = [Item(f"The chairman of club {i} spoke.", clean=False, spans=((4, 12),)) for i in range(40)]
    outputs = Alone("alone", MapRewriter(plain_words)).write(items)
    assert [one.text for one in outputs] == [f"The plain of club {i} spoke." for i in range(40)]


def test_the_three_edits_that_need_no_model() -> None:
    copy, delete, mask = (edit.write([BIASED, CLEAN]) for edit in edits())
    assert [one.text for one in copy] == [TEXT, CLEAN.text]
    assert delete[0].text == "Tea is at four. The of the club spoke first, you."
    assert mask[0].text == f"Tea is at four. The {MASK} of the club spoke first, you {MASK}."
    assert (mask[0].masked, mask[1].masked, delete[0].masked) == (True, False, False)
    assert delete[1].text == mask[1].text == CLEAN.text


@pytest.mark.parametrize(
    ("text", "spans", "left"),
    [
        ("Idiots, all of them.", ((0, 6),), "All of them."),
        ("you idiot", ((0, 9),), ""),
        ("a bad old idea", ((2, 9), (6, 9)), "a idea"),
        ("x  y", (), "x  y"),
    ],
)
def test_deleting_closes_the_gap(text: str, spans: tuple[tuple[int, int], ...], left: str) -> None:
    assert without_spans(Item(text, clean=False, spans=spans), "") == left
