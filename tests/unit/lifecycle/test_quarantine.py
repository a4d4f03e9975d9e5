"""What was rolled back is never forgotten, wherever it is kept, and a rollback fits whatever came before it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.errors import AdmissionRefused, Conflict
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.ports import OlderQuarantine
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.quarantine import QUARANTINE_FULL, QUARANTINE_HELD
from promptlane.domain.release.route import Quarantined, Rollback, Route, roll_back
from promptlane.fakes import InMemoryQuarantine
from promptlane.fakes.limits import ITEM_BYTES, check_item
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.routing import shorten
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.windup import WindUp
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import ENDING, TRAFFIC, Stage

MANY = 1_500


def rolled_back(count: int, first: int = 0) -> dict[str, dict[str, Any]]:
    """As many contents that were rolled back, the oldest first."""
    return {
        f"{n:064x}": {"version": n + 10, "release_id": f"{ID}-{n + 10}-1", "at": 100.0 + n, "rounded": f"{n:063x}a"}
        for n in range(first, first + count)
    }


def barred_of(stage: Stage) -> set[str]:
    return {*stage.route.quarantined, *stage.quarantine.all(PROMPT)}


def wind_up(stage: Stage) -> None:
    WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.FAILED, reason="broken")


def back(stage: Stage, **more: Any) -> None:
    before = stage.route
    wish = Rollback(**{"cause": "operator", "reason": "refuses", "by": "kim", **more})
    stage.routes.put(roll_back(before, wish, now=stage.now), expected=before)


def test_the_end_of_a_release_moves_the_oldest_contents_beside_the_route() -> None:
    stage = Stage()
    old = rolled_back(QUARANTINE_HELD + 3)
    stage.serve(1, quarantined=old)
    stage.release(2)

    wind_up(stage)

    assert stage.route.quarantined == dict(list(old.items())[3:])
    assert stage.quarantine.all(PROMPT) == dict(list(old.items())[:3])


def test_a_route_that_holds_no_more_than_it_may_is_not_written() -> None:
    stage = Stage()
    stage.serve(1, quarantined=rolled_back(QUARANTINE_HELD))
    stage.release(2)
    before = stage.route

    wind_up(stage)

    assert stage.route == before
    assert stage.quarantine.all(PROMPT) == {}


def test_thousands_are_moved_in_several_writes_and_what_the_present_release_took_back_stays() -> None:
    stage = Stage()
    old = rolled_back(MANY)
    mine = {f"{MANY - k:064x}": {"version": 2, "release_id": RELEASE, "at": float(k)} for k in (1, 2)}
    stage.serve(1, quarantined={**old, **mine}, release_id=RELEASE)

    route = shorten(stage.routes, stage.quarantine, PROMPT, stage.clock)

    assert len(route.quarantined) == QUARANTINE_HELD
    assert route.rolled_back(RELEASE)
    assert barred_of(stage) == set(old)


@pytest.mark.parametrize("after", ["keep", "put"])
def test_a_crash_at_any_write_forgets_nothing_and_the_next_end_goes_on(after: str) -> None:
    stage = Stage()
    old = rolled_back(QUARANTINE_HELD + 5)
    stage.serve(1, quarantined=old)
    stage.release(2)
    if after == "keep":
        stage.quarantine.keep(PROMPT, stage.route.outgrown)
    else:
        stage.quarantine.keep(PROMPT, stage.route.outgrown)
        before = stage.route
        stage.routes.put(before.without(before.outgrown, now=stage.now), expected=before)
    assert barred_of(stage) == set(old)

    wind_up(stage)

    assert barred_of(stage) == set(old)
    assert len(stage.route.quarantined) == QUARANTINE_HELD


def test_a_rollback_between_the_item_and_the_shorter_route_is_kept() -> None:
    stage = Stage()
    old = rolled_back(QUARANTINE_HELD + 2)
    stage.serve(2, previous=stage.ref(1), release_id=RELEASE, phase=Phase.WATCH, watch_until=9e9, quarantined=old)
    keep = stage.quarantine.keep

    def overtaken(prompt: str, entries: Any) -> None:
        keep(prompt, entries)
        if stage.route.previous is not None:
            back(stage)

    stage.quarantine.keep = overtaken  # type: ignore[method-assign]

    shorten(stage.routes, stage.quarantine, PROMPT, stage.clock)

    bad = stage.ref(2).fingerprint
    assert stage.route.stable == stage.ref(1)
    assert stage.route.quarantined[bad]["release_id"] == RELEASE
    assert barred_of(stage) == {*old, bad}
    assert len(stage.route.quarantined) == QUARANTINE_HELD


def test_of_two_that_end_releases_at_once_none_forgets_anything() -> None:
    stage = Stage()
    old = rolled_back(QUARANTINE_HELD + 4)
    stage.serve(1, quarantined=old)
    keep = stage.quarantine.keep

    def other_first(prompt: str, entries: Any) -> None:
        stage.quarantine.keep = keep  # type: ignore[method-assign]
        shorten(stage.routes, stage.quarantine, PROMPT, stage.clock)
        keep(prompt, entries)

    stage.quarantine.keep = other_first  # type: ignore[method-assign]

    shorten(stage.routes, stage.quarantine, PROMPT, stage.clock)

    assert barred_of(stage) == set(old)
    assert len(stage.route.quarantined) == QUARANTINE_HELD


def test_what_cannot_be_moved_keeps_no_release_from_its_end() -> None:
    stage = Stage()
    stage.serve(1, quarantined=rolled_back(QUARANTINE_HELD + 1))
    stage.release(2)

    def lost(prompt: str, entries: Any) -> None:
        raise Conflict("the table")

    stage.quarantine.keep = lost  # type: ignore[method-assign]

    wind_up(stage)

    assert stage.releases.get(RELEASE).ended
    assert stage.releases.holder(ID) is None
    assert stage.logged == [f"moving older quarantined contents of {PROMPT}: the table"]


def quarantined_beside(stage: Stage, ref: VersionRef, by: str = f"{ID}-2-9") -> None:
    stage.quarantine.keep(
        PROMPT, {ref.fingerprint: {"version": 2, "release_id": by, "at": 9.0, "rounded": ref.rounded}}
    )


def test_admission_looks_beside_the_route() -> None:
    stage = Stage()
    quarantined_beside(stage, stage.ref(2))
    stage.release(2)

    with pytest.raises(AdmissionRefused, match=f"its content was rolled back in release {ID}-2-9"):
        Admission(
            **stage.ports("prompts", "enrolments", "identities", "tags", "directory", "contents", "clock"),
            **stage.ports("routes", "releases", "quarantine"),
            check_suite=lambda suite, variables: ([], SuiteFacts(1)),
            floor=Floor(),
        ).admit(RELEASE)


def test_the_first_shift_looks_beside_the_route() -> None:
    stage = Stage()
    quarantined_beside(stage, stage.ref(2))
    stage.approved(2)
    before = stage.route

    with pytest.raises(Quarantined, match=f"rolled back in release {ID}-2-9"):
        Traffic(**stage.ports(*TRAFFIC)).shift(RELEASE, 0)

    assert stage.route == before


def test_a_content_that_leaves_the_route_while_it_is_looked_for_is_found() -> None:
    """It is put beside the route before it leaves it, and the route is read first."""
    stage = Stage()
    bad = {stage.ref(2).fingerprint: {"version": 2, "release_id": f"{ID}-2-9", "at": 1.0}}
    stage.serve(1, quarantined={**bad, **rolled_back(QUARANTINE_HELD)})
    stage.approved(2)
    get = stage.routes.get

    def moved_meanwhile(prompt: str) -> Route | None:
        read = get(prompt)
        stage.routes.get = get  # type: ignore[method-assign]
        shorten(stage.routes, stage.quarantine, PROMPT, stage.clock)
        return read

    stage.routes.get = moved_meanwhile  # type: ignore[method-assign]

    with pytest.raises(Quarantined):
        Traffic(**stage.ports(*TRAFFIC)).shift(RELEASE, 0)


def test_a_release_that_was_rolled_back_long_ago_never_starts_again_even_if_it_was_explicit() -> None:
    stage = Stage()
    quarantined_beside(stage, stage.ref(2), by=RELEASE)
    stage.approved(2, explicit=True)

    assert Traffic(**stage.ports(*TRAFFIC)).shift(RELEASE, 0).result == "gone"
    assert stage.route.canary is None


def test_an_explicit_release_lifts_it_and_its_rollback_bars_it_again() -> None:
    stage = Stage()
    candidate = stage.ref(2)
    stage.quarantine.keep(PROMPT, rolled_back(2))
    quarantined_beside(stage, candidate)
    stage.approved(2, explicit=True)

    assert Traffic(**stage.ports(*TRAFFIC)).shift(RELEASE, 0).result == "done"

    assert set(stage.quarantine.all(PROMPT)) == set(rolled_back(2)), "lifted, and nothing else"
    quarantined_beside(stage, candidate)
    assert candidate.fingerprint not in stage.quarantine.all(PROMPT), "a late copy of the same rollback bars it again"
    back(stage)
    stage.quarantine.keep(PROMPT, {candidate.fingerprint: stage.route.quarantined[candidate.fingerprint]})
    assert stage.quarantine.all(PROMPT)[candidate.fingerprint]["release_id"] == RELEASE


def test_a_canary_starts_on_a_route_with_room_to_take_it_back() -> None:
    stage = Stage()
    stage.serve(1, quarantined=rolled_back(MANY // 2))
    stage.approved(2)

    Traffic(**stage.ports(*TRAFFIC)).shift(RELEASE, 0)

    assert len(stage.route.quarantined) == QUARANTINE_HELD
    assert len(barred_of(stage)) == MANY // 2


texts = st.text(st.characters(codec="utf-8"), max_size=60).map(lambda text: text * 200)
evidence = st.none() | st.dictionaries(texts, texts | st.floats(allow_nan=False, allow_infinity=False), max_size=3)


@settings(max_examples=25)
@given(count=st.sampled_from([0, QUARANTINE_HELD, QUARANTINE_FULL, 1_900]), reason=texts, by=texts, evidence=evidence)
def test_a_rollback_fits_whatever_came_before(count: int, reason: str, by: str, evidence: Any) -> None:
    """Also on a route that an earlier version of Promptlane filled to the brim: with the route table alone."""
    stage = Stage()
    canary: dict[str, Any] = {"canary": stage.ref(2), "weight": 500, "phase": Phase.CANARY, "release_id": RELEASE}
    full = replace(stage.route, quarantined=rolled_back(count), **canary)
    if count > QUARANTINE_FULL:
        full = brimful(full)

    after = roll_back(full, Rollback(cause="judge", reason=reason, by=by, evidence=evidence), now=9e9)

    check_item(after.to_item(), partition_key=PROMPT)
    assert set(after.quarantined) == {*full.quarantined, stage.ref(2).fingerprint}
    assert after.stable == stage.ref(1)
    grown = len(json.dumps(after.to_item())) - len(json.dumps(full.to_item()))
    assert grown < 60_000, "what is said with a rollback is bounded"


def brimful(route: Route) -> Route:
    """The route with as many contents as the item takes."""
    room = ITEM_BYTES - len(json.dumps(route.to_item()).encode())
    each = len(json.dumps(rolled_back(1, 5_000)))
    return replace(route, quarantined={**route.quarantined, **rolled_back(room // each - 1, 5_000)})


def test_a_reason_and_evidence_of_ordinary_length_are_kept_whole() -> None:
    stage = Stage()
    stage.serve(2, previous=stage.ref(1), release_id=RELEASE)

    back(stage, reason="r" * 2_000, evidence={"harm": 0.5})

    assert stage.route.pending[-1].detail["reason"] == "r" * 2_000
    assert stage.route.pending[-1].detail["evidence"] == {"harm": 0.5}


def test_evidence_that_is_too_long_is_cut_and_says_so() -> None:
    stage = Stage()
    stage.serve(2, previous=stage.ref(1), release_id=RELEASE)

    back(stage, evidence={"notes": ["ä" * 20_000]})

    [told] = stage.route.pending[-1].detail["evidence"].items()
    assert told[0] == "cut"
    assert told[1].startswith('{"notes":["ä')


def test_the_items_are_told_apart_by_prompt() -> None:
    store: OlderQuarantine = InMemoryQuarantine()
    store.keep("support", rolled_back(1))
    assert store.all("sales") == {}
