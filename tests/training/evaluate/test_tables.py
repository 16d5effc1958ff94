"""Check every figure of the tables against counts done by hand."""

from __future__ import annotations

import math

import pytest

from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.training.data.schema import LABELS, known
from guardrail.training.evaluate import tables
from guardrail.training.evaluate.cases import Case
from guardrail.training.evaluate.section import Part, Section
from guardrail.training.evaluate.systems import Judged, score
from tests.fakes import WordDetector

SYSTEM = "words"


def part(*cases: Case) -> Part:
    judged = Judged(SYSTEM, Judge(WordDetector(), Policy()))
    return Part("x", "Test", cases, {SYSTEM: score(judged, [case.text for case in cases])})


def case(text: str, *labels: str, bucket: str = "a", spans: tuple[tuple[int, int], ...] | None = None) -> Case:
    return Case(text, bucket, labels=known(LABELS, labels), biased=int(bool(labels)), spans=spans)


def many(text: str, count: int, *labels: str, bucket: str = "a") -> list[Case]:
    return [case(f"{text} at {i}.", *labels, bucket=bucket) for i in range(count)]


# Three of four biased texts are found, one of five blameless ones is flagged.
MIXED = (
    case("The idiot left.", "toxicity"),
    case("The chairman left.", "gendered_term"),
    case("A stereotype.", "stereotype", bucket="b"),
    case("A quiet jibe.", "stereotype", bucket="b"),
    case("She called him an idiot."),
    case("Tea."),
    case("The form is late.", bucket="b"),
    case("The mill.", bucket="b"),
    case("A clerk.", bucket="b"),
)


def test_the_verdict_any_label_over_all_and_by_bucket() -> None:
    section = tables.overview(part(*MIXED))
    assert list(section.rows) == ["all", "a", "b"]
    all_ = section.rows["all"][SYSTEM]
    assert (all_["rows"], all_["biased"], all_["recall"], all_["false_positives"]) == (9, 4, 0.75, 0.2)
    # Of 20 pairs: 3 found ones beat 4 and tie with 1; the missed one ties with 4 and loses to 1.
    assert all_["auc"] == pytest.approx((3 * 4 + 3 * 0.5 + 4 * 0.5) / 20)
    # Found and biased 3 of 4 and 4; passed and blameless 4 of 5 and 5.
    assert all_["macro_f1"] == pytest.approx((2 * 3 / 8 + 2 * 4 / 10) / 2)
    assert all_["auc_low"] <= all_["auc"] <= all_["auc_high"]
    assert all_["macro_f1_low"] < all_["macro_f1"] < all_["macro_f1_high"]
    assert section.rows["b"][SYSTEM]["recall"] == 0.5
    assert "auc_low" not in section.rows["b"][SYSTEM]


def test_the_thresholds_and_one_half_are_told_apart() -> None:
    strict = Judged(SYSTEM, Judge(WordDetector(), Policy(threshold="fpr<=0.001")))
    cases = (case("The idiot left.", "toxicity"), case("Tea."))
    found = tables.overview(Part("x", "Test", cases, {SYSTEM: score(strict, [one.text for one in cases])}))
    figures = found.rows["all"][SYSTEM]
    assert (figures["recall"], figures["macro_f1_at_half"]) == (0, 1)


def test_one_bucket_is_not_told_twice_and_unknown_verdicts_not_at_all() -> None:
    unknown = Case("The idiot left.", "edos", groups={"gender": 0})
    assert list(tables.overview(part(case("The idiot left.", "toxicity"), case("Tea."), unknown)).rows) == ["all"]
    assert tables.overview(part(unknown)).rows == {}


