"""A canary that fails every call is rolled back, in one process or fifty: breakers do not blind the fuse."""

from __future__ import annotations

import pytest

from promptlane.client import ModelCallFailed
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client
from promptlane.domain import metrics
from promptlane.domain.canary import fuse
from promptlane.domain.names import SHIELDED, UNIT_HALVES, Track
from promptlane.domain.policy import FusePolicy


def tripped(sink: ListSink, policy: FusePolicy) -> set[str]:
    """The canary alarms that one period with these data points trips, by the fuse's own rule."""

    def halves(metric: str, track: Track) -> fuse.Halves:
        counted = [sink.total(metric, Prompt="greeter", Track=str(track), Half=half) for half in UNIT_HALVES]
        (y0, n0), (y1, n1) = counted
        return (n0, int(y0)), (n1, int(y1))

    found = set()
    trial, control = halves(metrics.ERROR.name, Track.CANARY), halves(metrics.ERROR.name, Track.STABLE)
    if (fuse.excess(policy, trial, control) or 0.0) >= policy.error:
        found.add("Error")
    sent_away = halves(SHIELDED, Track.CANARY)
    if (
        fuse.awake(policy, sent_away, control)
        and all(y0 / n0 < policy.error for n0, y0 in control)
        and all(y1 / n1 >= policy.shielded for n1, y1 in sent_away)
    ):
        found.add("Shielded")
    return found


def traffic(processes: int, requests: int, *, canary_fails: bool, stable_fails: bool = False) -> ListSink:
    """All processes' requests of one period; each process has its own client, so its own breaker."""
    routes = StaticRoutes()
    routes.put("greeter", stable=1, canary=2, weight=2500)
    down = RuntimeError("the model is down")
    sink = ListSink()
    for process in range(processes):
        replies = {1: down if stable_fails else "fine", 2: down if canary_fails else "fine"}
        client = fake_client(routes, FakeBedrock(replies), sink=sink, refresh=3600)
        for i in range(requests):
            try:
                client.converse("greeter", unit=f"p{process}-u{i}")
            except ModelCallFailed:
                assert stable_fails
    return sink


@pytest.mark.parametrize(("processes", "requests"), [(1, 400), (1, 150), (50, 8), (50, 40), (50, 200)])
def test_a_canary_that_fails_every_call_trips_the_fuse(processes: int, requests: int) -> None:
    sink = traffic(processes, requests, canary_fails=True)
    assert tripped(sink, FusePolicy())
    errors, finished = sink.total("Error", Prompt="greeter", Track="canary")
    shielded, assigned = sink.total("Shielded", Prompt="greeter", Track="canary")
    assert errors == finished == assigned - shielded
    assert sink.total("Assigned", Prompt="greeter", Version="2")[1] == assigned
    assert sink.total("Error", Prompt="greeter", Track="stable")[0] == 0


@pytest.mark.parametrize(("processes", "requests"), [(1, 400), (50, 40)])
def test_a_healthy_canary_and_an_outage_of_both_trip_nothing(processes: int, requests: int) -> None:
    assert not tripped(traffic(processes, requests, canary_fails=False), FusePolicy())
    assert not tripped(traffic(processes, requests, canary_fails=True, stable_fails=True), FusePolicy())


@pytest.mark.parametrize("each", [20, 200])
def test_a_unit_that_fails_every_call_of_the_canary_opens_no_breaker_and_trips_nothing(each: int) -> None:
    """One session with so many errors in a period, in one process, before, between and after the requests of others."""
    routes = StaticRoutes()
    routes.put("greeter", stable=1, canary=2, weight=2500)
    bedrock, sink = FakeBedrock("fine"), ListSink()
    client = fake_client(routes, bedrock, sink=sink, refresh=3600)
    units = [f"u{i}" for i in range(400)]
    busy = next(u for u in units if client.route("greeter", u).track == "canary")
    for turn, unit in enumerate(units):
        bedrock.replies = "fine"
        client.converse("greeter", unit=unit)
        bedrock.replies = {1: "fine", 2: RuntimeError("whatever it asks fails")}
        for _ in range(each // 20 if turn % 20 == 0 else 0):
            client.converse("greeter", unit=busy)
    for _ in range(each):
        client.converse("greeter", unit=busy)
    errors, _ = sink.total("Error", Prompt="greeter", Track="canary")
    assert errors == 2 * each, "each was tried"
    assert sink.total("Shielded", Prompt="greeter", Track="canary")[0] == 0
    assert tripped(sink, FusePolicy()) == set()
