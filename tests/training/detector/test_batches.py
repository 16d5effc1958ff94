"""Check that targets lie over the right tokens and that no row is lost, doubled or padded into the loss."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from guardrail.result import GROUPS
from guardrail.text.normalize import normalize
from guardrail.training.data.schema import LABELS, Row, all_clean, known
from guardrail.training.detector.batches import UNKNOWN, Encoded, batches, collate, encode, tokenizer_of
from tests.training import tiny

pytestmark = pytest.mark.training

TOXIC = LABELS.index("toxicity")
HATE = LABELS.index("hate")
ZERO_WIDTH = "\u200b"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tiny.tokenizer()


def one(tokenizer: Tokenizer, row: Row, max_tokens: int = 64) -> Encoded:
    (item,) = encode([row], tokenizer, max_tokens)
    return item


def toxic(text: str, spans: tuple[tuple[int, int], ...] | None, **labels: int) -> Row:
    return Row(text, "test", labels={"toxicity": 1, **labels}, spans=spans)


def marked(tokenizer: Tokenizer, row: Row, column: int = TOXIC) -> str:
    """Return the normalised text's characters whose tokens are marked, blanks elsewhere."""
    text, item = normalize(row.text).text, one(tokenizer, row)
    chars = [" "] * len(text)
    for (start, end), value in zip(item.offsets, item.tokens[:, column], strict=True):
        if value == 1:
            chars[start:end] = text[start:end]
    return "".join(chars)


# ---- tokenizer


def test_the_tokenizer_neither_cuts_nor_pads(tmp_path: Path) -> None:
    made = tiny.tokenizer()
    made.enable_truncation(4)
    made.enable_padding(length=9)
    made.save(str(tmp_path / "tokenizer.json"))
    loaded = tokenizer_of(str(tmp_path))
    assert len(loaded.encode("the plan is late " * 9).ids) == 38
    assert len(loaded.encode("the plan").ids) == 4


# ---- targets


def test_a_head_that_no_one_looked_at_is_unknown(tokenizer: Tokenizer) -> None:
    item = one(tokenizer, Row("the plan", "x", labels={"toxicity": 0}, groups={"gender": 1, "age": 0}))
    assert {LABELS[i]: value for i, value in enumerate(item.labels) if value != UNKNOWN} == {"toxicity": 0}
    assert {GROUPS[i]: value for i, value in enumerate(item.groups) if value != UNKNOWN} == {"gender": 1, "age": 0}
    assert item.weight == 1.0


def test_the_tokens_are_those_of_the_text_between_its_marks(tokenizer: Tokenizer) -> None:
    item = one(tokenizer, Row("The plan.", "x"))
    assert [tokenizer.id_to_token(i) for i in item.ids] == ["[CLS]", "the", "plan", ".", "[SEP]"]
    assert item.offsets == ((0, 0), (0, 3), (4, 8), (8, 9), (0, 0))


def test_a_span_marks_its_tokens_and_no_other(tokenizer: Tokenizer) -> None:
    row = toxic("the idiot said it", ((4, 9),), hate=0)
    assert marked(tokenizer, row) == "    idiot        "
    item = one(tokenizer, row)
    assert item.tokens[:, TOXIC].tolist() == [0, 0, 1, 0, 0, 0]
    assert (item.tokens[:, HATE] == 0).all()
    unknown = [i for i, name in enumerate(LABELS) if name not in ("toxicity", "hate")]
    assert (item.tokens[:, unknown] == UNKNOWN).all()


def test_every_piece_of_a_word_inside_a_span_is_marked(tokenizer: Tokenizer) -> None:
    assert marked(tokenizer, toxic("the xylem is", ((4, 9),))) == "    xylem   "


def test_a_span_that_cuts_a_word_marks_the_pieces_it_touches(tokenizer: Tokenizer) -> None:
    assert marked(tokenizer, toxic("the xylem is", ((5, 7),))) == "     yl     "


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        (f"the i{ZERO_WIDTH}d{ZERO_WIDTH}iot said", f"i{ZERO_WIDTH}d{ZERO_WIDTH}iot", "idiot"),
        (f"{ZERO_WIDTH * 5}the {ZERO_WIDTH}idiot said", "idiot", "idiot"),
        ("the \u0456di\u043et said", "\u0456di\u043et", "idiot"),
        ("the \uff49\uff44\uff49\uff4f\uff54 said", "\uff49\uff44\uff49\uff4f\uff54", "idiot"),
        ("<b>the</b> &lt;3 <i>idiot</i> said", "idiot", "idiot"),
        ("the id\u0301i\u0302ot said", "id\u0301i\u0302ot", "idiot"),
        ("na\u00efve Stra\u00dfe idiot said", "idiot", "idiot"),
    ],
)
def test_a_span_of_a_disguised_word_marks_the_plain_word(
    tokenizer: Tokenizer, text: str, word: str, found: str
) -> None:
    start = text.index(word)
    assert marked(tokenizer, toxic(text, ((start, start + len(word)),))).strip() == found


