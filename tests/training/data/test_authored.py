"""Check the rows that we wrote ourselves: shipped ones are sound, faulty ones named, held-out ones kept out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail.result import GROUPS
from guardrail.training.data.authored import FOLDER, HELD_OUT, Authored, detector_rows, lint, read_authored
from guardrail.training.data.schema import LABELS, fold_of

FILES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
BRIEFS = [name for name in FILES if name != HELD_OUT]


def raw(**changes: object) -> dict[str, Any]:
    """Return a sound biased row, changed as told."""
    row: dict[str, Any] = {
        "text": "As a nurse, she will stay late.",
        "label": 1,
        "labels": ["stereotype", "gendered_term"],
        "groups": ["gender"],
        "spans": ["she"],
        "target": "As a nurse, they will stay late.",
        "why": "presumes the nurse's gender",
        "brief": "tiny",
    }
    return row | changes


def clean(text: str = "The nurse stayed late.", brief: str = "tiny") -> dict[str, Any]:
    """Return a sound blameless row."""
    return raw(text=text, target=text, label=0, labels=[], groups=[], spans=[], brief=brief)


def write(folder: Path, name: str, *rows: object) -> None:
    """Write rows as JSON Lines."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# ---- what is shipped


@pytest.mark.parametrize("name", FILES)
def test_every_shipped_row_passes_lint(name: str) -> None:
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [(number, fault) for number, line in enumerate(lines, 1) if (fault := lint(json.loads(line)))] == []
    assert len(lines) >= 200


def test_there_are_eight_briefs_to_train_on_and_one_held_out() -> None:
    assert len(BRIEFS) == 8
    assert HELD_OUT in FILES
    assert {item.brief for item in read_authored()} == set(BRIEFS)
    assert {item.brief for item in read_authored(held_out=True)} == {HELD_OUT}


def test_the_readme_counts_the_rows_of_every_file() -> None:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1:4] for line in lines if ".jsonl |" in line]
    told = {name.strip(): (int(rows), int(positives)) for name, rows, positives in cells}
    found = {}
    for path in FOLDER.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found[path.name] = (len(rows), sum(row["label"] for row in rows))
    assert told == found


def test_no_held_out_text_or_rewrite_is_among_the_training_rows() -> None:
    training = {row.text for row in detector_rows(read_authored())}
    held_out = read_authored(held_out=True)
    assert training.isdisjoint({item.text for item in held_out} | {item.target for item in held_out})


def test_no_text_was_written_twice() -> None:
    texts = [item.text for item in read_authored() + read_authored(held_out=True)]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("held_out", [False, True])
def test_both_sides_are_there_in_number(held_out: bool) -> None:
    rows = read_authored(held_out=held_out)
    assert 0.4 <= sum(bool(row.labels) for row in rows) / len(rows) <= 0.6
    assert {label for row in rows for label in row.labels} == set(LABELS)
    assert {group for row in rows for group in row.groups} == set(GROUPS)


def test_every_shipped_span_lies_on_whole_words() -> None:
    def inside_a_word(text: str, at: int) -> bool:
        return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()

    rows = [row for row in detector_rows(read_authored()) if row.spans]
    cut = [(row.source, row.text[a:b]) for row in rows for a, b in row.spans or () if inside_a_word(row.text, a)]
    assert cut == []


# ---- lint


def test_a_sound_row_has_no_fault() -> None:
    assert lint(raw()) == ""
    assert lint(clean()) == ""


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"text": None}, "text and target must be non-empty strings"),
        ({"text": " \n"}, "text and target must be non-empty strings"),
        ({"target": ""}, "text and target must be non-empty strings"),
        ({"target": 3}, "text and target must be non-empty strings"),
        ({"labels": "stereotype"}, "labels, groups and spans must be lists"),
        ({"groups": None}, "labels, groups and spans must be lists"),
        ({"spans": {"she": 1}}, "labels, groups and spans must be lists"),
        ({"labels": ["sexism"]}, "unknown label or group"),
        ({"labels": ["obfuscation"]}, "unknown label or group"),
        ({"labels": [["stereotype"]]}, "unknown label or group"),
        ({"groups": ["women"]}, "unknown label or group"),
        ({"label": 0}, "label 1 needs labels and a changed target"),
        ({"labels": []}, "label 1 needs labels and a changed target"),
        ({"label": "1"}, "label 1 needs labels and a changed target"),
        ({"target": "As a nurse, she will stay late."}, "label 1 needs labels and a changed target"),
        ({"spans": ["they will"]}, "1 span(s) are not substrings of the text"),
        ({"spans": ["she", "She", 4]}, "2 span(s) are not substrings of the text"),
        ({"spans": [""]}, "1 span(s) are not substrings of the text"),
        ({"brief": None}, "brief must be a string"),
        ({"brief": "other"}, "brief must be the name of the file"),
    ],
)
def test_a_faulty_row_stops_the_reading_and_is_named(tmp_path: Path, changes: dict[str, object], fault: str) -> None:
    write(tmp_path, "tiny", clean(), raw(**changes))
    with pytest.raises(ValueError, match="^tiny.jsonl:2: ") as caught:
        read_authored(tmp_path)
    assert fault in str(caught.value)
    assert "mend the row" in str(caught.value)


