"""Check that pool rows keep their scope: what the annotators did not look at stays unknown."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.result import GROUPS
from guardrail.text.windows import split_sentences
from guardrail.training.data.pool import (
    NAMES,
    clean_replies,
    read_file,
    read_pool,
    read_unlabelled,
    sha256_of,
    to_row,
)
from guardrail.training.data.schema import LABELS, Row, fold_of

PROSE = (
    "The mill was built in 1821 by two brothers. It burnt down. It was rebuilt of stone after the great fire of 1840."
)


def raw(text: str = "some text", labels: list[str] | None = None, **more: object) -> dict[str, Any]:
    """Return a pool row in the pool's own words."""
    return {"text": text, "labels": labels or [], "scope": ["hate"], "quality": "gold", "fold": "train"} | more


def write(folder: Path, name: str, *rows: object) -> None:
    """Write one pool file."""
    with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def read(folder: Path, seed: int = 17, **caps: int) -> list[Row]:
    return read_pool(folder, caps, split_sentences, seed)


# ---- one row


@pytest.mark.parametrize(("theirs", "ours"), NAMES.items())
def test_each_name_of_the_pool_becomes_our_label(theirs: str, ours: str) -> None:
    assert to_row(raw(labels=[theirs], scope=[theirs]), "x").labels == {ours: 1}
    assert to_row(raw(labels=[], scope=[theirs]), "x").labels == {ours: 0}
    assert ours in LABELS


def test_a_label_outside_the_scope_is_unknown_unless_present() -> None:
    row = to_row(raw(labels=["toxic"], scope=["hate", "stereotype"]), "x")
    assert row.labels == {"toxicity": 1, "hate": 0, "stereotype": 0}
    assert row.groups == {}


EXCLUSIVE = ["hate", "loaded", "stereotype", "toxic"]


@pytest.mark.parametrize(
    ("present", "labels"),
    [
        ("hate", {"hate": 1, "loaded_language": 0}),
        ("stereotype", {"stereotype": 1, "toxicity": 0, "loaded_language": 0}),
        ("toxic", {"stereotype": 0, "hate": 0, "toxicity": 1, "loaded_language": 0}),
        ("loaded", {"stereotype": 0, "hate": 0, "toxicity": 0, "loaded_language": 1}),
        (None, {"stereotype": 0, "hate": 0, "toxicity": 0, "loaded_language": 0}),
    ],
)
def test_a_label_that_the_annotator_could_not_pick_beside_another_is_unknown(
    present: str | None, labels: dict[str, int]
) -> None:
    assert to_row(raw(labels=[present] if present else [], scope=EXCLUSIVE), "x").labels == labels


def test_labels_that_are_present_together_stay_so() -> None:
    row = to_row(raw(labels=["hate", "stereotype", "toxic"], scope=EXCLUSIVE), "x")
    assert row.labels == {"stereotype": 1, "hate": 1, "toxicity": 1, "loaded_language": 0}


def test_not_sexist_says_nothing_of_toxicity() -> None:
    row = to_row(raw(labels=[], scope=["g:gender"]), "edos")
    assert (row.labels, row.groups) == ({}, {"gender": 0})


def test_a_gold_group_means_that_the_others_are_absent() -> None:
    row = to_row(raw(labels=["hate", "g:race"], scope=["hate"]), "x")
    assert row.groups == {**dict.fromkeys(GROUPS, 0), "race": 1}


def test_a_weak_group_says_nothing_of_the_others() -> None:
    assert to_row(raw(labels=["hate", "wg:race", "wg:gender"]), "x").groups == {"race": 1, "gender": 1}


def test_gold_outweighs_a_weak_group() -> None:
    assert to_row(raw(labels=["wg:gender"], scope=["g:gender"]), "x").groups == {"gender": 0}


def test_names_that_are_no_head_of_ours_are_left_out() -> None:
    row = to_row(raw(labels=["negative_frame", "g:hobbits", "wg:elves"], scope=["g:hobbits", "sarcasm"]), "x")
    assert row.labels == {}
    assert set(row.groups) <= set(GROUPS)


@pytest.mark.parametrize(
    ("quality", "weight"),
    [("gold", 1.0), ("silver", 0.6), ("synthetic", 0.4), ("noisy", 0.25), (None, 0.3), ("?", 0.3)],
)
def test_the_weight_follows_the_quality(quality: str | None, weight: float) -> None:
    assert to_row(raw(quality=quality), "x").weight == weight


def test_absent_spans_are_unknown_and_empty_ones_are_none_found() -> None:
    assert to_row(raw(), "x").spans is None
    assert to_row(raw(spans=None), "x").spans is None
    assert to_row(raw(spans=[]), "x").spans == ()
    assert to_row(raw(spans=[[0, 4], [5, 9]]), "x").spans == ((0, 4), (5, 9))


@pytest.mark.parametrize(("theirs", "ours"), [("dev", "dev"), ("train", "train"), (None, "train")])
def test_the_pool_s_own_fold_is_kept(theirs: str | None, ours: str) -> None:
    assert to_row(raw(fold=theirs), "x").fold == ours


