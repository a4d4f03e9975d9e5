"""A canary that fails every call is rolled back, in one process or fifty: breakers do not blind the fuse."""

from __future__ import annotations

import pytest

from promptlane.client import ModelCallFailed
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client
from promptlane.domain import metrics
from promptlane.domain.canary import fuse
from promptlane.domain.names import SHIELDED, Track
from promptlane.domain.policy import FusePolicy


def tripped(sink: ListSink, policy: FusePolicy) -> set[str]:
    """The canary alarms that one period with these data points trips, by the fuse's own rule."""

    def pair(metric: str, track: Track) -> tuple[int, int]:
        bad, count = sink.total(metric, Prompt="greeter", Track=str(track))
        return count, int(bad)

    found = set()
    trial, control = pair(metrics.ERROR.name, Track.CANARY), pair(metrics.ERROR.name, Track.STABLE)
    if (fuse.excess(policy, trial, control) or 0.0) >= policy.error:
        found.add("Error")
    n1, y1 = pair(SHIELDED, Track.CANARY)
    n0, y0 = control
    enough = n1 >= policy.min_requests and n0 >= policy.min_requests and y0 / n0 < policy.error
    if enough and y1 / n1 >= policy.shielded:
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
