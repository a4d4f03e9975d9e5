"""The in-memory stores and the DynamoDB adapters keep the same promises, on the embedded AWS and on moto."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from promptlane.aws.cursors import DynamoCursors
from promptlane.aws.identities import DynamoIdentities
from promptlane.aws.quarantine import DynamoQuarantine
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.signed_routes import SignedRoutes
from promptlane.domain.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from promptlane.domain.names import Outcome
from promptlane.domain.ports import OlderQuarantine, ReleaseStore, RouteStore
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.route import Approved, Rollback, first_route, roll_back, shift
from promptlane.domain.release.timeline import ChainHead, Event, TimelineEntry, chain_problems
from promptlane.fakes import InMemoryCursors, InMemoryIdentities, InMemoryQuarantine, InMemoryReleases, InMemoryRoutes
from tests.support.prompt import ID, ref
from tests.support.second_emulator import MOTO
from tests.support.signed import on
from tests.support.tables import make_table

MOTO_LACKS = {
    "TestOddCalls::test_a_prompt_that_cannot_be_a_key*None*": "DynamoDB takes a key of another type for a missing item",
    "TestOddCalls::test_a_prompt_that_cannot_be_a_key*long*": "DynamoDB reads with keys of more than 2,048 bytes",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Routes are kept in one way more: without boto3, as the rollback does."""
    if "tables" in metafunc.fixturenames:
        more = ["signed"] if "routes" in metafunc.fixturenames else []
        metafunc.parametrize("tables", ["memory", "dynamodb", *more, MOTO], indirect=True)


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Iterator[tuple[RouteStore, ReleaseStore]]:
    if request.param == "memory":
        yield InMemoryRoutes(), InMemoryReleases()
        return
    second = request.param == MOTO
    dynamodb = request.getfixturevalue("moto").resource("dynamodb") if second else request.getfixturevalue("dynamodb")
    routes, releases = make_table(dynamodb, "routes", "prompt"), make_table(dynamodb, "releases", "pk", "sk")
    if request.param == "signed":
        with closing(on(dynamodb)) as signed:
            yield SignedRoutes(signed, "routes"), DynamoReleases(releases)
        return
    yield DynamoRoutes(routes), DynamoReleases(releases)


@pytest.fixture
def routes(tables: tuple[RouteStore, ReleaseStore]) -> RouteStore:
    return tables[0]


@pytest.fixture
def releases(tables: tuple[RouteStore, ReleaseStore]) -> ReleaseStore:
    return tables[1]


def release(version: int = 1, attempt: int = 1) -> Release:
    return Release(f"{ID}-{version}-{attempt}", "support", 1000.25, "arn:aws:iam::111122223333:role/Author")


def entry(name: str, key: str, **detail: Any) -> TimelineEntry:
    return TimelineEntry(f"{name}/{key}", name, 1000.123, Event.STARTED, "somebody", detail)


def at_once(count: int, act: Callable[[int], object]) -> list[object]:
    results: list[object] = [None] * count

    def one(i: int) -> None:
        try:
            results[i] = act(i)
        except Exception as error:  # noqa: BLE001 - what was raised is the result
            results[i] = type(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_route_is_read_back_as_it_was_written(routes: RouteStore) -> None:
    assert routes.get("support") is None
    route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=12.5, by="x")
    routes.put(route, expected=None)
    assert routes.get("support") == route
    moved = shift(route, Approved(f"{ID}-2-1", ref(2), ref(1).fingerprint), weight=500, now=2.5)
    routes.put(moved, expected=route)
    assert routes.get("support") == moved
    back = roll_back(moved, Rollback(cause="alarm", reason="bad", by="x", evidence={"rate": 0.25, "n": 1.0}), now=3.0)
    routes.put(back, expected=moved)
    assert routes.get("support") == back


def test_all_routes_are_listed(routes: RouteStore) -> None:
    assert routes.all() == []
    made = [
        first_route(prompt=name, prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.5, by="x")
        for name in ("a", "b")
    ]
    for route in made:
        routes.put(route, expected=None)
    assert sorted(routes.all(), key=lambda route: route.prompt) == made


