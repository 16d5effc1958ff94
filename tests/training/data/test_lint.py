"""Check that every rule of the linter refuses what it is for, names the place and never repeats a text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guardrail.training.data.authored import FOLDER
from guardrail.training.data.lint import HELD_OUT, LONGEST, SHORTEST, lint, lint_folder
from tests.training.rows import clean, raw, write

FORM = "text and target must be non-empty strings"
LISTS = "labels, groups and spans must be lists"
VERDICT = "label 1 needs labels and a changed target, label 0 neither"
UNPAIRED = "unpaired may only be true, and only on label 1: its target is no rewrite to learn from"
NEITHER = "label 0 has no groups and no spans (groups that it merely names are mentions)"
LENGTH = f"text and target must have {SHORTEST} to {LONGEST} characters"


def test_a_sound_row_has_no_fault() -> None:
    assert lint(raw()) == ""
    assert lint(raw(second=["stereotype"], mentions=[]), "tiny") == ""
    assert lint(clean()) == ""
    assert lint(clean(second=[], mentions=["profession"]), "tiny") == ""


@pytest.mark.parametrize("row", [None, 3, "text", [raw()]])
def test_what_is_no_object_is_said_to_be_none(row: object) -> None:
    assert lint(row) == "the line is no JSON object"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text": None}, FORM),
        ({"text": " \n"}, FORM),
        ({"text": ...}, FORM),
        ({"target": ""}, FORM),
        ({"target": 3}, FORM),
        ({"labels": "stereotype"}, LISTS),
        ({"groups": None}, LISTS),
        ({"spans": {"she": 1}}, LISTS),
        ({"mentions": "gender"}, "mentions must be a list"),
        ({"brief": None}, "brief must be a string"),
        ({"brief": "other"}, "brief must be the name of the file"),
        ({"labels": ["sexism"]}, "unknown label or group 'sexism'"),
        ({"unpaired": "yes"}, UNPAIRED),
        ({"unpaired": False}, UNPAIRED),
        ({"labels": ["obfuscation"]}, "unknown label or group 'obfuscation'"),
        ({"labels": [["stereotype"]]}, "unknown label or group ['stereotype']"),
        ({"groups": ["women"]}, "unknown label or group 'women'"),
        ({"second": ["sexism"]}, "unknown label or group 'sexism'"),
        ({"labels": ["hate", "hate"]}, "a label or group is named twice"),
        ({"groups": ["gender", "gender"]}, "a label or group is named twice"),
        ({"second": "hate"}, "second must be a list of labels"),
        ({"second": []}, "second and labels disagree on the verdict; move the row to disputed/"),
        ({"label": 0}, VERDICT),
        ({"labels": []}, VERDICT),
        ({"label": "1"}, VERDICT),
        ({"label": ...}, VERDICT),
        ({"target": "As a nurse, she will stay late."}, VERDICT),
        ({"mentions": ["gender"]}, "mentions are for label 0; label 1 has groups"),
        ({"why": " "}, "why must say the reason in a few words"),
        ({"why": ...}, "why must say the reason in a few words"),
        ({"target": "They stay " * LONGEST}, LENGTH),
        ({"target": "A nurse"}, LENGTH),
    ],
)
def test_a_faulty_biased_row_is_refused(changes: dict[str, object], fault: str) -> None:
    assert lint(raw(**changes), "tiny") == fault


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"label": 1}, VERDICT),
        ({"label": 2}, VERDICT),
        ({"target": "The nurse stayed."}, VERDICT),
        ({"groups": ["gender"]}, NEITHER),
        ({"spans": ["nurse"]}, NEITHER),
        ({"mentions": ["nurses"]}, "unknown label or group 'nurses'"),
        ({"mentions": ["profession", "profession"]}, "a label or group is named twice"),
        ({"second": ["hate"]}, "second and labels disagree on the verdict; move the row to disputed/"),
        ({"unpaired": True}, UNPAIRED),
    ],
)
def test_a_faulty_blameless_row_is_refused(changes: dict[str, object], fault: str) -> None:
    assert lint(clean() | changes, "tiny") == fault


@pytest.mark.parametrize("letter", ["\x00", "\x1b", "\r", "\u200b", "\u202e", "\ue000", "\ud800"])
def test_a_letter_that_nobody_sees_is_refused(letter: str) -> None:
    fault = lint(clean(f"The nurse{letter} stayed late."))
    assert fault.startswith("control character")
    assert fault.isascii()


@pytest.mark.parametrize("letter", ["\n", "\t", "é", "—", "🙄", "👩\u200d🔬"])
def test_a_letter_that_people_write_is_allowed(letter: str) -> None:
    assert lint(clean(f"The nurse {letter} stayed late.")) == ""


@pytest.mark.parametrize(
    ("spans", "fault"),
    [
        (["they will"], "1 span(s) are not substrings of the text"),
        (["she", "She", 4], "2 span(s) are not substrings of the text"),
        ([""], "1 span(s) are not substrings of the text"),
        ([" "], "1 span(s) are not substrings of the text"),
        (["she "], "a span begins or ends with a space"),
        (["he"], "a span begins or ends inside a word"),
        (["she wil"], "a span begins or ends inside a word"),
        (["urse, she"], "a span begins or ends inside a word"),
        (["she", "she"], "two spans stand for the same place"),
    ],
)
def test_a_span_stands_on_whole_words_of_the_text(spans: list[object], fault: str) -> None:
    assert lint(raw(spans=spans)) == fault


@pytest.mark.parametrize("spans", [["she"], [", she will"], ["she", "nurse, she"], ["As a nurse, she will stay late."]])
def test_a_span_may_begin_with_a_mark_or_overlap(spans: list[str]) -> None:
    assert lint(raw(spans=spans)) == ""


@pytest.mark.parametrize(
    ("text", "spans", "target", "left"),
    [
        ("The chairman spoke first.", ["chairman"], "The chairman, Ann, spoke first.", 1),
        ("The chairman spoke first.", ["chairman"], "Chairman Ann spoke first.", 1),
        ("Lazy Tim and foolish Tom.", ["Lazy", "foolish"], "Tim, lazy, and Tom, foolish.", 2),
        ("The chairman spoke first.", ["chairman"], "The chair spoke first.", 0),
        (
            "A clerk asked his uncle if he may bring his bag.",
            ["his"],
            "A clerk asked his uncle if he may bring a bag.",
            0,
        ),
        ("A clerk takes his bag and his hat.", ["his", "his"], "A clerk takes a bag and his hat.", 2),
        ("Each man should apply.", ["man"], "Each manager should apply.", 0),
        ("He is bad at maths, as ever.", ["bad at maths"], "He was bad at maths this year.", 0),
    ],
)
def test_a_rewrite_keeps_no_flagged_word(text: str, spans: list[str], target: str, left: int) -> None:
    fault = lint(raw(text=text, spans=spans, target=target))
    assert fault == (f"the target keeps {left} flagged word(s)" if left else "")


def test_no_fault_repeats_the_text() -> None:
    rows = [raw(spans=["they will"]), raw(spans=["nurs"]), raw(label=0), raw(labels=[]), raw(target="She is a nurse.")]
    faults = [lint(row) for row in rows]
    assert all(faults)
    assert "nurs" not in " ".join(faults).lower()


# ---- all files together


def test_the_shipped_files_have_no_fault() -> None:
    assert lint_folder(FOLDER) == []


def test_faults_are_named_by_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "tiny", raw(), clean(), raw(why=""), clean(brief="other"))
    write(tmp_path, "more", clean("A stone fell.", brief="more", groups=["age"]))
    (tmp_path / "broken.jsonl").write_text("{\n", encoding="utf-8")
    assert lint_folder(tmp_path) == [
        "broken.jsonl:1: the line is no JSON object",
        f"more.jsonl:1: {NEITHER}",
        "tiny.jsonl:3: why must say the reason in a few words",
        "tiny.jsonl:4: brief must be the name of the file",
    ]


def test_a_text_that_comes_again_in_any_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, "tiny", clean(), clean("the NURSE  stayed late"))
    write(tmp_path, "zoo", clean("“The nurse stayed late!”", brief="zoo"), clean("The nurse stayed.", brief="zoo"))
    assert lint_folder(tmp_path) == [
        "tiny.jsonl:2: the text of tiny.jsonl:1 again",
        "zoo.jsonl:1: the text of tiny.jsonl:1 again",
    ]


def test_a_dropped_row_is_no_longer_in_use(tmp_path: Path) -> None:
    write(tmp_path, "tiny", clean())
    write(tmp_path / "disputed", "tiny", clean(second=["hate"]))
    assert lint_folder(tmp_path) == ["disputed/tiny.jsonl:1: the text of tiny.jsonl:1 again"]


def test_a_dropped_row_may_be_in_dispute_and_must_be_sound_else(tmp_path: Path) -> None:
    write(tmp_path, "tiny", clean())
    lines = [raw(second=[]), raw(text="As a cook, she will stay late.", second=["sexism"]), 3]
    write(tmp_path / "disputed", "tiny", *lines)
    assert lint_folder(tmp_path) == [
        "disputed/tiny.jsonl:2: unknown label or group 'sexism'",
        "disputed/tiny.jsonl:3: the line is no JSON object",
    ]


@pytest.mark.parametrize("leak", ["As a nurse, she will always stay late.", "So as a nurse, they will stay late!"])
def test_a_held_out_row_that_nearly_copies_a_training_text_or_rewrite_is_named(tmp_path: Path, leak: str) -> None:
    write(tmp_path, "tiny", clean("A stone fell on the mill."), raw())
    write(tmp_path, HELD_OUT, clean("Rain fell on the mill.", brief=HELD_OUT), clean(leak, brief=HELD_OUT))
    assert lint_folder(tmp_path)[0] == "heldout.jsonl:2: nearly a copy of tiny.jsonl:2"
    assert not any("heldout.jsonl:1" in fault for fault in lint_folder(tmp_path))


def test_a_held_out_rewrite_that_nearly_copies_a_training_text_is_named(tmp_path: Path) -> None:
    write(tmp_path, "tiny", clean("As a nurse, they will stay very late."))
    biased = raw(text="Typical of a nurse: she stays.", spans=["Typical of a nurse"], brief=HELD_OUT)
    write(tmp_path, HELD_OUT, biased)
    assert lint_folder(tmp_path) == ["heldout.jsonl:1: nearly a copy of tiny.jsonl:1"]


def test_training_rows_may_be_near_each_other(tmp_path: Path) -> None:
    write(tmp_path, "tiny", raw(), clean("As a nurse, she will be staying late."))
    assert lint_folder(tmp_path) == []


def test_a_line_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    row = json.dumps(clean("One line.\u2028And on it goes."), ensure_ascii=False)
    (tmp_path / "tiny.jsonl").write_text(f"{row}\n{row}", encoding="utf-8")
    assert lint_folder(tmp_path) == ["tiny.jsonl:2: the text of tiny.jsonl:1 again"]
