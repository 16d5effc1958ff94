"""Check that items keep what rows know, leave bad pairs out, and tell faulty rows by their place only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from guardrail.errors import ConfigError
from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.training.evaluate.rewriting.items import Item, dev_pairs, held_out, read_items, with_spans
from tests.fakes import WordDetector
from tests.training import tiny

pytestmark = pytest.mark.training


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_authored_held_out_rows_are_ours_and_their_spans_lie_in_their_texts() -> None:
    items = held_out()
    assert all(item.own and item.origin == "heldout" for item in items)
    assert {item.clean for item in items} == {True, False}
    assert all(item.reference is None for item in items if item.clean)
    assert all(item.flagged and all(item.flagged) for item in items if item.spans)


def test_an_unpaired_row_has_no_reference(tmp_path: Path) -> None:
    row = {
        "text": "The chairman left early today.",
        "label": 1,
        "labels": ["gendered_term"],
        "groups": ["gender"],
        "spans": ["chairman"],
        "target": "The chair left early today.",
        "why": "A title that takes a man for granted.",
        "brief": "heldout",
    }
    written(tmp_path / "heldout.jsonl", row, {**row, "text": "A chairman left late.", "unpaired": True})
    assert [item.reference for item in held_out(tmp_path)] == ["The chair left early today.", None]


def test_pairs_come_from_the_dev_fold_plain_and_without_those_that_teach_nothing(tmp_path: Path) -> None:
    def row(text: str, target: str, fold: str = "dev") -> dict[str, object]:
        return {"text": text, "target": target, "labels": ["toxic", "g:gender"], "fold": fold, "source": "paradetox"}

    rows = [
        row("that plan was a damn mess , was n't it ?", "that plan was a mess, wasn't it?"),
        row("it is trained on", "it is not", fold="train"),
        row("this one is a copy of itself", "this one is a copy of itself"),
        row("he is an idiot", "I'm sorry, I can't help with that."),
    ]
    pool = tiny.write_pool(tmp_path, [("pairs_paradetox", rows)])
    (item,) = dev_pairs(pool, 9)
    assert item.text == "that plan was a damn mess, wasn't it?"
    assert item.reference == "that plan was a mess, wasn't it?"
    assert (item.labels, item.groups, item.origin, item.own) == (("toxicity",), ("gender",), "paradetox", False)


def test_spans_of_a_pair_are_found_again_after_its_tokens_were_joined(tmp_path: Path) -> None:
    row = {
        "text": "well , the chairman did n't come .",
        "target": "Well, the chair didn't come.",
        "labels": ["gendered_term"],
        "spans": [[11, 19]],
        "fold": "dev",
        "source": "winobias_plus",
    }
    (item,) = dev_pairs(tiny.write_pool(tmp_path, [("pairs_winobias_plus", [row])]), 9)
    assert item.flagged == ("chairman",)


def test_a_pool_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pairs_paradetox"):
        dev_pairs(tmp_path, 9)


def test_a_user_s_rows_say_what_they_know(tmp_path: Path) -> None:
    rows = [
        {"text": "The chairman left.", "target": "The chair left.", "labels": ["gendered_term"], "spans": ["chairman"]},
        {"text": "The chairman sat.", "spans": [[4, 12]], "register": "minutes", "groups": ["gender"]},
        {"text": "It is nine.", "label": 0},
        {"text": "It is ten.", "target": "It is ten."},
    ]
    items = read_items(written(tmp_path / "mine.jsonl", *rows))
    assert [item.clean for item in items] == [False, False, True, True]
    assert [item.reference for item in items] == ["The chair left.", None, None, None]
    assert items[0].flagged == items[1].flagged == ("chairman",)
    assert (items[1].origin, items[1].register, items[1].groups) == ("mine", "minutes", ("gender",))
    assert not any(item.own for item in items)


@pytest.mark.parametrize(
    "row",
    [
        [1],
        {"target": "Zyxwvut"},
        {"text": " "},
        {"text": "Zyxwvut", "target": 3},
        {"text": "Zyxwvut", "labels": "hate"},
        {"text": "Zyxwvut", "label": 0, "labels": ["hate"]},
        {"text": "Zyxwvut", "spans": ["not there"]},
        {"text": "Zyxwvut", "spans": [[3, 99]]},
        {"text": "Zyxwvut", "spans": [3]},
    ],
)
def test_a_faulty_row_is_told_by_its_place_and_not_by_its_text(tmp_path: Path, row: object) -> None:
    with pytest.raises(ConfigError, match=r"mine\.jsonl:2") as caught:
        read_items(written(tmp_path / "mine.jsonl", {"text": "Fine."}, row))
    assert "Zyxwvut" not in str(caught.value)


def test_an_empty_or_foreign_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no rows"):
        read_items(written(tmp_path / "none.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        read_items(tmp_path / "latin.jsonl")


def test_the_detector_marks_what_nobody_marked_and_nothing_else() -> None:
    items = [
        Item("The idiot chairman.", clean=False),
        Item("The idiot chairman.", clean=False, spans=((4, 9),)),
        Item("No idiot here.", clean=True),
    ]
    marked = with_spans(items, Judge(WordDetector(), Policy()))
    assert [item.flagged for item in marked] == [("idiot", "chairman"), ("idiot",), ()]
