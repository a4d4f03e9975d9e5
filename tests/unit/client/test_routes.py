"""Routes step by step: when they are read, by how many reads, how long a caller waits, and what is served without."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from promptlane.client import InvalidUnit, RouteUnavailable, UnknownPrompt, UnsupportedRoute
from promptlane.client import routes as client_routes
from promptlane.client.routes import Routes
from promptlane.client.testing import StaticRoutes, fake_client, version_arn
from promptlane.domain.errors import InvalidInput, NotFound, Throttled, Unavailable
from tests.support.client import Clock, Threads
from tests.support.near import near

DOWN = ConnectionError("no route to host")


class Store(StaticRoutes):
    """Notes what each read asked for; `broken` prompts come back as the exception they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.broken: dict[str, Exception] = {}

    def read(self, prompts: Iterable[str]) -> Mapping[str, Any]:
        names = list(prompts)
        self.asked.append(names)
        return {**super().read(names), **{name: self.broken[name] for name in names if name in self.broken}}


class Case:
    """Routes over a store with "greeter" at version 1; the jitter is nought, so a route is due after 0.9 refreshes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock(monkeypatch)
        self.threads = Threads(monkeypatch)
        self.jitter = 0
        monkeypatch.setattr(os, "urandom", lambda n: bytes([self.jitter] * n))
        self.store = Store()
        self.store.put("greeter", stable=1)
        self.stale: list[tuple[str, float]] = []

    def routes(self, **settings: Any) -> Routes:
        return Routes(self.store, on_stale=lambda prompt, age: self.stale.append((prompt, age)), **settings)

    def refuses(self, kind: type[Exception], found: Routes, prompt: str, words: str = ".") -> Exception:
        with pytest.raises(kind, match=words) as caught:
            found.current(prompt)
        assert type(caught.value) is kind
        return caught.value


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(monkeypatch)


def version(found: Routes, prompt: str = "greeter") -> int:
    return found.current(prompt).stable.version


def test_a_route_is_read_when_first_asked_for_by_a_daemon_and_then_held(case: Case) -> None:
    found = case.routes()
    assert found.live == {}
    assert [version(found) for _ in range(3)] == [1, 1, 1]
    assert case.store.asked == [["greeter"]]
    assert case.threads.started == [("promptlane-routes", True)]
    assert case.threads.waits == [10.0]
    assert found.current("greeter") is found.live["greeter"]


@pytest.mark.parametrize(("jitter", "share"), [(0, 0.9), (128, 1.0), (255, 1.09921875)])
def test_it_is_due_after_the_refresh_give_or_take_a_tenth(case: Case, jitter: int, share: float) -> None:
    case.jitter = jitter
    found = case.routes()
    live = found.current("greeter")
    assert (live.read.ticks, live.due) == (5_000.0, near(5_000.0 + 2.0 * share))
    assert (live.read.wall, live.due_until) == (live.due_from, near(live.due_from + 2.0 * share))
    case.store.down = DOWN
    case.clock.ticks = live.due
    found.current("greeter")
    assert live.due == pytest.approx(5_000.0 + 4.0 * share)


def test_one_that_is_due_is_read_behind_the_traffic_and_once(case: Case) -> None:
    found = case.routes(refresh=10)
    found.current("greeter")
    case.threads.hold = True
    case.store.put("greeter", stable=2)
    case.clock.advance(8.75)
    assert (version(found), len(case.threads.held)) == (1, 0)
    case.clock.advance(0.25)
    assert [version(found) for _ in range(3)] == [1, 1, 1]
    assert (len(case.store.asked), len(case.threads.held)) == (1, 1)
    case.threads.run()
    assert (version(found), len(case.store.asked)) == (2, 2)
    assert case.threads.waits == [10.0]


def test_a_read_that_hangs_is_not_asked_for_again(case: Case) -> None:
    found = case.routes(refresh=10)
    found.current("greeter")
    case.threads.hold = True
    for _ in range(4):
        case.clock.advance(10)
        found.current("greeter")
    assert len(case.threads.held) == 1
    case.threads.run()
    assert case.store.asked == [["greeter"], ["greeter"]]
    case.clock.advance(10)
    found.current("greeter")
    case.threads.run()
    assert len(case.store.asked) == 3


def test_a_caller_that_comes_second_finds_it_no_longer_due(case: Case) -> None:
    found = case.routes(refresh=10)
    live = found.current("greeter")
    case.clock.advance(10)

    def meanwhile() -> None:
        live.due = case.clock.ticks + 5
        live.due_until = case.clock.wall + 5

    case.threads.before_lock = meanwhile
    assert version(found) == 1
    assert len(case.store.asked) == 1


def test_a_caller_that_waited_for_the_lock_takes_the_route_that_was_read_meanwhile(case: Case) -> None:
    other = case.routes()
    read = other.current("greeter")
    found = case.routes()
    case.threads.before_lock = lambda: found.live.setdefault("greeter", read)
    assert found.current("greeter") is read
    assert len(case.store.asked) == 1


@pytest.mark.parametrize(("settings", "edge"), [({"refresh": 2.0}, 10.0), ({"refresh": 2.0, "max_age": 3.0}, 3.0)])
def test_one_that_is_too_old_is_waited_for_with_patience(case: Case, settings: dict[str, float], edge: float) -> None:
    found = case.routes(**settings)
    found.current("greeter")
    case.store.put("greeter", stable=2)
    case.clock.advance(edge)
    case.threads.hold = True
    version(found)
    assert case.threads.waits == [10.0]
    case.threads.run()
    case.clock.advance(edge + 0.5)
    version(found)
    assert case.threads.waits == [10.0, 0.3]
    case.threads.hold = False
    case.threads.run()
    case.store.put("greeter", stable=3)
    case.clock.advance(3600)
    assert version(found) == 3


def test_in_an_outage_nobody_waits_while_tries_fail_as_lately_as_a_route_may_be_old(case: Case) -> None:
    found = case.routes(refresh=2.0, patience=0.7)
    found.current("greeter")
    case.store.down = DOWN
    for _ in range(30):
        case.clock.advance(2)
        assert version(found) == 1
    assert case.threads.waits == [10.0]
    assert case.stale == [("greeter", 2.0 * i) for i in range(1, 31)]
    case.clock.advance(10.25)  # frozen, or without traffic: whether the outage goes on, only a try can say
    assert version(found) == 1
    assert case.threads.waits == [10.0, 0.7]
    case.store.down = None
    case.store.put("greeter", stable=2)
    case.clock.advance(60)
    assert version(found) == 2
    assert case.threads.waits == [10.0, 0.7, 0.7]
    assert len(case.stale) == 31


FROZEN = {
    "both clocks went on": (3600.0, 3600.0),
    "the monotonic clock stood still": (0.0, 3600.0),
    "the wall clock stood still": (3600.0, 0.0),
    "the wall clock was set back": (3600.0, -3600.0),
    "the wall clock was set back and the monotonic one stood still": (0.0, -5.0),
    "the wall clock was set ahead": (0.0, 1e9),
}


@pytest.mark.parametrize("failed", [False, True], ids=["", "after a failed refresh"])
@pytest.mark.parametrize("way", FROZEN)
def test_after_a_thaw_nothing_older_than_the_bound_is_served_untried(case: Case, way: str, failed: bool) -> None:
    client = fake_client(case.store)
    client._routes._on_stale = lambda prompt, age: case.stale.append((prompt, age))
    assert client.route("greeter", "u").version == 1
    if failed:
        case.store.down = DOWN
        case.clock.advance(2)
        client.route("greeter", "u")
    assert client.route("greeter", "u").version == 1
    ticks, wall = FROZEN[way]
    case.clock.ticks += ticks
    case.clock.wall += wall
    case.store.down = None
    case.store.put("greeter", stable=2)
    assert client.route("greeter", "u").version == 2
    assert case.threads.waits == [10.0, 0.3]
    case.store.put("greeter", stable=3)
    case.clock.advance(2)
    assert client.route("greeter", "u").version == 3
    assert len(case.threads.waits) == 2, "behind the traffic again"


@pytest.mark.parametrize("way", FROZEN)
def test_after_a_thaw_in_an_outage_the_last_known_route_serves_and_is_counted_as_stale(case: Case, way: str) -> None:
    found = case.routes()
    found.current("greeter")
    ticks, wall = FROZEN[way]
    case.clock.ticks += ticks
    case.clock.wall += wall
    case.threads.hold = True  # the table does not answer in time
    assert version(found) == 1
    assert (case.threads.waits, case.stale) == ([10.0, 0.3], [("greeter", max(ticks, wall))])
    assert version(found) == 1
    assert len(case.threads.waits) == 2
    case.store.down = DOWN
    case.threads.run()
    assert len(case.stale) == 2


def test_everybody_who_comes_while_a_route_that_is_too_old_is_tried_waits_for_the_same_try(case: Case) -> None:
    found = case.routes()
    found.current("greeter")
    case.store.put("greeter", stable=2)
    case.clock.advance(3600)
    seen: list[int] = []
    wait = found._wait

    def second_comes(reading: Any, seconds: float) -> None:
        found._wait = wait  # type: ignore[method-assign]
        seen.append(version(found))
        wait(reading, seconds)

    found._wait = second_comes  # type: ignore[method-assign]
    seen.append(version(found))
    assert (seen, case.store.asked) == ([2, 2], [["greeter"]] * 2)


@pytest.mark.parametrize("broken", [False, True])
def test_a_read_from_before_a_freeze_is_no_try_after_it(case: Case, broken: bool) -> None:
    found = case.routes()
    found.current("greeter")
    case.threads.hold = True
    case.clock.advance(2)
    version(found)  # begins a read
    answered = dict(case.store.items)
    read = case.store.read

    def thawed(prompts: Iterable[str]) -> Mapping[str, Any]:
        case.store.read = read  # type: ignore[method-assign]
        case.clock.advance(3600)
        if broken:
            raise ConnectionResetError
        return answered

    case.store.read = thawed  # type: ignore[method-assign]
    case.store.put("greeter", stable=2)
    case.threads.run()
    case.threads.hold = False
    assert version(found) == 2
    assert case.threads.waits == [10.0, 0.3]


def test_where_no_thread_can_be_had_the_last_known_route_serves(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    found = case.routes()
    found.current("greeter")

    class Thread:
        def __init__(self, **given: Any) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr("promptlane.client.routes.threading.Thread", Thread)
        case.clock.advance(3600)
        assert version(found) == 1
        assert case.stale == [("greeter", 3600.0)]
        case.refuses(RouteUnavailable, found, "other", "can't start new thread")
    case.store.put("greeter", stable=2)
    case.clock.advance(3600)
    assert version(found) == 2


def test_what_is_asked_for_in_vain_and_by_other_names_is_remembered_within_bounds(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (client_routes.MAX_HELD, client_routes.MAX_ALIASES, client_routes.MAX_MISSES) == (20_000, 1_000, 1_000)
    for bound in ("MAX_HELD", "MAX_ALIASES", "MAX_MISSES"):
        monkeypatch.setattr(client_routes, bound, 3)
    found = case.routes()
    for i in range(9):
        case.refuses(UnknownPrompt, found, f"nobody {i}")
    identifier = version_arn("greeter", 1).rpartition("/")[2].partition(":")[0]
    for i in range(9):
        assert version(found, f"arn:{i}:prompt/{identifier}") == 1
    assert (len(found._missing), len(found._names), len(found.live)) == (3, 3, 3)
    for i in range(9):
        case.store.put(f"p{i}", stable=i)
        assert version(found, f"p{i}") == i
        case.clock.advance(0.1)
    assert sorted(found.live) == ["p6", "p7", "p8"]
    assert version(found, "p0") == 0
    assert (found._wanted, found._under_way) == ({}, {})


def test_a_failed_refresh_is_repeated_when_the_next_would_be_due(case: Case) -> None:
    found = case.routes(refresh=10)
    found.current("greeter")
    case.store.down = DOWN
    case.clock.advance(9)
    version(found)
    case.clock.advance(8.75)
    version(found)
    assert len(case.store.asked) == 2
    case.clock.advance(0.25)
    version(found)
    assert len(case.store.asked) == 3


def test_a_lower_revision_is_not_taken_and_the_same_one_not_parsed_again(case: Case) -> None:
    found = case.routes(refresh=10)
    case.store.put("greeter", stable=2)
    live = found.current("greeter")
    for revision, taken in ((1, 2), (2, 2), (3, 7)):
        case.store.items["greeter"] = {
            **case.store.items["greeter"],
            "revision": revision,
            "stable": {"version": 7, "arn": version_arn("g", 7)},
        }
        case.clock.advance(10)
        assert version(found) == taken
        assert (found.current("greeter") is live) == (taken == 2)
        assert found.live["greeter"].read.ticks == case.clock.ticks
    assert case.stale == [("greeter", 0.0)], "the table shows what was written earlier"


def deleted(item: dict[str, Any]) -> None:
    return None


@pytest.mark.parametrize(
    "change",
    [
        deleted,
        lambda item: {},
        lambda item: {**item, "revision": 9, "schema": 2},
        lambda item: {**item, "revision": 9, "stable": None},
        lambda item: {**item, "revision": 9, "stable": {"version": 5}},
        lambda item: {**item, "revision": 9, "stable": 5},
        lambda item: {**item, "revision": "nine"},
        lambda item: {**item, "revision": None},
    ],
)
def test_what_is_no_route_leaves_the_one_held_and_says_its_age(case: Case, change: Callable[..., Any]) -> None:
    case.store.put("other", stable=4)
    found = case.routes(refresh=10)
    live = found.current("greeter")
    item = change(case.store.items["greeter"])
    if item is None:
        del case.store.items["greeter"]
    else:
        case.store.items["greeter"] = item
    case.clock.advance(20)
    assert found.current("greeter") is live
    assert case.stale == [("greeter", 20.0)]
    assert live.due == case.clock.ticks + 9
    assert version(found, "other") == 4


def test_first_reads_that_find_no_route_say_why(case: Case) -> None:
    found = case.routes()
    case.refuses(UnknownPrompt, found, "nobody", r"no route for 'nobody': never released, or its name is misspelt")
    good = case.store.items["greeter"]
    for name, item in {
        "newer": {**good, "schema": 2},
        "none": {**good, "stable": None},
        "odd": {**good, "stable": {"version": 5}},
        "empty": {},
    }.items():
        case.store.items[name] = item
    case.refuses(UnsupportedRoute, found, "newer", "the route of newer has schema 2, this client knows 1; upgrade")
    case.refuses(InvalidInput, found, "none", "names no stable version")
    case.refuses(InvalidInput, found, "odd", r"the route of odd is malformed \(KeyError\('arn'\)\); restore the table")
    case.refuses(InvalidInput, found, "empty", r"malformed \(KeyError\('revision'\)\)")
    case.store.down = DOWN
    error = case.refuses(RouteUnavailable, found, "new", r"the route of new cannot be read \(ConnectionError: no route")
    assert error.__cause__ is DOWN
    assert case.stale == []


@pytest.mark.parametrize(
    ("error", "kind", "cause"),
    [
        (Unavailable("the route table is throttled"), RouteUnavailable, True),
        (KeyError("x"), RouteUnavailable, True),
        (Throttled("quota"), Throttled, False),
        (NotFound("no such table"), NotFound, False),
    ],
)
def test_one_prompt_that_cannot_be_read_says_why_and_hinders_no_other(
    case: Case, error: Exception, kind: type[Exception], cause: bool
) -> None:
    case.store.broken["other"] = error
    found = case.routes()
    raised = case.refuses(kind, found, "other")
    assert (str(raised) == str(error), raised.__cause__ is error) == (not cause, cause)
    assert version(found) == 1


def test_an_unknown_prompt_is_looked_up_again_after_the_refresh_and_not_before(case: Case) -> None:
    found = case.routes(refresh=10)
    case.refuses(UnknownPrompt, found, "late")
    case.store.put("late", stable=6)
    case.clock.advance(9.75)
    case.refuses(UnknownPrompt, found, "late")
    assert case.store.asked == [["late"]]
    case.clock.advance(0.25)
    assert version(found, "late") == 6
    assert case.threads.waits == [10.0, 0.3]
    case.clock.advance(10)
    del case.store.items["late"]
    assert version(found, "late") == 6


def test_without_an_answer_in_time_the_error_says_how_long_was_waited(case: Case) -> None:
    case.threads.hold = True
    found = case.routes(first_wait=2.5)
    words = "the route of greeter could not be read within 2.5 s and no fallback is configured"
    case.refuses(RouteUnavailable, found, "greeter", words)
    case.refuses(RouteUnavailable, found, "greeter", words)
    assert (len(case.threads.held), case.threads.waits) == (1, [2.5, 2.5])
    case.threads.run()
    assert version(found) == 1


def test_the_fallback_is_served_while_no_route_was_ever_read_and_nobody_waits_twice(case: Case) -> None:
    case.store.down = DOWN
    found = case.routes(refresh=10, fallback={"greeter": version_arn("greeter", 7), "other": version_arn("other", 8)})
    assert (version(found), version(found, "other")) == (7, 8)
    assert case.threads.waits == [10.0, 10.0]
    case.clock.advance(9.75)
    assert version(found) == 7
    assert len(case.store.asked) == 2
    case.clock.advance(0.25)
    assert version(found) == 7
    assert (len(case.store.asked), case.threads.waits) == (3, [10.0, 10.0, 0.0])
    assert case.stale == [("greeter", 0.0), ("other", 0.0), ("greeter", 0.0), ("greeter", 0.0)]
    case.refuses(RouteUnavailable, found, "third")
    case.store.down = None
    case.clock.advance(10)
    assert (version(found), found.live["greeter"].revision) == (1, 1)


def test_the_fallback_is_for_outages_and_unsupported_routes_and_never_for_a_prompt_that_is_unknown(case: Case) -> None:
    found = case.routes(fallback={"nobody": version_arn("nobody", 7), "greeter": version_arn("greeter", 7)})
    case.refuses(UnknownPrompt, found, "nobody")
    case.store.items["greeter"]["schema"] = 2
    assert version(found) == 7
    assert case.stale == [("greeter", 0.0)]


def test_a_hundred_are_read_at_once_and_the_rest_after_them_sorted(case: Case) -> None:
    found = case.routes(refresh=10)
    names = [f"p{i:03}" for i in range(203)]
    for name in names:
        case.store.put(name, stable=1)
        version(found, name)
    case.store.asked.clear()
    case.threads.hold = True
    case.clock.advance(10)
    for name in reversed(names):
        case.store.put(name, stable=2)
        version(found, name)
    assert len(case.threads.held) == 1
    case.threads.run()
    assert case.store.asked == [names[103:], names[3:103], names[:3]]
    assert {version(found, name) for name in names} == {2}
    case.clock.advance(10)
    version(found, names[0])
    assert len(case.threads.held) == 1


def test_a_failed_batch_leaves_each_of_its_routes_and_says_each_ones_age(case: Case) -> None:
    case.store.put("other", stable=4)
    found = case.routes(refresh=10)
    version(found)
    case.clock.advance(3)
    version(found, "other")
    case.store.down = DOWN
    case.threads.hold = True
    case.clock.advance(10)
    version(found)
    version(found, "other")
    case.threads.run()
    assert case.stale == [("greeter", 13.0), ("other", 10.0)]


def test_a_prompt_given_by_id_is_looked_up_once_and_then_read_by_its_name(case: Case) -> None:
    case.store.put("other", stable=4)
    found = case.routes(refresh=10)
    arn = version_arn("greeter", 1).rpartition(":")[0]
    identifier = arn.rpartition("/")[2]
    assert version(found, identifier) == 1
    assert case.store.asked == [[identifier], ["greeter"]]
    assert found.current(identifier).stable.prompt == "greeter"
    case.store.asked.clear()
    case.store.put("greeter", stable=2)
    case.clock.advance(10)
    case.threads.hold = True
    for prompt in (identifier, "greeter", arn, "other"):
        if prompt in found.live:
            version(found, prompt)
    case.threads.run()
    assert case.store.asked == [["greeter"]]
    assert version(found, identifier) == 2


def test_a_lookup_by_id_that_fails_is_an_outage_and_one_that_finds_itself_is_unknown(case: Case) -> None:
    class Broken(Store):
        def name_of(self, prompt: str) -> str | None:
            if prompt == "itself":
                return prompt
            raise DOWN

    case.store = Broken()
    case.store.put("greeter", stable=1)
    found = case.routes()
    case.refuses(UnknownPrompt, found, "itself")
    case.refuses(RouteUnavailable, found, "ABCDEFGHIJ", "no route to host")
    assert version(found) == 1
    del case.store.items["greeter"]
    case.clock.advance(60)
    assert version(found) == 1  # held: nothing is looked up by id
    assert case.store.asked[-1] == ["greeter"]


def test_a_metric_that_cannot_be_told_ends_no_reading_and_no_request(case: Case) -> None:
    def closed(prompt: str, age: float) -> None:
        raise ValueError("I/O operation on closed file")

    found = Routes(case.store, refresh=10, fallback={"other": version_arn("other", 8)}, on_stale=closed)
    assert version(found) == 1
    case.store.down = DOWN
    assert version(found, "other") == 8
    case.clock.advance(10)
    assert version(found) == 1
    case.store.down = None
    case.store.put("greeter", stable=2)
    case.clock.advance(10)
    assert version(found) == 2


def test_a_forked_child_reads_again_before_long_and_forgets_what_was_under_way(case: Case) -> None:
    case.store.put("other", stable=4)
    found = case.routes(refresh=10)
    version(found)
    version(found, "other")
    case.threads.hold = True
    case.clock.advance(10)
    version(found)
    assert len(case.threads.held) == 1
    case.threads.held.clear()  # threads are not forked
    found.after_fork()
    assert {(live.due, live.until) for live in found.live.values()} == {(0.0, 0.0)}
    case.store.put("greeter", stable=2)
    assert version(found) == 1
    case.threads.run()
    assert version(found) == 2
    assert version(found, "other") == 4


def test_a_child_forgets_the_failures_of_its_parent(case: Case) -> None:
    found = case.routes(refresh=10)
    version(found)
    case.refuses(UnknownPrompt, found, "late")
    case.store.down = DOWN
    case.clock.advance(60)
    version(found)
    found.after_fork()
    case.store.down = None
    case.store.put("late", stable=6)
    assert version(found, "late") == 6
    version(found)
    assert case.threads.waits == [10.0, 10.0, 0.3, 10.0, 0.3]


@pytest.mark.parametrize("refresh", [0, -1.5])
def test_a_refresh_that_never_comes_is_refused(refresh: float) -> None:
    with pytest.raises(InvalidInput, match=rf"refresh={refresh}; give the seconds between two reads"):
        Routes(StaticRoutes(), refresh=refresh)


def test_a_client_reads_what_is_due_and_says_stale_routes_to_its_sink(case: Case) -> None:
    client = fake_client(case.store)
    assert client.route("greeter", "u").version == 1
    case.store.put("greeter", stable=2)
    case.clock.advance(1.75)
    assert client.route("greeter", "u").version == 1
    case.clock.advance(0.05)
    assert client.route("greeter", "u").version == 2
    case.store.down = DOWN
    case.clock.advance(7)
    assert client.route("greeter", "u").version == 2
    sink: Any = client._sink()
    (document,) = sink.documents
    assert (document.at, document.dimensions, document.values) == (
        case.clock.wall,
        {"Prompt": "greeter"},
        {"StaleRoute": 7.0},
    )


@pytest.mark.parametrize("held", [False, True])
def test_units_and_prompts_that_cannot_be_decided_by_are_refused_whether_a_route_is_held_or_not(
    case: Case, held: bool
) -> None:
    client = fake_client(case.store)
    if held:
        client.route("greeter", "u")
    for unit, words in {
        b"u": "the unit is bytes; give the user's or session's id as text, with str()",
        17: "the unit is int;",
        "": "the unit is empty; give the user's or session's id",
        "\ud800": "the unit holds half a surrogate pair",
        "x" * 1025: "the unit has 1,025 bytes; at most 1,024: give an id",
        "é" * 513: "the unit has 1,026 bytes",
    }.items():
        with pytest.raises(InvalidUnit, match=words):
            client.route("greeter", unit)  # type: ignore[arg-type]
    for unit in ("x", "x" * 1024, "é" * 512):
        assert client.route("greeter", unit).version == 1
    prompts: tuple[Any, ...] = ("", None, 3, ["greeter"])
    for prompt in prompts:
        with pytest.raises(InvalidInput, match=r"prompt is .*; give a name, id or ARN"):
            client.route(prompt, "u")
