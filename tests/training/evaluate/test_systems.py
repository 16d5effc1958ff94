"""Check what is gathered of a system's detections, with a detector that knows words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from guardrail.errors import ModelNotFoundError
from guardrail.judge import Judge
from guardrail.policy import Policy
from guardrail.result import GROUPS, Label
from guardrail.training.data.schema import LABELS
from guardrail.training.evaluate.systems import CHUNK, Judged, detect_all, open_system, score
from tests.fakes import WordDetector

TEXTS = ["That idiot of a chairman left.", "Tea.", "A stereotype."]


def words(detector: WordDetector | None = None) -> Judged:
    return Judged("words", Judge(detector or WordDetector(), Policy()))


def test_texts_are_judged_in_order_and_in_chunks() -> None:
    detector = WordDetector()
    texts = [f"{'The idiot' if i % 3 else 'A clerk'} left at {i}." for i in range(2 * CHUNK + 5)]
    found = detect_all(Judge(detector, Policy()), texts)
    assert [one.flagged for one in found] == [bool(i % 3) for i in range(len(texts))]
    assert detector.calls == 3


def test_scores_flags_groups_and_spans_are_rows_in_the_order_of_the_labels() -> None:
    found = score(words(), TEXTS)
    assert found.scores.shape == found.flags.shape == (3, len(LABELS))
    assert {LABELS[i] for i in np.flatnonzero(found.flags[0])} == {"toxicity", "gendered_term"}
    assert found.highest.tolist() == pytest.approx([0.9, 0.01, 0.9])
    assert found.flagged.tolist() == [True, False, True]
    assert found.groups[:, GROUPS.index("race")].tolist() == pytest.approx([0, 0, 0.9])
    assert found.spans == (((5, 10), (16, 24)), (), ((2, 12),))


def test_some_of_them_can_be_taken() -> None:
    found = score(words(), TEXTS).take([2, 1])
    assert found.flagged.tolist() == [True, False]
    assert found.spans == (((2, 12),), ())
    assert found.take([]).scores.shape == (0, len(LABELS))


def test_a_disguise_is_no_label_of_the_model() -> None:
    hidden = "Tea" + "".join(chr(0xE0000 + ord(letter)) for letter in "secret words") + " is late."
    found = score(words(), [hidden, "Tea."])
    assert found.disguised.tolist() == [True, False]
    assert not found.flagged.any()
    assert found.spans == ((), ())
    assert Label.OBFUSCATION not in LABELS


def test_no_texts_are_no_rows() -> None:
    found = score(words(), [])
    assert found.scores.shape == (0, len(LABELS))
    assert found.highest.tolist() == found.flagged.tolist() == []


@pytest.mark.model
def test_a_bundle_is_opened_by_name_or_by_folder_and_remembers_pieces() -> None:
    by_name = open_system("detector-fast", Policy())
    folder = Path(__file__).parents[3] / "guardrail/models/detector-fast"
    named = open_system(folder, Policy(), "mine")
    assert by_name.name.startswith("detector-fast@")
    assert named.name == "mine"
    texts = ["You are a worthless idiot.", "The meeting is at nine."]
    one, other = (score(system, texts) for system in (by_name, named))
    assert one.flagged.tolist() == other.flagged.tolist() == [True, False]
    assert score(by_name, texts).scores.tolist() == one.scores.tolist()


@pytest.mark.parametrize("bundle", ["no-such-bundle", Path("no/such/folder")])
def test_a_missing_bundle_is_said_so(bundle: str | Path) -> None:
    with pytest.raises(ModelNotFoundError):
        open_system(bundle, Policy())
