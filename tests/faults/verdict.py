"""What is wrong after a play: held against the undisturbed play of the same scenario, and against the invariants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from promptlane.domain.release.findings import Findings
from promptlane.domain.release.notice import is_told
from promptlane.domain.release.replay import story_findings
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, chain_problems
from tests.faults.play import Play
from tests.faults.scenarios import Scenario
from tests.support.functions import LEAD, LEGAL
from tests.support.prompt import ID, PROMPT, RELEASE

AS_OFTEN_AS_ASKED = (
    *(Event.CANARY_JUDGED, Event.REVIEW_LINK_REFUSED, Event.REVIEW_HINDERED),
    Event.AUTHORS_FOUND,
)
"""How often a judge looks depends on the clock, which a fault may move; who decides again is told that it is done; and
that a reviewer could not be reached just then, or that an author was found later, is so."""
HINDERED = ": needs attention"


@dataclass(frozen=True)
class Seen:
    """What a play came to."""

    outcome: str
    route: tuple[object, ...]
    timeline: tuple[tuple[str, int], ...]
    subjects: frozenset[str]
    mailed: tuple[bool, ...]


def seen(play: Play) -> Seen:
    world = play.world
    release = world.releases.find(RELEASE)
    entries = world.releases.timeline(RELEASE)
    counted = Counter(str(e.event) for e in entries if e.event not in AS_OFTEN_AS_ASKED)
    return Seen(
        outcome=str(release.outcome) if release else "never started",
        route=_what_users_get(world.routes.get(PROMPT)),
        timeline=tuple(sorted(counted.items())),
        subjects=frozenset(subject for subject, _ in world.told()),
        mailed=tuple(play.mails(reviewer.email) > 0 for reviewer in (LEAD, LEGAL)),
    )


def _what_users_get(route: Route | None) -> tuple[object, ...]:
    if route is None:
        return ()
    versions = (ref and ref.version for ref in (route.stable, route.previous, route.canary))
    barred = tuple(sorted((q["version"], q["release_id"]) for q in route.quarantined.values()))
    return (*versions, route.weight, route.holdback, str(route.phase), barred)


def wrong(play: Play, scenario: Scenario, undisturbed: Seen) -> Iterator[str]:
    """One sentence for each thing that is not as it must be."""
    world, now = play.world, seen(play)
    if now.outcome != scenario.outcome:
        yield f"it ended {now.outcome}"
    if now.route != undisturbed.route:
        yield f"users get {now.route}"
    if now.timeline != undisturbed.timeline:
        yield f"the timeline has {dict(set(now.timeline) ^ set(undisturbed.timeline))}"
    yield from (f"nobody was told: {subject}" for subject in sorted(undisturbed.subjects - now.subjects))
    others = {subject for subject in now.subjects - undisturbed.subjects if not subject.endswith(HINDERED)}
    yield from (f"told, and not so: {subject}" for subject in sorted(others))
    said = any(subject.endswith(HINDERED) for subject in now.subjects)
    if now.mailed != undisturbed.mailed and not said:  # mailed later, or decided by an identity before that
        yield f"reviewers were mailed: {now.mailed}"
    if world.releases.holder(ID) is not None:
        yield "the lock is held"
    if world.releases.owed():
        yield f"still owed: {[entry.id for entry in world.releases.owed()]}"
    running = [name for name, status in play.executions.status.items() if status == "RUNNING"]
    if running:
        yield f"still running: {running}"
    if play.dead:
        yield f"dead letters: {play.dead}"
    yield from _of_the_timeline(play)


def _of_the_timeline(play: Play) -> Iterator[str]:
    entries = play.world.releases.timeline(RELEASE)
    yield from chain_problems(entries)
    found = Findings()
    story_findings(RELEASE, entries, found)
    yield from map(str, found.problems)
    judged = sum(e.event is Event.CANARY_JUDGED for e in entries)
    asked = play.passages["Judge"] + play.passages["JudgeWatch"]
    if judged > asked:
        yield f"{judged} judgements of {asked} looks"
    told = Counter(body.rpartition("Notice:")[2].strip() for _, body in play.world.told())
    yield from (f"no notice of {e.id}" for e in entries if is_told(e) and not told[e.id])
