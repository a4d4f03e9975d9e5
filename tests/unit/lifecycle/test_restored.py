"""A route table that was restored from a backup: everybody who writes notices, says so, and forgets no rollback."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Quarantined, Rollback, Route, roll_back
from promptlane.domain.release.timeline import Event
from promptlane.fakes import InMemoryRoutes
from promptlane.lifecycle.reconcile import Reconciliation
from promptlane.lifecycle.rollback import Aftermath, Wish, restore_safe_route
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.windup import WindUp
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import ENDING, TRAFFIC, Stage

THIRD = f"{ID}-3-1"


def shift(stage: Stage, name: str = RELEASE, step: int = 0) -> str:
    stage.now += 100
    return Traffic(**stage.ports(*TRAFFIC)).shift(name, step).result


def restore(stage: Stage, backup: Route) -> None:
    """What DynamoDB's point-in-time recovery leaves: a table with the items of then."""
    stage.now += 100
    stage.routes = InMemoryRoutes()  # type: ignore[assignment]
    stage.routes.put(backup, expected=None)


def taken_back(stage: Stage, name: str = RELEASE) -> None:
    """An operator rolls back, and everything after it is done."""
    stage.now += 100
    wish = Wish(prompt=PROMPT, cause="operator", reason="bad", by="kim", release_id=name)
    done = restore_safe_route(stage.routes, wish, clock=stage.clock, keep_trying=lambda n: False)
    assert done.result == "rolled_back"
    ports = stage.ports("releases", "workflow", "telling", "restoration", "clock", "log")
    Aftermath(**ports).tell(done, stop_execution=False)


def events(stage: Stage, name: str = RELEASE) -> list[Event]:
    return [entry.event for entry in stage.told(name)]


def subjects(stage: Stage) -> list[str]:
    return [subject.removeprefix("[Promptlane] support: ") for subject, _ in stage.notices.sent]


def canary_of(stage: Stage, version: int = 2) -> Release:
    release = stage.approved(version)
    assert shift(stage, release.release_id) == "done"
    return stage.releases.get(release.release_id)


def test_a_rollback_on_a_restored_route_is_told_and_reaches_clients_that_know_a_later_one() -> None:
    stage = Stage()
    canary_of(stage)
    backup = stage.route
    assert shift(stage, step=1) == "done"
    newest = stage.route.revision
    restore(stage, backup)

    taken_back(stage)

    assert stage.route.revision > newest, "a client ignores what is older than its own"
    assert (stage.route.canary, stage.route.phase) == (None, Phase.STEADY)
    assert events(stage)[-2:] == [Event.ROLLED_BACK, Event.ROUTE_RESTORED]
    assert subjects(stage)[-2:] == ["version 2 rolled back", "its route was restored"]
    assert len({entry.id for entry in stage.told(RELEASE)}) == len(stage.told(RELEASE))


def test_a_release_whose_canary_a_restore_took_away_ends_and_says_why() -> None:
    stage = Stage()
    before = stage.route
    canary_of(stage)
    newest = stage.route.revision
    restore(stage, before)

    assert shift(stage, step=1) == "gone"
    ended = WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.FAILED, reason="its canary is gone")

    assert (ended.outcome, stage.route.stable, stage.route.canary) == (Outcome.FAILED, before.stable, None)
    assert stage.route.revision > newest
    assert "its route was restored" in subjects(stage)
    assert Event.ROUTE_RESTORED in [*events(stage), *events(stage, before.release_id)]


def test_wind_up_says_that_the_table_was_restored() -> None:
    stage = Stage()
    before = stage.route
    canary_of(stage)
    restore(stage, before)

    ended = WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.FAILED, reason="its execution is gone")

    assert ended.reason == "its route table was restored to a time before: its execution is gone"


def test_what_was_rolled_back_since_the_backup_stays_barred() -> None:
    stage = Stage()
    before = stage.route
    canary_of(stage)
    taken_back(stage)
    WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.ROLLED_BACK, reason="bad")
    restore(stage, before)
    assert stage.ref(2).fingerprint not in stage.route.quarantined

    assert WindUp(**stage.ports(*ENDING)).mend(PROMPT) is True
    assert WindUp(**stage.ports(*ENDING)).mend(PROMPT) is False, "noticed once"

    again = f"{ID}-2-2"
    stage.approved(2, attempt=2)
    with pytest.raises(Quarantined, match="rolled back in release"):
        shift(stage, again)


def test_a_restored_watch_of_a_version_that_was_rolled_back_since_ends_with_the_version_before() -> None:
    stage = Stage()
    canary_of(stage)
    assert Traffic(**stage.ports(*TRAFFIC)).promote(RELEASE).result == "done"
    backup = stage.route
    assert (backup.phase, backup.stable) == (Phase.WATCH, stage.ref(2))
    taken_back(stage)
    WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.ROLLED_BACK, reason="bad")
    newest = stage.route
    restore(stage, backup)

    assert WindUp(**stage.ports(*ENDING)).mend(PROMPT) is True

    route = stage.route
    assert (route.stable, route.previous, route.phase, route.holdback) == (stage.ref(1), None, Phase.STEADY, 0)
    assert (route.epoch > newest.epoch, route.revision > newest.revision) == (True, True)
    assert "Taken off the restored route: version 2, rolled back since." in stage.notices.sent[-1][1]


