"""Check the sheet that people rate: blind on the way out, strict on the way in."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

pytest.importorskip("torch")

from guardrail.errors import ConfigError
from guardrail.training.evaluate.rewriting.human import (
    COLUMNS,
    agreement,
    alpha,
    by_system,
    identity,
    read_ratings,
    write_blind,
)
from guardrail.training.evaluate.rewriting.items import Item
from guardrail.training.evaluate.rewriting.writers import Output

pytestmark = pytest.mark.training
ITEMS = [Item("=Bad 1", clean=False), Item("Clean.", clean=True), Item("Bad 2", clean=False)]
OUTPUTS = {
    "secret-pipeline": [Output("Good 1"), Output("Clean."), Output("Good 2")],
    "secret-copy": [Output("=Bad 1"), Output("Clean."), Output("Bad 2")],
    "secret-twin": [Output("Good 1"), Output("Clean."), Output("Other 2")],
}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    write_blind(tmp_path / "blind.csv", ITEMS, OUTPUTS, 9)
    return tmp_path / "blind.csv"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rate(path: Path, to: Path, ratings: dict[str, dict[str, str]]) -> Path:
    with to.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(row | ratings.get(row["after"].lstrip("'"), {}) for row in rows_of(path))
    return to


def cells(safety: int, ship: str) -> dict[str, str]:
    return {"safety_1_to_5": str(safety), "meaning_1_to_5": "4", "language_1_to_5": "5", "ship_yes_or_no": ship}


def test_the_sheet_names_no_system_and_rates_equal_rewrites_once(sheet: Path) -> None:
    rows = rows_of(sheet)
    assert len(rows) == 5
    assert "secret" not in sheet.read_text(encoding="utf-8")
    assert {row["after"] for row in rows} == {"Good 1", "Good 2", "'=Bad 1", "Bad 2", "Other 2"}
    assert len({row["id"] for row in rows}) == 5


def test_a_text_that_a_spreadsheet_would_run_is_quoted(sheet: Path) -> None:
    assert {row["before"] for row in rows_of(sheet)} == {"'=Bad 1", "Bad 2"}


def test_fewer_texts_are_drawn_for_all_systems_alike(tmp_path: Path) -> None:
    assert write_blind(tmp_path / "blind.csv", ITEMS, OUTPUTS, 1) in (2, 3)
    assert len({row["before"] for row in rows_of(tmp_path / "blind.csv")}) == 1


def test_ratings_find_their_systems_again(sheet: Path, tmp_path: Path) -> None:
    one = rate(
        sheet, tmp_path / "one.csv", {"Good 1": cells(5, "yes"), "Good 2": cells(3, "No"), "Bad 2": cells(1, "n")}
    )
    two = rate(sheet, tmp_path / "two.csv", {"Good 1": cells(4, "y")})
    found = by_system([read_ratings(one), read_ratings(two)], ITEMS, OUTPUTS)
    assert found["secret-pipeline"]["safety"] == pytest.approx((4.5 + 3) / 2)
    assert found["secret-pipeline"]["ship"] == 0.5
    assert (found["secret-pipeline"]["rated"], found["secret-twin"]["rated"], found["secret-copy"]["rated"]) == (
        2,
        1,
        1,
    )
    assert found["secret-twin"]["safety"] == 4.5


def test_a_rating_lapses_when_the_rewrite_changes(sheet: Path, tmp_path: Path) -> None:
    path = rate(sheet, tmp_path / "one.csv", {"Good 1": cells(5, "yes")})
    changed = {"new": [Output("Better 1"), Output("Clean."), Output("Better 2")]}
    assert math.isnan(by_system([read_ratings(path)], ITEMS, changed)["new"]["safety"])
    assert identity("a", "b") != identity("a", "c") != identity("ab", "c")


@pytest.mark.parametrize(
    ("column", "cell"),
    [("safety_1_to_5", "6"), ("safety_1_to_5", "0"), ("meaning_1_to_5", "good"), ("ship_yes_or_no", "maybe")],
)
def test_a_cell_of_another_kind_is_told_by_its_place(sheet: Path, tmp_path: Path, column: str, cell: str) -> None:
    path = rate(sheet, tmp_path / "one.csv", {"Good 1": {column: cell}})
    with pytest.raises(ConfigError, match=rf"one\.csv:\d: {column} must be"):
        read_ratings(path)


def test_another_sheet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("id,text\n1,x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="lacks the column"):
        read_ratings(tmp_path / "other.csv")


def test_agreement_is_over_what_was_rated_twice(sheet: Path, tmp_path: Path) -> None:
    one = rate(
        sheet, tmp_path / "one.csv", {"Good 1": cells(5, "yes"), "Bad 2": cells(1, "no"), "Good 2": cells(2, "no")}
    )
    two = rate(sheet, tmp_path / "two.csv", {"Good 1": cells(5, "yes"), "Bad 2": cells(1, "no")})
    found = agreement([read_ratings(one), read_ratings(two)])
    assert found["safety"] == {"rated_twice": 2.0, "alpha": 1.0}
    assert math.isnan(found["meaning"]["alpha"])


def test_alpha_is_krippendorff_s() -> None:
    # By hand: pairs within units differ by 2 / 4 a value, pairs of all four values by 6 / 12.
    assert alpha([[1, 1], [1, 2]]) == pytest.approx(1 - (2 / 4) / (6 / 12))
    assert alpha([[1, 1], [5, 5], [3, 4]]) == pytest.approx(1 - (2 / 6) / (2 * 101 / 30))
    assert alpha([[1, 2], [2, 1]]) < 0
    assert math.isnan(alpha([]))
    assert math.isnan(alpha([[1, 1], [1, 1]]))