def test_of_many_writers_of_a_route_one_wins(routes: RouteStore) -> None:
    route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.0, by="x")
    won = at_once(8, lambda i: routes.put(route, expected=None))
    assert (won.count(None), won.count(Conflict)) == (1, 7)
    moved = replace(route, revision=2)
    won = at_once(8, lambda i: routes.put(moved, expected=route))
    assert (won.count(None), won.count(Conflict)) == (1, 7)


def test_a_route_that_belongs_to_another_release_is_not_overwritten(routes: RouteStore) -> None:
    route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.0, by="x")
    routes.put(route, expected=None)
    with pytest.raises(Conflict):
        routes.put(replace(route, revision=2), expected=replace(route, release_id=f"{ID}-9-1"))


def test_a_route_of_the_same_revision_in_a_restored_table_is_not_taken_for_the_one_that_was_read(
    routes: RouteStore,
) -> None:
    old = replace(first_route(prompt="p", prompt_id=ID, candidate=ref(1), release_id="r", now=1.0, by="x"), epoch=0)
    routes.put(old, expected=None)  # as code wrote it that knew no epochs
    read = replace(old, revision=2, epoch=1_000)
    routes.put(read, expected=old)
    restored = replace(read, epoch=3_000)
    routes.put(restored, expected=read)
    for other in (read, replace(restored, epoch=0)):
        with pytest.raises(Conflict):
            routes.put(replace(read, revision=3), expected=other)
    assert routes.get("p") == restored


def test_the_head_of_a_chain_is_its_last_entry(releases: ReleaseStore) -> None:
    name = f"{ID}-1-1"
    assert releases.head(name) is None
    for key in ("a", "b", "b"):
        releases.append(entry(name, key))
    assert releases.head(name) == ChainHead(2, releases.timeline(name)[-1].hash)


def test_of_two_releases_of_a_prompt_one_takes_the_lock(releases: ReleaseStore) -> None:
    won = at_once(6, lambda i: releases.start(release(i + 1), entry(f"{ID}-{i + 1}-1", "started")))
    assert (won.count(None), won.count(Conflict)) == (1, 5)
    (only,) = releases.of_prompt(ID)
    assert releases.holder(ID) == only.release_id
    with pytest.raises(AlreadyExists):
        releases.start(only, entry(only.release_id, "again"))
    releases.unlock(ID, f"{ID}-77-1")
    assert releases.holder(ID) == only.release_id
    releases.unlock(ID, only.release_id)
    assert releases.holder(ID) is None


def test_a_record_is_updated_by_whoever_read_it_last(releases: ReleaseStore) -> None:
    name = f"{ID}-1-1"
    releases.start(release(), entry(name, "started"))
    read = releases.get(name)
    written = releases.update(
        replace(read, state="review", candidate=ref(1), verdict={"share": 0.5, "whole": 1.0, "none": None}),
        entry(name, "tested"),
        entry(name, "asked"),
    )
    assert releases.get(name) == written
    with pytest.raises(Conflict):
        releases.update(replace(read, state="ended"), entry(name, "lost"))
    assert [e.id.split("/")[1] for e in releases.timeline(name)] == ["started", "tested", "asked"]
    assert releases.find(f"{ID}-2-1") is None
    with pytest.raises(NotFound, match="promptlane history"):
        releases.get(f"{ID}-2-1")


