"""Whether people are reached, prompts are what they are called, and events come in time."""

from __future__ import annotations

from typing import Final

from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.rules import REACHED, reach_in_words

from .account import Visit
from .report import Finding, ok, unknown, wrong

RELEASES_READ: Final = 20


def events(visit: Visit) -> Finding:
    """By the first entry of the newest releases: who sent the message that started each."""
    started = [(r, _sender(visit, r)) for r in _newest(visit)]
    if not started:
        return unknown("No version was released yet.", "Publish one (docs/enrol.md), then look again.")
    by_event = [sender for _, sender in started if sender]
    if by_event:
        return ok(f"{len(by_event)} of the newest {len(started)} releases began by an event (sent by {by_event[0]}).")
    return wrong(
        f"None of the newest {len(started)} releases says that a message began it: reconcile finds versions "
        "up to 15 minutes late.",
        "The checks trail, rules and dead-letters say where events stop.",
    )


def _newest(visit: Visit) -> list[Release]:
    found: list[Release] = []
    for name in visit.enrolments.names():
        if prompt_id := visit.fixed(name):
            found += visit.releases.of_prompt(prompt_id)
    return sorted(found, key=lambda r: -r.started_at)[:RELEASES_READ]


def _sender(visit: Visit, release: Release) -> str:
    for entry in visit.releases.timeline(release.release_id):
        if entry.event is Event.STARTED:
            return str(entry.detail.get("sent_by") or "")
    return ""


def notices(visit: Visit) -> Finding:
    told = visit.account.subscribers(visit.named("notices_topic"))
    if not told:
        return wrong("Nobody gets the notices of rollbacks and alarms.", "Set promptlane:on_call, deploy.")
    pending = [one.endpoint for one in told if not one.confirmed]
    fuse = visit.account.subscribers(visit.named("alarms_topic"))
    if not any(one.protocol == "lambda" and one.confirmed for one in fuse):
        return wrong("The fuse reaches nothing: roll_back has not subscribed to its topic.", "npx cdk deploy --all")
    if pending:
        return wrong(
            f"Have not confirmed: {', '.join(pending)}. SNS forgets them after two days.",
            "Open the link in SNS's email; where it is too old, take the address out of promptlane:on_call, deploy, "
            "put it back, deploy.",
        )
    return ok(f"{len(told)} subscription(s) of the notices are confirmed, and the fuse calls roll_back.")


def reviewers(visit: Visit) -> Finding:
    found = list(visit.reviewers())
    if not found:
        return unknown("The deployment has no reviewers.", "Name them, deploy.")
    lost = [f"{email}: {reach_in_words(state)}" for email, state in found if state not in REACHED]
    if lost:
        return wrong(f"{'; '.join(lost)}.", "promptlane reviewers subscribe, then … confirm.")
    return ok(f"{len(found)} reviewer(s) are reached.")


def enrolments(visit: Visit) -> Finding:
    names = visit.enrolments.names()
    if not names:
        return unknown("No prompt is enrolled.", "docs/enrol.md")
    gone, other, absent = [], [], []
    for name in names:
        fixed = visit.fixed(name)
        if not fixed:
            if visit.prompts.find(name) is None:
                absent.append(name)
        elif (called := visit.prompts.name_of(fixed)) is None:
            gone.append(f"{name} ({fixed})")
        elif called != name:
            other.append(f"{name} ({fixed}) is called {called}")
    if gone or other:
        said = [*(f"{one} was deleted" for one in gone), *other]
        return wrong(f"{'; '.join(said)}.", "docs/runbook.md; `prompt_id` in release.yaml says what a name means.")
    if absent:
        return unknown(f"Not in Bedrock yet: {', '.join(absent)}.", f"promptlane publish prompts/{absent[0]}")
    return ok(f"{len(names)} enrolled prompt(s) are in Bedrock.")
