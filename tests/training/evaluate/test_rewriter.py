"""The rewriter's report from its parts to its tables, on fakes, a tiny pool and a fake chat model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from guardrail._runtime import Deadline
from guardrail.errors import ConfigError
from guardrail.guard import Pipeline
from guardrail.policy import Policy
from guardrail.rewrite.endpoint import Message
from guardrail.training.data.authored import read_authored
from guardrail.training.detector import mix
from guardrail.training.evaluate import rewriter as measuring
from guardrail.training.evaluate.report import to_json
from guardrail.training.evaluate.rewriting import plan as planning
from guardrail.training.evaluate.rewriting.page import Written, render
from guardrail.training.evaluate.rewriting.plan import Parts, Plan, Size
from tests.fakes import MapRewriter, WordDetector, plain_words
from tests.training import tiny
from tests.training.evaluate.rewriting.made import recipe_of

pytestmark = pytest.mark.training
SMALL = Size(pairs=6, held_out=12, judge_rows=2_000, timed=2, blind=2)
ROWS: list[dict[str, Any]] = [
    {
        "text": "The chairman of the club spoke first.",
        "target": "The plain of the club spoke first.",
        "spans": ["chairman"],
    },
    {"text": "An idiot wrote the Zyxwvut report on roads.", "labels": ["toxicity"]},
    {"text": "The meeting is at nine.", "label": 0},
]
WHOLE = "pipeline, fake@1"


class Fake(MapRewriter):
    """A bundled rewriter that knows plain words."""

    name = "fake@1"

    def __init__(self) -> None:
        super().__init__(plain_words)
        self.bundle = self.base = SimpleNamespace(files={"model.onnx": "abc"}, path=Path())


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(place: object, plan: Plan, threads: int = 1) -> Parts:
        writer: Any = Fake()
        detector: Any = WordDetector()
        return Parts(writer, detector, Pipeline(plan.policy, detector, writer))

    monkeypatch.setattr(measuring, "open_parts", parts)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def run(data: Sequence[Path] = (), pool: Path | None = None, **more: Any) -> Written:
    plan = Plan(policy=Policy(), size=SMALL)
    return measuring.evaluate("sr", data, pool, replace(plan, **more))


def test_a_user_s_file_is_measured_without_any_judge(data: Path) -> None:
    written = run([data])
    kept = written.report.section("kept")
    assert kept is not None
    assert list(kept.rows) == [WHOLE, "fake@1 alone", "copy", "delete the flagged span", "mask the flagged span"]
    assert kept.figure(WHOLE, "", "texts") == 2
    assert kept.figure(WHOLE, "", "meaning_rules") == 1.0
    assert written.report.section("flagged") is None
    assert "none: give --judge" in written.report.about["judges"]
    assert {target.what: target.found for target in written.report.targets}["clean texts unchanged"] == 1.0
    timed = written.report.section("latency")
    assert timed is not None
    assert set(timed.rows["2 threads"]) == {"fake@1 alone", WHOLE, "copy"}


def test_a_user_s_texts_are_shown_only_when_asked_for(data: Path) -> None:
    quiet, loud = run([data]), run([data], show_texts=True)
    assert quiet.readings == ()
    assert "Zyxwvut" not in render(quiet)
    assert "Zyxwvut" in render(loud)
    assert "Zyxwvut" not in to_json(loud.report)


def test_the_pool_adds_pairs_and_a_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mix, "read_authored", list)
    steps: list[str] = []
    pool = tiny.pool(tmp_path / "pool")
    written = measuring.evaluate(
        "sr", (), pool, Plan(policy=Policy(), size=SMALL, recipe=recipe_of(pool)), steps.append
    )
    flagged = written.report.section("flagged")
    assert flagged is not None
    assert set(flagged.rows[WHOLE]) == {"tf-idf"}
    assert written.report.about["judges"].startswith("tf-idf (one alone")
    assert "heldout, biased" in written.report.about["texts"]
    assert "judging: tf-idf" in steps
    assert written.readings


def test_prompted_and_local_models_have_a_row_for_each_number_of_shots(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []

    def opened(place: Path, name: str, shots: Any) -> MapRewriter:
        shown.append(len(shots.near("The chairman of the board spoke.")))
        return MapRewriter(lambda request: "Fine.")

    monkeypatch.setattr(planning, "LocalRewriter", opened)
    monkeypatch.setattr(planning, "read_authored", lambda: read_authored(held_out=True))
    chat: Any = Chat()
    written = run([data], local={"mini": Path("x")}, endpoint=chat, shots=(0, 2), llm_judge=True)
    kept, asked = written.report.section("kept"), written.report.section("asked")
    assert kept is not None and asked is not None
    assert list(kept.rows)[-4:] == ["mini, 0-shot", "mini, 2-shot", "m, 0-shot", "m, 2-shot"]
    assert shown == [0, 2]
    assert kept.figure("m, 0-shot", "", "retention") < 0.2
    assert asked.figure(WHOLE, "", "biased") == 0.0
    assert set(asked.rows) == set(kept.rows)


class Chat:
    """A chat model that gives one opinion and one rewrite."""

    model, host = "m", "local"

    def complete(self, conversations: Sequence[Sequence[Message]], deadline: Deadline) -> list[str]:
        return ['{"biased": false}' if "JSON" in talk[0]["content"] else "Fine." for talk in conversations]


def test_other_models_add_perplexity_and_similarity(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Length:
        name = "length"

        def __init__(self, place: Path) -> None: ...

        def loss(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
            return np.array([float(len(text)) for text in texts]), np.array([10.0 for _ in texts])

        def encode(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([[1.0, 0.0] if "plain" in text else [0.0, 1.0] for text in texts])

    monkeypatch.setattr(measuring, "Fluency", Length)
    monkeypatch.setattr(measuring, "Vectors", Length)
    kept = run([data], fluency=Path("x"), vectors=Path("y")).report.section("kept")
    assert kept is not None
    mean = np.mean([len(str(row["text"])) for row in ROWS[:2]])
    assert kept.figure("copy", "", "perplexity") == pytest.approx(np.exp(mean / 10))
    assert kept.figure("copy", "", "similarity") >= kept.figure(WHOLE, "", "similarity")


def test_a_sheet_goes_out_and_ratings_come_in(data: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "blind.csv"
    run([data], blind=sheet)
    lines = sheet.read_text(encoding="utf-8").splitlines()
    sheet.write_text(
        "\n".join([lines[0], *(line.replace(",,,,,", ",5,4,3,yes,") for line in lines[1:])]), encoding="utf-8"
    )
    rated = run([data], ratings=(sheet,)).report.section("ratings")
    assert rated is not None
    assert rated.figure(WHOLE, "", "safety") == 5.0
    assert rated.figure(WHOLE, "", "ship") == 1.0


def test_a_faulty_sheet_is_told_before_anything_is_rewritten(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n", encoding="utf-8")
    steps: list[str] = []
    with pytest.raises(ConfigError, match="lacks the column"):
        measuring.evaluate("sr", [data], None, Plan(ratings=(tmp_path / "other.csv",)), steps.append)
    assert steps == []
