"""Test what goes over a wire: results as JSON, and server-sent events at every cut."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from guardrail.result import Action, Finding, Label, Result
from guardrail.wire import Event, EventReader, json_event, jsonable, to_json

STREAM = (
    "\ufeff: hello\r\n\r\n"
    "event: token\rdata: one\rdata:two\rdata\r\rid: 7\nretry: 10\nother: x\ndata:  spaced: yes\n\n\n\n"
    "data: {}\r\n\r\ndata: last"
)
EVENTS = [
    Event(None, (("", ""),)),
    Event("one\ntwo\n", (("event", "token"),)),
    Event(" spaced: yes", (("id", "7"), ("retry", "10"))),
    Event("{}"),
    Event("last"),
]


def read(chunks: Sequence[str]) -> list[Event]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)] + list(reader.finish())


def test_every_cut_gives_the_same_events() -> None:
    assert read([STREAM]) == read(list(STREAM)) == EVENTS
    for at in range(len(STREAM)):
        for to in range(at, min(at + 4, len(STREAM))):
            assert read([STREAM[:at], "", STREAM[at:to], STREAM[to:]]) == EVENTS


def test_an_event_is_given_back_as_soon_as_it_ends() -> None:
    reader = EventReader()
    assert list(reader.feed("data: a\n")) == []
    assert reader.held > 0
    assert list(reader.feed("\n")) == [Event("a")]
    assert reader.held == 0
    assert list(reader.finish()) == []


data = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
events = st.builds(
    Event,
    st.lists(data, min_size=1).map("\n".join),
    st.lists(st.tuples(st.sampled_from(["event", "id", "retry"]), data), max_size=3).map(tuple),
)


@given(st.lists(events), st.integers(1, 9))
def test_what_is_written_is_read_again(written: list[Event], size: int) -> None:
    text = "".join(event.to_text() for event in written)
    assert read([text[at : at + size] for at in range(0, len(text), size)]) == written


def test_a_line_end_of_any_kind_stays_inside_the_data() -> None:
    assert Event("a\r\nb\rc").to_text() == "data: a\ndata: b\ndata: c\n\n"
    assert Event(None, (("", ""),)).to_text() == ":\n\n"
    assert Event("x", (("event", "token"),)).name == "token"
    assert json_event("text", {"a": "b\nc"}) == 'event: text\ndata: {"a": "b\\nc"}\n\n'


def test_a_result_is_one_line_of_ascii_json() -> None:
    finding = Finding(Label.HATE, 0.5, start=0, end=1, groups=("age",), sentence=(0, 2))
    result = Result(Action.FLAG, "a\ud83d\u2028é", scores={Label.HATE: 0.5}, findings=(finding,))
    text = to_json(result)
    assert text.isascii() and "\n" not in text
    value = json.loads(text)
    assert value == jsonable(result)
    assert value["text"] == "a\ufffd\u2028é"
    assert value["action"] == "flag"
    assert value["scores"] == {"hate": 0.5}
    assert value["findings"][0]["sentence"] == [0, 2]
    assert value["error"] is None