def test_a_notice_is_owed_from_the_write_of_its_entry_until_it_was_sent(releases: ReleaseStore) -> None:
    one, other = f"{ID}-1-1", f"{ID}-1-11"
    releases.start(release(), entry(one, "started"))
    over = {"outcome": "rejected", "reason": "no"}
    late = TimelineEntry(f"{one}/ended", one, 30.0, Event.ENDED, detail=over)
    early = TimelineEntry(f"{other}/ended", other, 20.0, Event.ENDED, detail=over)
    releases.update(replace(releases.get(one), state="review"), late)
    assert (releases.append(early), releases.append(early)) == (True, False)

    assert [e.id for e in releases.owed()] == [early.id, late.id], "oldest first"
    assert releases.owed(one) == [e for e in releases.timeline(one) if e.id == late.id]
    assert [e.id for e in releases.owed(other)] == [early.id]
    for _ in range(2):
        releases.told(late)
    assert (releases.owed(one), [e.id for e in releases.owed()]) == ([], [early.id])
    assert releases.append(late) is False
    assert releases.owed(one) == [], "told once, however often it is appended"
    with pytest.raises(Conflict):
        releases.update(replace(release(), revision=99), TimelineEntry(f"{one}/x", one, 40.0, Event.ENDED, detail=over))
    assert releases.owed(one) == [], "what was not written is not owed"


def test_an_entry_is_appended_once_and_the_chain_holds(releases: ReleaseStore) -> None:
    name = f"{ID}-1-1"
    releases.start(release(), entry(name, "started"))
    appended = at_once(
        6, lambda i: releases.append(entry(name, f"e{i % 3}", i=i % 3, rate=0.1, whole=2.0, text="ä 🙂"))
    )
    assert (appended.count(True), appended.count(False)) == (3, 3)
    entries = releases.timeline(name)
    assert [e.seq for e in entries] == [1, 2, 3, 4]
    assert chain_problems(entries) == []
    altered = [*entries[:2], replace(entries[2], by="somebody else"), *entries[3:]]
    assert chain_problems(altered) == ["entry 3 was altered: its hash does not fit its content"]
    assert chain_problems([entries[0], *entries[2:]]) != []


def test_waiting_versions(releases: ReleaseStore) -> None:
    two = Waiting("support", ID, 2, 5.5, "somebody", explicit=True)
    assert releases.wait(two)
    assert not releases.wait(replace(two, since=9.0))
    assert releases.wait(replace(two, version=11))
    assert [w.version for w in releases.waiting(ID)] == [2, 11]
    assert releases.waiting(ID)[0] == two
    releases.stop_waiting(ID, 2)
    releases.stop_waiting(ID, 2)
    assert [w.version for w in releases.waiting(ID)] == [11]


def test_a_superseded_version_gets_a_record_without_the_lock(releases: ReleaseStore) -> None:
    ended = replace(release(3), state="ended", outcome=Outcome.SUPERSEDED, ended_at=5.0)
    releases.record_ended(ended, entry(ended.release_id, "ended"))
    assert releases.get(ended.release_id) == ended
    assert releases.holder(ID) is None
    with pytest.raises(AlreadyExists):
        releases.record_ended(ended, entry(ended.release_id, "again"))


def test_releases_are_listed_in_the_order_of_versions_and_attempts(releases: ReleaseStore) -> None:
    for version, attempt in ((10, 1), (2, 2), (2, 1), (2, 10)):
        done = replace(release(version, attempt), state="ended", outcome=Outcome.FAILED)
        releases.record_ended(done, entry(done.release_id, "ended"))
    assert [(r.version, r.attempt) for r in releases.of_prompt(ID)] == [(2, 1), (2, 2), (2, 10), (10, 1)]


def test_the_first_sight_of_an_enrolment_is_kept(releases: ReleaseStore) -> None:
    assert releases.at_enrolment(ID, 3, 5.5) == 3
    assert releases.at_enrolment(ID, 4, 9.5) == 3


