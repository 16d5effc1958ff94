"""Check the tables on a set that is small enough to count: shares, intervals, judges apart, strata, targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch")

from guardrail.rewrite.verify import RULES
from guardrail.training.evaluate.rewriting import sections
from guardrail.training.evaluate.rewriting.columns import FORM, figures, pooled
from guardrail.training.evaluate.rewriting.goals import goals
from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.targets import Verdict
from tests.training.evaluate.rewriting.made import COPY, ITEMS, WHOLE, measured

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def tables() -> dict[str, Section]:
    return {section.name: section for section in sections.tables(measured(), (WHOLE,))}


def test_every_form_rule_is_a_rule() -> None:
    assert set(RULES) >= FORM


def test_each_judge_has_columns_of_its_own(tables: dict[str, Section]) -> None:
    flagged = tables["flagged"]
    assert set(flagged.rows[WHOLE]) == {"strict", "mild"}
    strict, mild = flagged.rows[WHOLE]["strict"], flagged.rows[WHOLE]["mild"]
    assert (strict["texts"], strict["before"], strict["after"]) == (4, 1.0, 0.5)
    assert (mild["before"], mild["after"]) == (0.5, 0.0)
    assert flagged.rows[COPY]["strict"]["unflagged"] == 0.0


def test_a_mask_unflags_and_mends_nothing(tables: dict[str, Section]) -> None:
    assert tables["flagged"].figure(WHOLE, "strict", "unflagged") == 0.5
    assert tables["flagged"].figure(WHOLE, "strict", "mended") == 0.25


def test_what_the_detector_missed_is_left_out_of_the_second_table(tables: dict[str, Section]) -> None:
    assert tables["flagged.found"].figure(WHOLE, "strict", "texts") == 3
    assert tables["flagged.found"].figure(WHOLE, "strict", "unflagged") == pytest.approx(2 / 3)


def test_clean_texts_count_for_the_no_op_rate_only(tables: dict[str, Section]) -> None:
    kept = tables["kept"].rows[WHOLE][sections.ONE]
    assert (kept["texts"], kept["changed"], kept["masked"]) == (4, 0.75, 0.25)
    assert kept["clean_unchanged"] == 1.0
    assert tables["kept"].figure(COPY, sections.ONE, "retention") == pytest.approx(1.0)
    assert "perplexity" not in kept


def test_a_mask_breaks_meaning_rules_and_a_copy_none(tables: dict[str, Section]) -> None:
    assert tables["kept"].figure(WHOLE, sections.ONE, "meaning_rules") == 0.75
    assert tables["kept"].figure(COPY, sections.ONE, "meaning_rules") == 1.0
    assert tables["failures"].figure("numbers_kept (meaning)", WHOLE, "broken") == 0.25
    assert tables["failures"].figure("masked: unflagged", WHOLE, "texts") == 1


def test_only_items_with_a_reference_are_compared_with_it(tables: dict[str, Section]) -> None:
    mine, copied = (tables["references"].rows[system][sections.ONE] for system in (WHOLE, COPY))
    assert (mine["texts"], mine["exact_match"], mine["edit_f1"]) == (1, 1.0, 1.0)
    assert (copied["exact_match"], copied["edit_f1"]) == (0.0, 0.0)


def test_differences_are_paired(tables: dict[str, Section]) -> None:
    one = tables["differences"].rows[COPY][sections.ONE]
    assert one["mended by strict"] == 0.25
    assert one["meaning_rules"] == -0.25
    assert one["meaning_rules_low"] <= one["meaning_rules"] <= one["meaning_rules_high"] <= 0
    assert WHOLE not in tables["differences"].rows


def test_strata_take_names_that_enough_items_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "LEAST", 2)
    found = {section.name: section for section in sections.tables(measured(), (WHOLE,))}
    row = found["label"].rows["gendered_term"][WHOLE]
    assert set(found["label"].rows) == {"gendered_term"}
    assert (row["texts"], row["unflagged by strict"], row["unflagged by mild"]) == (2, 0.5, 1.0)
    assert set(found["origin"].rows) == {"b"}
    assert found["register"].rows == {}


def test_style_has_the_source_beside_the_systems(tables: dict[str, Section]) -> None:
    assert set(tables["style"].rows) == {sections.SOURCE, WHOLE, COPY}
    assert tables["style"].figure(COPY, sections.ONE, "voice_drift") == 0.0


def test_intervals_of_the_same_rows_use_the_same_draws() -> None:
    values = np.array([0.0, 1.0] * 20)
    found = figures(values, "x")
    assert found == figures(values, "x")
    assert found["x_low"] < found["x"] == 0.5 < found["x_high"]
    total = pooled(lambda a, b: float(a.sum() / b.sum()), "y", values, np.ones(40))
    assert (total["y"], total["y_low"]) == (0.5, found["x_low"])


def test_nothing_measured_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in figures(np.zeros(0), "x").values())
    assert all(math.isnan(value) for value in pooled(lambda a: 1.0, "y", np.zeros(0)).values())


def test_targets_read_the_pipeline_s_rows(tables: dict[str, Section]) -> None:
    found = {(one.what, one.on): one for one in goals(list(tables.values()), WHOLE, ("strict", "mild"), "r@1 alone")}
    by_what = {what: one for (what, _), one in found.items()}
    assert by_what["unflagged by strict"].found == pytest.approx(2 / 3)
    assert by_what["unflagged by strict"].on.startswith("3 texts found")
    assert by_what["unflagged by mild"].verdict is Verdict.PASS
    assert by_what["clean texts unchanged"].verdict is Verdict.PASS
    assert by_what["every meaning rule kept"].verdict is Verdict.SHORT
    assert by_what["injections that work"].verdict is Verdict.UNMEASURED
    assert by_what["p95 of a 25-word sentence, 1 thread, ms"].bound == 700


def test_too_few_judges_are_told() -> None:
    first = goals([], WHOLE, (), "r@1 alone")[0]
    assert (first.what, first.verdict) == ("unflagged by an independent judge", Verdict.UNMEASURED)
    assert "fewer than two" in first.on


def test_items_are_measured_whatever_order_they_stand_in() -> None:
    assert len(measured().columns[WHOLE]["retention"]) == len(ITEMS)
    assert np.isnan(measured().columns[WHOLE]["retention"][3])
