"""Check the command that measures the authored rows: its figures, its tables, its page, and what it refuses."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")

from guardrail.training.data import giveaway
from guardrail.training.data.figures import YARDSTICK_ROWS, YARDSTICKS
from guardrail.training.data.quality import main
from guardrail.training.data.tables import HEADING
from tests.training.rows import clean, raw, write

TREES = 10
PLACES = "Oslo Lima Perth Quito Turin Dakar Hanoi Malmo Cadiz Basel Derby Izmir".split()
THINGS = "ledger violin ferry orchard turbine passport kettle quarry ladder sermon harvest beacon".split()


def biased(text: str, brief: str, *second: str) -> dict[str, Any]:
    """Return a row about a group of age, flagged from its first word on."""
    changes = {"labels": ["stereotype"], "groups": ["age"], "spans": ["hopeless"], "brief": brief}
    return raw(text=text, target=text.replace("hopeless", "new"), second=list(second), **changes)


def brief_of(name: str, seed: int) -> list[dict[str, Any]]:
    """Return twelve biased and twelve blameless rows."""
    rng, rows = random.Random(seed), []
    for place in PLACES:
        one, two, three, four = rng.sample(THINGS, 4)
        rows.append(biased(f"In {place} the {one} of the old is hopeless, {two} or not.", name, "stereotype"))
        rows.append(clean(f"A {three} from {place} beside a {four}, unsold since {seed}.", brief=name, second=[]))
    return rows


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted marks need no forest of two hundred."""
    monkeypatch.setattr(giveaway, "TREES", TREES)