@pytest.mark.parametrize("line", ["{", "[1]", '"text"', "null", ""])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "tiny.jsonl").write_text(json.dumps(clean()) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="^tiny.jsonl:2: .*object"):
        read_authored(tmp_path)


def test_no_fault_repeats_the_text() -> None:
    assert "nurse" not in lint(raw(spans=["they will"])) + lint(raw(label=0)) + lint(raw(labels=[]))


# ---- reading


def test_the_held_out_file_is_read_only_when_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "tiny", raw())
    write(tmp_path, HELD_OUT, clean("Kept for the end.", HELD_OUT))
    assert [item.brief for item in read_authored(tmp_path)] == ["tiny"]
    assert [item.brief for item in read_authored(tmp_path, held_out=True)] == [HELD_OUT]


def test_a_row_keeps_its_fields_in_order(tmp_path: Path) -> None:
    write(tmp_path, "tiny", raw())
    assert read_authored(tmp_path) == [
        Authored(
            "As a nurse, she will stay late.",
            "As a nurse, they will stay late.",
            ("stereotype", "gendered_term"),
            ("gender",),
            ("she",),
            "tiny",
        )
    ]


# ---- training rows


def item(**changes: object) -> Authored:
    row = raw(**changes)
    return Authored(
        row["text"], row["target"], tuple(row["labels"]), tuple(row["groups"]), tuple(row["spans"]), row["brief"]
    )


def test_a_biased_row_gives_a_known_row_and_its_clean_rewrite() -> None:
    biased, rewrite = detector_rows([item()], weight=1.5)
    assert biased.labels == {**dict.fromkeys(LABELS, 0), "stereotype": 1, "gendered_term": 1}
    assert biased.groups == {**dict.fromkeys(GROUPS, 0), "gender": 1}
    assert (biased.source, biased.spans, biased.weight) == ("authored/tiny", ((12, 15),), 1.5)
    assert rewrite.text == "As a nurse, they will stay late."
    assert (rewrite.labels, rewrite.groups) == (dict.fromkeys(LABELS, 0), dict.fromkeys(GROUPS, 0))
    assert (rewrite.source, rewrite.spans, rewrite.weight) == ("authored/tiny/rewrite", (), 1.5)


def test_a_blameless_row_gives_one_clean_row() -> None:
    (row,) = detector_rows([item(**clean())])
    assert (row.positive, row.spans, row.labels) == (False, (), dict.fromkeys(LABELS, 0))


def test_spans_that_nobody_marked_stay_unknown() -> None:
    biased, _ = detector_rows([item(spans=[])])
    assert biased.spans is None


def test_a_text_and_its_rewrite_are_in_one_fold() -> None:
    texts = [f"The chairman opened meeting {i}." for i in range(200)]
    items = [item(text=t, target=t.replace("chairman", "chair"), spans=["chairman"]) for t in texts]
    rows = list(detector_rows(items))
    assert {row.fold for row in rows} == {"train", "dev"}
    assert [row.fold for row in rows[::2]] == [row.fold for row in rows[1::2]] == [fold_of(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "spans", "found"),
    [
        ("The board asks that he resign.", ["he"], ["he"]),
        ("The foreman said that any man may apply.", ["man"], ["man"]),
        ("Each clerk took her bag and her hat.", ["her", "her"], ["her", "her"]),
        ("A typical grandmotherly fuss.", ["grandmother"], ["grandmother"]),
        ("Women are bad at maths, women are.", ["are bad at maths", "Women"], ["Women", "are bad at maths"]),
        ('He said "no" (twice).', ['"no"'], ['"no"']),
    ],
)
def test_a_span_lies_on_its_word_and_not_inside_another(text: str, spans: list[str], found: list[str]) -> None:
    biased, _ = detector_rows([item(text=text, spans=spans)])
    assert [text[a:b] for a, b in biased.spans or ()] == found
    assert len(set(biased.spans or ())) == len(found)
    at_words = [a == 0 or not text[a - 1].isalnum() for a, _ in biased.spans or ()]
    assert all(at_words)


def test_lint_takes_any_object_without_failing() -> None:
    assert lint({}) == "text and target must be non-empty strings"
    assert lint([raw()]) == lint(None) == "the line is no JSON object"
