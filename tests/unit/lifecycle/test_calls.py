"""How many calls a run makes: it grows with what changed, and hardly with how many prompts there are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import Unavailable
from promptlane.domain.names import Outcome, Phase, release_id
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.route import Route
from promptlane.domain.release.trigger import PromptChange, ReleaseRequest
from promptlane.domain.trail import TrailAnswer, TrailEvent, Window
from promptlane.fakes.edits import InMemoryEdits
from promptlane.fakes.objects import MemoryObjects
from promptlane.lifecycle.edit_log import EditLog, EditSweep
from promptlane.lifecycle.housekeep import Housekeeping
from promptlane.lifecycle.identities import NamedPrompts
from promptlane.lifecycle.intake import AT_ONCE as SUPERSEDED_AT_ONCE
from promptlane.lifecycle.intake import Intake
from promptlane.lifecycle.prompt_watch import PromptWatch
from promptlane.lifecycle.reconcile import Reconciled, Reconciliation
from promptlane.lifecycle.signs import AT_ONCE, RECENT
from promptlane.lifecycle.windup import WindUp
from tests.support.locked_copies import Copies
from tests.support.stage import ENDING, POLICY, Stage

NOW = 50 * RECENT
PORTS = ("prompts", "enrolments", "identities", "watched", "tags", "routes", "releases", "workflow", "queue")
OF_ONE = 24
"""Calls that a look at one prompt may take."""
OF_THE_RUN = 12
"""Calls that a run may take beside them, apart from one for every 50 prompts."""


class Counted:
    """A store that counts what is asked of it."""

    def __init__(self, store: Any, counts: Counter[str], name: str) -> None:
        self._store, self._counts, self._name = store, counts, name

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not callable(value):
            return value

        def call(*given: Any, **named: Any) -> Any:
            self._counts[f"{self._name}.{name}"] += 1
            return value(*given, **named)

        return call


class Many(Stage):
    """So many enrolled prompts, each with a stable version of long ago; what is asked is counted."""

    def __init__(self, count: int) -> None:
        super().__init__(served=False, versions=0)
        self.now = NOW
        self.names = [f"prompt-{n:04d}" for n in range(count)]
        self.enrolments.deployed = dict.fromkeys(self.names, POLICY)
        self.archive, self.edits = MemoryObjects(), InMemoryEdits()
        for name in self.names:
            self.make(name)
        self.counts: Counter[str] = Counter()
        self.wound_up: list[str] = []

    @staticmethod
    def id_of(name: str) -> str:
        return f"PROMPT{name[-4:]}"

    def make(self, name: str) -> None:
        prompt_id = self.id_of(name)
        ref = self.prompts.publish(PromptDraft(name, "m", ("q",), template="{{q}}"), prompt_id=prompt_id).ref
        stable = release_id(prompt_id, 1, 1)
        self.routes.put(Route(name, prompt_id, ref, release_id=stable, phase_since=1.0), expected=None)
        self.releases.record_ended(
            Release(stable, name, 1.0, "x", state="ended", outcome=Outcome.PROMOTED, ended_at=2.0)
        )
        self.releases.at_enrolment(prompt_id, 1, 1.0)
        self.tags.tag(ref.arn)

    def counted(self, *names: str) -> dict[str, Any]:
        """The ports, counted."""
        return {name: Counted(getattr(self, name), self.counts, name) for name in names}

    def reconcile(self) -> Reconciled:
        self.counts.clear()
        run = Reconciliation(
            **self.counted(*PORTS, "notices", "cursors"),
            **self.ports("clock", "log"),
            wind_up=lambda name, why: self.wound_up.append(name),
            restored=lambda prompt: None,
        )
        done = run.run()
        assert (done.failed, self.logged) == ([], [])
        return done

    def allowed(self, looked_at: int) -> float:
        return OF_THE_RUN + len(self.names) / 50 + OF_ONE * looked_at


@pytest.mark.parametrize("count", [3, 300])
def test_a_run_in_which_nothing_changed_looks_at_some_and_lists_prompts_once(count: int) -> None:
    many = Many(count)

    done = many.reconcile()

    assert len(done.looked_at) == min(count, AT_ONCE)
    assert many.counts.total() <= many.allowed(min(count, AT_ONCE))
    assert many.counts["prompts.listed"] == 1
    assert many.counts["prompts.find"] == many.counts["prompts.name_of"] == 0


@settings(max_examples=10, deadline=None)
@given(count=st.sampled_from([3, 40, 300]), changed=st.sets(st.integers(0, 299), max_size=12))
def test_calls_of_a_run_grow_with_what_changed(count: int, changed: set[int]) -> None:
    many = Many(count)
    names = [many.names[n] for n in changed if n < count]
    for name in names:
        many.prompts.updated[many.id_of(name)] = NOW - 5

    done = many.reconcile()

    assert set(names) <= set(done.looked_at)
    assert many.counts.total() <= many.allowed(len(names) + AT_ONCE)


def signs(many: Many) -> dict[str, str]:
    """Every sign of change that there is, each of a prompt of its own: what it is, by name."""
    names = iter(reversed(many.names))
    told: dict[str, str] = {}

    def next_name(sign: str) -> str:
        name = next(names)
        told[name] = sign
        return name

    name = next_name("edited lately")
    many.prompts.updated[many.id_of(name)] = NOW - RECENT + 1
    for sign, changes in (
        ("in canary", {"phase": Phase.CANARY}),
        ("moved lately", {"phase_since": NOW - RECENT + 1}),
    ):
        before = many.routes.get(next_name(sign))
        assert before is not None
        many.routes.put(replace(before, revision=2, **changes), expected=before)
    name = next_name("renamed")
    many.prompts.rename(many.id_of(name), "other")
    many.prompts.remove(many.id_of(next_name("gone")))
    name = next_name("waits")
    many.releases.wait(Waiting(name, many.id_of(name), 2, NOW - RECENT + 1, "x"))
    name = next_name("in flight")
    many.releases._locks[many.id_of(name)] = release_id(many.id_of(name), 1, 1)
    return told


def test_every_sign_of_change_is_looked_at_in_the_same_run() -> None:
    many = Many(60)
    told = signs(many)
    many.prompts.version = lambda prompt_id, version: None  # type: ignore[method-assign,assignment,return-value]

    run = Reconciliation(
        **many.ports(*PORTS, "notices", "cursors", "clock", "log"),
        wind_up=lambda name, why: many.wound_up.append(name),
        restored=lambda prompt: None,
    )
    looked_at = set(run.run().looked_at)

    assert {told[name] for name in looked_at & set(told)} == set(told.values())


def test_what_shows_no_sign_has_its_turn() -> None:
    """A version that no event announced, of a prompt that was edited long before: `updatedAt` may not tell of it."""
    many = Many(90)
    silent = many.names[70]
    many.prompts.publish(PromptDraft(silent, "m", ("q",), template="{{q}}!"), prompt_id=many.id_of(silent))
    turns: list[str] = []

    for _ in range(-(-90 // AT_ONCE)):
        done = many.reconcile()
        turns += done.looked_at
        many.now += 900

    assert set(turns) == set(many.names)
    assert many.queue.requests[0][:2] == (silent, 2)


def test_a_run_that_breaks_off_is_not_where_the_next_one_begins() -> None:
    many = Many(60)

    class Dies(Exception):
        pass

    def dies(prompt: str) -> str:
        raise Dies

    state = many.watched.state
    many.watched.state = dies  # type: ignore[method-assign]
    with pytest.raises(Dies):
        many.reconcile()
    many.watched.state = state  # type: ignore[method-assign]

    assert many.reconcile().looked_at == many.names[AT_ONCE : 2 * AT_ONCE]


def test_where_the_signs_cannot_be_read_everybody_is_looked_at() -> None:
    many = Many(30)

    def silent(run: str) -> str:
        raise Unavailable("the table")

    many.cursors.get = silent  # type: ignore[method-assign]
    run = Reconciliation(
        **many.ports(*PORTS, "notices", "cursors", "clock", "log"),
        wind_up=lambda name, why: None,
        restored=lambda prompt: None,
    )
    assert run.run().looked_at == many.names
    assert many.logged == ["looking for what changed: the table"]


# Housekeeping


def housekeeping(many: Many, **more: Any) -> Housekeeping:
    ports = many.counted("prompts", "enrolments", "identities", "routes", "releases", "archive", "cursors", "notices")
    ports |= many.counted("contents")
    given = {"copies": Copies(), "keep": 4, "quota": 10, **more}
    return Housekeeping(**ports, **many.ports("clock", "log"), **given)


@pytest.mark.parametrize("count", [3, 300])
def test_a_day_of_housekeeping_takes_a_few_calls_a_prompt_and_lists_prompts_once(count: int) -> None:
    many = Many(count)
    housekeeping(many).run()
    many.counts.clear()

    done = housekeeping(many).run()

    assert (done.failed, done.archived) == ([], [])
    assert many.counts.total() <= OF_THE_RUN + 10 * count
    assert many.counts["prompts.listed"] == many.counts["routes.all"] == many.counts["identities.of"] == 1
    assert many.counts["prompts.version"] == 0, "what is archived is not read again"


@pytest.mark.parametrize("count", [3, 300])
def test_room_for_one_prompt_asks_about_that_one(count: int) -> None:
    many = Many(count)

    housekeeping(many).run(many.names[1])

    assert many.counts.total() <= OF_THE_RUN + 10
    assert many.counts["prompts.versions"] == many.counts["releases.of_prompt"] == 1


def looked_after(many: Many) -> list[str]:
    return sorted({key.split("/")[1] for key in many.archive.keys("archive/")})


def stops_after(count: int) -> Any:
    """`keep_going`, which says no after so many prompts."""
    answers = iter([True, True] * (count - 1))
    return lambda: next(answers, False)


def test_housekeeping_goes_on_where_it_stopped() -> None:
    many = Many(12)

    first = housekeeping(many).run(keep_going=stops_after(5))
    assert (first.left, looked_after(many)) == (7, [many.id_of(name) for name in many.names[:5]])
    second = housekeeping(many).run(keep_going=stops_after(5))
    assert (second.left, looked_after(many)) == (7, [many.id_of(name) for name in many.names[:10]])
    housekeeping(many).run(keep_going=stops_after(5))
    assert looked_after(many) == [many.id_of(name) for name in many.names]


def test_housekeeping_that_dies_goes_on_near_where_it_died() -> None:
    many = Many(60)
    seen: list[str] = []

    class Dies(Exception):
        pass

    def going() -> bool:
        seen.append("x")
        if len(seen) > 60:
            raise Dies
        return True

    with pytest.raises(Dies):
        housekeeping(many).run(keep_going=going)
    done = looked_after(many)
    many.archive = MemoryObjects()
    housekeeping(many).run(keep_going=stops_after(1))

    [first] = looked_after(many)
    assert first == many.id_of(many.names[25])
    assert first in done


# The history of edits


class Trail:
    """CloudTrail, which is asked by period."""

    def __init__(self) -> None:
        self.asked: list[Window] = []

    def events(self, prompt_id: str, name: str, *, window: Window, **_: Any) -> Any:
        self.asked.append(window)
        return TrailAnswer((), (), (), "", 0)


def test_the_history_of_many_prompts_is_read_over_one_period() -> None:
    """So that `CloudTrailHistory`, which remembers the last period, calls AWS once for all of them."""
    many, trail = Many(40), Trail()
    named = NamedPrompts(**many.ports("prompts", "enrolments", "identities", "routes"))
    sweep = EditSweep(named=named, trail=trail, edits=many.edits, clock=many.clock, log=many.logged.append)  # type: ignore[arg-type]
    assert len(sweep.run(many.names[:20])) == 20
    many.now += 3_600
    sweep.run(many.names[20:])
    many.now += 12 * 3_600
    trail.asked.clear()

    assert len(sweep.run(many.names)) == 40
    assert len(set(trail.asked)) == 1
    assert many.logged == []


# A burst of publications


def burst(many: Many, count: int) -> str:
    """So many versions of the first prompt waited while one was in flight, and one newer than all starts."""
    name = many.names[0]
    prompt_id = many.id_of(name)
    for number in range(2, count + 3):
        many.prompts.publish(PromptDraft(name, "m", ("q",), template=f"{{{{q}}}} {number}"), prompt_id=prompt_id)
    for number in range(2, count + 2):
        many.releases.wait(Waiting(name, prompt_id, number, NOW - 60, "x"))
    return name


def intake(many: Many) -> Intake:
    ports = many.counted("prompts", "enrolments", "identities", "routes", "releases", "workflow")
    return Intake(**ports, **many.ports("clock"))


@pytest.mark.parametrize("count", [3, 500])
def test_a_burst_of_publications_is_superseded_in_passes_of_bounded_calls(count: int) -> None:
    many = Many(3)
    name = burst(many, count)

    taken = intake(many).take(ReleaseRequest(name, count + 2, "author"))

    assert taken.result == "started"
    assert many.counts.total() <= 20 + 2 * min(count, SUPERSEDED_AT_ONCE)
    assert many.counts["releases.of_prompt"] <= 2, "the history is not read for every version"


def test_the_rest_of_a_burst_ends_pass_by_pass_and_none_of_it_is_started() -> None:
    many = Many(3)
    name = burst(many, 250)
    prompt_id = many.id_of(name)
    newest = release_id(prompt_id, 252, 1)
    assert intake(many).take(ReleaseRequest(name, 252, "author")).release_id == newest
    asked = Waiting(name, prompt_id, 1, NOW, "kim", explicit=True)
    many.releases.wait(asked)

    ending = WindUp(**many.ports(*ENDING))
    ending.end(newest, claimed=Outcome.FAILED, reason="broken")
    assert many.queue.requests == [(name, 1, "kim", True)], "what was asked for, and not what was overtaken"
    passes = 0
    while [w for w in many.releases.waiting(prompt_id) if not w.explicit]:
        many.reconcile()
        passes += 1

    assert passes == 2
    assert many.releases.waiting(prompt_id) == [asked]
    superseded = [r for r in many.releases.of_prompt(prompt_id) if r.outcome is Outcome.SUPERSEDED]
    assert [r.version for r in superseded] == list(range(2, 252))
    assert {(requested[:2]) for requested in many.queue.requests} == {(name, 1)}


# What happens to prompts of the account


@pytest.mark.parametrize("count", [3, 300])
def test_an_event_about_a_prompt_that_is_none_of_ours_takes_a_few_calls(count: int) -> None:
    many = Many(count)
    many.prompts.publish(PromptDraft("other", "m", ("q",), template="{{q}}"), prompt_id="OTHERS0001")
    named = NamedPrompts(**many.counted("prompts", "enrolments", "identities", "routes"))
    watch = PromptWatch(named=named, **many.counted("watched", "notices"), clock=many.clock)
    log = EditLog(named=named, **many.counted("prompts", "releases", "edits"), clock=many.clock)

    assert watch.on_change(PromptChange("the-event", "UpdatePrompt", "OTHERS0001", "other", 0, "somebody")) == []
    assert log.note(TrailEvent("UpdatePrompt", NOW, "somebody", target="OTHERS0001")) is False

    assert many.counts.total() <= 12
