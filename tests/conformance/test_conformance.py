"""Run every case through every door: what comes out is what ``check`` says, as much of it as the door carries."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import combinations, product

import pytest

from guardrail.result import Action
from tests.conformance.cases import ACTIONS, CASES, LABELS, POSITIONS, SIZES, Case, guard_for
from tests.conformance.doors import DOORS
from tests.conformance.models import MODEL_CASES, model_guard_for
from tests.conformance.seen import Door, Seen, Wanted, checked, differences

# LiteLLM's types are built when they are first used, and pydantic has something to say about them.
_NOISY = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
each_door = pytest.mark.parametrize(
    "door",
    [pytest.param(door, id=door.name, marks=[_NOISY] if door.name.startswith("LiteLLM") else []) for door in DOORS],
)
each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
each_model_case = pytest.mark.parametrize("case", MODEL_CASES, ids=[case.name for case in MODEL_CASES])


@cache
def wanted_of(name: str) -> Wanted:
    case = next(case for case in CASES if case.name == name)
    return checked(guard_for(name), case.text)


@cache
def wanted_of_models(name: str) -> Wanted:
    case = next(case for case in MODEL_CASES if case.name == name)
    return checked(model_guard_for(name), case.text)


def test_the_cases_are_sixty_and_cross_every_pair_of_properties() -> None:
    places = [case.place for case in CASES if case.place]
    for one, other in combinations(range(4), 2):
        values = (tuple(map(str, ACTIONS)), tuple(map(str, LABELS)), POSITIONS, SIZES)
        assert {(place[one], place[other]) for place in places} == set(product(values[one], values[other]))
    assert len({case.name for case in CASES}) == len(CASES) >= 60


@each_case
def test_check_ends_as_the_case_says(case: Case) -> None:
    _assert_ends(case, wanted_of(case.name))


@pytest.mark.model
@each_model_case
def test_check_with_the_bundled_models_ends_as_the_case_says(case: Case) -> None:
    _assert_ends(case, wanted_of_models(case.name))


def _assert_ends(case: Case, wanted: Wanted) -> None:
    if wanted.result is None:
        assert wanted.raised == case.ends
    else:
        assert str(wanted.result.action) in case.ends.split(" or ")
        assert (wanted.raised == "GuardrailBlocked") == (wanted.result.action is Action.RAISE)


@each_case
@each_door
def test_every_door_says_what_check_says(
    door: Door, case: Case, no_colour: None, record_property: Callable[[str, object], None]
) -> None:
    record_property("door", door.name)
    seen = door.drive(guard_for(case.name), case.text)
    assert differences(case, door, seen, wanted_of(case.name), guard_for(case.name)) == []


@pytest.mark.model
@each_model_case
@each_door
def test_every_door_says_so_with_the_bundled_models(
    door: Door, case: Case, no_colour: None, record_property: Callable[[str, object], None]
) -> None:
    record_property("door", door.name)
    seen = door.drive(model_guard_for(case.name), case.text)
    assert differences(case, door, seen, wanted_of_models(case.name), model_guard_for(case.name)) == []


def test_a_door_that_says_something_else_is_found_out() -> None:
    case = next(case for case in CASES if case.name == "surrogate, flagged")
    wanted, plain = wanted_of(case.name), guard_for(case.name)
    assert wanted.result is not None
    for door in (Door("whole", lambda guard, text: Seen("")), Door("flow", lambda guard, text: Seen(""), flows=True)):
        right = DOORS[0].drive(plain, case.text)
        assert differences(case, door, right, wanted, plain) == []
        for wrong in (
            Seen(case.text, right.verdict),
            Seen(right.text),
            Seen(right.text, right.verdict, "GuardrailBlocked"),
            *(Seen(right.text, {**right.verdict, name: "other"}) for name in right.verdict),
        ):
            assert differences(case, door, wrong, wanted, plain) != []