def test_each_label_over_the_cases_that_know_it() -> None:
    half = Case("The idiot left.", "jigsaw", labels={"toxicity": 0}, biased=0)
    rows = tables.labels(part(*MIXED, half)).rows
    toxicity = rows["toxicity"][SYSTEM]
    assert (toxicity["rows"], toxicity["positives"], toxicity["recall"]) == (10, 1, 1)
    assert toxicity["false_positives"] == pytest.approx(2 / 9)
    assert toxicity["f1"] == pytest.approx(2 / (3 + 1))
    stereotype = rows["stereotype"][SYSTEM]
    assert (stereotype["rows"], stereotype["positives"], stereotype["recall"]) == (9, 2, 0.5)
    # Three were said to be .9 and one was; seven .01 and none was.
    assert toxicity["ece"] == pytest.approx(3 / 10 * abs(0.9 - 1 / 3) + 7 / 10 * 0.01)


def test_a_label_that_nobody_has_is_not_measured() -> None:
    harm = tables.labels(part(*MIXED)).rows["harm"][SYSTEM]
    assert (harm["positives"], harm["false_positives"]) == (0, 0)
    assert all(math.isnan(harm[key]) for key in ("auc", "recall", "macro_f1"))


def test_labels_by_bucket_need_ten_of_each_class() -> None:
    enough = [*many("The idiot left", 10, "toxicity"), *many("Tea", 10)]
    few = [*many("The idiot left", 9, "toxicity", bucket="b"), *many("Tea", 30, bucket="b")]
    section = tables.heads(part(*enough, *few))
    assert list(section.rows) == ["a: toxicity"]
    figures = section.rows["a: toxicity"][SYSTEM]
    assert (figures["rows"], figures["auc"], figures["macro_f1"]) == (20, 1, 1)
    assert tables.mean_macro_f1(section, SYSTEM) == 1
    assert math.isnan(tables.mean_macro_f1(section, "other"))


def test_a_targeted_group_has_its_recall_and_its_head() -> None:
    def about(text: str, present: int) -> list[Case]:
        labels = known(LABELS, ["stereotype"])
        return [Case(f"{text} {i}.", "a", labels=labels, biased=1, groups={"race": present}) for i in range(10)]

    rows = tables.groups(part(*about("A stereotype", 1), *about("A jibe", 1), *about("A stereotype", 0))).rows
    assert list(rows) == ["race"]
    race = rows["race"][SYSTEM]
    assert (race["biased"], race["recall"]) == (20, 0.5)
    # Ten of twenty positives score .9, and so do all ten negatives.
    assert race["group_auc"] == pytest.approx(0.25)
    assert race["group_f1"] == pytest.approx(2 * 10 / (20 + 20))


def test_spans_per_post_with_gold_and_where_flagged() -> None:
    rows = tables.spans(
        part(
            case("The idiot left.", "toxicity", spans=((4, 9),)),
            case("That idiot of a clerk.", "toxicity", spans=((5, 21),)),
            case("A quiet jibe.", "toxicity", spans=((8, 12),)),
            case("Tea.", spans=()),
            case("She said idiot.", spans=()),
            case("Not marked, idiot.", "toxicity"),
        )
    ).rows
    figures = rows["all"][SYSTEM]
    second = 2 * 5 / (5 + 16)
    assert (figures["texts"], figures["with_gold"]) == (5, 3)
    assert figures["per_post_f1"] == pytest.approx((1 + second + 0 + 1 + 0) / 5)
    assert figures["f1_with_gold"] == pytest.approx((1 + second + 0) / 3)
    assert figures["f1_where_flagged"] == pytest.approx((1 + second) / 2)


def test_texts_without_any_marked_character_have_no_span_table() -> None:
    assert tables.spans(part(case("Tea.", spans=()), case("The idiot left.", "toxicity"))).rows == {}


def test_a_figure_that_a_table_lacks_is_no_number() -> None:
    section = Section("s", "S", "", {"all": {SYSTEM: {"auc": 0.5}}})
    assert section.figure("all", SYSTEM, "auc") == 0.5
    assert all(
        math.isnan(section.figure(*key)) for key in (("b", SYSTEM, "auc"), ("all", "x", "auc"), ("all", SYSTEM, "f1"))
    )
