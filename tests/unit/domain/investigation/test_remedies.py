"""How an investigation says to end it: the exact command, and none that would make it worse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.investigation.causes import Contrast
from promptlane.domain.investigation.findings import Cause, CauseKind, Remedy
from promptlane.domain.investigation.remedies import acting, remedy_of
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.timeline import Event
from promptlane.domain.trail import TrailEvent
from promptlane.fakes import InMemoryRoutes
from tests.support.investigation_case import (
    EDITOR,
    NAME,
    NOW,
    T0,
    Case,
    counts,
    entry,
    found_by,
    reroute,
    steady,
    two_pm,
    version_four,
)
from tests.support.known_facts import facts, release, route, version
from tests.support.prompt import ID


@pytest.fixture
def case() -> Case:
    return two_pm()


def test_the_rollback_command_is_exact(case: Case) -> None:
    remedy = found_by(case).remedy

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

    assert "canary back: everybody gets version 2" in found_by(case).remedy.says


def test_a_version_without_traffic_needs_no_rollback(case: Case) -> None:
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    case.routes.put(replace(route, stable=case.prompts.version(ID, 2).ref, previous=None), expected=None)

    remedy = found_by(case).remedy

    assert (remedy.command, "no traffic any more" in remedy.says) == ("", True)


def test_stable_behind_another_canary_is_not_promised_a_simple_rollback(case: Case) -> None:
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    other = case.prompts.version(ID, 1).ref
    case.routes.put(replace(route, canary=other, weight=500, previous=None, phase=Phase.CANARY), expected=None)

    remedy = found_by(case).remedy

    simple = f'promptlane rollback {NAME} --reason "version 3 has 20% refusals (investigate)"'
    assert remedy.command == f"{simple} && {simple} --to 2"
    assert "takes the canary back first" in remedy.says


def test_the_remedy_is_for_the_shown_version_that_is_still_served(case: Case) -> None:
    version_four(case)

    found = found_by(case)

    assert [c.version for c in found.causes if c.shown and c.kind == "version"] == [3, 4]
    assert found.remedy.command == f'promptlane rollback {NAME} --reason "version 4 has 20% refusals (investigate)"'
    assert found.remedy.says.startswith("Version 3 gets no traffic any more")
    assert (found.before, found.after) == (2, 4)
    assert any("Version 4 has 20% refusals" in s for s in found.to_dict()["summary"])


def delete(case: Case, version: int, at: float = T0 + 3000) -> None:
    """Version deleted by hand, in the middle of a period: every call of it fails since."""
    case.trail.append(TrailEvent("DeletePrompt", at, EDITOR, "IAMUser", ID, version))

    def failed(cell: Cell) -> float:
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

    found = found_by(case)

    assert found.leading is not None
    assert (found.leading.kind, found.leading.version) == ("deleted", 3), [c.title for c in found.causes]


def test_a_deleted_stable_is_ended_by_a_rollback(case: Case) -> None:
    steady(case)
    delete(case, 3)

    remedy = found_by(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 was deleted (investigate)"'
    assert remedy.says == "Puts version 2 back at once, in place of version 3."


def test_a_deleted_canary_is_ended_by_a_rollback(case: Case) -> None:
    steady(case)
    refs = {n: case.prompts.version(ID, n).ref for n in (2, 3)}
    reroute(case, stable=refs[2], previous=None, canary=refs[3], weight=1000, phase=Phase.CANARY)
    delete(case, 3)

    remedy = found_by(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 was deleted (investigate)"'
    assert "everybody gets version 2 again" in remedy.says


def test_a_deleted_stable_needs_no_counts_to_be_ended(case: Case) -> None:
    delete(case, 3)
    case.cells = []

    assert found_by(case).remedy.command.startswith("promptlane rollback")


def test_a_deleted_stable_without_a_version_to_go_back_to_is_ended_by_naming_one(case: Case) -> None:
    steady(case)
    reroute(case, previous=None)
    delete(case, 3)

    remedy = found_by(case).remedy

    assert remedy.command == f'promptlane rollback {NAME} --reason "version 3 was deleted (investigate)" --to 2'
    assert "no version to go back to" in remedy.says


def test_what_was_rolled_back_is_not_named_to_go_back_to(case: Case) -> None:
    steady(case)
    two = case.prompts.version(ID, 2)
    reroute(case, previous=None, quarantined={two.fingerprint: {"version": 2, "release_id": f"{ID}-2-1"}})
    delete(case, 3)

    remedy = found_by(case).remedy

    assert (remedy.command, "No other version is known" in remedy.says) == ("", True)


def test_nobody_is_sent_back_to_a_version_that_was_deleted(case: Case) -> None:
    delete(case, 2, T0 + 1300)

    remedy = found_by(case).remedy

    assert remedy.command == f"promptlane restore {NAME} 2"
    assert remedy.says.startswith("A rollback would give everybody version 2, which was deleted at ")


def test_nobody_is_sent_back_to_a_stable_that_was_deleted(case: Case) -> None:
    """Whether the canary is worse, or it is only found that stable is gone."""
    refs = {n: case.prompts.version(ID, n).ref for n in (1, 2, 3)}
    reroute(case, stable=refs[2], previous=refs[1], canary=refs[3], weight=1000, phase=Phase.CANARY)
    delete(case, 2, T0 + 1300)
    command = f'promptlane advance {NAME} --reason "version 2 was deleted (investigate)"'

    remedy = found_by(case).remedy
    assert (remedy.command, "version 2, which was deleted" in remedy.says) == (command, True)

    steady(case)
    assert found_by(case).remedy.command == command


def test_a_version_to_go_back_to_that_bedrock_did_not_show_is_doubted(case: Case) -> None:
    case.down.add("Bedrock")

    remedy = found_by(case).remedy

    assert remedy.command.startswith("promptlane rollback")
    assert remedy.says.endswith("Bedrock did not show version 2: see what is missing.")


def test_a_deletion_that_was_refused_stands_in_nobodys_way(case: Case) -> None:
    case.trail.append(TrailEvent("DeletePrompt", T0 + 1300, EDITOR, "IAMUser", ID, 2, error="AccessDenied"))

    assert "version 2 back at once" in found_by(case).remedy.says


def test_a_version_on_the_holdback_is_not_rolled_back_to_everybody(case: Case) -> None:
    """In watch, version 2 is worse than the new stable: a rollback would give it to everybody."""
    route = case.routes.get(NAME)
    assert route is not None
    case.routes = InMemoryRoutes()
    case.routes.put(replace(route, phase=Phase.WATCH, watch_until=NOW + 60), expected=None)
    case.releases.append(entry(2, "route/9", T0 - 4500, Event.CANARY_SHIFTED, version=2, weight=5000, stable=1))
    case.cells = counts({3: (0.02, T0 - 7000, T0 + 6900), 2: (0.3, T0 - 4400, T0 + 6900)})

    remedy = found_by(case).remedy

    assert (remedy.command, "give it to everybody" in remedy.says) == ("", True)


# Each way out, of facts that are named


def cause(
    kind: CauseKind, number: int, *, bad: int = 12, metric: str = "Refusal", chance: float = 0.0, at: float = T0
) -> Cause:
    contrast = Contrast(metric, (60, bad), (90, 1), 20.0, chance)
    return Cause(kind, "what happened", (), at, number, contrast)


def uncounted(number: int) -> Cause:
    return Cause("deleted", "gone", (), T0, number)


def deletion(number: int, at: float, error: str = "") -> TrailEvent:
    return TrailEvent("DeletePrompt", at, EDITOR, "IAMUser", ID, number, error)


def rollback(why: str, more: str = "") -> str:
    return f'promptlane rollback {NAME} --reason "{why} (investigate)"{more}'


SEEN = {n: version(n) for n in range(1, 10)}
GONE_AT = "2025-10-09 07:01:40 UTC"
GONE = (TrailEvent("UpdatePrompt", T0 + 5, EDITOR), deletion(4, T0 + 9, "AccessDenied"), deletion(4, T0 + 100))
ALL_GONE = (deletion(0, T0 + 100),)


def test_what_is_shown_and_gets_traffic_of_its_own_acts() -> None:
    known = facts(route=route(7, previous=5, canary=8, phase=Phase.CANARY))
    unshown, outside = cause("version", 7, chance=0.5), cause("outside", 7)
    gone, served, canary = cause("version", 5), cause("version", 7), cause("version", 8)

    assert acting(known, [unshown, outside, cause("deleted", 7), gone, served, canary]) is served
    assert acting(known, [gone, canary, served]) is canary
    assert acting(known, [unshown, gone]) is None
    assert acting(replace(known, route=None), [served]) is None
    assert acting(facts(route=route(7, previous=5, phase=Phase.WATCH, holdback=500)), [gone]) is None


def test_nothing_shown_proposes_nothing() -> None:
    said = Remedy("", "No version stands out, so no rollback is proposed.")

    for unshown in ([], [cause("version", 7, chance=0.5)], [cause("outside", 7)], [cause("deleted", 5, chance=0.5)]):
        assert remedy_of(facts(route=route(7, previous=5)), unshown, 5) == said


def test_a_route_that_could_not_be_read_leaves_the_restoring_of_what_was_deleted() -> None:
    unread = "The route could not be read; `promptlane rollback` reads it itself if the table answers."
    restored = "Publishes the archived content of version 6 again; then release the number that it prints."
    shown = [cause("version", 7), cause("deleted", 6), cause("deleted", 5)]

    assert remedy_of(facts(), shown, 5) == Remedy(f"promptlane restore {NAME} 6", restored)
    assert remedy_of(facts(), shown[:1], 5) == Remedy("", unread)


def test_what_is_over_is_said_once_before_what_can_be_ended() -> None:
    known = facts(route=route(7, previous=5, phase_since=T0), snapshots=SEEN)
    over = "Version {} gets no traffic any more; version 7 is stable."
    past = [cause("version", 3), cause("version", 3, metric="Error"), cause("version", 2)]

    assert remedy_of(known, past, 5) == Remedy("", f"{over.format(3)} {over.format(2)}")
    assert remedy_of(known, [*past[1:], cause("version", 7)], 5) == Remedy(
        rollback("version 7 has 20% refusals"),
        f"{over.format(3)} {over.format(2)} Puts version 5 back at once, in place of version 7.",
    )


def test_a_version_on_the_holdback_ends_with_the_watch() -> None:
    known = facts(route=route(7, previous=5, phase=Phase.WATCH, holdback=500))

    assert remedy_of(known, [cause("version", 5)], 3) == Remedy(
        "",
        "Version 5 gets the held-back share only, which ends with the watch; a rollback would give it to everybody.",
    )


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (cause("version", 7, bad=3, metric="Slow"), "version 7 has 5% slow answers"),
        (cause("version", 7, metric="Strange"), "version 7 has 20% Strange"),
        (cause("deleted", 7, metric="Error"), "version 7 was deleted"),
        (uncounted(7), "version 7 was deleted"),
    ],
)
def test_the_reason_says_what_is_wrong_with_stable(found: Cause, why: str) -> None:
    known = facts(route=route(7, previous=5, canary=8), snapshots=SEEN)

    assert remedy_of(known, [found], 3) == Remedy(rollback(why), "Puts version 5 back at once, in place of version 7.")
    unseen = " Bedrock did not show version 5: see what is missing."
    assert remedy_of(replace(known, snapshots={7: version(7)}), [found], 3).says.endswith(f"version 7.{unseen}")


@pytest.mark.parametrize(
    ("previous", "trail", "says"),
    [
        (0, (), "The route remembers no version to go back to from version 7."),
        (4, GONE, f"A rollback would give everybody version 4, which was deleted at {GONE_AT}: every call would fail."),
    ],
)
def test_without_a_version_that_the_route_can_go_back_to_an_earlier_one_is_named(
    previous: int, trail: tuple[TrailEvent, ...], says: str
) -> None:
    """Neither what was never promoted, nor what was rolled back, deleted, or is stable or the canary."""
    promoted = (release(2), release(3), release(5), release(7), release(8))
    releases = (*promoted, release(9, outcome=Outcome.ROLLED_BACK), release(4))
    quarantined: dict[str, dict[str, object]] = {"a" * 64: {"version": "5"}, "b" * 64: {}}
    now = route(7, previous=previous, canary=8, quarantined=quarantined)
    known = facts(route=now, releases=releases, trail=(*trail, deletion(4, T0 + 100)), snapshots=SEEN)
    to = "{} Version {} was promoted before: this puts it back at once."

    for before, best in ((2, 2), (9, 3), (5, 3), (7, 3), (0, 3)):
        assert remedy_of(known, [cause("version", 7)], before) == Remedy(
            rollback("version 7 has 20% refusals", f" --to {best}"), to.format(says, best)
        )


def test_version_1_is_fit_to_go_back_to_although_an_older_rollback_names_no_version() -> None:
    now = route(7, quarantined={"a" * 64: {"release_id": "x"}, "b" * 64: {"version": None}})

    assert remedy_of(facts(route=now, releases=(release(1),)), [uncounted(7)], 0).command.endswith(" --to 1")


def test_without_any_earlier_version_the_deleted_one_is_published_again() -> None:
    found = [cause("version", 7)]
    deleted = facts(route=route(7, previous=4), releases=(release(4),), trail=GONE)
    unknown = facts(route=route(7), releases=(release(4), release(7)), trail=ALL_GONE)

    assert remedy_of(deleted, found, 4) == Remedy(
        f"promptlane restore {NAME} 4",
        f"A rollback would give everybody version 4, which was deleted at {GONE_AT}: every call would fail. This "
        "publishes its content again, under the number that it prints; then release that number.",
    )
    assert remedy_of(unknown, found, 4) == Remedy(
        "",
        "The route remembers no version to go back to from version 7. No other version is known to have been promoted: "
        "release one that is known to be good.",
    )


def test_a_canary_is_taken_back_unless_stable_is_gone() -> None:
    known = facts(route=route(4, previous=5, canary=7, phase=Phase.CANARY), snapshots=SEEN)
    found = [cause("version", 7)]

    assert remedy_of(known, found, 4) == Remedy(
        rollback("version 7 has 20% refusals"), "Takes the canary back: everybody gets version 4 again."
    )
    assert remedy_of(replace(known, snapshots={7: version(7)}), found, 4).says == (
        "Takes the canary back: everybody gets version 4 again. Bedrock did not show version 4: see what is missing."
    )
    assert remedy_of(replace(known, trail=GONE), found, 4) == Remedy(
        "",
        f"A rollback would give everybody version 4, which was deleted at {GONE_AT}: every call would fail. Version 7 "
        "is bad, and the better of the two.",
    )


def test_stable_behind_a_canary_takes_two_rollbacks_or_the_canarys_promotion() -> None:
    known = facts(route=route(7, previous=5, canary=8, phase=Phase.CANARY), releases=(release(3), release(8)))
    alone = replace(known, releases=())
    first = "is stable while version 8 is in canary: the rollback takes the canary back first, and leaves nothing to go"
    bad, gone = rollback("version 7 has 20% refusals"), rollback("version 7 was deleted")

    assert remedy_of(known, [cause("version", 7)], 8) == Remedy(
        f"{bad} && {bad} --to 3", f"Version 7 {first} back to; the second one puts version 3 back."
    )
    assert remedy_of(known, [uncounted(7)], 3) == Remedy(
        f"{gone} && {gone} --to 3", f"Version 7 {first} back to; the second one puts version 3 back."
    )
    assert remedy_of(alone, [cause("version", 7)], 3) == Remedy(
        bad, f"Version 7 {first} back to; another version needs a release of its own."
    )
    assert remedy_of(alone, [uncounted(7)], 3) == Remedy(
        gone.replace("rollback", "advance"),
        "Version 7 is stable and gone: a rollback would take the canary back, and give everybody what fails. This "
        "gives the canary, version 8, its next share: repeat it until it is promoted.",
    )


def test_a_canary_that_the_route_remembers_in_another_phase_does_not_stand_before_stable() -> None:
    known = facts(route=route(7, previous=5, canary=8, phase=Phase.WATCH), snapshots=SEEN)

    assert remedy_of(known, [cause("version", 7)], 5).says == "Puts version 5 back at once, in place of version 7."


def test_what_was_deleted_and_is_not_served_is_published_again_if_the_route_still_needs_it() -> None:
    known = facts(route=route(7, previous=5, phase=Phase.WATCH, holdback=500))
    restored = (
        "A rollback would give everybody version 5, whose calls fail. This publishes its content again, under the "
        "number that it prints; then release that number."
    )
    whole = (
        "The whole prompt is gone: publish one of this name again. The report bucket keeps each version's content "
        f"under archive/{ID}/."
    )

    assert remedy_of(known, [cause("deleted", 5)], 3) == Remedy(f"promptlane restore {NAME} 5", restored)
    assert remedy_of(known, [cause("deleted", 4)], 3) == Remedy(
        "", "Version 4 was deleted, but the route does not name it any more."
    )
    assert remedy_of(known, [cause("deleted", 0)], 3) == Remedy("", whole)
    assert remedy_of(known, [uncounted(0), uncounted(5)], 3).says == (
        "No version stands out, so no rollback is proposed."
    )


def test_a_deleted_canary_needs_no_counts_to_be_taken_back() -> None:
    known = facts(route=route(4, canary=7, phase=Phase.CANARY), snapshots=SEEN)

    assert remedy_of(known, [uncounted(7)], 4).command == rollback("version 7 was deleted")
