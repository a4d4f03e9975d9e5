"""Each transition of the route, its whole result, and each refusal with its reason."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from promptlane.aws.plain import to_store
from promptlane.domain.errors import InvalidInput, NotApplicable, PromptlaneError
from promptlane.domain.names import Phase, Track
from promptlane.domain.release.alarmed import alarm_applies
from promptlane.domain.release.prompt import PromptVersion, VersionRef
from promptlane.domain.release.route import (
    Approved,
    Gone,
    NothingToGoBackTo,
    Quarantined,
    Rollback,
    RollbackCause,
    Route,
    StableChanged,
    first_route,
    promote,
    roll_back,
    salt_of,
    settle,
    shift,
)
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes.limits import check_item
from tests.support.prompt import ID

ONE, TWO, THREE, FOUR = (VersionRef(n, f"{n}" * 64, f"arn:{n}") for n in (1, 2, 3, 4))
R1, R2, R3 = (f"PROMPT0001-{n}-1" for n in (1, 2, 3))
BAD = {"9" * 64: {"version": 9, "release_id": "PROMPT0001-9-1", "at": 5.0}}
EARLIER = TimelineEntry(f"{R1}/route/1/100000", R1, 100.0, Event.PROMOTED, "lead", {"version": 1, "first": True})


def told(release: str, revision: int, at: float, event: Event, by: str = "promptlane", **detail: Any) -> TimelineEntry:
    return TimelineEntry(f"{release}/route/{revision}/{round(at * 1000)}", release, at, event, by, detail)


STEADY = Route(
    prompt="support",
    prompt_id=ID,
    stable=ONE,
    salt=salt_of(R1),
    release_id=R1,
    revision=4,
    phase=Phase.STEADY,
    phase_since=100.0,
    shifts=((90.0, 100),),
    quarantined=BAD,
    pending=(EARLIER,),
)
SHIFTED = told(R2, 5, 200.0, Event.CANARY_SHIFTED, version=2, weight=500, stable=1, begins=True)
CANARY = Route(
    prompt="support",
    prompt_id=ID,
    stable=ONE,
    previous=None,
    canary=TWO,
    weight=500,
    holdback=0,
    salt=salt_of(R2),
    release_id=R2,
    revision=5,
    epoch=200_000,
    phase=Phase.CANARY,
    phase_since=200.0,
    watch_until=0.0,
    shifts=((200.0, 500),),
    quarantined=BAD,
    pending=(EARLIER, SHIFTED),
)
WIDER = replace(
    CANARY,
    weight=2500,
    revision=6,
    epoch=250_000,
    shifts=((200.0, 500), (250.0, 2500)),
    pending=(
        EARLIER,
        SHIFTED,
        told(R2, 6, 250.0, Event.CANARY_SHIFTED, version=2, weight=2500, stable=1),
    ),
)
PROMOTED = told(R2, 6, 300.0, Event.PROMOTED, version=2, previous=1, watch_until=360.0)
WATCH = Route(
    prompt="support",
    prompt_id=ID,
    stable=TWO,
    previous=ONE,
    canary=None,
    weight=0,
    holdback=700,
    salt=salt_of(R2),
    release_id=R2,
    revision=6,
    epoch=300_000,
    phase=Phase.WATCH,
    phase_since=300.0,
    watch_until=360.0,
    shifts=((200.0, 500),),
    quarantined=BAD,
    pending=(EARLIER, SHIFTED, PROMOTED),
)
CALM = replace(WATCH, phase=Phase.STEADY, phase_since=400.0, watch_until=0.0, holdback=0, revision=7, epoch=400_000)


def shifted(route: Route, release: str = R2, candidate: VersionRef = TWO, weight: int = 500, **more: Any) -> Route:
    approved = Approved(release, candidate, more.pop("tested_against", route.stable.fingerprint))
    return shift(route, approved, **{"weight": weight, "now": 200.0, **more})


def promoted(route: Route, release: str = R2, candidate: VersionRef = TWO, **more: Any) -> Route:
    approved = Approved(release, candidate, more.pop("tested_against", ONE.fingerprint))
    return promote(route, approved, **{"watch_for": 60.0, "holdback": 700, "now": 300.0, **more})


def rolled(route: Route, cause: RollbackCause = "operator", now: float = 500.0, **more: Any) -> Route:
    to = more.pop("to", None)
    return roll_back(route, Rollback(cause=cause, reason="it harms", by="olga", **more), now=now, to=to)


def test_the_salt_of_a_release_is_always_the_same() -> None:
    assert salt_of(R2) == "cd33597766e3b3b6e829205a28ebb844"
    assert len({salt_of(f"PROMPT0001-{version}-{attempt}") for version in (1, 2) for attempt in (1, 2)}) == 4


def test_a_first_version_is_given_to_everybody_with_nothing_to_go_back_to() -> None:
    route = first_route(prompt="support", prompt_id=ID, candidate=ONE, release_id=R1, now=100.0, by="lead")

    assert route == Route(
        prompt="support",
        prompt_id=ID,
        stable=ONE,
        previous=None,
        canary=None,
        weight=0,
        holdback=0,
        salt=salt_of(R1),
        release_id=R1,
        revision=1,
        epoch=100_000,
        phase=Phase.STEADY,
        phase_since=100.0,
        watch_until=0.0,
        shifts=(),
        quarantined={},
        pending=(EARLIER,),
    )


def test_a_first_shift_starts_the_canary() -> None:
    assert shifted(STEADY) == CANARY


def test_a_further_shift_widens_the_canary_and_its_phase_goes_on() -> None:
    assert shifted(CANARY, weight=2500, now=250.0) == WIDER


@pytest.mark.parametrize("weight", [1, 499, 500])
def test_a_shift_to_no_more_than_there_is_writes_nothing(weight: int) -> None:
    assert shifted(CANARY, weight=weight) is CANARY


@pytest.mark.parametrize("weight", [1, 9_999])
def test_the_least_and_the_largest_share_of_a_canary(weight: int) -> None:
    assert shifted(STEADY, weight=weight).weight == weight


@pytest.mark.parametrize("weight", [0, 10_000])
def test_nothing_and_everything_are_no_share_of_a_canary(weight: int) -> None:
    with pytest.raises(
        InvalidInput, match=f"^a canary weight of {weight} basis points; it must lie between 0 and 10000"
    ):
        shifted(STEADY, weight=weight)


def test_a_shift_of_a_newer_release_ends_a_watch_with_its_holdback() -> None:
    entry = told(R3, 7, 310.0, Event.CANARY_SHIFTED, version=3, weight=100, stable=2, begins=True)

    assert shifted(WATCH, R3, THREE, 100, now=310.0) == Route(
        prompt="support",
        prompt_id=ID,
        stable=TWO,
        previous=ONE,
        canary=THREE,
        weight=100,
        holdback=0,
        salt=salt_of(R3),
        release_id=R3,
        revision=7,
        epoch=310_000,
        phase=Phase.CANARY,
        phase_since=310.0,
        watch_until=0.0,
        shifts=((310.0, 100),),
        quarantined=BAD,
        pending=(*WATCH.pending, entry),
    )


def test_an_explicit_release_takes_its_content_alone_out_of_quarantine() -> None:
    record = {"version": 2, "release_id": R2, "at": 9.0}
    route = replace(STEADY, quarantined={**BAD, TWO.fingerprint: record})

    assert shifted(route, "PROMPT0001-2-2", explicit=True).quarantined == BAD
    with pytest.raises(
        Quarantined, match=rf"^version 2 of support has a content that was rolled back in release {R2};"
    ):
        shifted(route, "PROMPT0001-2-2")


NO_LONGER = f"^release {R2} is no longer in canary; it was rolled back or promoted$"
WITHDRAWN = {**BAD, TWO.fingerprint: {"version": 2, "release_id": R2, "at": 9.0}}


@pytest.mark.parametrize(
    ("route", "asked", "error", "message"),
    [
        (WATCH, {}, Gone, NO_LONGER),
        (replace(CALM, release_id=R3, quarantined=WITHDRAWN), {"explicit": True}, Gone, NO_LONGER),
        (CANARY, {"candidate": THREE}, Gone, f"^the route's canary is not version 3 of release {R2}$"),
        (CANARY, {"release": R3, "candidate": THREE}, NotApplicable, f"^release {R2} of support is in canary; wait"),
        (CANARY, {"release": R3, "candidate": ONE}, NotApplicable, f"^release {R2} of support is in canary; wait"),
        (
            STEADY,
            {"candidate": replace(TWO, fingerprint=ONE.fingerprint)},
            Gone,
            "^version 2 of support is stable already$",
        ),
        (
            STEADY,
            {"tested_against": THREE.fingerprint},
            StableChanged,
            "^stable of support is now version 1, which was not compared with$",
        ),
    ],
)
def test_a_shift_that_does_not_apply_says_why(
    route: Route, asked: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        shifted(route, **asked)
    assert type(caught.value) is error


def test_a_promotion_makes_the_candidate_stable_and_watches_it() -> None:
    assert promoted(CANARY) == WATCH


def test_a_promotion_names_who_asked_for_it_and_keeps_every_shift() -> None:
    route = promoted(WIDER)

    assert route.shifts == ((200.0, 500), (250.0, 2500))
    assert route.pending[-1] == told(R2, 7, 300.0, Event.PROMOTED, version=2, previous=1, watch_until=360.0)


def test_without_a_watch_a_promotion_is_steady_at_once_and_holds_nobody_back() -> None:
    entry = told(R2, 6, 300.0, Event.PROMOTED, version=2, previous=1, watch_until=0.0)

    assert promoted(CANARY, watch_for=0.0) == replace(
        WATCH, holdback=0, phase=Phase.STEADY, watch_until=0.0, pending=(EARLIER, SHIFTED, entry)
    )


def test_the_shortest_watch_is_one_and_may_hold_nobody_back() -> None:
    route = promoted(CANARY, watch_for=0.5, holdback=0)

    assert (route.phase, route.watch_until, route.holdback) == (Phase.WATCH, 300.5, 0)


@pytest.mark.parametrize("route", [WATCH, CALM], ids=["watch", "steady"])
def test_a_repeated_promotion_writes_nothing(route: Route) -> None:
    assert promoted(route, tested_against="another", now=9e9) is route


LOST = "is no longer in canary; it was rolled back or a newer one took over$"


@pytest.mark.parametrize(
    ("route", "asked", "error", "message"),
    [
        (CANARY, {"release": R3}, Gone, f"^release {R3} {LOST}"),
        (CANARY, {"candidate": THREE}, Gone, f"^release {R2} {LOST}"),
        (WATCH, {"release": R3}, Gone, f"^release {R3} {LOST}"),
        (WATCH, {"candidate": THREE}, Gone, f"^release {R2} {LOST}"),
        (replace(WATCH, quarantined=WITHDRAWN), {}, Gone, f"^release {R2} {LOST}"),
        (
            CANARY,
            {"tested_against": THREE.fingerprint},
            StableChanged,
            "^stable of support is now version 1, which was not compared with$",
        ),
    ],
)
def test_a_promotion_that_does_not_apply_says_why(
    route: Route, asked: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        promoted(route, **asked)
    assert type(caught.value) is error


def test_a_rollback_in_canary_takes_the_canary_back_and_quarantines_it() -> None:
    told_by_judge = told(
        R2,
        6,
        210.0,
        Event.ROLLED_BACK,
        "olga",
        version=2,
        restored=1,
        cause="judge",
        reason="it harms",
        phase=Phase.CANARY,
        evidence={"p": 0.01},
    )

    assert rolled(CANARY, "judge", 210.0, evidence={"p": 0.01}) == Route(
        prompt="support",
        prompt_id=ID,
        stable=ONE,
        previous=None,
        canary=None,
        weight=0,
        holdback=0,
        salt=salt_of(R2),
        release_id=R2,
        revision=6,
        epoch=210_000,
        phase=Phase.STEADY,
        phase_since=210.0,
        watch_until=0.0,
        shifts=((200.0, 500),),
        quarantined={**BAD, TWO.fingerprint: {"version": 2, "release_id": R2, "at": 210.0}},
        pending=(*CANARY.pending, told_by_judge),
    )


def test_a_rollback_of_a_canary_that_followed_a_watch_forgets_the_version_before() -> None:
    route = rolled(shifted(WATCH, R3, THREE, 100, now=310.0), "alarm", 320.0)

    assert (route.stable, route.previous) == (TWO, None)
    assert set(route.quarantined) == {*BAD, THREE.fingerprint}


BACK = Route(
    prompt="support",
    prompt_id=ID,
    stable=ONE,
    previous=None,
    canary=None,
    weight=0,
    holdback=0,
    salt=salt_of(R2),
    release_id=R2,
    revision=7,
    epoch=359_900,
    phase=Phase.STEADY,
    phase_since=359.9,
    watch_until=0.0,
    shifts=((200.0, 500),),
    quarantined={**BAD, TWO.fingerprint: {"version": 2, "release_id": R2, "at": 359.9}},
    pending=(
        *WATCH.pending,
        told(
            R2,
            7,
            359.9,
            Event.ROLLED_BACK,
            "olga",
            version=2,
            restored=1,
            cause="alarm",
            reason="it harms",
            phase=Phase.WATCH,
        ),
    ),
)


def test_a_rollback_in_watch_puts_the_version_before_back() -> None:
    assert rolled(WATCH, "alarm", 359.9, release_id=R2) == BACK


@pytest.mark.parametrize("cause", ["alarm", "judge", "undecided"])
@pytest.mark.parametrize(("route", "now", "phase"), [(WATCH, 360.0, "watch"), (CALM, 350.0, "steady")])
def test_from_the_end_of_the_watch_on_only_an_operator_rolls_back(
    route: Route, now: float, phase: str, cause: RollbackCause
) -> None:
    with pytest.raises(
        NotApplicable, match=f"^support is in phase {phase} and its watch is over: only an operator may"
    ):
        rolled(route, cause, now)
    assert rolled(route, "operator", now).stable == ONE


@pytest.mark.parametrize("route", [STEADY, replace(WATCH, previous=None)], ids=["steady", "watch"])
def test_a_rollback_with_nothing_to_go_back_to_says_which_version_stays(route: Route) -> None:
    with pytest.raises(
        NothingToGoBackTo, match=f"^support has no version to go back to; version {route.stable.version}"
    ):
        rolled(route, now=310.0)


@pytest.mark.parametrize(("owner", "says"), [(R2, R2), ("", "none")])
def test_a_rollback_that_names_a_release_leaves_another_ones_route_alone(owner: str, says: str) -> None:
    with pytest.raises(Gone, match=f"^the route of support belongs to release {says}, not to {R3}$"):
        rolled(replace(CANARY, release_id=owner), release_id=R3)


def test_an_operator_goes_back_to_the_version_that_is_named() -> None:
    entry = told(
        R2,
        8,
        500.0,
        Event.ROLLED_BACK,
        "olga",
        version=2,
        restored=4,
        cause="operator",
        reason="it harms",
        phase=Phase.STEADY,
    )

    assert rolled(CALM, to=FOUR) == replace(
        CALM,
        stable=FOUR,
        previous=None,
        revision=8,
        epoch=500_000,
        phase_since=500.0,
        quarantined={**BAD, TWO.fingerprint: {"version": 2, "release_id": R2, "at": 500.0}},
        pending=(*CALM.pending, entry),
    )


@pytest.mark.parametrize(
    ("route", "cause", "to", "error", "message"),
    [
        (CALM, "judge", FOUR, NotApplicable, "^only an operator may name the version to go back to$"),
        (CANARY, "operator", FOUR, NotApplicable, "^a canary of support is out: take it back first"),
        (CALM, "operator", TWO, NotApplicable, "^version 2 of support is stable already$"),
        (
            CALM,
            "operator",
            replace(FOUR, fingerprint=TWO.fingerprint),
            NotApplicable,
            "^version 4 of support is stable already, with the content of version 2$",
        ),
        (BACK, "operator", TWO, Quarantined, f"^version 2 of support was rolled back in release {R2}; if it shall"),
    ],
)
def test_a_version_that_may_not_be_named_says_why(
    route: Route, cause: RollbackCause, to: VersionRef, error: type[PromptlaneError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        rolled(route, cause, to=to)
    assert type(caught.value) is error


def test_the_end_of_a_release_takes_back_a_canary_that_is_still_out() -> None:
    entry = told(R3, 8, 400.0, Event.CANARY_SHIFTED, version=3, weight=0, stable=2)
    out = shifted(WATCH, R3, THREE, 100, now=310.0)

    assert settle(out, release_id=R3, now=400.0) == Route(
        prompt="support",
        prompt_id=ID,
        stable=TWO,
        previous=None,
        canary=None,
        weight=0,
        holdback=0,
        salt=salt_of(R3),
        release_id=R3,
        revision=8,
        epoch=400_000,
        phase=Phase.STEADY,
        phase_since=400.0,
        watch_until=0.0,
        shifts=((310.0, 100),),
        quarantined=BAD,
        pending=(*out.pending, entry),
    )


def test_the_end_of_a_release_ends_its_watch_without_a_word_and_keeps_the_way_back() -> None:
    assert settle(WATCH, release_id=R2, now=400.0) == CALM


@pytest.mark.parametrize(("route", "release"), [(WATCH, R3), (CANARY, R3), (CALM, R2)])
def test_the_end_of_a_release_that_the_route_does_not_serve_changes_nothing(route: Route, release: str) -> None:
    assert settle(route, release_id=release, now=400.0) is route


def test_a_route_names_each_version_that_it_serves_or_goes_back_to() -> None:
    assert STEADY.named == (ONE,)
    assert shifted(WATCH, R3, THREE).named == (TWO, ONE, THREE)


@pytest.mark.parametrize(
    ("route", "release", "flying"), [(CANARY, R2, True), (WATCH, R2, True), (CALM, R2, False), (WATCH, R3, False)]
)
def test_a_release_is_in_flight_until_its_route_is_steady(route: Route, release: str, flying: bool) -> None:
    assert route.in_flight(release) is flying


def test_a_rollback_of_a_release_stays_on_record() -> None:
    assert [BACK.rolled_back(release) for release in (R1, R2, "PROMPT0001-9-1")] == [False, True, True]


LATER = replace(WIDER, phase=Phase.WATCH, phase_since=300.0, watch_until=360.0, canary=None)


@pytest.mark.parametrize(
    ("route", "track", "at"),
    [
        (WIDER, Track.CANARY, 200.0),
        (LATER, Track.STABLE, 300.0),
        (LATER, Track.CANARY, 200.0),
    ],
)
def test_an_alarm_from_the_very_beginning_of_what_it_is_about_counts(route: Route, track: Track, at: float) -> None:
    alarm_applies(route, track=track, changed_at=at)
    with pytest.raises(
        NotApplicable, match=r"^the alarm changed before this phase began: it is about an earlier release"
    ):
        alarm_applies(route, track=track, changed_at=at - 0.001)


@pytest.mark.parametrize(
    ("route", "track", "message"),
    [
        (STEADY, Track.CANARY, "^support is steady: no release is in canary or in watch$"),
        (CANARY, Track.STABLE, "^support is in canary: an alarm on track stable does not condemn the release$"),
        (CANARY, Track.HOLDBACK, "^support is in canary: an alarm on track holdback does not"),
        (LATER, Track.HOLDBACK, "^support is in watch: an alarm on track holdback does not condemn the release$"),
        (replace(LATER, shifts=()), Track.CANARY, "^support is in watch: an alarm on track canary does not"),
    ],
)
def test_an_alarm_that_condemns_nothing_now_is_told_so(route: Route, track: Track, message: str) -> None:
    with pytest.raises(NotApplicable, match=message):
        alarm_applies(route, track=track, changed_at=9e9)


def content(limit: object, version: int = 2) -> VersionRef:
    return PromptVersion(ID, "support", version, f"arn:{version}", [{"additionalModelRequestFields": {"n": limit}}]).ref


def stored_before(ref: VersionRef) -> VersionRef:
    """The same content as a route or a quarantine of the first schema names it."""
    return VersionRef(ref.version, ref.rounded, ref.arn)


@pytest.mark.parametrize("then", [stored_before, lambda ref: ref], ids=["by the first schema", "by this one"])
@pytest.mark.parametrize("again", [1_000_000, 1_000_000.0, 1_000_004])
def test_content_that_was_rolled_back_is_barred_under_any_schema_and_at_six_digits(then: Any, again: Any) -> None:
    bad = then(content(1_000_000))
    route = roll_back(replace(CANARY, canary=bad), Rollback(cause="alarm", reason="bad", by="alarm"), now=500.0)
    route = Route.from_item(json.loads(json.dumps(route.to_item())))
    candidate = content(again, 8)
    approved = Approved("PROMPT0001-8-1", candidate, route.stable.fingerprint)

    assert route.barred(candidate, {}) == route.quarantined[bad.fingerprint]
    with pytest.raises(Quarantined, match=f"rolled back in release {CANARY.release_id}"):
        shift(route, approved, weight=100, now=600.0)
    assert route.barred(content(1_000_100), {}) is None
    on = shift(route, approved, weight=100, now=600.0, explicit=True)
    # An explicit release lifts what it was asked for: a content that is only alike keeps its own quarantine.
    lifted = candidate.fingerprint == content(1_000_000).fingerprint or not bad.rounded
    assert (bad.fingerprint not in on.quarantined) == lifted
    assert on.taken_back(candidate) is None


def test_an_operator_may_go_back_to_what_only_resembles_what_was_taken_back() -> None:
    steady = replace(CALM, stable=content(5, 7), previous=None, quarantined={})
    bad, good = content(1_000_000), content(1_000_004, 3)
    kept = {bad.fingerprint: {"version": 2, "release_id": "P-2-1", "at": 1.0, "rounded": bad.rounded}}
    wish = Rollback(cause="operator", reason="bad", by="op")

    assert roll_back(replace(steady, quarantined=kept), wish, now=500.0, to=good).stable == good
    with pytest.raises(Quarantined):
        roll_back(replace(steady, quarantined=kept), wish, now=500.0, to=bad)
    before = {bad.rounded: {"version": 2, "release_id": "P-2-1", "at": 1.0}}
    with pytest.raises(Quarantined):  # nobody knows any more which of both it was
        roll_back(replace(steady, quarantined=before), wish, now=500.0, to=good)
    with pytest.raises(NotApplicable, match="with the content of version 7"):
        roll_back(replace(steady, stable=stored_before(content(1, 7))), wish, now=500.0, to=content(1, 3))


@pytest.mark.parametrize(
    "odd", [1e300, -1e300, 1e-300, math.inf, -math.inf, math.nan, 10**200, {"deep": [1e-200, (5e200,)]}]
)
def test_evidence_beyond_what_a_table_holds_keeps_no_rollback_from_being_written(odd: Any) -> None:
    """Overwhelming evidence is a number that DynamoDB does not know: it stopped the very rollback it was for."""
    route = roll_back(CANARY, Rollback(cause="judge", reason="bad", by="x", evidence={"harm": odd}), now=210.0)

    check_item(route.to_item(), partition_key="support")
    to_store(route.to_item())
    told = route.pending[-1].detail["evidence"]["harm"]
    assert (odd in (1e300, math.inf, 10**200)) == (told == 1e100)
