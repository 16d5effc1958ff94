"""Check that the report shows our own texts only, escaped, and that its JSON shows none."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from guardrail.training.evaluate.report import Report, to_json
from guardrail.training.evaluate.rewriting import sections
from guardrail.training.evaluate.rewriting.card import card_lines
from guardrail.training.evaluate.rewriting.goals import goals
from guardrail.training.evaluate.rewriting.page import Written, marked, readings, render
from tests.training.evaluate.rewriting.made import CHAIR, COPY, WHOLE, measured

pytestmark = pytest.mark.training


def written(*, show_texts: bool = False) -> Written:
    found = measured()
    made = tuple(section for section in sections.tables(found, (WHOLE,)) if section.rows)
    aims = tuple(goals(made, WHOLE, tuple(found.judges), "r@1 alone"))
    about = {"system": WHOLE, "alone": "r@1 alone", "texts": "b, biased: 4"}
    return Written(Report(about, made, aims, {}), readings(found, 20, show_texts=show_texts))


def test_texts_of_others_are_shown_only_when_asked_for_and_escaped() -> None:
    assert "Zyxwvut" not in render(written())
    page = render(written(show_texts=True))
    assert "Zyxwvut" in page
    assert "<script" not in page


def test_the_page_has_plots_targets_and_marked_rewrites() -> None:
    page = render(written())
    assert page.count("<svg") == 2
    assert "<del>chairman</del>" in page
    assert "<ins>chair</ins>" in page
    assert "still flagged by strict" in page
    assert "Probabilities" not in page
    assert "http" not in page.replace("http://www.w3.org/", "")


def test_a_judge_s_name_cannot_break_a_drawing() -> None:
    found = written().report.section("flagged")
    assert found is not None
    from guardrail.training.evaluate.rewriting.page import bars

    rows = {"a<b>": {"j<script>": dict(next(iter(found.rows[WHOLE].values())))}}
    assert "<script>" not in bars(type(found)("flagged", "", "", rows))


def test_the_json_holds_no_text() -> None:
    said = to_json(written(show_texts=True).report)
    assert CHAIR not in said
    assert "Zyxwvut" not in said
    assert json.loads(said)["sections"]["flagged"]["rows"][WHOLE]["strict"]["mended"] == 0.25


def test_no_more_texts_than_asked_for() -> None:
    found = measured()
    assert readings(found, 0, show_texts=True) == ()
    assert len(readings(found, 2, show_texts=True)) == 2
    assert {one.fate for one in readings(found, 20, show_texts=False)} >= {"rewritten"}


def test_marks_split_both_texts_and_lose_nothing() -> None:
    before, after = marked("The chairman left.", "The chair left now.")
    assert [text for same, text in before if not same] == ["chairman"]
    assert "".join(text for _, text in after) == "The chair left now."
    assert marked("", "") == ((), ())


def test_a_card_states_the_pipeline_the_rewriter_and_the_copy() -> None:
    lines = card_lines(json.loads(to_json(written().report)))
    text = "\n".join(lines)
    assert "b, biased: 4" in text
    assert f"| {WHOLE}, strict | 3 |" in text
    assert f"| {COPY} | 4 | 0.000 | 0.000 | 1.000" in text
    assert CHAIR not in text
    assert all(line.count("|") == lines[i - 1].count("|") for i, line in enumerate(lines) if line.startswith("| ---"))


def test_a_figure_that_was_not_measured_is_a_dash() -> None:
    report = {
        "about": {"system": "s", "alone": "a", "texts": "t"},
        "sections": {"references": {"title": "R", "note": "n", "rows": {"s": {"": {"texts": 2.0, "bleu": None}}}}},
    }
    assert card_lines(report)[-1] == "| s | 2 | – | – | – |"
    with pytest.raises(KeyError):
        card_lines({"pipeline": {}})
