"""Check that rows keep "absent" and "unknown" apart and that a text's fold never changes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.result import GROUPS, MODEL_LABELS
from guardrail.training.data.schema import DEV_SHARE, LABELS, Row, all_clean, fold_of, known


def test_the_labels_are_the_model_s_columns_in_order() -> None:
    assert LABELS == tuple(str(label) for label in MODEL_LABELS)
    assert "obfuscation" not in LABELS


@pytest.mark.parametrize(
    ("text", "fold"),
    [
        ("The nurse said she was tired.", "train"),
        ("The clerk filed the form.", "train"),
        ("A train left at noon.", "train"),
        ("sentence 10", "dev"),
    ],
)
def test_the_fold_of_a_text_is_the_same_on_every_machine_and_in_every_release(text: str, fold: str) -> None:
    assert fold_of(text) == fold


@given(st.text())
def test_case_and_margins_do_not_move_a_text_to_the_other_fold(text: str) -> None:
    assert fold_of(f"  {text}\n") == fold_of(text)
    assert fold_of(text.lower()) == fold_of(text)


def test_the_dev_fold_has_its_share() -> None:
    share = sum(fold_of(f"sentence {i}") == "dev" for i in range(20_000)) / 20_000
    assert share == pytest.approx(DEV_SHARE, abs=0.01)


def test_a_lone_surrogate_has_a_fold() -> None:
    assert fold_of("a \ud800 b") in ("train", "dev")


def test_known_says_present_or_absent_for_every_name() -> None:
    assert known(("a", "b", "c"), ["b"]) == {"a": 0, "b": 1, "c": 0}


def test_a_clean_row_knows_every_head_absent() -> None:
    row = all_clean("Water the basil twice a week.", "recipes", weight=0.6, fold="dev")
    assert row.labels == dict.fromkeys(LABELS, 0)
    assert row.groups == dict.fromkeys(GROUPS, 0)
    assert (row.spans, row.weight, row.fold, row.positive) == ((), 0.6, "dev", False)


def test_a_row_says_nothing_unless_told() -> None:
    row = Row("text", "source")
    assert (row.labels, row.groups, row.spans, row.fold, row.positive) == ({}, {}, None, "train", False)


def test_a_row_is_positive_when_any_label_is_present() -> None:
    assert Row("text", "source", labels={"hate": 0, "toxicity": 1}).positive
    assert not Row("text", "source", labels={"hate": 0}, groups={"gender": 1}).positive


def test_a_row_is_a_value() -> None:
    with pytest.raises(FrozenInstanceError):
        Row("text", "source").text = "other"  # type: ignore[misc]
