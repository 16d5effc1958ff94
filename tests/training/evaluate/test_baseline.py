"""Check the tf-idf baseline: what it learns, how it marks words, how its thresholds come about."""

from __future__ import annotations

import numpy as np
import pytest

from guardrail.result import GROUPS, Label
from guardrail.training.data.schema import LABELS, Row, known
from guardrail.training.evaluate.baseline import MIN_POSITIVES, Bag, train

pytestmark = pytest.mark.training


def rows(count: int = 40) -> list[Row]:
    made = []
    for i in range(count):
        made.append(Row(f"the idiot clerk left room {i}", "a", labels=known(LABELS, ["toxicity"])))
        made.append(Row(f"the kind clerk left room {i}", "a", labels=known(LABELS, ()), groups=known(GROUPS, ())))
        made.append(Row(f"the women of room {i} left", "b", groups={"gender": 1}))
    return made


@pytest.fixture(scope="module")
def bag() -> Bag:
    return train(rows())


def test_it_tells_the_word_from_the_rest_and_marks_it(bag: Bag) -> None:
    bad, good = bag.detect(["An idiot came.", "A kind clerk came."])
    assert bad.scores[Label.TOXICITY] > 0.7 > 0.3 > good.scores[Label.TOXICITY]
    assert bad.flagged
    assert not good.flagged
    assert [(f.label, f.start, f.end) for f in bad.findings] == [(Label.TOXICITY, 3, 8)]


def test_it_reads_what_the_run_time_s_normaliser_leaves(bag: Bag) -> None:
    plain, twins = bag.detect(["An idiot came.", "An idi\u043et came."])
    assert twins.scores == plain.scores


def test_it_learns_groups_too_from_the_rows_that_know_them(bag: Bag) -> None:
    women, clerk = bag.detect(["The women came.", "The kind clerk came."])
    assert women.groups["gender"] > 0.5 > clerk.groups["gender"]
    assert set(women.groups) == set(GROUPS)


def test_a_label_with_too_few_rows_is_left_out_and_scores_nothing(bag: Bag) -> None:
    assert "harm" not in bag.models
    assert bag.detect(["An overdose."])[0].scores[Label.HARM] == 0
    assert "toxicity" not in train(rows(MIN_POSITIVES - 1)).models


def test_words_that_it_never_saw_leave_the_whole_text_marked(bag: Bag) -> None:
    always = Bag(bag.vectorizer, bag.models, limits=dict.fromkeys(LABELS, 0.0001))
    (found,) = always.detect(["Xylophones resonate."])
    assert (found.findings[0].start, found.findings[0].end) == (0, len("Xylophones resonate."))


def test_thresholds_let_at_most_the_target_of_clean_texts_be_flagged(bag: Bag) -> None:
    clean = [f"the {'idiot' if i < 2 else 'kind'} clerk left room {i}" for i in range(200)]
    flagged = np.mean([found.flagged for found in bag.calibrated(clean, 0.01).detect(clean)])
    assert flagged <= 0.01
    assert np.mean([found.flagged for found in bag.calibrated(clean, 0.05).detect(clean)]) == 0.01


def test_it_comes_out_the_same_each_time(bag: Bag) -> None:
    again = train(rows()).detect(["An idiot came."])
    assert again[0].scores == bag.detect(["An idiot came."])[0].scores


def test_nothing_to_learn_and_nothing_to_judge() -> None:
    with pytest.raises(ValueError, match="whole pool"):
        train([])
    assert train(rows()).detect([]) == []
