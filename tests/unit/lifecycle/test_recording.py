"""Writing a release's record: what was decided on what is stored, or nothing, and not for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import NotFound, Unavailable
from promptlane.domain.names import Outcome
from promptlane.domain.release.release import Release
from promptlane.lifecycle.recording import TRIES, Update, update
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.windup import WindUp
from tests.support.prompt import ID, RELEASE
from tests.support.stage import ENDING, TRAFFIC, Stage

BUSY = rf"^the record of {RELEASE} is being changed by others; try again$"


def others(times: int) -> list[dict[str, Any]]:
    """Changes that somebody else makes right before so many of our writes."""
    return [{"description": f"change {n}"} for n in range(times)]


def described(release: Release) -> Update:
    return (replace(release, description=f"{release.description}, and ours"),)


def test_a_change_is_decided_again_on_what_others_wrote() -> None:
    stage = Stage()
    stage.release(2)
    stage.releases.faster = others(TRIES - 1)

    written = update(stage.releases, RELEASE, described)

    assert written == stage.releases.get(RELEASE)
    assert written.description == f"change {TRIES - 2}, and ours"


def test_a_record_that_never_rests_is_left_as_others_wrote_it() -> None:
    stage = Stage()
    stage.release(2)
    stage.releases.faster = others(TRIES)

    with pytest.raises(Unavailable, match=BUSY):
        update(stage.releases, RELEASE, described)

    assert stage.releases.get(RELEASE).description == f"change {TRIES - 1}"


def test_no_change_writes_nothing_and_an_unknown_release_is_named() -> None:
    stage = Stage()
    before = stage.release(2)

    assert update(stage.releases, RELEASE, lambda release: None) == before == stage.releases.get(RELEASE)
    with pytest.raises(NotFound, match=f"{ID}-3-1"):
        update(stage.releases, f"{ID}-3-1", described)


def test_a_release_whose_record_never_rests_is_safe_and_is_ended_by_the_next_attempt() -> None:
    stage = Stage()
    stage.approved(2)
    Traffic(**stage.ports(*TRAFFIC)).shift(RELEASE, 0)
    ending = WindUp(**stage.ports(*ENDING))
    stage.releases.faster = others(TRIES)

    with pytest.raises(Unavailable, match=BUSY):
        ending.end(RELEASE, claimed=Outcome.FAILED, reason="broken")

    assert not stage.route.in_flight(RELEASE)
    assert (stage.releases.get(RELEASE).ended, stage.releases.holder(ID), stage.notices.sent[1:]) == (
        False,
        RELEASE,
        [],
    )
    assert ending.end(RELEASE, claimed=Outcome.FAILED, reason="broken").outcome is Outcome.FAILED
    assert (stage.releases.holder(ID), len(stage.notices.sent)) == (None, 2)


def test_a_step_whose_record_never_rests_is_taken_by_the_next_attempt() -> None:
    stage = Stage()
    stage.approved(2)
    traffic = Traffic(**stage.ports(*TRAFFIC))
    stage.releases.faster = others(TRIES)

    with pytest.raises(Unavailable, match=BUSY):
        traffic.shift(RELEASE, 0)

    assert (stage.route.weight, stage.releases.get(RELEASE).state) == (500, "review")
    assert traffic.shift(RELEASE, 0).result == "done"
    assert (stage.route.weight, stage.releases.get(RELEASE).state) == (500, "canary")
