"""The rewriter's report, on fakes whose figures can be counted by hand."""

from __future__ import annotations

import math

from guardrail.guard import Pipeline
from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.rewrite.base import RewriteRequest
from guardrail.training.data.authored import Authored
from guardrail.training.evaluate.rewriter import card_lines, pipeline_table, rewriter_table, run
from tests.fakes import MapRewriter, WordDetector, plain_words

CHAIR, CLEAN = "The chairman of the club spoke first.", "The meeting is at nine."
ITEMS = [
    Authored(CHAIR, "The plain of the club spoke first.", ("gendered_term",), ("gender",), ("chairman",), "b"),
    Authored("An idiot wrote the long report on roads.", "Someone wrote it.", ("toxicity",), (), ("idiot",), "b"),
    Authored("A quiet insinuation about the neighbours.", "A remark.", ("stereotype",), (), (), "b"),
    Authored(CLEAN, CLEAN, (), (), (), "b"),
]


def stubborn(request: RewriteRequest) -> str:
    return request.sentence if "idiot" in request.sentence else plain_words(request)


def test_the_pipeline_table_counts_what_became_of_each_text() -> None:
    guard = Pipeline(Policy(), WordDetector(), MapRewriter(stubborn))
    table = pipeline_table(run(guard, ITEMS), Judge(WordDetector(), Policy()))
    assert (table["biased"], table["flagged"], table["rewritten"], table["masked"]) == (3, 2, 1, 1)
    assert (table["clean"], table["clean_unchanged"]) == (1, 1)
    assert table["exact_match_where_rewritten"] == 1.0
    assert table["failed_rules_where_masked"] == {"unflagged": 1}
    assert (table["other_judge_flags_before"], table["other_judge_unflagged_after"]) == (1.0, 1.0)


def test_another_judge_sees_what_the_shipped_detector_let_pass() -> None:
    guard = Pipeline(Policy(actions={"toxicity": "allow"}), WordDetector(), MapRewriter(stubborn))  # type: ignore[dict-item]
    table = pipeline_table(run(guard, ITEMS), Judge(WordDetector(), Policy()))
    assert table["flagged"] == 1


def test_the_rewriter_alone_has_no_second_try() -> None:
    table = rewriter_table(MapRewriter(stubborn), ITEMS)
    assert table["copied_biased_text"] == round(2 / 3, 4)
    assert table["exact_match"] == round(1 / 3, 4)
    assert table["clean_unchanged"] == 1.0
    assert table["rules_all_held"] == 1.0


def test_nothing_to_count_is_not_a_number() -> None:
    assert math.isnan(float(str(rewriter_table(MapRewriter(stubborn), [])["exact_match"])))


def test_a_card_names_every_figure() -> None:
    lines = card_lines({"pipeline": {"flagged": 2, "exact_match": 0.5, "failed": {"unflagged": 1}, "none_failed": {}}})
    assert "| exact match | 0.500 |" in lines
    assert "| failed | unflagged 1 |" in lines
    assert "| none failed | none |" in lines
