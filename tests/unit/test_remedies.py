"""How an investigation says to end it: the exact command, and none that would make it worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.inquiry import Cell, TrailEvent
from promptlane.domain.names import Event, Phase
from promptlane.fakes import InMemoryRoutes
from tests.unit.investigation_case import (
    EDITOR,
    ID,
    NAME,
    NOW,
    T0,
    Case,
    asked,
    counts,
    entry,
    reroute,
    steady,
    two_pm,
    version_four,
)


@pytest.fixture
def case() -> Case:
    return two_pm()


def test_the_rollback_command_is_exact(case: Case) -> None:
    remedy = asked(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 has 20% refusals (investigate)"'
    assert "version 2 back" in remedy.says


def test_in_canary_the_rollback_takes_the_canary_back(case: Case) -> None:
    route = case.routes.get(NAME)
    assert route is not None
    refs = {n: case.prompts.version(ID, n).ref for n in (2, 3)}
    case.routes = InMemoryRoutes()
    case.routes.put(
        replace(route, stable=refs[2], previous=None, canary=refs[3], weight=1000, phase=Phase.CANARY), expected=None
    )

    assert "canary back: everybody gets version 2" in asked(case).remedy.says


def test_a_version_without_traffic_needs_no_rollback(case: Case) -> None:
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    case.routes.put(replace(route, stable=case.prompts.version(ID, 2).ref, previous=None), expected=None)

    remedy = asked(case).remedy

    assert (remedy.command, "no traffic any more" in remedy.says) == ("", True)


def test_stable_behind_another_canary_is_not_promised_a_simple_rollback(case: Case) -> None:
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    other = case.prompts.version(ID, 1).ref
    case.routes.put(replace(route, canary=other, weight=500, previous=None, phase=Phase.CANARY), expected=None)

    remedy = asked(case).remedy

    simple = f'promptlane rollback {NAME} --reason "version 3 has 20% refusals (investigate)"'
    assert remedy.command == f"{simple} && {simple} --to 2"
    assert "takes the canary back first" in remedy.says


def test_the_remedy_is_for_the_shown_version_that_is_still_served(case: Case) -> None:
    version_four(case)

    found = asked(case)

    assert [c.version for c in found.causes if c.shown and c.kind == "version"] == [3, 4]
    assert found.remedy.command == f'promptlane rollback {NAME} --reason "version 4 has 20% refusals (investigate)"'
    assert found.remedy.says.startswith("Version 3 gets no traffic any more")
    assert (found.before, found.after) == (2, 4)
    assert any("Version 4 has 20% refusals" in s for s in found.to_dict()["summary"])


def delete(case: Case, version: int, at: float = T0 + 3000) -> None:
    """Version deleted by hand, in the middle of a period: every call of it fails since."""
    case.trail.append(TrailEvent("DeletePrompt", at, EDITOR, "IAMUser", ID, version))

    def failed(cell: Cell) -> int:
        if (cell.metric, cell.version) != ("Error", version):
            return cell.bad
        share = min(1.0, max(0.0, (cell.at + cell.seconds - at) / cell.seconds))
        return max(cell.bad, round(share * cell.requests))

    case.cells = [replace(c, bad=failed(c)) for c in case.cells]


@pytest.mark.parametrize("into", [0, 6, 60, 114], ids="{} s into a period".format)
@pytest.mark.parametrize("periods", [4, 25])
def test_a_deletion_leads_whenever_in_a_period_it_happened(case: Case, into: int, periods: int) -> None:
    steady(case)
    delete(case, 3, case.cells[-1].at - 120 * (periods - 1) + into)

    found = asked(case)

    assert found.leading is not None
    assert (found.leading.kind, found.leading.version) == ("deleted", 3), [c.title for c in found.causes]


def test_a_deleted_stable_is_ended_by_a_rollback(case: Case) -> None:
    steady(case)
    delete(case, 3)

    remedy = asked(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 was deleted (investigate)"'
    assert remedy.says == "Puts version 2 back at once, in place of version 3."


def test_a_deleted_canary_is_ended_by_a_rollback(case: Case) -> None:
    steady(case)
    refs = {n: case.prompts.version(ID, n).ref for n in (2, 3)}
    reroute(case, stable=refs[2], previous=None, canary=refs[3], weight=1000, phase=Phase.CANARY)
    delete(case, 3)

    remedy = asked(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 was deleted (investigate)"'
    assert "everybody gets version 2 again" in remedy.says


def test_a_deleted_stable_needs_no_counts_to_be_ended(case: Case) -> None:
    delete(case, 3)
    case.cells = []

    assert asked(case).remedy.command.startswith("promptlane rollback")


def test_a_deleted_stable_without_a_version_to_go_back_to_is_ended_by_naming_one(case: Case) -> None:
    steady(case)
    reroute(case, previous=None)
    delete(case, 3)

    remedy = asked(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 was deleted (investigate)" --to 2'
    assert "no version to go back to" in remedy.says


def test_what_was_rolled_back_is_not_named_to_go_back_to(case: Case) -> None:
    steady(case)
    two = case.prompts.version(ID, 2)
    reroute(case, previous=None, quarantined={two.fingerprint: {"version": 2, "release_id": f"{ID}-2-1"}})
    delete(case, 3)

    remedy = asked(case).remedy

    assert (remedy.command, "No other version is known" in remedy.says) == ("", True)


def test_nobody_is_sent_back_to_a_version_that_was_deleted(case: Case) -> None:
    delete(case, 2, T0 + 1300)

    remedy = asked(case).remedy

    assert remedy.command == f"promptlane restore {NAME} 2"
    assert remedy.says.startswith("A rollback would give everybody version 2, which was deleted at ")


def test_nobody_is_sent_back_to_a_stable_that_was_deleted(case: Case) -> None:
    """Whether the canary is worse, or it is only found that stable is gone."""
    refs = {n: case.prompts.version(ID, n).ref for n in (1, 2, 3)}
    reroute(case, stable=refs[2], previous=refs[1], canary=refs[3], weight=1000, phase=Phase.CANARY)
    delete(case, 2, T0 + 1300)
    command = f'promptlane advance {NAME} --reason "version 2 was deleted (investigate)"'

    remedy = asked(case).remedy
    assert (remedy.command, "version 2, which was deleted" in remedy.says) == (command, True)

    steady(case)
    assert asked(case).remedy.command == command


def test_a_version_to_go_back_to_that_bedrock_did_not_show_is_doubted(case: Case) -> None:
    case.down.add("Bedrock")

    remedy = asked(case).remedy

    assert remedy.command.startswith("promptlane rollback")
    assert remedy.says.endswith("Bedrock did not show version 2: see what is missing.")


def test_a_deletion_that_was_refused_stands_in_nobodys_way(case: Case) -> None:
    case.trail.append(TrailEvent("DeletePrompt", T0 + 1300, EDITOR, "IAMUser", ID, 2, error="AccessDenied"))

    assert "version 2 back at once" in asked(case).remedy.says


def test_a_version_on_the_holdback_is_not_rolled_back_to_everybody(case: Case) -> None:
    """In watch, version 2 is worse than the new stable: a rollback would give it to everybody."""
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    case.routes.put(replace(route, phase=Phase.WATCH, watch_until=NOW + 60), expected=None)
    case.releases.append(entry(2, "route/9", T0 - 4500, Event.CANARY_SHIFTED, version=2, weight=5000, stable=1))
    case.cells = counts({3: (0.02, T0 - 7000, T0 + 6900), 2: (0.3, T0 - 4400, T0 + 6900)})

    remedy = asked(case).remedy

    assert (remedy.command, "give it to everybody" in remedy.says) == ("", True)
