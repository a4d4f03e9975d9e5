"""A decision as it is made from a stored route, what it sends to Converse, and which variables it takes."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import Decision, InvalidVariables, UnsupportedRoute
from promptlane.client.decision import LiveRoute, live_route, pinned
from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route
from promptlane.domain.split import keys, mix, track

ARN = "arn:aws:bedrock:eu-west-1:111122223333:prompt/GREETER000"


def fields(decision: Decision | None) -> dict[str, Any]:
    assert decision is not None
    found = {name: getattr(decision, name) for name in Decision.__slots__}
    second = found.pop("second")
    return {**found, "instead": found["instead"] and fields(found["instead"]), "second": second and second.version}


def decision(version: int, track: str, phase: str, **more: Any) -> dict[str, Any]:
    """The fields of a decision of the route below; of the one that is asked second, its version."""
    return {
        "prompt": "greeter",
        "version": version,
        "version_arn": f"{ARN}:{version}",
        "track": track,
        "release_id": "GREETER000-3-2",
        "fingerprint": f"fp{version}",
        "revision": 9,
        "phase": phase,
        "salt": "pepper",
        "variables": None,
        "instead": None,
        "guardrail": None,
        "second": None,
        "per_token": {},
        **more,
    }


def item(phase: str, **more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "prompt": "greeter",
        "release_id": "GREETER000-3-2",
        "revision": 9,
        "phase": phase,
        "salt": "pepper",
        "stable": {"version": 2, "arn": f"{ARN}:2", "fingerprint": "fp2"},
        **more,
    }


CANARY = {"version": 3, "arn": f"{ARN}:3", "fingerprint": "fp3", "variables": ["a", "b"]}
PREVIOUS = {"version": 1, "arn": f"{ARN}:1", "fingerprint": "fp1", "variables": []}


def test_a_canary_below_the_weight_gets_it_and_stable_instead_when_it_fails() -> None:
    live = live_route("by-id", item("canary", canary=CANARY, weight=2500, previous=PREVIOUS, holdback=400))
    stable = decision(2, "stable", "canary")
    assert fields(live.low) == decision(3, "canary", "canary", instead=stable, second=2, variables=frozenset("ab"))
    assert fields(live.high) == fields(live.stable) == stable
    assert live.low.instead is live.stable is live.high
    assert (live.split, live.threshold) == (True, (1 << 62) - (1 << 63))
    assert (live.k1, live.k2) == keys("pepper")
    assert (live.revision, live.due, live.until) == (9, 0.0, 0.0)


def test_a_watched_release_holds_units_back_on_the_previous_version_at_the_top() -> None:
    live = live_route("by-id", item("watch", previous=PREVIOUS, holdback=2500, canary=CANARY, weight=400))
    assert fields(live.high) == decision(1, "holdback", "watch", second=2, variables=frozenset())
    assert fields(live.low) == decision(2, "stable", "watch", second=1)
    assert (live.low is live.stable, live.split) == (True, True)
    assert live.threshold == (3 << 62) - (1 << 63)


@pytest.mark.parametrize(
    ("phase", "more", "version"),
    [
        ("steady", {"canary": CANARY, "weight": 2500, "previous": PREVIOUS, "holdback": 2500}, 2),
        ("canary", {"canary": CANARY, "weight": 0}, 2),
        ("canary", {"canary": CANARY}, 2),
        ("canary", {"canary": CANARY, "weight": 10_000}, 3),
        ("canary", {"weight": 2500}, 2),
        ("watch", {"previous": PREVIOUS, "holdback": 0}, 2),
        ("watch", {"previous": PREVIOUS}, 2),
        ("watch", {"previous": PREVIOUS, "holdback": 10_000}, 1),
        ("watch", {"holdback": 2500}, 2),
    ],
)
def test_without_a_share_everybody_gets_one_version(phase: str, more: dict[str, Any], version: int) -> None:
    live = live_route("greeter", item(phase, **more))
    assert (live.low.version, live.high.version, live.stable.version) == (version, version, 2)
    assert (live.split, live.low is live.high, live.stable.phase) == (False, True, phase)


@pytest.mark.parametrize("share", [1, 9999])
@pytest.mark.parametrize(("phase", "name"), [("canary", "weight"), ("watch", "holdback")])
def test_the_least_share_splits(phase: str, name: str, share: int) -> None:
    live = live_route("greeter", item(phase, canary=CANARY, previous=PREVIOUS, **{name: share}))
    assert (live.split, live.low is live.high) == (True, False)


def test_an_item_with_nothing_but_stable_is_steady() -> None:
    live = live_route("greeter", {"revision": 4, "stable": {"version": "2", "arn": f"{ARN}:2"}})
    assert fields(live.low) == {
        "prompt": "greeter",
        "version": 2,
        "version_arn": f"{ARN}:2",
        "track": "stable",
        "release_id": "",
        "fingerprint": "",
        "revision": 4,
        "phase": "steady",
        "salt": "",
        "variables": None,
        "instead": None,
        "guardrail": None,
        "second": None,
        "per_token": {},
    }
    assert (live.low is live.high is live.stable, (live.k1, live.k2), live.revision) == (True, keys(""), 4)
    canary = live_route(
        "greeter", {"revision": 4, "phase": "canary", "stable": CANARY, "canary": CANARY, "weight": "7"}
    )
    assert (canary.low.release_id, canary.low.salt, canary.split) == ("", "", True)


REF = st.builds(
    VersionRef, st.integers(1, 99), st.just("fp"), st.just(f"{ARN}:1"), st.none() | st.just(()) | st.just(("a", "b"))
)


@given(
    st.sampled_from(Phase),
    REF,
    REF,
    REF,
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.text(max_size=9),
    st.lists(st.text(min_size=1, max_size=9), min_size=1),
)
def test_every_route_that_the_domain_writes_is_split_as_the_domain_says(
    phase: Phase,
    stable: VersionRef,
    canary: VersionRef,
    previous: VersionRef,
    weight: int,
    holdback: int,
    salt: str,
    units: list[str],
) -> None:
    route = Route(
        prompt="greeter",
        prompt_id="GREETER000",
        stable=stable,
        canary=canary if phase == Phase.CANARY else None,
        previous=previous if phase == Phase.WATCH else None,
        weight=weight if phase == Phase.CANARY else 0,
        holdback=holdback if phase == Phase.WATCH else 0,
        salt=salt,
        release_id="GREETER000-3-2",
        revision=9,
        phase=phase,
    )
    live = live_route("greeter", route.to_item())
    refs = {"stable": stable, "canary": canary, "holdback": previous}
    for unit in units:
        low = mix((crc32(unit.encode()) * live.k1, live.k2)) < live.threshold
        found = live.low if low else live.high
        expected = track(salt, unit, phase=phase, weight=route.weight, holdback=route.holdback)
        ref = refs[expected]
        assert (found.track, found.version, found.version_arn) == (expected, ref.version, ref.arn)
        assert found.variables == (None if ref.variables is None else frozenset(ref.variables))


def test_a_newer_schema_and_a_route_without_stable_are_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedRoute, match="the route of p has schema 2, this client knows 1; upgrade promptlane"):
        live_route("p", item("steady", schema=2))
    assert live_route("p", item("steady", schema=0)).revision == 9
    nobody: tuple[dict[str, Any] | None, ...] = (None, {})
    for stable in nobody:
        with pytest.raises(InvalidInput, match="the route of p names no stable version; `promptlane status p` shows"):
            live_route("p", item("steady", stable=stable))


def test_a_fallback_is_the_version_of_its_arn_for_everybody() -> None:
    live = pinned("greeter", f"{ARN}:12")
    assert fields(live.stable) == {
        "prompt": "greeter",
        "version": 12,
        "version_arn": f"{ARN}:12",
        "track": "stable",
        "release_id": "",
        "fingerprint": "",
        "revision": 0,
        "phase": "steady",
        "salt": "",
        "variables": None,
        "instead": None,
        "guardrail": None,
        "second": None,
        "per_token": {},
    }
    assert live.low is live.high is live.stable
    moved = ("stable", "low", "high", "read", "tried")
    assert {name: getattr(live, name) for name in LiveRoute.__slots__ if name not in moved} == {
        "split": False,
        "threshold": 0,
        "k1": keys("")[0],
        "k2": keys("")[1],
        "revision": 0,
        "epoch": 0,
        "latest": (0, 0),
        "schema": 1,
        "barred": frozenset(),
        "due": 0.0,
        "due_from": 0.0,
        "due_until": 0.0,
        "since": 0.0,
        "until": 0.0,
    }


@pytest.mark.parametrize("arn", [ARN, f"{ARN}:", f"{ARN}:DRAFT", f"{ARN}:3:4x", "3", "arn:3", ""])
def test_a_fallback_that_pins_no_version_is_refused_with_an_example(arn: str) -> None:
    with pytest.raises(InvalidInput, match=r"the fallback of greeter is '.*'; give the ARN of a version, which"):
        pinned("greeter", arn)


def made(variables: Any = None, release_id: str = "R-3-1") -> Decision:
    return Decision(
        prompt="greeter", version=3, version_arn=f"{ARN}:3", track="canary", release_id=release_id, variables=variables
    )


def test_a_request_holds_what_was_given_and_nothing_else() -> None:
    names = {"prompt": "greeter", "version": "3", "track": "canary", "release": "R-3-1"}
    assert made().request() == {"modelId": f"{ARN}:3", "promptVariables": {}, "requestMetadata": names}
    message, guardrail = (
        {"role": "user", "content": [{"text": "And?"}]},
        {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    )
    forged = dict.fromkeys(names, "forged")
    request = made(["a", "b"]).request(
        {"a": "x", "b": ""}, messages=(message,), guardrail=guardrail, metadata={**forged, "tenant": "t1"}
    )
    assert request == {
        "modelId": f"{ARN}:3",
        "promptVariables": {"a": {"text": "x"}, "b": {"text": ""}},
        "requestMetadata": {"tenant": "t1", **names},
        "messages": [message],
        "guardrailConfig": guardrail,
    }
    assert made(release_id="").request()["requestMetadata"]["release"] == "none"
    with pytest.raises(InvalidVariables, match="needs b"):
        made(["b"]).request()


def test_variables_that_fit_pass() -> None:
    made().check({f"v{i}": "x" for i in range(20)})
    made([]).check({})
    made(["a", "b"]).check({"b": "", "a": "x"})


@pytest.mark.parametrize(
    ("declared", "given", "words", "missing", "unknown"),
    [
        (["b", "a"], {}, "greeter needs a, b; it declares: a, b", ("a", "b"), ()),
        ([], {"z": "", "y": ""}, "greeter has no y, z; it declares: none", (), ("y", "z")),
        (
            ["b", "a"],
            {"a": "", "x": ""},
            "greeter needs b and has no x; it declares: a, b",
            ("b",),
            ("x",),
        ),
        (None, {f"v{i}": "" for i in range(21)}, "21 variables for greeter; Bedrock takes 20", (), ()),
        (["a"], {"a": 3}, "variables of greeter must be text; a is not: use str()", (), ()),
        (None, {"c": "", "b": None, "a": 1}, "variables of greeter must be text; a, b is not: use str()", (), ()),
        (None, {"a": "", 7: ""}, "variables of greeter must be text; 7 is not: use str()", (), ()),
    ],
)
def test_variables_that_do_not_fit_are_named(
    declared: Any, given: Any, words: str, missing: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidVariables) as caught:
        made(declared).check(given)
    assert (str(caught.value), caught.value.missing, caught.value.unknown) == (words, missing, unknown)


def test_a_decision_shows_what_it_is() -> None:
    assert repr(made()) == "<Decision greeter version 3 (canary)>"


PER_TOKEN = {"CostShare": {"2": [0.001, "0.002"], "3": [0.003, 0.004]}, "OutputTokensShare": {"3": [0, 0.25]}}


def test_a_decision_knows_what_its_own_answers_add_to_means_while_a_release_is_out() -> None:
    live = live_route("greeter", item("canary", canary=CANARY, weight=2500, per_token=PER_TOKEN))
    assert live.low.per_token == {"CostShare": (0.003, 0.004), "OutputTokensShare": (0.0, 0.25)}
    assert live.stable.per_token == {"CostShare": (0.001, 0.002)}
    watched = live_route("greeter", item("watch", previous=PREVIOUS, holdback=400, per_token=PER_TOKEN))
    assert (watched.low.per_token, watched.high.per_token) == ({"CostShare": (0.001, 0.002)}, {})
    assert live_route("greeter", item("steady", per_token=PER_TOKEN)).stable.per_token == {}


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "dear",
        7,
        {"CostShare": None},
        {"CostShare": {"3": None}},
        {"CostShare": {"3": []}},
        {"CostShare": {"3": [1]}},
        {"CostShare": {"3": [1, 2, 3]}},
        {"CostShare": {"3": ["much", 1]}},
        {"CostShare": {"3": [-0.1, 1]}},
        {"CostShare": {"3": [0, "nan"]}},
        {"CostShare": {"3": [0, "inf"]}},
        {"CostShare": {"2": [0, 1]}},
        {"CostShare": [0, 1]},
    ],
)
def test_a_mean_that_a_route_does_not_tell_rightly_is_not_counted_and_the_route_is_used(odd: Any) -> None:
    live = live_route("greeter", item("canary", canary=CANARY, weight=2500, per_token=odd))
    assert (live.low.version, live.low.per_token) == (3, {})