class TestOddCalls:
    """What nobody should call, and somebody will: refused alike by the stores in memory and by DynamoDB's."""

    @pytest.mark.parametrize("prompt", ["", None, "x" * 2049])
    def test_a_prompt_that_cannot_be_a_key(self, routes: RouteStore, prompt: Any) -> None:
        with pytest.raises(InvalidInput):
            routes.get(prompt)
        route = first_route(prompt=prompt, prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.0, by="x")
        with pytest.raises(InvalidInput):
            routes.put(route, expected=None)

    @pytest.mark.parametrize(
        "name", ["", None, "support", f"{ID}-1", f"{ID}-0-1", f"{ID}-1-1 ", f"{ID}-1-1\n", f"{ID}-100000-1"]
    )
    def test_a_name_that_is_no_release_id(self, releases: ReleaseStore, name: Any) -> None:
        for ask in (releases.find, releases.get):
            with pytest.raises(InvalidInput, match="release id"):
                ask(name)
        with pytest.raises(InvalidInput, match="release id"):
            releases.start(replace(release(), release_id=name), entry(f"{ID}-1-1", "started"))

    @pytest.mark.parametrize("nothing", ["", None, "ABSENT0000"])
    def test_a_prompt_that_is_not_there_has_nothing(self, releases: ReleaseStore, nothing: Any) -> None:
        assert releases.of_prompt(nothing) == []
        assert releases.waiting(nothing) == []
        assert releases.holder(nothing) is None
        assert releases.timeline(f"{nothing}-1-1") == []
        assert releases.head(f"{nothing}-1-1") is None
        releases.unlock(nothing, f"{ID}-1-1")
        releases.stop_waiting(nothing, 1)

    @pytest.mark.parametrize("at", [math.nan, math.inf, -math.inf])
    def test_a_time_that_is_no_number(self, routes: RouteStore, releases: ReleaseStore, at: float) -> None:
        route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.0, by="x")
        with pytest.raises(InvalidInput, match="cannot be stored"):
            routes.put(replace(route, phase_since=at), expected=None)
        assert routes.get("support") is None
        with pytest.raises(InvalidInput, match="cannot be stored"):
            releases.start(replace(release(), started_at=at), entry(f"{ID}-1-1", "started"))
        assert releases.holder(ID) is None

    def test_half_a_character(self, routes: RouteStore, releases: ReleaseStore) -> None:
        route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=f"{ID}-1-1", now=1.0, by="x")
        with pytest.raises(InvalidInput, match="surrogate"):
            routes.put(replace(route, salt="\ud83d"), expected=None)
        with pytest.raises(InvalidInput, match="surrogate"):
            releases.start(replace(release(), reason="\ud83d"), entry(f"{ID}-1-1", "started"))
        assert releases.of_prompt(ID) == []

    def test_more_than_an_item_holds(self, routes: RouteStore, releases: ReleaseStore) -> None:
        name, much = f"{ID}-1-1", "x" * (401 * 1024)
        route = first_route(prompt="support", prompt_id=ID, candidate=ref(1), release_id=name, now=1.0, by="x")
        with pytest.raises(InvalidInput):
            routes.put(replace(route, salt=much), expected=None)
        with pytest.raises(InvalidInput):
            releases.start(release(), entry(name, "started", text=much))
        assert (releases.of_prompt(ID), releases.holder(ID), releases.timeline(name)) == ([], None, [])
        releases.start(release(), entry(name, "started"))
        with pytest.raises(InvalidInput):
            releases.update(replace(releases.get(name), reason=much), entry(name, "tested"))
        with pytest.raises(InvalidInput):
            releases.append(entry(name, "long", text=much))
        with pytest.raises(InvalidInput):
            releases.append(entry(name, "k" * 1024))
        assert [e.id for e in releases.timeline(name)] == [f"{name}/started"]

    def test_an_entry_that_is_there_already_keeps_the_whole_write_out(self, releases: ReleaseStore) -> None:
        name = f"{ID}-1-1"
        releases.start(release(), entry(name, "started"))
        read = releases.get(name)
        with pytest.raises(Conflict):
            releases.update(replace(read, state="review"), entry(name, "asked"), entry(name, "started"))
        assert releases.get(name) == read
        assert [e.id for e in releases.timeline(name)] == [f"{name}/started"]

    def test_a_start_whose_entry_is_there_already_takes_no_lock(self, releases: ReleaseStore) -> None:
        name = f"{ID}-2-1"
        releases.append(entry(name, "started"))
        with pytest.raises(AlreadyExists):
            releases.start(release(2), entry(name, "started"))
        with pytest.raises(AlreadyExists):
            releases.record_ended(replace(release(2), state="ended"), entry(name, "started"))
        assert (releases.holder(ID), releases.of_prompt(ID)) == (None, [])

    def test_one_write_appends_an_entry_once_and_to_one_timeline(self, releases: ReleaseStore) -> None:
        name = f"{ID}-1-1"
        releases.start(release(), entry(name, "started"))
        read = releases.get(name)
        for entries in ([entry(name, "a"), entry(name, "a")], [entry(name, "a"), entry(f"{ID}-2-1", "b")]):
            with pytest.raises(InvalidInput):
                releases.update(replace(read, state="review"), *entries)
        with pytest.raises(InvalidInput):
            releases.update(replace(read, state="review"), *(entry(name, f"e{i}") for i in range(50)))
        assert releases.get(name) == read
        assert len(releases.timeline(name)) == 1

    def test_a_record_that_is_not_there_is_not_updated(self, releases: ReleaseStore) -> None:
        with pytest.raises(Conflict):
            releases.update(release(7), entry(f"{ID}-7-1", "tested"))
        assert (releases.of_prompt(ID), releases.timeline(f"{ID}-7-1")) == ([], [])

    def test_a_lock_without_a_record_still_locks(self, releases: ReleaseStore) -> None:
        """Half-written by hand: nothing starts beside it, and only its own name frees it."""
        releases.start(release(1), entry(f"{ID}-1-1", "started"))
        with pytest.raises(Conflict):
            releases.start(release(2), entry(f"{ID}-2-1", "started"))
        assert releases.timeline(f"{ID}-2-1") == []
        releases.unlock(ID, "")
        assert releases.holder(ID) == f"{ID}-1-1"


