"""Check that a report is strict JSON without texts, one page of HTML without foreign parts, and readable tables."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import pytest

from guardrail.training.data.noise import FAMILIES
from guardrail.training.evaluate.html import render
from guardrail.training.evaluate.layout import chosen, layout, markdown, shown, shown_bound
from guardrail.training.evaluate.metrics import Bin
from guardrail.training.evaluate.plots import noise_plot, reliability_plot
from guardrail.training.evaluate.report import Example, Report, sections_json, to_json
from guardrail.training.evaluate.robustness import CLEAN, LEVELS
from guardrail.training.evaluate.section import Section
from guardrail.training.evaluate.targets import Target

pytestmark = pytest.mark.training

US, THEM = "mine@1", "tf-idf"
VILE = "<script>alert('Zyxwvut')</script> & such"


def noise() -> Section:
    rows = {CLEAN: {US: {"auc": 0.9, "recall": 0.8}}}
    for family in FAMILIES:
        held = " (never trained on)" if family in ("repeat", "stars") else ""
        rows |= {f"{family}{held}, {level:.0%}": {US: {"auc": 0.9 - level / 2, "recall": 0.1}} for level in LEVELS}
    return Section("robustness.noise", "Noise curve", "A note.", rows)


@pytest.fixture
def report() -> Report:
    figures = {
        US: {"rows": 1234.0, "auc": 0.91234, "auc_low": 0.9, "auc_high": 0.92},
        THEM: {"rows": 1234.0, "auc": math.nan},
    }
    return Report(
        {"system": US, "texts": "a <b> & c"},
        (Section("dev.overview", "Any label", "What <it> is.", {"all": figures, "a|b": {US: {"auc": 0.5}}}), noise()),
        (
            Target("ECE", 0.03, 0.02, "dev"),
            Target("size", 24, 25.5, "bundle", at_most=True),
            Target("x", 1, math.nan, "no"),
        ),
        {"hate": [Bin(0.1, 0.2, 50), Bin(0.9, 0.8, 40)], "harm": []},
        (Example("miss", "dev", "cad", 0.01, VILE),),
    )


class Page(HTMLParser):
    """Collect the tags, addresses and words of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_json_is_strict_rounded_and_without_texts(report: Report) -> None:
    text = to_json(report)
    found = json.loads(text)
    assert "NaN" not in text
    assert "Zyxwvut" not in text
    assert found["sections"]["dev.overview"]["rows"]["all"] == {
        US: {"rows": 1234.0, "auc": 0.91234, "auc_low": 0.9, "auc_high": 0.92},
        THEM: {"rows": 1234.0, "auc": None},
    }
    assert [one["verdict"] for one in found["targets"]] == ["short", "short", "not measured"]
    assert found["reliability"]["hate"][0] == {"confidence": 0.1, "frequency": 0.2, "rows": 50}
    assert set(json.loads(sections_json(report.sections))["sections"]) == {"dev.overview", "robustness.noise"}


def test_infinity_is_no_figure() -> None:
    with pytest.raises(ValueError, match="JSON"):
        sections_json([Section("a", "A", "", {"all": {US: {"auc": math.inf}}})])


def test_a_report_finds_its_own_figures(report: Report) -> None:
    assert report.figure("dev.overview", "all", "auc") == 0.91234
    assert math.isnan(report.figure("dev.overview", "all", "recall"))
    assert math.isnan(report.figure("none", "all", "auc"))


def test_the_page_is_well_formed_and_loads_nothing(report: Report) -> None:
    source = render(report)
    page = Page(source)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"url\((?!#)|@import", source)
    assert page.tags.count("svg") == 3
    assert "prefers-color-scheme" in source or "light-dark(" in source


def test_every_link_of_the_page_has_its_place(report: Report) -> None:
    source = render(report)
    places = set(re.findall(r'\bid="([^"]+)"', source))
    assert {link[1:] for link in Page(source).links} <= places


def test_texts_are_shown_escaped_and_only_when_there_are_some(report: Report) -> None:
    source = render(report)
    assert "Zyxwvut" in Page(source).words
    assert "<script" not in source
    quiet = Report(report.about, report.sections, report.targets, report.reliability)
    assert "Texts to read" not in render(quiet)


def test_the_page_says_what_was_reached(report: Report) -> None:
    words = Page(render(report)).words
    assert "0 of 2 measured ones reached" in words
    assert "0.912 [0.900, 0.920]" in words
    assert "What <it> is." in words


def test_a_report_without_noise_has_one_drawing(report: Report) -> None:
    calm = Report(report.about, report.sections[:1], report.targets, {"harm": []})
    assert Page(render(calm)).tags.count("svg") == 1


def test_counts_that_all_systems_share_take_one_column(report: Report) -> None:
    headings, rows = layout(report.sections[0])
    assert headings == [("rows", ""), ("AUC", US), ("AUC", THEM)]
    assert rows == [("all", ["1,234", "0.912 [0.900, 0.920]", "–"]), ("a|b", ["", "0.500", ""])]
    unequal = {"all": {US: {"rows": 2.0}, THEM: {"rows": 3.0}}}
    assert layout(Section("a", "A", "", unequal))[0] == [("rows", US), ("rows", THEM)]


def test_some_figures_can_be_chosen_with_their_intervals(report: Report) -> None:
    headings, rows = layout(chosen(report.sections[0], ["auc"]))
    assert headings == [("AUC", US), ("AUC", THEM)]
    assert rows[0][1][0] == "0.912 [0.900, 0.920]"


def test_a_bar_in_a_name_does_not_break_a_table_of_markdown(report: Report) -> None:
    lines = markdown(report.sections[0])
    assert lines[0] == f"|  | rows | AUC, {US} | AUC, {THEM} |"
    assert lines[3] == "| a/b |  | 0.500 |  |"
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        (1234.0, "rows", "1,234"),
        (0.12345, "auc", "0.123"),
        (-0.0001, "auc_drop", "0.000"),
        (3.14159, "p50_ms", "3.14"),
        (23.7028, "bundle, MB", "23.70"),
        (math.nan, "rows", "–"),
    ],
)
def test_figures_are_shown_as_long_as_they_mean_something(value: float, key: str, text: str) -> None:
    assert shown(value, key) == text


def test_a_bound_says_its_side() -> None:
    assert shown_bound(Target("x", 0.03, 0.0, "", at_most=True)) == "≤ 0.03"
    assert shown_bound(Target("x", 0.9, 0.0, "")) == "≥ 0.9"


def test_plots_are_svg_that_name_their_lines_and_come_out_the_same() -> None:
    bins = {"hate": [Bin(0.1, 0.2, 50)], "gendered_term": [Bin(0.5, 0.5, 12)], "harm": [Bin(0.5, 0.5, 3)]}
    drawn = reliability_plot(bins)
    assert drawn.startswith("<svg")
    assert drawn.endswith("</svg>")
    assert ">hate<" in drawn
    assert ">gendered term<" in drawn
    # Three rows say nothing of a share.
    assert ">harm<" not in drawn
    assert drawn == reliability_plot(bins)
    curve = noise_plot(noise(), US)
    assert all(f">{family}" in curve for family in FAMILIES)
    assert curve.count("(held out)") == 2
