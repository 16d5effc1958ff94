"""Check the probes: enough of each, well formed, and none of them in the training data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from guardrail.result import GROUPS
from guardrail.training.data.authored import FOLDER
from guardrail.training.evaluate import probes
from guardrail.training.evaluate.mentions import mentioned
from guardrail.training.evaluate.swaps import swaps


def texts() -> list[str]:
    sides = [text for twin in probes.twins() for text in (twin.dialect, twin.standard)]
    return sides + [one.text for one in probes.registers()] + [one.text for one in probes.identities()]


def test_there_are_ten_registers_of_a_dozen_and_sixty_twins() -> None:
    assert set(Counter(one.register for one in probes.registers()).values()) == {12}
    assert len({one.register for one in probes.registers()}) == 10
    assert len(probes.twins()) == 60
    assert all(twin.dialect != twin.standard for twin in probes.twins())


def test_every_identity_probe_names_its_group_and_can_be_swapped() -> None:
    for probe in probes.identities():
        assert probe.group in mentioned(probe.text), probe
        assert probe.group in {swap.group for swap in swaps(probe.text)}, probe


def test_every_group_has_neutral_and_biased_probes() -> None:
    counts = Counter((probe.group, probe.biased) for probe in probes.identities())
    assert all(counts[group, False] >= 12 and counts[group, True] >= 6 for group in GROUPS)


def test_no_text_is_there_twice_or_in_the_training_data() -> None:
    found = texts()
    assert len(set(found)) == len(found)
    rows = [json.loads(line) for path in FOLDER.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()]
    assert not set(found) & {row[key] for row in rows for key in ("text", "target")}


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("registers", {"register": "news"}, "lacks the text 'text'"),
        ("registers", {"register": "news", "text": " "}, "lacks the text 'text'"),
        ("dialect_twins", {"aae": "Hey."}, "lacks the text 'standard'"),
        ("identities", {"group": "martians", "text": "Hey.", "label": 0}, "group 'martians'"),
        ("identities", {"group": "race", "text": "Hey.", "label": 3}, "label 3"),
    ],
)
def test_a_faulty_probe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, row: dict[str, object], said: str
) -> None:
    (tmp_path / f"{name}.jsonl").write_text(json.dumps(row), encoding="utf-8")
    monkeypatch.setattr(probes, "FOLDER", tmp_path)
    read = {"registers": probes.registers, "dialect_twins": probes.twins, "identities": probes.identities}[name]
    with pytest.raises(ValueError, match=said):
        read()