class TestOlderQuarantine:
    """What was rolled back longer ago than the route holds."""

    BAD, ALIKE = ref(2), replace(ref(3), fingerprint="b" * 64, rounded="c" * 64)

    @pytest.fixture(params=["memory", "dynamodb", MOTO])
    def quarantine(self, request: pytest.FixtureRequest) -> OlderQuarantine:
        if request.param == "memory":
            return InMemoryQuarantine()
        name = "moto" if request.param == MOTO else "dynamodb"
        given = request.getfixturevalue(name)
        dynamodb = given.resource("dynamodb") if request.param == MOTO else given
        return DynamoQuarantine(make_table(dynamodb, "releases", "pk", "sk"))

    @staticmethod
    def entry(at: float = 9.5, release_id: str = f"{ID}-2-1", **more: Any) -> dict[str, Any]:
        return {"version": 2, "release_id": release_id, "at": at, **more}

    def test_a_content_is_found_by_what_is_alike_at_six_digits(self, quarantine: OlderQuarantine) -> None:
        entries = {
            self.BAD.fingerprint: self.entry(),
            "b" * 64: self.entry(rounded="c" * 64),
            "c" * 64: self.entry(10.0),
        }
        quarantine.keep("support", entries)

        assert quarantine.all("support") == entries
        assert set(quarantine.alike("support", self.ALIKE)) == {"b" * 64, "c" * 64}
        assert quarantine.alike("sales", self.ALIKE) == quarantine.all("sales") == {}

    def test_a_later_rollback_replaces_an_earlier_one_never_the_other_way(self, quarantine: OlderQuarantine) -> None:
        name = self.BAD.fingerprint
        for at, release_id in ((9.0, "first"), (11.0, "second"), (10.0, "late"), (11.0, "copy")):
            quarantine.keep("support", {name: self.entry(at, release_id)})

        assert quarantine.all("support")[name]["release_id"] == "second"

    def test_what_is_lifted_stays_lifted_until_it_is_rolled_back_again(self, quarantine: OlderQuarantine) -> None:
        name, entry = self.BAD.fingerprint, self.entry()
        quarantine.keep("support", {name: entry, "c" * 64: entry})

        quarantine.lift("support", self.BAD, by=f"{ID}-3-1")
        quarantine.keep("support", {name: entry})
        quarantine.lift("support", self.BAD, by=f"{ID}-3-1")

        assert set(quarantine.all("support")) == {"c" * 64}
        quarantine.keep("support", {name: self.entry(99.0)})
        assert set(quarantine.all("support")) == {name, "c" * 64}

    def test_only_the_very_content_is_lifted(self, quarantine: OlderQuarantine) -> None:
        quarantine.keep("support", {"b" * 64: self.entry(rounded="c" * 64), "d" * 64: self.entry(rounded="c" * 64)})

        quarantine.lift("support", self.ALIKE, by=f"{ID}-3-1")

        assert set(quarantine.all("support")) == {"d" * 64}

    def test_an_entry_that_lost_its_time_is_the_oldest(self, quarantine: OlderQuarantine) -> None:
        name = self.BAD.fingerprint
        quarantine.keep("support", {name: {"version": 2, "release_id": "old"}})
        quarantine.keep("support", {name: self.entry(1.0, "new")})

        assert quarantine.all("support")[name]["release_id"] == "new"


