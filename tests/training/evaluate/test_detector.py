"""Check the tables of a detector's report with a detector that knows words."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.result import Label
from guardrail.training.data.authored import Authored
from guardrail.training.data.schema import LABELS, Row, all_clean
from guardrail.training.evaluate import detector
from guardrail.training.evaluate.detector import (
    CHUNK,
    MIN_OF_EACH,
    authored_table,
    clean_table,
    detect_all,
    evaluate,
    pool_table,
    to_json,
)
from tests.fakes import WordDetector
from tests.training import tiny

pytestmark = pytest.mark.training


@pytest.fixture
def judge() -> Judge:
    return Judge(WordDetector(), Policy())


def biased(text: str, label: str, *spans: str) -> Authored:
    return Authored(text, f"Not {text}", (label,), (), spans, "test")


def blameless(text: str) -> Authored:
    return Authored(text, text, (), (), (), "test")


def test_texts_are_judged_in_order_and_in_chunks() -> None:
    words = WordDetector()
    texts = [f"{'The idiot' if i % 3 else 'A clerk'} left at {i}." for i in range(2 * CHUNK + 5)]
    found = detect_all(Judge(words, Policy()), texts)
    assert [one.flagged for one in found] == [bool(i % 3) for i in range(len(texts))]
    assert words.calls == 3


# ---- authored rows


def test_authored_rows_by_label(judge: Judge) -> None:
    table = authored_table(
        judge,
        [
            biased("The chairman left.", "gendered_term", "chairman"),
            biased("The manpower left.", "gendered_term", "manpower"),
            biased("That idiot of a clerk left.", "toxicity", "idiot of a clerk"),
            blameless("The clerk left."),
            blameless("She called him an idiot."),
        ],
    )
    assert list(table) == ["any", *LABELS]
    gendered = table["gendered_term"]
    assert (gendered["positives"], gendered["recall"], gendered["recall_by_any_label"]) == (2, 0.5, 0.5)
    assert gendered["false_positives"] == 0
    # "chairman" outranks both clean rows, "manpower" ties with both.
    assert gendered["auc"] == pytest.approx(0.75)
    assert table["toxicity"] == {
        "positives": 1,
        "auc": pytest.approx(0.75),
        "recall": 1,
        "recall_by_any_label": 1,
        "false_positives": 0.5,
    }
    assert (table["any"]["positives"], table["any"]["clean"]) == (3, 2)
    assert table["any"]["recall"] == pytest.approx(2 / 3)
    assert table["any"]["false_positives"] == 0.5
    # Only what was flagged counts: "chairman" in full, 5 of the 16 characters of the other.
    assert table["any"]["span_f1_where_flagged"] == pytest.approx((1 + 2 * 5 / (5 + 16)) / 2)


def test_a_label_that_is_found_by_another_one_is_recalled_by_any(judge: Judge) -> None:
    row = authored_table(judge, [biased("The hateful clerk left.", "toxicity", "hateful"), blameless("Tea.")])[
        "toxicity"
    ]
    assert (row["recall"], row["recall_by_any_label"]) == (0, 1)


def test_a_span_is_that_of_its_word(judge: Judge) -> None:
    item = biased("The idiotic rule met an idiot.", "toxicity", "idiot")
    assert authored_table(judge, [item, blameless("Tea.")])["any"]["span_f1_where_flagged"] == 1


def test_a_label_without_rows_is_not_measured(judge: Judge) -> None:
    row = authored_table(judge, [biased("The idiot left.", "toxicity", "idiot"), blameless("Tea.")])["harm"]
    assert row["positives"] == 0
    assert row["false_positives"] == 0
    assert all(math.isnan(row[name]) for name in ("auc", "recall", "recall_by_any_label"))


def test_no_rows_at_all_are_not_measured(judge: Judge) -> None:
    table = authored_table(judge, [])
    assert all(math.isnan(row["auc"]) and math.isnan(row["false_positives"]) for row in table.values())


# ---- pool rows


def rows(word: str, label: str, truth: int, count: int, source: str = "cad") -> list[Row]:
    return [Row(f"The {word} left at {i}.", source, labels={label: truth}) for i in range(count)]


def test_pool_rows_by_source_and_label(judge: Judge) -> None:
    table = pool_table(
        judge,
        rows("idiot", "toxicity", 1, 15)
        + rows("clerk", "toxicity", 1, 5)
        + rows("clerk", "toxicity", 0, 16)
        + rows("idiot", "toxicity", 0, 4),
    )
    assert list(table) == ["cad:toxicity"]
    entry = table["cad:toxicity"]
    assert (entry["rows"], entry["false_positives"]) == (40, 0.2)
    assert entry["auc"] == pytest.approx(0.75 * 0.8 + 0.5 * (0.75 * 0.2 + 0.25 * 0.8))
    hit, miss = 2 * 15 / (19 + 20), 2 * 16 / (21 + 20)
    assert entry["macro_f1"] == pytest.approx((hit + miss) / 2)


def test_only_what_a_row_knows_is_measured(judge: Judge) -> None:
    table = pool_table(judge, [Row("The idiot left.", "edos", groups={"gender": 0}), all_clean("Tea.", "bold_wiki")])
    assert set(table) == {f"bold_wiki:{label}" for label in LABELS}


def test_the_two_sides_of_a_pair_are_one_source(judge: Judge) -> None:
    found = pool_table(
        judge,
        rows("draconian", "loaded_language", 1, 10, "pairs_wnc_small")
        + rows("clerk", "loaded_language", 0, 10, "pairs_wnc_small/neutral"),
    )
    assert found == {"pairs_wnc_small:loaded_language": {"rows": 20, "false_positives": 0, "auc": 1, "macro_f1": 1}}


def test_too_few_of_one_side_have_no_auc(judge: Judge) -> None:
    few = rows("idiot", "toxicity", 1, MIN_OF_EACH - 1) + rows("clerk", "toxicity", 0, 30)
    assert set(pool_table(judge, few)["cad:toxicity"]) == {"rows", "false_positives"}
    only = pool_table(judge, rows("idiot", "toxicity", 1, 3))["cad:toxicity"]
    assert math.isnan(only["false_positives"])


# ---- clean replies


def test_clean_replies_by_label(judge: Judge) -> None:
    texts = ["Add the tea.", "The chairman rose. The idiot sat.", "Draconian is a word; the chairman said so.", "Wait."]
    table = clean_table(judge, texts)
    assert (table["replies"], table["any"]) == (4, 0.5)
    assert {label: table[label] for label in LABELS if table[label]} == {
        "toxicity": 0.25,
        "gendered_term": 0.5,
        "loaded_language": 0.25,
    }


def test_no_replies_are_not_measured(judge: Judge) -> None:
    table = clean_table(judge, [])
    assert table.pop("replies") == 0
    assert all(math.isnan(value) for value in table.values())


# ---- report


def test_a_report_is_strict_json_with_null_for_what_was_not_measured() -> None:
    text = to_json({"table": {"any": {"auc": math.nan, "recall": 0.5}}, "replies": {"any": math.nan}})
    assert json.loads(text) == {"table": {"any": {"auc": None, "recall": 0.5}}, "replies": {"any": None}}
    assert "NaN" not in text


def test_infinity_is_no_figure() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"auc": math.inf})


def test_evaluation_takes_the_dev_fold_and_the_held_out_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = WordDetector()
    monkeypatch.setattr(detector, "open_bundle", lambda path: path)
    monkeypatch.setattr(detector, "OnnxDetector", lambda bundle: words)
    report = evaluate(tmp_path / "bundle", tiny.pool(tmp_path / "pool", rows=80))
    assert set(report) == {"authored_held_out", "pool_dev", "clean_replies_dev"}
    held, dev = report["authored_held_out"], report["pool_dev"]
    assert isinstance(held, dict)
    assert isinstance(dev, dict)
    assert (held["any"]["positives"], held["any"]["clean"]) == (120, 120)
    # Ten of the 20 dev rows of each file are biased; pairs have both sides of all 20.
    assert dev["toxic_spans:toxicity"] == {"rows": 20, "false_positives": 0, "auc": 1, "macro_f1": 1}
    assert dev["pairs_wnc_small:loaded_language"]["rows"] == 40
    assert not [head for head in dev if head.startswith("cad:")]
    loose = evaluate(tmp_path / "bundle", tmp_path / "pool", Policy(threshold=1.0))["pool_dev"]
    assert isinstance(loose, dict)
    assert loose["toxic_spans:toxicity"]["macro_f1"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("out", [False, True])
def test_the_command_prints_and_writes_the_report(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: bool
) -> None:
    monkeypatch.setattr(detector, "evaluate", lambda bundle, pool: {"any": {"auc": math.nan, "of": [bundle.name]}})
    arguments = ["--bundle", "made", "--data", "pool"] + (["--out", str(tmp_path / "report.json")] if out else [])
    monkeypatch.setattr("sys.argv", ["detector", *arguments])
    detector.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"any": {"auc": None, "of": ["made"]}}
    written = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()]
    assert written == ([printed] if out else [])


def test_every_label_of_the_model_has_a_name_in_the_tables(judge: Judge) -> None:
    assert {Label(name) for name in LABELS} == set(Label) - {Label.OBFUSCATION}
