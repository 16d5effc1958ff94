"""Check that judges are never the detector that is measured, and that each text is judged once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")

from guardrail.errors import ConfigError
from guardrail.judge import Judge
from guardrail.models.store import find
from guardrail.policy import Policy
from guardrail.result import Detection
from guardrail.training.detector import mix
from guardrail.training.evaluate.rewriting.judges import open_judges, tf_idf, verdicts
from guardrail.training.evaluate.systems import detect_all
from tests.fakes import WordDetector
from tests.training import tiny
from tests.training.evaluate.rewriting.made import recipe_of

pytestmark = pytest.mark.training


class Words:
    """Judge by words and count the texts."""

    name = "words"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def detect(self, texts: Sequence[str]) -> list[Detection]:
        self.seen += texts
        return detect_all(Judge(WordDetector(), Policy()), texts)


def test_sources_and_rewrites_are_judged_once_each() -> None:
    judge = Words()
    sources, rewrites = ["An idiot.", "A chairman.", "Tea."], {"a": ["Tea.", "A chairman.", ""], "b": ["An idiot."] * 3}
    found = verdicts(judge, sources, rewrites)
    assert found.before.tolist() == [True, True, False]
    assert found.after["a"].tolist() == [False, True, False]
    assert found.after["b"].tolist() == [True, True, True]
    assert sorted(judge.seen) == sorted({*sources, ""})


def test_the_shipped_detector_is_no_judge_of_itself() -> None:
    shipped = find("detector-fast")
    with pytest.raises(ConfigError, match="shipped detector itself"):
        open_judges({"other": "detector-fast"}, Policy(), shipped)
    with pytest.raises(ConfigError, match="shipped detector itself"):
        open_judges({"other": Path(shipped.path)}, Policy(), shipped)


def test_a_bag_of_words_is_trained_on_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mix, "read_authored", list)
    pool = tiny.pool(tmp_path)
    judge = tf_idf(pool, recipe_of(pool), 20_000)
    found = verdicts(judge, ["the idiot plan of cad is bad", "the plan of cad is good"], {})
    assert judge.name == "tf-idf"
    assert found.before.tolist() == [True, False]
    assert set(tf_idf(pool, recipe_of(pool), 100, 0.25).limits.values()) == {0.25}
    with pytest.raises(ConfigError, match="no thresholds for 'fpr<=0.3'"):
        tf_idf(pool, recipe_of(pool), 100, "fpr<=0.3")