@given(
    st.lists(st.sampled_from([*NAMES, *(f"g:{g}" for g in GROUPS), *(f"wg:{g}" for g in GROUPS)]), max_size=6),
    st.lists(st.sampled_from([*NAMES, *(f"g:{g}" for g in GROUPS)]), max_size=6),
)
def test_every_target_is_named_by_labels_or_scope(labels: list[str], scope: list[str]) -> None:
    row = to_row(raw(labels=labels, scope=scope), "x")
    assert {name for name, value in row.labels.items() if value} == {NAMES[x] for x in labels if x in NAMES}
    present = {name for name, value in row.labels.items() if value}
    unsure = {"hate": {"stereotype", "toxicity"}, "stereotype": {"hate"}}
    dropped = unsure["hate"] if "hate" in present else unsure["stereotype"] if "stereotype" in present else set()
    assert set(row.labels) == {NAMES[x] for x in labels + scope if x in NAMES} - (dropped - present)
    assert set(row.groups) <= set(GROUPS)
    gold = {x[2:] for x in labels if x.startswith("g:")}
    assert {name for name in gold if row.groups[name] != 1} == set()


# ---- files


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl.gz"):
        read(tmp_path, nowhere=5)


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "cad", raw())
    assert sha256_of(tmp_path, "cad") == hashlib.sha256((tmp_path / "cad.jsonl.gz").read_bytes()).hexdigest()


def test_raw_rows_come_in_the_file_s_order(tmp_path: Path) -> None:
    write(tmp_path, "cad", *(raw(f"text {i}") for i in range(5)))
    assert [row["text"] for row in read_file(tmp_path, "cad")] == [f"text {i}" for i in range(5)]


def test_rows_without_text_or_without_their_context_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "cad", raw(" "), raw(text=None), raw("needs more", context_dependent=True), raw("kept"))  # type: ignore[arg-type]
    assert [row.text for row in read(tmp_path, cad=9)] == ["kept"]


def test_a_cap_takes_the_same_rows_for_the_same_seed(tmp_path: Path) -> None:
    write(tmp_path, "cad", *(raw(f"text {i}", ["hate"] if i % 4 == 0 else []) for i in range(400)))
    first, again, other = (read(tmp_path, seed=seed, cad=100) for seed in (1, 1, 2))
    assert first == again
    assert [row.text for row in first] != [row.text for row in other]
    assert len({row.text for row in first}) == 100


def test_a_cap_keeps_the_classes_in_proportion(tmp_path: Path) -> None:
    write(tmp_path, "cad", *(raw(f"text {i}", ["hate"] if i % 4 == 0 else []) for i in range(2000)))
    assert sum(row.positive for row in read(tmp_path, cad=400)) == pytest.approx(100, abs=25)


def test_a_smaller_cap_takes_a_part_of_the_larger_one_whatever_the_other_files(tmp_path: Path) -> None:
    for name in ("cad", "edos"):
        write(tmp_path, name, *(raw(f"{name} {i}") for i in range(50)))
    alone = read(tmp_path, cad=10)
    both = read(tmp_path, cad=20, edos=5)
    assert [row.text for row in both if row.source == "cad"][:10] == [row.text for row in alone]
    assert Counter(row.source for row in both) == {"cad": 20, "edos": 5}


def test_the_neutral_side_of_a_pair_joins_with_the_labels_absent(tmp_path: Path) -> None:
    pair = raw("The stunning draw.", ["loaded"], scope=["loaded"], spans=[[4, 12]], target="The draw.", fold="dev")
    write(tmp_path, "pairs_wnc_small", pair | {"quality": "silver"})
    biased, neutral = sorted(read(tmp_path, pairs_wnc_small=9), key=lambda row: row.source)
    assert (biased.source, biased.labels, biased.spans) == ("pairs_wnc_small", {"loaded_language": 1}, ((4, 12),))
    assert (neutral.source, neutral.text) == ("pairs_wnc_small/neutral", "The draw.")
    assert (neutral.labels, neutral.spans, neutral.groups) == ({"loaded_language": 0}, (), {})
    assert (neutral.weight, neutral.fold) == (biased.weight, biased.fold) == (0.6, "dev")


@pytest.mark.parametrize("target", [None, "", "  ", "The draw."])
def test_a_pair_without_another_side_gives_one_row(tmp_path: Path, target: str | None) -> None:
    write(tmp_path, "pairs_wnc_small", raw("The draw.", ["loaded"], scope=["loaded"], target=target))
    assert len(read(tmp_path, pairs_wnc_small=9)) == 1


def test_a_neutral_side_of_a_pair_without_spans_has_none_known(tmp_path: Path) -> None:
    write(tmp_path, "pairs_paradetox", raw("A damn cold day.", ["toxic"], target="A cold day."))
    assert [row.spans for row in read(tmp_path, pairs_paradetox=9)] == [None, None]


# ---- clean prose


