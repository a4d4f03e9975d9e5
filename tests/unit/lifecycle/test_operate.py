"""What an operator does to a running canary, and what cannot be done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, Unavailable
from promptlane.domain.names import Outcome
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.lifecycle.operate import OPERATIONS, operate
from tests.support.prompt import RELEASE
from tests.support.stage import Stage

KIM = "arn:aws:iam::111122223333:user/kim"
MARK = {"by": KIM, "reason": "odd answers", "at": 5000.0}
PAUSED = {"by": "sam", "reason": "lunch", "at": 4000.0}
WISH = {"by": "sam", "reason": "known", "at": 4000.0, "step": 0}


def canary(**fields: Any) -> Stage:
    stage = Stage()
    stage.approved(2, **{"state": "canary", "step": 1, **fields})
    return stage


def operated(stage: Stage, operation: str, reason: str = "odd answers") -> Release:
    return operate(RELEASE, operation, reason=reason, by=KIM, address="203.0.113.7", **stage.ports("releases", "clock"))


@pytest.mark.parametrize(
    ("operation", "before", "after", "event"),
    [
        ("pause", {"advance": WISH}, {"paused": MARK, "advance": None}, Event.CANARY_PAUSED),
        ("resume", {"paused": PAUSED}, {"paused": None}, Event.CANARY_RESUMED),
        ("advance", {}, {"advance": {**MARK, "step": 1}}, Event.CANARY_ADVANCED),
    ],
)
def test_an_operation_is_recorded_with_who_why_and_where(
    operation: str, before: dict[str, Any], after: dict[str, Any], event: Event
) -> None:
    stage = canary(**before)
    record = stage.releases.get(RELEASE)

    release = operated(stage, operation, " odd answers\n")

    assert release == stage.releases.get(RELEASE) == replace(record, revision=2, **after)
    detail = {"reason": "odd answers", "step": 1, "address": "203.0.113.7"}
    assert stage.told(RELEASE)[1:] == [TimelineEntry(f"{RELEASE}/{operation}/1", RELEASE, 5000.0, event, KIM, detail)]


def refused(stage: Stage, operation: str, kind: type[Exception], says: str, reason: str = "x") -> None:
    before = stage.releases.get(RELEASE), stage.told(RELEASE)
    with pytest.raises(kind, match=says):
        operated(stage, operation, reason)
    assert (stage.releases.get(RELEASE), stage.told(RELEASE)) == before


@pytest.mark.parametrize(
    ("operation", "paused", "says"),
    [
        ("pause", PAUSED, f"release {RELEASE} is paused already, by sam"),
        ("resume", None, f"release {RELEASE} is not paused"),
        ("advance", PAUSED, f"release {RELEASE} is paused; resume it first"),
    ],
)
def test_an_operation_that_does_not_fit_what_was_done_before_is_refused(
    operation: str, paused: dict[str, Any] | None, says: str
) -> None:
    refused(canary(paused=paused), operation, NotApplicable, says)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"state": "review"}, f"release {RELEASE} is not in canary but review$"),
        ({"state": "ended", "outcome": Outcome.EXPIRED}, r"not in canary but ended \(expired\)$"),
    ],
)
def test_only_a_canary_is_operated(operation: str, fields: dict[str, Any], says: str) -> None:
    refused(canary(**fields, paused=PAUSED), operation, NotApplicable, says)


def test_an_unknown_operation_is_named_up_to_a_length_with_those_that_there_are() -> None:
    refused(canary(), "x" * 41, InvalidInput, rf"operation '{'x' * 40}': must be pause, resume, advance")


@pytest.mark.parametrize("reason", ["", " \n ", "x" * 2001])
def test_a_reason_is_needed_and_has_an_end(reason: str) -> None:
    refused(canary(), "pause", InvalidInput, rf"1 to 2,000 characters; it had {len(reason):,}", reason)


@pytest.mark.parametrize("reason", ["x", "x" * 2000])
def test_a_reason_may_be_short_or_long(reason: str) -> None:
    assert operated(canary(), "pause", reason).paused == {**MARK, "reason": reason}


@pytest.mark.parametrize(("times", "done"), [(7, True), (8, False)])
def test_a_record_that_others_change_is_read_again_eight_times_at_most(times: int, done: bool) -> None:
    stage = canary()
    stage.releases.faster = [{"description": f"words {n}"} for n in range(times)]

    if done:
        assert operated(stage, "pause").description == "words 6"
    else:
        with pytest.raises(Unavailable, match=f"record of {RELEASE} is being changed by others"):
            operated(stage, "pause")
    assert stage.releases.faster == []


def test_what_somebody_else_did_meanwhile_counts() -> None:
    stage = canary()
    stage.releases.faster = [{"paused": PAUSED}]

    with pytest.raises(NotApplicable, match="paused; resume it first"):
        operated(stage, "advance")


def test_an_unknown_release_is_not_found() -> None:
    with pytest.raises(NotFound, match=RELEASE):
        operated(Stage(), "pause")