def test_a_restored_canary_that_was_rolled_back_since_gets_nothing_even_before_its_release_has_ended() -> None:
    stage = Stage()
    canary_of(stage)
    backup = stage.route
    taken_back(stage)
    assert not stage.releases.get(RELEASE).ended
    restore(stage, backup)

    WindUp(**stage.ports(*ENDING)).mend(PROMPT)

    assert (stage.route.canary, stage.route.weight, stage.route.phase) == (None, 0, Phase.STEADY)
    assert stage.ref(2).fingerprint in stage.quarantine.all(PROMPT)


def test_what_an_operator_rolled_back_after_its_release_had_ended_is_taken_off_too() -> None:
    stage = Stage()
    canary_of(stage)
    assert Traffic(**stage.ports(*TRAFFIC)).promote(RELEASE).result == "done"
    over = WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.PROMOTED, reason="")
    assert over.outcome is Outcome.PROMOTED
    backup = stage.route
    assert (backup.stable, backup.phase) == (stage.ref(2), Phase.STEADY)
    taken_back(stage)
    restore(stage, backup)

    assert WindUp(**stage.ports(*ENDING)).mend(PROMPT) is True

    assert (stage.route.stable, stage.ref(2).fingerprint in stage.route.quarantined) == (stage.ref(1), True)


def test_where_no_other_version_is_known_a_restored_one_that_was_rolled_back_stays_and_people_are_told() -> None:
    stage = Stage()
    canary_of(stage)
    assert Traffic(**stage.ports(*TRAFFIC)).promote(RELEASE).result == "done"
    backup = replace(stage.route, previous=None, phase=Phase.STEADY, holdback=0)
    taken_back(stage)
    WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.ROLLED_BACK, reason="bad")
    restore(stage, backup)

    WindUp(**stage.ports(*ENDING)).mend(PROMPT)

    assert stage.route.stable == stage.ref(2)
    assert "BUT version 2 itself was rolled back in between" in stage.notices.sent[-1][1]


def test_a_restore_is_found_and_mended_though_the_clock_of_who_wrote_before_was_ahead() -> None:
    stage = Stage()
    canary_of(stage)
    backup = stage.route
    stage.now += 86_400
    assert shift(stage, step=1) == "done"
    newest = stage.route
    stage.now -= 86_400
    restore(stage, replace(backup, revision=newest.revision + 5))

    assert WindUp(**stage.ports(*ENDING)).mend(PROMPT) is True

    assert stage.route.epoch > newest.epoch


def test_a_content_that_got_traffic_again_by_a_later_release_is_not_barred_by_a_restore() -> None:
    stage = Stage()
    before = stage.route
    canary_of(stage)
    taken_back(stage)
    WindUp(**stage.ports(*ENDING)).end(RELEASE, claimed=Outcome.ROLLED_BACK, reason="bad")
    stage.approved(2, attempt=2, explicit=True)
    assert shift(stage, f"{ID}-2-2") == "done"
    restore(stage, before)

    WindUp(**stage.ports(*ENDING)).mend(PROMPT)

    assert stage.quarantine.all(PROMPT) == {}


def test_a_route_that_was_not_restored_is_left_as_it_is() -> None:
    stage = Stage()
    canary_of(stage)
    route = stage.route

    assert WindUp(**stage.ports(*ENDING)).mend(PROMPT) is False
    assert WindUp(**stage.ports(*ENDING)).mend("nobody") is False
    assert stage.route == route


def test_a_route_written_within_one_restored_table_has_entries_of_its_own() -> None:
    """The same revision twice, and an alarm in between: nothing that happened is taken for what is there already."""
    stage = Stage()
    canary_of(stage)
    backup = stage.route
    first = roll_back(backup, Rollback(cause="alarm", reason="red", by="arn"), now=stage.now)
    second = roll_back(backup, Rollback(cause="alarm", reason="red", by="arn"), now=stage.now + 1)

    assert first.revision == second.revision
    assert first.pending[-1].id != second.pending[-1].id


def test_reconcile_finds_a_restored_route_and_leaves_others_alone() -> None:
    stage = Stage()
    before = stage.route
    stage.releases.record_ended(
        Release(before.release_id, PROMPT, 1.0, "x", state="ended", outcome=Outcome.PROMOTED, ended_at=2.0)
    )
    canary_of(stage)
    stage.workflow.start(RELEASE, {})
    found: list[str] = []
    names = ("prompts", "enrolments", "identities", "watched", "tags", "routes", "releases", "workflow", "queue")
    more = ("notices", "cursors", "clock", "log")

    def reconcile() -> list[str]:
        asked = Reconciliation(
            **stage.ports(*names, *more), wind_up=lambda name, why: None, restored=found.append
        ).run()
        return asked.restored

    assert (reconcile(), found) == ([], [])
    restore(stage, before)
    assert (reconcile(), found) == ([PROMPT], [PROMPT])
