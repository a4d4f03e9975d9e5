"""A few of the plays of `make faults`: the way of a release, and the faults that once left nobody told."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.faults.injector import Kind
from tests.faults.run import cases, recorded
from tests.faults.scenarios import SCENARIOS, played
from tests.faults.verdict import Seen, wrong

BY_ALARM = "rolled back by an alarm in canary"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def undisturbed() -> tuple[list[tuple[int, str]], Seen]:
    """The calls of the rollback itself, with their numbers, and what the play came to."""
    calls, came_to, problems = recorded(BY_ALARM)
    assert problems == []
    assert len([*cases(BY_ALARM, calls, first=True)]) > 200
    return [(at, f"{c.service}.{c.operation}") for at, c in enumerate(calls) if c.function == "roll_back"], came_to


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("dynamodb.PutItem", Kind.NEVER),
        ("dynamodb.PutItem", Kind.KILLED_AFTER),
        ("sns.Publish", Kind.FAILED),
        ("sns.Publish", Kind.KILLED_AFTER),
    ],
)
def test_a_rollback_is_done_and_told_whatever_becomes_of_one_call(
    undisturbed: tuple[list[tuple[int, str]], Seen], operation: str, kind: Kind
) -> None:
    calls, came_to = undisturbed
    at = next(number for number, call in calls if call == operation)
    with played(SCENARIOS[BY_ALARM], at=at, kind=kind) as play:
        assert list(wrong(play, SCENARIOS[BY_ALARM], came_to)) == []


@pytest.mark.parametrize("name", ["promoted", "rolled back by the judge"])
def test_a_release_goes_its_way_over_the_real_functions_and_the_definition_of_the_machine(name: str) -> None:
    _, came_to, problems = recorded(name)
    assert (problems, came_to.mailed) == ([], (True, True))
