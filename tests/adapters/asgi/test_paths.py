"""Test the paths to text in JSON values."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.adapters.asgi.paths import parsed, places, strings
from guardrail.errors import ConfigError

VALUE: Any = {"a": [{"b": "one"}, {"b": 2, "c": {"b": "three"}}], "b": "four", "d": ["five", None]}


def found(*paths: str) -> list[str]:
    return [place.value for place in strings(VALUE, parsed(paths))]


def test_paths_name_strings() -> None:
    assert found("b") == ["four"]
    assert found("a.*.b") == ["one"]
    assert found("a.0.b", "a.1.c.b", "d.0") == ["one", "three", "five"]
    assert found("*") == ["four"]
    assert found("a.*.*.b") == ["three"]
    assert found("x.y", "a.7.b", "b.c", "d.*.*") == []


def test_two_stars_are_any_number_of_steps() -> None:
    assert sorted(found("**")) == ["five", "four", "one", "three"]
    assert sorted(found("**.b")) == ["four", "one", "three"]
    assert sorted(found("a.**.b")) == ["one", "three"]


def test_a_place_is_named_once_and_can_be_changed() -> None:
    value = {"a": ["x", "y"]}
    for place in strings(value, parsed(["a.*", "**", "a.0"])):
        place.put(place.value + "!")
    assert value == {"a": ["x!", "y!"]}


def test_items_are_named_by_their_own_index() -> None:
    value = {"choices": [{"index": 3, "text": "x"}, {"index": True, "text": "y"}, {"text": "z"}]}
    assert [place.name for place in places(value, parsed(["choices.*.text"]))] == [
        ("choices", 3, "text"),
        ("choices", True, "text"),
        ("choices", 2, "text"),
    ]
    (place,) = places({"index": 5, "delta": {"text": "x"}}, parsed(["delta.text"]))
    assert place.name == (5, "delta", "text")


def test_a_value_nested_deeper_than_the_stack_is_read() -> None:
    deep: Any = "bottom"
    for _ in range(3_000):
        deep = [deep]
    assert [place.value for place in strings({"a": deep}, parsed(["**"]))] == ["bottom"]


@pytest.mark.parametrize("path", ["", "a..b", ".a", "a.", "**.a.**"])
def test_a_wrong_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="path"):
        parsed([path])


def test_one_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a list"):
        parsed("choices.*.text")
