"""Check a whole evaluation: what it measures on, beside what, and what it leaves out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from guardrail.errors import ConfigError, ModelNotFoundError
from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.training.data.authored import read_authored
from guardrail.training.detector import mix
from guardrail.training.detector.recipe import Recipe
from guardrail.training.evaluate import detector
from guardrail.training.evaluate.detector import FULL, QUICK, Plan, Size, evaluate
from guardrail.training.evaluate.report import Report, to_json
from guardrail.training.evaluate.systems import Judged
from tests.fakes import WordDetector
from tests.training import tiny
from tests.training.detector.conftest import RECIPE

pytestmark = pytest.mark.training

BUNDLE = Path(__file__).parents[3] / "guardrail/models/detector-fast"
SMALL = replace(tiny.SIZE, rows=20)
TEXTS = [("A quiet jibe.", 1), ("The idiot left.", 1), ("The chairman left.", 1), ("She said idiot.", 0), ("Tea.", 0)]


def opened(bundle: str | Path, policy: Policy, name: str = "") -> Judged:
    """Give a detector that knows words in place of the bundle's model."""
    return Judged(name or "words@1", Judge(WordDetector(), policy))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mix, "read_authored", lambda: read_authored()[::40])
    monkeypatch.setattr(detector, "open_system", opened)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def report(told: list[str], tmp_path_factory: pytest.TempPathFactory) -> Report:
    """An evaluation without a pool, on a file of five texts, one of them of a training fold."""
    data = tmp_path_factory.mktemp("data") / "my.jsonl"
    rows = [{"text": text, "label": label} for text, label in TEXTS]
    rows.append({"text": "The learned idiot.", "label": 1, "fold": "train"})
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    plan = Plan(data=(data,), policy=Policy(threshold=0.8), examples=1, size=SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "open_system", opened)
        return evaluate(BUNDLE, None, plan, told.append)


def systems_of(report: Report, name: str) -> set[str]:
    section = report.section(name)
    return {system for row in section.rows.values() for system in row} if section else set()


def test_without_a_pool_there_are_the_held_out_rows_the_probes_and_the_user_s_file(
    report: Report, told: list[str]
) -> None:
    assert report.system == "words@1"
    assert report.figure("data1.overview", "all", "recall") == pytest.approx(2 / 3)
    assert report.figure("data1.overview", "all", "false_positives") == 0.5
    names = {section.name for section in report.sections}
    assert {f"heldout.{name}" for name in ("overview", "labels", "spans")} <= names
    assert {"fairness.swaps", "fairness.mentions", "fairness.dialect", "fairness.registers"} <= names
    assert {"robustness.noise", "robustness.position"} <= names
    assert not [name for name in names if name.startswith(("dev.", "strange.", "clean", "latency"))]
    assert systems_of(report, "heldout.overview") == {"words@1"}
    assert f"judging {len(TEXTS)} texts: my.jsonl" in told


def test_no_more_rows_are_drawn_than_the_size_says_and_none_that_was_trained_on(report: Report) -> None:
    assert report.about["texts"] == "Authored rows kept out of training: 20, my.jsonl: 5"
    assert report.figure("heldout.overview", "all", "rows") == 20
    assert report.figure("data1.overview", "all", "rows") == 5


def test_examples_are_the_worst_of_each_side_and_stay_out_of_the_json(report: Report) -> None:
    mine = [(one.kind, one.text) for one in report.examples if one.part == "my.jsonl"]
    assert mine == [("false alarm", "She said idiot."), ("miss", "A quiet jibe.")]
    assert len(report.examples) == 4
    assert not [text for text, _ in TEXTS if text in to_json(report)]
    assert report.about["thresholds"] == "0.8"


def test_a_pool_adds_its_dev_fold_the_baseline_and_clean_replies(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    strict = Policy(threshold=0.95)
    plan = Plan(recipe=Recipe.read(tmp_path / "tiny.toml"), compare={"larger": BUNDLE}, policy=strict, size=SMALL)
    report = evaluate(BUNDLE, tiny.pool(tmp_path / "pool", rows=80), plan)
    assert systems_of(report, "dev.overview") == {"words@1", "tf-idf", "larger"}
    assert systems_of(report, "fairness.swaps") == systems_of(report, "clean") == {"words@1", "tf-idf"}
    dev = report.section("dev.overview")
    assert dev is not None
    assert {"cad", "toxic_spans", "pairs_wnc_small"} <= set(dev.rows)
    # No row of a source that the recipe does not train on: it would not be a dev fold of anything.
    assert "jigsaw_balanced" not in dev.rows
    assert report.figure("dev.overview", "toxic_spans", "recall") == 0
    assert report.figure("dev.overview", "toxic_spans", "macro_f1_at_half") == 1
    assert report.figure("clean", "all", "false_positives") == 0
    assert report.reliability["toxicity"]
    assert [target.what for target in report.targets if "lost" in target.what] == ["macro-F1 lost, larger to words@1"]
    assert report.examples == ()


def test_what_cannot_be_read_is_said_before_anything_is_judged(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        evaluate("no-such-bundle")
    data = tmp_path / "my.jsonl"
    data.write_text('{"text": "Tea."}\n', encoding="utf-8")
    heard: list[str] = []
    with pytest.raises(ConfigError, match=r"my\.jsonl:1"):
        evaluate(BUNDLE, None, Plan(data=(data,)), heard.append)
    assert heard == []


def test_a_quick_look_takes_less_of_everything() -> None:
    for name in Size.__dataclass_fields__:
        assert getattr(QUICK, name) < getattr(FULL, name)
