"""Check which rows are read, as what, and which are refused without their text in the message."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from guardrail.errors import ConfigError
from guardrail.result import GROUPS
from guardrail.training.data.authored import FOLDER
from guardrail.training.data.schema import LABELS, Row
from guardrail.training.evaluate.cases import Case, from_row, measured, read_cases

SECRET = "Zyxwvut"


def write(folder: Path, *rows: object, name: str = "my.jsonl") -> Path:
    path = folder / name
    lines = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        path.write_text(lines, encoding="utf-8")
    return path


def only(folder: Path, row: object) -> Case:
    (case,) = read_cases(write(folder, row))
    return case


def test_a_row_of_text_and_label_one_is_biased_and_nobody_says_how(tmp_path: Path) -> None:
    case = only(tmp_path, {"text": "A text.", "label": 1})
    assert (case.biased, dict(case.labels), case.bucket, case.spans, case.fold) == (1, {}, "my", None, "dev")


def test_a_row_of_text_and_label_nought_lacks_every_label(tmp_path: Path) -> None:
    case = only(tmp_path, {"text": "A text.", "label": 0})
    assert (case.biased, case.labels) == (0, dict.fromkeys(LABELS, 0))


def test_a_row_with_labels_knows_all_of_them(tmp_path: Path) -> None:
    row = {"text": "A text.", "labels": ["hate", "toxicity"], "groups": ["race"], "spans": [[0, 1]]}
    case = only(tmp_path, row)
    assert case.biased == 1
    assert {label for label, value in case.labels.items() if value} == {"hate", "toxicity"}
    assert set(case.labels) == set(LABELS)
    assert case.groups == {group: int(group == "race") for group in GROUPS}
    assert case.spans == ((0, 1),)
    assert only(tmp_path, {"text": "A text.", "labels": []}).biased == 0


def test_a_pool_row_knows_its_scope_alone_and_its_rewrite_is_blameless(tmp_path: Path) -> None:
    row = {"text": "the draconian plan", "labels": ["loaded"], "scope": ["loaded"], "spans": [[4, 13]], "fold": "dev"}
    biased, neutral = read_cases(write(tmp_path, row | {"target": "the plan"}, name="pairs.jsonl.gz"))
    assert (biased.bucket, biased.biased, biased.labels, biased.spans) == (
        "pairs",
        1,
        {"loaded_language": 1},
        ((4, 13),),
    )
    assert (neutral.text, neutral.biased, neutral.labels, neutral.spans) == ("the plan", 0, {"loaded_language": 0}, ())


def test_a_pool_row_that_knows_only_whether_it_is_sexist_is_neither_biased_nor_blameless(tmp_path: Path) -> None:
    case = only(tmp_path, {"text": "A text.", "labels": [], "scope": ["g:gender"], "fold": "dev"})
    assert (case.biased, case.groups) == (None, {"gender": 0})


def test_a_pool_row_that_needs_its_context_is_left_out(tmp_path: Path) -> None:
    row = {"text": "Yes.", "labels": [], "scope": ["hate"]}
    cases = read_cases(write(tmp_path, row, row | {"context_dependent": True}))
    assert len(cases) == 1


def test_rows_of_the_training_fold_are_marked_and_not_measured(tmp_path: Path) -> None:
    rows = [
        {"text": f"Text {i}.", "labels": [], "scope": ["hate"], "fold": fold} for i, fold in enumerate(("dev", "train"))
    ]
    cases = read_cases(write(tmp_path, *rows, {"text": "Mine.", "label": 0, "fold": "train"}))
    assert [case.text for case in measured(cases)] == ["Text 0."]


AUTHORED = {
    "text": "The chairman rose.",
    "target": "The chair rose.",
    "label": 1,
    "labels": ["gendered_term"],
    "groups": ["gender"],
    "spans": ["chairman"],
    "brief": "mine",
    "why": "The office has no sex.",
}


def test_an_authored_row_has_its_spans_in_characters(tmp_path: Path) -> None:
    case = only(tmp_path, AUTHORED)
    assert (case.bucket, case.biased, case.spans, case.groups["gender"], case.fold) == ("mine", 1, ((4, 12),), 1, "dev")


def test_a_label_that_two_annotators_did_not_agree_on_is_unknown(tmp_path: Path) -> None:
    case = only(tmp_path, AUTHORED | {"second": ["gendered_term", "stereotype"]})
    assert "stereotype" not in case.labels
    assert case.labels["gendered_term"] == 1


def test_the_held_out_file_is_measured_whole_and_a_trained_one_on_its_dev_fold() -> None:
    held, trained = (read_cases(FOLDER / f"{name}.jsonl") for name in ("heldout", "contrast"))
    assert len(measured(held)) == len(held) > 200
    assert 0 < len(measured(trained)) < len(trained) / 5
    assert any(case.mentions for case in held if case.biased == 0)


def test_a_training_row_becomes_a_case_of_its_source() -> None:
    row = Row("A text.", "authored/contrast/rewrite", labels={"hate": 0}, groups={"race": 0}, spans=(), fold="dev")
    case = from_row(row)
    assert (case.bucket, case.biased, case.labels, case.groups, case.spans) == (
        "contrast",
        0,
        {"hate": 0},
        {"race": 0},
        (),
    )
    assert from_row(Row("A text.", "pairs_wnc_small/neutral", labels={"hate": 1})).bucket == "pairs_wnc_small"
    assert from_row(Row("A text.", "edos", groups={"gender": 1})).biased is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"{{{SECRET}", "no JSON object with a text"),
        ([SECRET], "no JSON object with a text"),
        ({"label": 1, "note": SECRET}, "no JSON object with a text"),
        ({"text": "  ", "label": 1}, "no JSON object with a text"),
        ({"text": 5, "label": 1}, "no JSON object with a text"),
        ({"text": SECRET}, "labels of another form"),
        ({"text": SECRET, "label": "toxic"}, "labels of another form"),
        ({"text": SECRET, "label": 2}, "labels of another form"),
        ({"text": SECRET, "label": 1, "labels": "hate"}, "labels of another form"),
        ({"text": SECRET, "labels": ["rude"]}, "labels must be of"),
        ({"text": SECRET, "label": 0, "labels": ["hate"]}, "agree with label"),
        ({"text": SECRET, "label": 1, "labels": []}, "agree with label"),
        ({"text": SECRET, "label": 1, "groups": ["martians"]}, "groups must be of"),
        ({"text": SECRET, "label": 1, "groups": "race"}, "groups must be of"),
        ({"text": SECRET, "label": 1, "spans": [[0, 99]]}, "spans must be"),
        ({"text": SECRET, "label": 1, "spans": [[2, 2]]}, "spans must be"),
        ({"text": SECRET, "label": 1, "spans": ["Zy"]}, "spans must be"),
        ({"text": SECRET, "label": 1, "spans": 3}, "spans must be"),
        (AUTHORED | {"text": f"{SECRET} rose."}, "span"),
        (AUTHORED | {"label": 0}, "label 1 needs labels"),
    ],
)
def test_a_row_of_another_form_is_refused_by_file_and_line_without_its_text(
    tmp_path: Path, row: object, said: str
) -> None:
    path = write(tmp_path, {"text": "Good.", "label": 0}, row)
    with pytest.raises(ConfigError, match=said) as caught:
        read_cases(path)
    assert "my.jsonl:2" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"my\.jsonl holds no rows"):
        read_cases(write(tmp_path, "", " "))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.jsonl"
    path.write_bytes('{"text": "Straße", "label": 0}'.encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_cases(path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_cases(tmp_path / "none.jsonl")