def test_clean_prose_is_cut_to_sentences_that_say_something(tmp_path: Path) -> None:
    write(tmp_path, "bold_wiki", raw(PROSE))
    rows = read(tmp_path, bold_wiki=9)
    assert sorted(row.text for row in rows) == [
        "It was rebuilt of stone after the great fire of 1840.",
        "The mill was built in 1821 by two brothers.",
    ]
    for row in rows:
        assert (row.labels, row.groups) == (dict.fromkeys(LABELS, 0), dict.fromkeys(GROUPS, 0))
        assert (row.source, row.spans, row.weight) == ("bold_wiki", (), 0.6)


def test_nobody_looked_for_gendered_titles_in_clean_prose(tmp_path: Path) -> None:
    write(tmp_path, "bold_wiki", raw("The chairman opened the new mill in 1821. It fed all of mankind, he said."))
    for row in read(tmp_path, bold_wiki=9):
        assert row.labels == {label: 0 for label in LABELS if label != "gendered_term"}


def test_all_sentences_of_a_text_are_in_the_text_s_fold(tmp_path: Path) -> None:
    texts = [f"Mill {i} was built by two brothers. It was rebuilt of stone in {1800 + i}." for i in range(120)]
    write(tmp_path, "clean_llm_outputs", *(raw(text) for text in texts))
    folds = {row.text: row.fold for row in read(tmp_path, clean_llm_outputs=999)}
    assert len(folds) == 240
    for i, text in enumerate(texts):
        assert [folds[text[:a]] for a in (text.index(".") + 1,)] == [fold_of(text)]
        assert folds[f"It was rebuilt of stone in {1800 + i}."] == fold_of(text)


# ---- unlabelled text


def unlabelled(folder: Path, seed: int = 17, **caps: int) -> list[Row]:
    return read_unlabelled(folder, caps, split_sentences, seed)


def test_nothing_is_known_of_an_unlabelled_row_whatever_its_file_says(tmp_path: Path) -> None:
    write(
        tmp_path,
        "redditbias",
        raw(PROSE, ["hate"], spans=[[0, 5]]),
        {"prompt": "How?", "response": "Sift it twice first."},
    )
    rows = unlabelled(tmp_path, redditbias=9)
    assert {row.text for row in rows} == {
        "It was rebuilt of stone after the great fire of 1840.",
        "Sift it twice first.",
        "The mill was built in 1821 by two brothers.",
    }
    for row in rows:
        assert (row.labels, row.groups, row.spans) == ({}, {}, None)
        assert (row.source, row.fold) == ("unlabelled/redditbias", fold_of(row.text))


def test_a_cap_counts_texts_and_takes_the_same_ones_for_the_same_seed(tmp_path: Path) -> None:
    write(
        tmp_path,
        "stereoset",
        *(raw(f"Mill {i} was built by two brothers. It was rebuilt in {1800 + i}.") for i in range(99)),
    )
    first, again, other = (unlabelled(tmp_path, seed, stereoset=10) for seed in (1, 1, 2))
    assert len(first) == 20
    assert first == again
    assert [row.text for row in first] != [row.text for row in other]


def test_unlabelled_rows_without_text_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "diasafety", raw(text=None), raw(" "), {"response": None})  # type: ignore[arg-type]
    assert unlabelled(tmp_path, diasafety=9) == []


def test_a_missing_unlabelled_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.jsonl.gz"):
        unlabelled(tmp_path, nowhere=5)


def test_clean_replies_are_whole_and_of_one_fold(tmp_path: Path) -> None:
    replies = [f"First, sift the flour {i} times. Then rest the dough." for i in range(300)]
    write(tmp_path, "normal_oasst", *({"prompt": "How?", "response": reply} for reply in replies))
    write(tmp_path, "clean_llm_outputs", raw("A whole clean answer. In two sentences."))
    dev = clean_replies(tmp_path, names=("normal_oasst",))
    train = clean_replies(tmp_path, "train", ("normal_oasst",))
    assert sorted(dev + train) == sorted(replies)
    assert {fold_of(text) for text in dev} == {"dev"}
    assert clean_replies(tmp_path, fold_of("A whole clean answer. In two sentences."), ("clean_llm_outputs",)) == [
        "A whole clean answer. In two sentences."
    ]


def test_a_reply_that_thresholds_are_chosen_on_is_never_trained_on(tmp_path: Path) -> None:
    texts = [f"Mill {i} was built by two brothers. It was rebuilt of stone in {1800 + i}." for i in range(200)]
    write(tmp_path, "clean_llm_outputs", *(raw(text) for text in texts))
    trained = " ".join(row.text for row in read(tmp_path, clean_llm_outputs=999) if row.fold == "train")
    chosen_on = clean_replies(tmp_path, names=("clean_llm_outputs",))
    assert chosen_on
    assert not [text for text in chosen_on if text.split(". ")[0] + "." in trained]


def test_a_row_without_a_reply_is_no_reply(tmp_path: Path) -> None:
    write(tmp_path, "normal_oasst", {"prompt": "How?", "response": None}, {"prompt": "How?"})
    assert clean_replies(tmp_path, "dev", ("normal_oasst",)) + clean_replies(tmp_path, "train", ("normal_oasst",)) == []
