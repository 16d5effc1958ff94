from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guardrail.text.offsets import Edit, apply, without_overlaps


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    text = draw(st.text(max_size=20))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    return text, [(start, end, draw(st.text(max_size=3))) for start, end in spans]


@given(edited())
def test_what_no_edit_touched_points_to_itself(case: tuple[str, list[Edit]]) -> None:
    text, edits = case
    result, runs = apply(text, edits)
    inside = {place for start, end in zip(runs.new_starts, runs.new_ends, strict=True) for place in range(start, end)}
    for place in set(range(len(result))) - inside:
        assert text[runs.start(place) : runs.end(place + 1)] == result[place]


@given(edited())
def test_what_an_edit_wrote_points_to_all_it_replaced(case: tuple[str, list[Edit]]) -> None:
    text, edits = case
    _, runs = apply(text, edits)
    for (start, end, replacement), left, right in zip(edits, runs.new_starts, runs.new_ends, strict=True):
        for place in range(left, right):
            assert (runs.start(place), runs.end(place + 1)) == (start, end)
        assert right - left == len(replacement)


def test_a_deletion_lies_outside_its_neighbours() -> None:
    result, runs = apply("abXXcd", [(2, 4, "")])
    assert result == "abcd"
    assert (runs.start(0), runs.end(2)) == (0, 2)
    assert (runs.start(2), runs.end(4)) == (4, 6)
    assert (runs.start(4), runs.end(0)) == (6, 0)


def test_of_overlapping_edits_the_first_is_kept() -> None:
    assert without_overlaps([(3, 5, "b"), (0, 4, "a"), (4, 6, "c")]) == [(0, 4, "a"), (4, 6, "c")]
