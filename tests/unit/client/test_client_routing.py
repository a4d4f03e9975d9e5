"""Routes in memory: decided as the split says, refreshed behind the traffic, and never lost."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from promptlane.client import (
    InvalidUnit,
    PromptClient,
    RouteUnavailable,
    UnknownPrompt,
    UnsupportedRoute,
)
from promptlane.client.decision import Decision, live_route
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client, version_arn
from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route, salt_of
from promptlane.domain.split import track
from tests.support.client import eventually

REFRESH = 0.05


def version_seen(client: PromptClient, unit: str = "u") -> int:
    return client.route("greeter", unit).version


@pytest.fixture
def routes() -> StaticRoutes:
    found = StaticRoutes()
    found.put("greeter", stable=1, canary=2, weight=2500)
    return found


def ref(version: int) -> VersionRef:
    return VersionRef(version, f"{version:064x}", version_arn("greeter", version), ("name",))


@pytest.mark.parametrize(
    ("phase", "weight", "holdback"),
    [("steady", 0, 0), ("canary", 0, 0), ("canary", 2500, 0), ("watch", 0, 500), ("watch", 0, 0), ("watch", 0, 10_000)],
)
def test_the_client_reads_route_items_as_the_domain_writes_them(phase: str, weight: int, holdback: int) -> None:
    route = Route(
        prompt="greeter",
        prompt_id="GREETER000",
        stable=ref(2),
        previous=ref(1) if phase == "watch" else None,
        canary=ref(3) if phase == "canary" else None,
        weight=weight,
        holdback=holdback,
        salt=salt_of("GREETER000-3-1"),
        release_id="GREETER000-3-1",
        revision=7,
        phase=Phase(phase),
    )
    routes = StaticRoutes()
    routes.items["greeter"] = route.to_item()
    client = fake_client(routes)
    expected = {"stable": 2, "canary": 3, "holdback": 1}
    seen = set()
    for unit in (f"user-{i}" for i in range(300)):
        decision = client.route("greeter", unit)
        want = track(route.salt, unit, phase=phase, weight=weight, holdback=holdback)
        assert (decision.track, decision.version) == (want, expected[want])
        assert decision.version_arn == version_arn("greeter", decision.version)
        assert (decision.release_id, decision.revision, decision.phase) == ("GREETER000-3-1", 7, phase)
        assert decision.variables == frozenset({"name"})
        seen.add(want)
    assert len(seen) == (2 if 0 < weight + holdback < 10_000 else 1)


def test_one_read_per_refresh_whatever_the_traffic(routes: StaticRoutes) -> None:
    client = fake_client(routes, refresh=60)
    start = threading.Barrier(8)

    def hammer() -> None:
        start.wait()
        for i in range(500):
            client.route("greeter", f"u{i}")

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert routes.reads == 1


def test_a_new_weight_is_seen_by_a_refresh_and_a_lower_revision_never(routes: StaticRoutes) -> None:
    client = fake_client(routes, refresh=REFRESH)
    assert client.route("greeter", "u").revision == 1
    old = dict(routes.items["greeter"])
    routes.put("greeter", stable=9)
    eventually(lambda: version_seen(client) == 9)
    routes.items["greeter"] = old
    reads = routes.reads
    eventually(lambda: version_seen(client) == 9 and routes.reads > reads + 3)
    assert client.route("greeter", "u").revision == 2


def test_store_down_the_last_known_route_is_served_and_a_metric_says_so(routes: StaticRoutes) -> None:
    sink = ListSink()
    client = fake_client(routes, sink=sink, refresh=REFRESH)
    before = [version_seen(client, f"u{i}") for i in range(50)]
    routes.down = ConnectionError("no route to host")
    eventually(lambda: version_seen(client) and sink.total("StaleRoute", Prompt="greeter")[1] >= 2)
    assert [version_seen(client, f"u{i}") for i in range(50)] == before
    routes.down = None
    routes.put("greeter", stable=9)
    eventually(lambda: version_seen(client) == 9)


def test_a_deleted_malformed_or_newer_route_item_changes_nothing(routes: StaticRoutes) -> None:
    client = fake_client(routes, refresh=REFRESH)
    before = [version_seen(client, f"u{i}") for i in range(50)]
    good = routes.items["greeter"]
    for broken in (None, {}, {**good, "revision": 9, "schema": 2}, {**good, "revision": 9, "stable": None}):
        if broken is None:
            del routes.items["greeter"]
        else:
            routes.items["greeter"] = broken
        reads = routes.reads
        eventually(lambda r=reads: version_seen(client) and routes.reads >= r + 2)
        assert [version_seen(client, f"u{i}") for i in range(50)] == before


def test_cold_start_with_the_store_down_serves_the_fallback_or_says_clearly_why_not(routes: StaticRoutes) -> None:
    routes.down = ConnectionError("no route to host")
    with pytest.raises(RouteUnavailable, match=r"greeter.*no route to host.*fallback"):
        fake_client(routes).route("greeter", "u")
    client = fake_client(routes, refresh=REFRESH, fallback={"greeter": version_arn("greeter", 7)})
    decision = client.route("greeter", "u")
    assert (decision.version, decision.track, decision.revision) == (7, "stable", 0)
    routes.down = None
    eventually(lambda: client.route("greeter", "u").revision == 1)


def test_a_fallback_that_pins_no_version_is_refused_at_once() -> None:
    for arn in ("arn:aws:bedrock:eu-west-1:111122223333:prompt/ABCDEFGHIJ", "3", "arn:x/ABC:DRAFT"):
        with pytest.raises(InvalidInput, match="ARN of a version"):
            fake_client(StaticRoutes(), fallback={"greeter": arn})


def test_unknown_prompts_are_refused_and_not_looked_up_again_for_each_request(routes: StaticRoutes) -> None:
    client = fake_client(routes, refresh=60, fallback={"greeter": version_arn("greeter", 1)})
    for _ in range(5):
        with pytest.raises(UnknownPrompt, match="never released"):
            client.route("nobody", "u")
    assert routes.reads == 1


def test_a_route_of_a_newer_release_is_refused_when_none_is_held(routes: StaticRoutes) -> None:
    routes.items["greeter"]["schema"] = 2
    with pytest.raises(UnsupportedRoute, match="upgrade promptlane"):
        fake_client(routes).route("greeter", "u")


def test_prompts_may_be_given_by_id_or_arn(routes: StaticRoutes) -> None:
    client = fake_client(routes, refresh=REFRESH)
    arn = version_arn("greeter", 1).rpartition(":")[0]
    for identifier in (arn, arn.rpartition("/")[2]):
        decisions = [client.route(identifier, f"u{i}") for i in range(40)]
        assert [d.version for d in decisions] == [version_seen(client, f"u{i}") for i in range(40)]
        assert {d.prompt for d in decisions} == {"greeter"}
    routes.put("greeter", stable=5)
    eventually(lambda: client.route(arn, "u").version == 5)


@pytest.mark.parametrize(
    ("unit", "words"),
    [("", "empty"), ("x" * 10_240, "10,240 bytes"), (17, "str()"), (None, "str()"), ("\ud800", "surrogate")],
)
def test_units_that_cannot_be_split_by_are_refused_with_the_remedy(routes: StaticRoutes, unit: Any, words: str) -> None:
    client = fake_client(routes)
    client.route("greeter", "warm")
    with pytest.raises(InvalidUnit, match=words.replace("(", r"\(").replace(")", r"\)")):
        client.route("greeter", unit)


def test_settings_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTLANE_ROUTE_TABLE", raising=False)
    with pytest.raises(InvalidInput, match="PROMPTLANE_ROUTE_TABLE"):
        PromptClient()
    monkeypatch.setenv("PROMPTLANE_FALLBACK_ROUTES", "[1]")
    with pytest.raises(InvalidInput, match="PROMPTLANE_FALLBACK_ROUTES"):
        PromptClient(route_table="routes")
    monkeypatch.delenv("PROMPTLANE_FALLBACK_ROUTES")
    with pytest.raises(InvalidInput, match="timeout"):
        fake_client(StaticRoutes(), timeout=0)
    with pytest.raises(InvalidInput, match="refresh"):
        fake_client(StaticRoutes(), refresh=0)


def test_a_process_that_was_frozen_reads_the_route_before_it_is_used_again(
    routes: StaticRoutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = fake_client(routes, refresh=2.0)
    assert client.route("greeter", "u").revision == 1
    routes.put("greeter", stable=3)
    skip = 3600.0
    real = time.monotonic
    monkeypatch.setattr("promptlane.client.routes.monotonic", lambda: real() + skip)
    monkeypatch.setattr("promptlane.client.sync.monotonic", lambda: real() + skip)
    assert client.route("greeter", "u").revision == 2


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_a_wall_clock_that_jumps_has_the_route_read_once_and_changes_no_decision(
    routes: StaticRoutes, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    client = fake_client(routes, refresh=60)
    before = client.route("greeter", "u")
    real = time.time
    for module in ("routes", "sync"):
        monkeypatch.setattr(f"promptlane.client.{module}.time", lambda: real() + jump)
    for _ in range(3):
        assert client.route("greeter", "u") is before
    assert routes.reads == 2


def test_many_routes_are_refreshed_in_few_reads() -> None:
    routes = StaticRoutes()
    for i in range(250):
        routes.put(f"prompt-{i}", stable=1)
    client = fake_client(routes, refresh=60)
    for i in range(250):
        client.route(f"prompt-{i}", "u")
    first = routes.reads
    for live in client._live.values():
        live.due = 0.0
    for i in range(250):
        routes.put(f"prompt-{i}", stable=2)
        client.route(f"prompt-{i}", "u")
    eventually(lambda: all(client.route(f"prompt-{i}", "u").version == 2 for i in range(250)))
    assert routes.reads < first + 250


def test_a_decision_under_way_keeps_its_version_when_the_weight_changes(routes: StaticRoutes) -> None:
    client = fake_client(routes, FakeBedrock("hi"), refresh=REFRESH)
    unit = next(u for u in (f"u{i}" for i in range(99)) if client.route("greeter", u).track == "canary")
    decision = client.route("greeter", unit)
    routes.put("greeter", stable=1)
    eventually(lambda: client.route("greeter", unit).track == "stable")
    assert decision.request({})["modelId"] == version_arn("greeter", 2)
    assert isinstance(decision.instead, Decision)
    assert decision.instead.version == 1


def test_parsing_a_route_without_stable_names_the_remedy() -> None:
    with pytest.raises(InvalidInput, match="promptlane status greeter"):
        live_route("greeter", {"revision": 1, "schema": 1})