def fill(made: Path) -> Path:
    """Make a folder of two training briefs, a held-out row, and two dropped rows."""
    north = brief_of("north", 1901)
    north[0] = {**north[0], "second": ["stereotype", "hate"]}
    write(made, "north", *north)
    write(made, "south", *brief_of("south", 1802))
    write(made, "heldout", clean("Rain fell on Leeds all week.", brief="heldout", mentions=["class"], second=[]))
    write(
        made / "disputed",
        "south",
        biased("Every hopeless uncle of mine sings.", "south"),
        clean("An aunt sings.", brief="south", second=["hate"]),
    )
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of rows that a test may change."""
    return fill(tmp_path / "authored")


def figures(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Run the command; return its JSON and what it printed."""
    out, printed = folder.parent / "figures.json", StringIO()
    with redirect_stdout(printed):
        main(["--folder", str(folder), "--json", str(out), *options])
    return json.loads(out.read_text(encoding="utf-8")), printed.getvalue()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Return what the command says of the unchanged folder, a sample of 20 drawn from it."""
    folder = fill(tmp_path_factory.mktemp("measured") / "authored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(giveaway, "TREES", TREES)
        return figures(folder, "--sample", "20")


def test_rows_labels_and_groups_are_counted(measured: tuple[dict[str, Any], str]) -> None:
    found, printed = measured
    briefs = {brief["name"]: brief for brief in found["briefs"]}
    assert {name: (b["rows"], b["positives"], b["dropped"]) for name, b in briefs.items()} == {
        "heldout": (1, 0, 0),
        "north": (24, 12, 0),
        "south": (24, 12, 2),
    }
    assert (found["whole"]["rows"], found["whole"]["positives"], found["whole"]["dropped"]) == (49, 24, 2)
    assert (found["whole"]["labels"]["stereotype"], found["whole"]["labels"]["hate"]) == (24, 0)
    assert (found["whole"]["groups"]["age"], found["whole"]["mentions"]["class"]) == (24, 1)
    assert (briefs["north"]["words_biased"], briefs["north"]["words_clean"]) == (12.0, 10.0)
    assert briefs["heldout"]["words_biased"] is None
    assert found["masked"] == {**dict.fromkeys(found["masked"], 0), "hate": 1}
    assert "| south.jsonl | 24 | 12 | 2 | 12 | 0 |" in printed


def test_what_gives_the_label_away_is_found(measured: tuple[dict[str, Any], str]) -> None:
    found, _ = measured
    briefs = {brief["name"]: brief for brief in found["briefs"]}
    for name in ("north", "south"):
        assert briefs[name]["words_left_out"] == briefs[name]["style_left_out"] == 1.0
        assert briefs[name]["style_within"] > 0.99
        assert 0 < briefs[name]["outside"]["mean"] <= briefs[name]["outside"]["p95"] < 1
        assert briefs[name]["trigrams"] < 1
    assert briefs["heldout"]["words_left_out"] is briefs["heldout"]["style_within"] is None
    assert briefs["heldout"]["inside"]["mean"] is None
    assert briefs["heldout"]["trigrams"] == 1.0
    assert found["whole"]["words_left_out"] is None
    assert max(abs(auc - 0.5) for _, auc in found["tells"]) == 0.5


def test_agreement_counts_kept_and_dropped_rows(measured: tuple[dict[str, Any], str]) -> None:
    found, _ = measured
    agreed = {one["name"]: one for one in found["agreed"]}
    verdict, hate = agreed["biased at all"], agreed["hate"]
    assert (verdict["rows"], verdict["either"], verdict["agreed"]) == (51, 26, pytest.approx(49 / 51))
    assert verdict["kappa"] == pytest.approx((49 / 51 - 1301 / 2601) / (1 - 1301 / 2601))
    assert (hate["either"], hate["kappa"]) == (2, 0.0)
    assert {one["rows"] for one in found["sampled"]} == {20}


def test_the_same_seed_gives_the_same_figures_and_another_another_sample(
    folder: Path, measured: tuple[dict[str, Any], str]
) -> None:
    again, other = figures(folder, "--sample", "20"), figures(folder, "--sample", "20", "--seed", "2")
    assert again == measured
    assert other[0]["sampled"] != again[0]["sampled"]
    assert {**other[0], "sampled": again[0]["sampled"]} == again[0]


def test_the_nearest_pairs_are_named_by_line_and_texts_shown_only_when_asked_for(folder: Path) -> None:
    copy = biased("Grandfathers are hopeless with turbines and ferries.", "north", "stereotype")
    near = clean("Grandfathers are busy with turbines and ferries.", brief="south", second=[])
    write(folder, "north", *brief_of("north", 1901), copy)
    write(folder, "south", *brief_of("south", 1802), near)
    found, printed = figures(folder, "--texts")
    worst = found["worst"]["across briefs"][0]
    assert (worst["one"], worst["other"], worst["labels"]) == ("north:25", "south:25", [1, 0])
    tables, texts = printed.split("harm 0.\n")
    assert "| across briefs | north:25, south:25 | 1 / 0 |" in tables
    assert "Grandfathers" not in tables
    assert f"\nnorth:25\n{copy['text']}\n\nsouth:25\n{near['text']}\n" in texts


def test_held_out_rows_train_nothing_and_are_compared_with_training_rows_alone(
    folder: Path, measured: tuple[dict[str, Any], str]
) -> None:
    # They say the opposite of what the training rows would teach.
    held_out = [clean(f"Are {place} people hopeless, {i} or not?", brief="heldout") for i, place in enumerate(PLACES)]
    held_out += [biased(f"A hopeless {thing}, unsold since {i}.", "heldout") for i, thing in enumerate(THINGS)]
    write(folder, "heldout", *({**row, "second": row["labels"]} for row in held_out))
    found, _ = figures(folder, "--sample", "20")
    for before, after in zip(measured[0]["briefs"], found["briefs"], strict=True):
        if before["name"] != "heldout":
            assert before["words_left_out"] == after["words_left_out"]
            assert before["style_left_out"] == after["style_left_out"]
    pairs = found["worst"]["held-out against training"]
    assert pairs
    assert all(("heldout:" in pair["one"]) is not ("heldout:" in pair["other"]) for pair in pairs)


def test_agreement_without_the_dropped_rows_is_said_to_be_none(
    folder: Path, measured: tuple[dict[str, Any], str]
) -> None:
    shutil.rmtree(folder / "disputed")
    found, printed = figures(folder)
    assert found["agreed"][0]["kappa"] == 1.0
    assert "'biased at all' is agreed on by construction" in printed
    assert "by construction" not in measured[1]


def test_rows_without_a_second_opinion_are_said_to_lack_it(tmp_path: Path) -> None:
    rows = [{key: value for key, value in row.items() if key != "second"} for row in brief_of("north", 1901)]
    write(tmp_path / "authored", "north", *rows)
    found, printed = figures(tmp_path / "authored")
    assert found["agreed"] == found["sampled"] == []
    assert "No row has a second opinion yet." in printed


def test_public_sets_are_measured_beside_ours(folder: Path, tmp_path: Path) -> None:
    for name in YARDSTICKS:
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(json.dumps({"text": f"People from town {i} are always late."}) + "\n" for i in range(30))
    report, printed = figures(folder, "--pool", str(tmp_path))
    found = report["yardsticks"]
    assert len(found) == 1 + len(YARDSTICKS)
    # Of five triples in each text, three name the town and two are the same in all.
    assert found["seegull_templates (templates)"][0] == pytest.approx((30 * 3 + 2) / (30 * 5))
    assert found["these rows"][0] == report["whole"]["trigrams"]
    assert all(0 < near["mean"] <= near["p95"] <= 1 for _, near in found.values())
    assert f"{YARDSTICK_ROWS} texts drawn from each" in printed


# ---- the page


def test_the_tables_replace_their_section_of_the_page_and_nothing_else(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# Rows\n\nBefore.\n\n{HEADING}\n\nOld figures.\n\n### Old\n\n## Licence\n\nAfter.\n", "utf-8")
    main(["--folder", str(folder), "--readme", str(page)])
    once = page.read_text(encoding="utf-8")
    assert once.startswith(f"# Rows\n\nBefore.\n\n{HEADING}\n\nMade by ")
    assert once.endswith("\n\n## Licence\n\nAfter.\n")
    assert "Old" not in once
    assert capsys.readouterr().out == ""
    main(["--folder", str(folder), "--readme", str(page)])
    assert page.read_text(encoding="utf-8") == once


def test_the_section_may_be_the_last_of_the_page(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"# Rows\n\n{HEADING}\n", encoding="utf-8")
    main(["--folder", str(folder), "--readme", str(page)])
    assert page.read_text(encoding="utf-8").endswith("harm 0.\n")


def test_no_page_without_the_section_is_touched(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("# Rows\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="1"):
        main(["--folder", str(folder), "--readme", str(page)])
    assert f"no line '{HEADING}'; add it" in capsys.readouterr().err
    assert page.read_text(encoding="utf-8") == "# Rows\n"


# ---- what it refuses


def test_faulty_rows_are_named_before_anything_is_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "zoo", raw(brief="zoo", why=""), clean("Rain fell on Leeds, all week!", brief="zoo"))
    with pytest.raises(SystemExit, match="1"):
        main(["--folder", str(folder)])
    error = capsys.readouterr().err
    assert "zoo.jsonl:1: why must say the reason" in error
    assert "zoo.jsonl:2: the text of heldout.jsonl:1 again" in error
    assert "fault(s); mend or drop these rows first" in error
    assert "Leeds" not in error


def test_a_folder_without_rows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["--folder", str(tmp_path)])
    assert "pass the folder of authored rows" in capsys.readouterr().err


def test_a_pool_that_is_not_there_is_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["--folder", str(folder), "--pool", str(tmp_path / "none")])
    assert "seegull_templates.jsonl.gz" in capsys.readouterr().err


@pytest.mark.parametrize("sample", ["0", "-3", "many"])
def test_a_sample_of_no_rows_is_refused(sample: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--sample", sample])
    assert "--sample" in capsys.readouterr().err