@given(st.text("ab \u200b\u0301\U0001f600é<i>*", max_size=30), st.data())
def test_marked_tokens_touch_the_span_in_the_caller_s_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    item = one(tiny.tokenizer(), toxic(text, ((start, end),)), 999)
    normal = normalize(text)
    for (a, b), value in zip(item.offsets, item.tokens[:, TOXIC], strict=True):
        left, right = normal.to_source(a, b)
        assert (value == 1) == (b > a and left < end and start < right)


def test_spans_that_nobody_marked_leave_a_positive_row_s_tokens_unknown(tokenizer: Tokenizer) -> None:
    assert (one(tokenizer, toxic("the idiot said", None, hate=0)).tokens == UNKNOWN).all()


def test_a_positive_row_marked_with_no_span_has_no_marked_token(tokenizer: Tokenizer) -> None:
    assert (one(tokenizer, toxic("the idiot said", ())).tokens[:, TOXIC] == 0).all()


def test_no_token_of_a_clean_row_carries_what_is_known_absent(tokenizer: Tokenizer) -> None:
    assert (one(tokenizer, all_clean("the mill", "x")).tokens == 0).all()
    unmarked = one(tokenizer, Row("the mill", "x", labels={"toxicity": 0}))
    assert (unmarked.tokens[:, TOXIC] == 0).all()
    assert (np.delete(unmarked.tokens, TOXIC, axis=1) == UNKNOWN).all()


def test_a_row_of_which_nothing_is_known_teaches_nothing(tokenizer: Tokenizer) -> None:
    item = one(tokenizer, Row("the mill", "x"))
    assert (item.labels == UNKNOWN).all()
    assert (item.groups == UNKNOWN).all()
    assert (item.tokens == UNKNOWN).all()


@pytest.mark.parametrize("text", ["", " ", ZERO_WIDTH, "\ud800"])
def test_a_text_of_nothing_still_has_its_two_marks(tokenizer: Tokenizer, text: str) -> None:
    item = one(tokenizer, toxic(text, ()))
    assert len(item.ids) >= 2
    assert item.tokens.shape == (len(item.ids), len(LABELS))


@pytest.mark.parametrize("max_tokens", [2, 3, 8, 30])
def test_a_long_text_is_cut_and_keeps_its_end_mark(tokenizer: Tokenizer, max_tokens: int) -> None:
    item = one(tokenizer, toxic("the plan is late " * 9, ((4, 8),)), max_tokens)
    assert len(item.ids) == len(item.offsets) == len(item.tokens) == max_tokens
    assert [item.ids[0], item.ids[-1]] == [tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")]
    assert item.offsets[-1] == (0, 0)


# ---- batches


def items_of(lengths: Sequence[int]) -> list[Encoded]:
    labels, groups = np.zeros(len(LABELS), np.float32), np.zeros(len(GROUPS), np.float32)
    return [
        Encoded((1,) * size, ((0, 0),) * size, labels, groups, np.zeros((size, len(LABELS)), np.float32), 1.0)
        for size in lengths
    ]


@given(st.lists(st.integers(2, 40), max_size=60), st.integers(44, 400), st.none() | st.integers(0, 9))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int, seed: int | None) -> None:
    items = items_of(lengths)
    made = list(batches(items, budget, None if seed is None else random.Random(seed)))
    assert sorted(i for batch in made for i in batch.index) == list(range(len(items)))
    for batch in made:
        assert batch.input_ids.numel() <= budget
        assert batch.attention_mask.sum(1).tolist() == [lengths[i] for i in batch.index]


def test_a_row_beyond_the_budget_is_a_batch_of_its_own() -> None:
    assert sorted(batch.index for batch in batches(items_of([3, 90, 95, 4]), 20)) == [(0, 3), (1,), (2,)]


def test_similar_lengths_come_together() -> None:
    made = list(batches(items_of([30, 3, 31, 4, 32, 5] * 20), 200, random.Random(1)))
    assert all(batch.attention_mask.float().mean() > 0.8 for batch in made)


def test_the_order_is_fixed_by_the_seed_and_by_length_without_one() -> None:
    items = items_of([random.Random(5).randint(3, 30) for _ in range(80)])
    orders = [[batch.index for batch in batches(items, 120, random.Random(seed))] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    lengths = [batch.input_ids.shape[1] for batch in batches(items, 120)]
    assert lengths == sorted(lengths)


def test_no_rows_give_no_batch() -> None:
    assert list(batches([], 100)) == list(batches([], 100, random.Random(1))) == []


def test_padding_is_unknown_and_masked(tokenizer: Tokenizer) -> None:
    rows = [
        all_clean("the mill", "x"),
        Row("the idiot said it", "x", labels=known(LABELS, ["toxicity"]), spans=((4, 9),)),
    ]
    batch = collate([7, 3], encode(rows, tokenizer, 64))
    assert batch.index == (7, 3)
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0, 0], [1] * 6]
    assert (batch.tokens[0, 4:] == UNKNOWN).all()
    assert (batch.input_ids[0, 4:] == 0).all()
    assert (batch.tokens[0, :4] == 0).all()
    assert batch.tokens[1, :, TOXIC].tolist() == [0, 0, 1, 0, 0, 0]
    assert batch.weight.tolist() == [1.0, 1.0]
