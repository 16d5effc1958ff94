"""Check that a card says what the report found, and nothing that it did not."""

from __future__ import annotations

import math

import pytest

from guardrail.training.data.schema import LABELS
from guardrail.training.detector.calibrate import Scaling
from guardrail.training.detector.card import TARGET, Figures, card, drawings
from guardrail.training.detector.export import Parity
from guardrail.training.evaluate.metrics import Bin
from guardrail.training.evaluate.report import Report
from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.targets import Target

pytestmark = pytest.mark.training

US = "tiny@1.0.0"
RECIPE = {
    "name": "tiny",
    "teacher_name": "a teacher",
    "student_name": "a student",
    "hardware": "a test",
    "seed": 5,
    "limits": "Knows nothing.",
}


def section(name: str, rows: dict[str, dict[str, dict[str, float]]]) -> Section:
    return Section(name, f"Title of {name}", f"Note of {name}.", rows)


def figures(*sections: Section) -> Figures:
    targets = (
        Target("ECE, worst label", 0.03, 0.0214, "dev fold", at_most=True),
        Target("loaded news, AUC", 0.78, math.nan, "no news here"),
    )
    return Figures(
        scaling={label: Scaling(1.0, 0.0, 0.0123) for label in LABELS},
        limits={TARGET: dict.fromkeys(LABELS, 0.77)},
        report=Report({"system": US}, sections, targets, {"hate": [Bin(0.1, 0.1, 30)]}),
        parity=Parity(0.09, 0.002, 0.999, 500),
        loops={stage: {"steps": 10.0, "seconds": 20.0} for stage in ("teacher", "student")},
        data={"cad": "0123456789abcdef0123"},
        made=("Energy: not measured.",),
    )


HELD = section(
    "heldout.overview",
    {"all": {US: {"rows": 600.0, "auc": 0.9512, "auc_low": 0.94, "auc_high": 0.96, "recall": 0.71}}},
)


def test_it_tells_the_run_the_headline_the_targets_and_the_data() -> None:
    text = card(RECIPE, figures(HELD))
    for said in (
        "# tiny",
        "- Teacher: a teacher, trained on gold labels (teacher: 10 steps, 20 s).",
        "same verdict at 0.5 in 99.90%",
        "- Energy: not measured.",
        "- Authored rows kept out of training: AUC, any label: 0.951 (95 %: 0.940 to 0.960)",
        "- Authored rows kept out of training: biased ones flagged: 0.710",
        "| ECE, worst label | ≤ 0.03 | 0.021 | PASS | dev fold |",
        "| loaded news, AUC | ≥ 0.78 | – | not measured | no news here |",
        "| hate | 0.012 | – | 0.77 |",
        "- cad: 0123456789abcdef",
        "Title of heldout.overview",
        "Note of heldout.overview.",
    ):
        assert said in text
    # Nothing was measured of clean replies, so no figure stands there.
    assert "Whole clean assistant replies flagged (dev fold): –" in text


def test_a_label_s_calibration_is_told_of_a_sentence_and_as_it_runs() -> None:
    rows = {"hate": {US: {"ece": 0.0456}}}
    assert "| hate | 0.012 | 0.046 | 0.77 |" in card(RECIPE, figures(section("dev.labels", rows)))


def test_the_sizes_stand_side_by_side_where_they_were_measured_together() -> None:
    scores = {US: (0.80, 0.70), "tf-idf": (0.6, 0.5), "teacher fp32": (0.82, 0.72)}
    rows = {
        bucket: {name: {"macro_f1_at_half": pair[i]} for name, pair in scores.items()}
        for i, bucket in enumerate(("cad: hate", "edos: hate"))
    }
    held = section("heldout.overview", {"all": {name: {"auc": 0.9 + i / 100} for i, name in enumerate(scores)}})
    text = card(RECIPE, figures(held, section("dev.heads", rows)))
    assert "| tiny@1.0.0 | 0.750 | 0.900 |" in text
    assert "| teacher fp32 | 0.770 | 0.920 |" in text
    assert "| teacher fp32 | – | 0.920 |" in card(RECIPE, figures(held))
    assert "Side by side" not in card(RECIPE, figures(HELD))


def test_tables_that_the_card_has_no_room_for_are_left_to_the_metrics() -> None:
    text = card(RECIPE, figures(section("strange.heads", {"a": {US: {"auc": 0.1}}})))
    assert "strange.heads" not in text


def test_every_picture_of_the_card_is_drawn_and_every_drawing_is_shown() -> None:
    noise = section("robustness.noise", {"clean": {US: {"auc": 0.9, "recall": 0.5}}})
    for made in (figures(HELD), figures(HELD, noise)):
        text, drawn = card(RECIPE, made), drawings(made.report)
        assert {name for name in ("reliability.svg", "noise.svg") if f"({name})" in text} == set(drawn)
        assert all(drawing.startswith("<svg") for drawing in drawn.values())
