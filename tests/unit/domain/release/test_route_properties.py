"""The route's transitions keep DESIGN's invariants whatever is asked of them, in whatever order."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput, NotApplicable
from promptlane.domain.names import Phase, Track, parse_alarm_arn, parse_release_id, release_id
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import (
    Cause,
    Gone,
    NothingToGoBackTo,
    Quarantined,
    Route,
    StableChanged,
    alarm_applies,
    first_route,
    promote,
    roll_back,
    salt_of,
    settle,
    shift,
)
from promptlane.domain.release.timeline import Event


def ref(version: int, content: str | None = None) -> VersionRef:
    return VersionRef(
        version, (content or f"{version:064d}"), f"arn:aws:bedrock:us-east-1:111122223333:prompt/P:{version}"
    )


def rid(version: int, attempt: int = 1) -> str:
    return release_id("PROMPT0001", version, attempt)


@pytest.fixture
def steady() -> Route:
    route = first_route(
        prompt="support", prompt_id="PROMPT0001", candidate=ref(1), release_id=rid(1), now=100.0, by="promptlane"
    )
    return replace(route, pending=())


def in_canary(route: Route, version: int = 2, weight: int = 500, now: float = 200.0) -> Route:
    return shift(
        route,
        release_id=rid(version),
        candidate=ref(version),
        tested_against=route.stable.fingerprint,
        weight=weight,
        now=now,
    )


def in_watch(route: Route, version: int = 2, now: float = 300.0) -> Route:
    return promote(
        in_canary(route, version),
        release_id=rid(version),
        candidate=ref(version),
        tested_against=route.stable.fingerprint,
        watch_for=60,
        holdback=500,
        now=now,
    )


def test_a_route_reads_back_as_it_was_stored(steady: Route) -> None:
    for route in (steady, in_canary(steady), in_watch(steady)):
        assert Route.from_item(route.to_item()) == route


def test_a_route_of_a_newer_schema_is_not_guessed_at(steady: Route) -> None:
    with pytest.raises(InvalidInput, match="upgrade promptlane"):
        Route.from_item({**steady.to_item(), "schema": 2})


def test_the_whole_way_of_a_version(steady: Route) -> None:
    route = in_canary(steady)
    assert (route.canary, route.weight, route.phase, route.stable) == (ref(2), 500, Phase.CANARY, ref(1))
    route = in_canary(route, weight=5000, now=250.0)
    assert (route.weight, route.phase_since, route.shifts) == (5000, 200.0, ((200.0, 500), (250.0, 5000)))
    route = in_watch(steady)
    assert (route.stable, route.previous, route.canary, route.holdback) == (ref(2), ref(1), None, 500)
    quiet = settle(route, release_id=rid(2), now=400.0)
    assert (quiet.stable, quiet.previous, quiet.holdback, quiet.phase) == (ref(2), ref(1), 0, Phase.STEADY)
    assert [e.event for e in route.pending] == [Event.CANARY_SHIFTED, Event.PROMOTED]


def test_a_repeated_step_writes_nothing(steady: Route) -> None:
    route = in_canary(steady, weight=2500)
    assert in_canary(route, weight=500) is route
    watched = in_watch(steady)
    again = promote(
        watched,
        release_id=rid(2),
        candidate=ref(2),
        tested_against=ref(1).fingerprint,
        watch_for=60,
        holdback=500,
        now=9e9,
    )
    assert again is watched


def test_a_second_canary_is_refused(steady: Route) -> None:
    with pytest.raises(NotApplicable, match="is in canary"):
        in_canary(in_canary(steady, 2), 3)


def test_a_newer_release_ends_the_watch_of_the_one_before(steady: Route) -> None:
    route = in_canary(in_watch(steady, 2), 3, now=310.0)
    assert (route.stable, route.canary, route.phase, route.holdback) == (ref(2), ref(3), Phase.CANARY, 0)
    assert settle(route, release_id=rid(2), now=320.0) is route


def test_a_stable_that_changed_sends_the_release_back(steady: Route) -> None:
    with pytest.raises(StableChanged):
        shift(steady, release_id=rid(2), candidate=ref(2), tested_against="other", weight=500, now=1.0)
    moved = replace(in_canary(steady), stable=ref(7))
    with pytest.raises(StableChanged):
        promote(
            moved,
            release_id=rid(2),
            candidate=ref(2),
            tested_against=ref(1).fingerprint,
            watch_for=1,
            holdback=0,
            now=1,
        )


@pytest.mark.parametrize("weight", [0, -1, 10_000, 12_000])
def test_a_weight_that_is_no_share_is_refused(steady: Route, weight: int) -> None:
    with pytest.raises(InvalidInput, match="basis points"):
        in_canary(steady, weight=weight)


@pytest.mark.parametrize("cause", ["alarm", "judge", "operator", "undecided"])
def test_a_canary_is_rolled_back_to_stable(steady: Route, cause: Cause) -> None:
    route = roll_back(in_canary(steady), cause=cause, reason="bad", now=210.0, by="x")
    assert (route.stable, route.previous, route.canary, route.weight, route.phase) == (
        ref(1),
        None,
        None,
        0,
        Phase.STEADY,
    )
    assert route.rolled_back(rid(2))


def test_a_rollback_in_watch_restores_previous_and_quarantines(steady: Route) -> None:
    route = roll_back(in_watch(steady), cause="alarm", reason="bad", now=310.0, by="x")
    assert (route.stable, route.previous, route.holdback) == (ref(1), None, 0)
    same_content = replace(ref(5), fingerprint=ref(2).fingerprint)
    with pytest.raises(Quarantined, match="explicitly"):
        shift(
            route, release_id=rid(5), candidate=same_content, tested_against=ref(1).fingerprint, weight=500, now=400.0
        )


def test_an_explicit_release_may_bring_quarantined_content_back(steady: Route) -> None:
    route = roll_back(in_canary(steady), cause="judge", reason="bad", now=210.0, by="x")
    again = shift(
        route,
        release_id=rid(2, 2),
        candidate=ref(2),
        tested_against=ref(1).fingerprint,
        weight=500,
        now=300.0,
        explicit=True,
    )
    assert again.canary == ref(2)
    assert ref(2).fingerprint not in again.quarantined


def test_the_release_that_was_rolled_back_never_comes_back_by_itself(steady: Route) -> None:
    route = roll_back(in_canary(steady), cause="alarm", reason="bad", now=210.0, by="x")
    with pytest.raises(Gone):
        shift(
            route,
            release_id=rid(2),
            candidate=ref(2),
            tested_against=ref(1).fingerprint,
            weight=500,
            now=1,
            explicit=True,
        )
    with pytest.raises(Gone):
        promote(
            route,
            release_id=rid(2),
            candidate=ref(2),
            tested_against=ref(1).fingerprint,
            watch_for=1,
            holdback=0,
            now=1,
        )


@pytest.mark.parametrize("cause", ["alarm", "judge", "undecided"])
def test_only_an_operator_rolls_back_after_the_watch(steady: Route, cause: Cause) -> None:
    late = in_watch(steady)
    with pytest.raises(NotApplicable, match="only an operator"):
        roll_back(late, cause=cause, reason="bad", now=360.0, by="x")
    calm = settle(late, release_id=rid(2), now=360.0)
    with pytest.raises(NotApplicable, match="only an operator"):
        roll_back(calm, cause=cause, reason="bad", now=400.0, by="x")
    assert roll_back(calm, cause="operator", reason="bad", now=400.0, by="x").stable == ref(1)


def test_with_nothing_to_go_back_to_nothing_changes(steady: Route) -> None:
    with pytest.raises(NothingToGoBackTo, match="version 1 stays"):
        roll_back(steady, cause="operator", reason="bad", now=1.0, by="x")


def test_an_operator_may_name_an_earlier_version_than_the_route_remembers(steady: Route) -> None:
    calm = settle(in_watch(steady), release_id=rid(2), now=360.0)

    route = roll_back(calm, cause="operator", reason="both are bad", now=400.0, by="x", to=ref(7))

    assert (route.stable, route.previous, route.phase) == (ref(7), None, Phase.STEADY)
    assert set(route.quarantined) == {ref(2).fingerprint}
    assert route.pending[-1].detail["restored"] == 7


@pytest.mark.parametrize("cause", ["alarm", "judge", "undecided"])
def test_nobody_but_an_operator_names_the_version_to_go_back_to(steady: Route, cause: Cause) -> None:
    with pytest.raises(NotApplicable, match="only an operator"):
        roll_back(in_watch(steady), cause=cause, reason="x", now=310.0, by="x", to=ref(7))


def test_a_version_is_named_neither_while_a_canary_is_out_nor_again_nor_once_it_was_rolled_back(steady: Route) -> None:
    with pytest.raises(NotApplicable, match="take it back first"):
        roll_back(in_canary(steady), cause="operator", reason="x", now=210.0, by="x", to=ref(7))
    with pytest.raises(NotApplicable, match="is stable already"):
        roll_back(in_watch(steady), cause="operator", reason="x", now=310.0, by="x", to=ref(2))
    back = roll_back(in_watch(steady), cause="operator", reason="x", now=310.0, by="x")
    with pytest.raises(Quarantined, match=r"version 2 .* --again"):
        roll_back(back, cause="operator", reason="x", now=320.0, by="x", to=ref(2))


def test_a_rollback_that_names_another_release_does_not_apply(steady: Route) -> None:
    with pytest.raises(Gone):
        roll_back(in_canary(steady), cause="judge", reason="bad", now=1.0, by="x", release_id=rid(9))


def test_which_alarms_say_something(steady: Route) -> None:
    canary, watch = in_canary(steady, now=200.0), in_watch(steady, now=300.0)
    alarm_applies(canary, track=Track.CANARY, changed_at=200.0)
    alarm_applies(watch, track=Track.STABLE, changed_at=301.0)
    alarm_applies(watch, track=Track.CANARY, changed_at=watch.shifts[0][0])  # the promotion overtook it
    for route, track, at in (
        (steady, Track.CANARY, 500.0),
        (canary, Track.STABLE, 500.0),  # a shared outage condemns nobody
        (canary, Track.CANARY, 199.9),  # before this phase began
        (watch, Track.STABLE, 299.9),
        (watch, Track.CANARY, watch.shifts[0][0] - 0.1),
        (watch, Track.HOLDBACK, 500.0),
    ):
        with pytest.raises(NotApplicable):
            alarm_applies(route, track=track, changed_at=at)


@given(st.text(max_size=60))
def test_what_is_no_release_id_is_refused_with_the_remedy(text: str) -> None:
    if re.fullmatch(r"[0-9A-Za-z]{10}-[1-9][0-9]{0,4}-[1-9][0-9]{0,2}", text):
        return
    with pytest.raises(InvalidInput, match="promptlane history"):
        parse_release_id(text)


@given(st.integers(1, 99_999), st.integers(1, 999))
def test_release_ids_round_trip(version: int, attempt: int) -> None:
    assert parse_release_id(rid(version, attempt)) == ("PROMPT0001", version, attempt)
    assert salt_of(rid(version, attempt)) != salt_of(rid(version, attempt + 1))


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:cloudwatch:us-east-1:999999999999:alarm:promptlane/support/canary/Error",  # foreign account
        "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:promptlane/support/canary/Error",  # other Region
        "arn:aws:cloudwatch:us-east-1:111122223333:alarm:other/support/canary/Error",
        "arn:aws:cloudwatch:us-east-1:111122223333:alarm:promptlane/support/nowhere/Error",
        "arn:aws:cloudwatch:us-east-1:111122223333:alarm:promptlane/support",
        "garbage",
    ],
)
def test_foreign_alarms_are_named_and_refused(arn: str) -> None:
    with pytest.raises(InvalidInput, match="ignored"):
        parse_alarm_arn(arn, deployment="promptlane", account="111122223333", region="us-east-1")