class TestManyAtOnce:
    """What is read of many prompts in a few calls."""

    def test_the_newest_release_is_that_of_the_last_version_and_attempt(self, releases: ReleaseStore) -> None:
        assert releases.newest(ID) is None
        for version, attempt in ((9, 1), (10, 2), (10, 1), (2, 1)):
            releases.record_ended(replace(release(version, attempt), state="ended"))

        newest = releases.newest(ID)

        assert newest == releases.of_prompt(ID)[-1]
        assert newest is not None
        assert newest.release_id == f"{ID}-10-2"

    def test_a_prompt_is_busy_with_a_release_in_flight_or_a_version_that_waits_since_lately(
        self, releases: ReleaseStore
    ) -> None:
        ids = [f"PROMPT{n:04d}" for n in range(2, 130)]
        releases.start(release(), entry(f"{ID}-1-1", "started"))
        for prompt_id, since in (("PROMPT0003", 50.0), ("PROMPT0120", 100.0), ("PROMPT0129", 101.0)):
            assert releases.wait(Waiting("x", prompt_id, 2, since, "somebody"))

        assert releases.busy([ID, *ids], since=100.0) == {ID, "PROMPT0120", "PROMPT0129"}
        assert releases.busy(ids, since=100.0) == {"PROMPT0120", "PROMPT0129"}
        assert releases.busy([], since=0.0) == set()

    def test_a_version_that_waits_already_makes_its_prompt_busy_again(self, releases: ReleaseStore) -> None:
        """Who recorded it may have been cut off before the sign of it was there."""
        assert releases.wait(Waiting("x", ID, 2, 1.0, "somebody"))
        assert not releases.wait(Waiting("x", ID, 2, 100.0, "somebody"))

        assert releases.busy([ID], since=100.0) == {ID}
        assert [w.since for w in releases.waiting(ID)] == [1.0]

    def test_the_identities_of_many_names(self, request: pytest.FixtureRequest) -> None:
        fixed = {
            f"prompt-{n}": Identity(f"prompt-{n}", f"PROMPT{n:04d}", 1.5, f"PROMPT{n:04d}-1-1") for n in range(130)
        }
        table = make_table(request.getfixturevalue("moto").resource("dynamodb"), "releases", "pk", "sk")
        for store in (InMemoryIdentities(), DynamoIdentities(table)):
            for identity in fixed.values():
                store.fix(identity, expected=None)

            assert store.of([*fixed, "absent"]) == fixed
            assert store.of([]) == {}

    def test_where_a_run_stopped(self, request: pytest.FixtureRequest) -> None:
        table = make_table(request.getfixturevalue("moto").resource("dynamodb"), "releases", "pk", "sk")
        for store in (InMemoryCursors(), DynamoCursors(table)):
            assert store.get("reconcile") == ""
            store.put("reconcile", "support")
            store.put("reconcile", "sales")
            assert (store.get("reconcile"), store.get("housekeep")) == ("sales", "")
