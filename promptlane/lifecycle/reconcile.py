"""What events missed: versions that nobody announced, waiting ones, releases whose execution is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.ports import (
    Clock,
    Enrolments,
    EnrolmentTags,
    IntakeQueue,
    PromptStore,
    ReleaseStore,
    RouteStore,
    Workflow,
)  # fmt: skip
from promptlane.domain.release.release import Release, Waiting

from .routing import move_pending

GRACE = 60.0
"""Seconds that a release may exist without an execution: intake starts it right after the record."""


@dataclass(slots=True)
class Reconciled:
    """What was found and set going, by release id or `prompt version`."""

    requested: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    wound_up: list[str] = field(default_factory=list)
    tagged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def reconcile(
    *, prompts: PromptStore, enrolments: Enrolments, tags: EnrolmentTags, routes: RouteStore, releases: ReleaseStore,
    workflow: Workflow, queue: IntakeQueue, wind_up: Callable[[str, str], None], clock: Clock,
    log: Callable[[str], None],
) -> Reconciled:  # fmt: skip
    """Look after every enrolled prompt; one that fails does not keep the others waiting.

    `wind_up(release id, reason)` asks the only function that may end a release.
    """
    done = Reconciled()
    for prompt in enrolments.names():
        try:
            found = prompts.find(prompt)
            if found is None:
                continue
            prompt_id = found[0]
            _revive(prompt, prompt_id, done, routes, releases, workflow, wind_up, clock())
            _request_missed(prompt, prompt_id, done, prompts, releases, queue, clock())
            _let_applications_in(prompt, done, tags, routes)
        except PromptlaneError as error:
            done.failed.append(prompt)
            log(f"reconciling {prompt}: {error}")
    return done


def _revive(
    prompt: str, prompt_id: str, done: Reconciled, routes: RouteStore, releases: ReleaseStore, workflow: Workflow,
    wind_up: Callable[[str, str], None], now: float,
) -> None:  # fmt: skip
    route = routes.get(prompt)
    if route is not None:
        move_pending(releases, route)
    held, routed = releases.holder(prompt_id), route.release_id if route else None
    for release_id in dict.fromkeys(filter(None, (held, routed))):
        release = releases.find(release_id)
        in_flight = route is not None and route.in_flight(release_id)
        if release is None or (release.ended and release_id != held and not in_flight):
            continue
        status = workflow.status(release_id)
        if status == "RUNNING":
            continue
        if status is None and release.state == "started":
            if now - release.started_at > GRACE:
                workflow.start(release_id, _payload(release))
                done.restarted.append(release_id)
        else:
            wind_up(release_id, f"its execution is {status or 'gone'}")
            done.wound_up.append(release_id)


def _payload(release: Release) -> dict[str, object]:
    return {
        "release_id": release.release_id,
        "prompt": release.prompt,
        "prompt_id": release.prompt_id,
        "version": release.version,
    }


def _request_missed(
    prompt: str, prompt_id: str, done: Reconciled, prompts: PromptStore, releases: ReleaseStore, queue: IntakeQueue,
    now: float,
) -> None:  # fmt: skip
    """Ask for the newest version that waits or was missed; older ones wait too, and are superseded when it starts."""
    since = releases.enrolled_since(prompt_id, now)
    newest_known = max((r.version for r in releases.of_prompt(prompt_id)), default=0)
    waiting = {w.version: w for w in releases.waiting(prompt_id)}
    for version, created in prompts.versions(prompt_id):
        if created >= since and version > newest_known and version not in waiting:
            missed = Waiting(prompt, prompt_id, version, now, "promptlane reconcile")
            releases.wait(missed)
            waiting[version] = missed
    if waiting and releases.holder(prompt_id) is None:
        newest = waiting[max(waiting)]
        queue.request(prompt, newest.version, requested_by=newest.requested_by, explicit=newest.explicit)
        done.requested.append(f"{prompt} {newest.version}")


def _let_applications_in(prompt: str, done: Reconciled, tags: EnrolmentTags, routes: RouteStore) -> None:
    """Put back the tag that somebody took from a version which gets traffic: without it IAM denies its calls."""
    route = routes.get(prompt)
    for ref in route.named if route else ():
        if not tags.tagged(ref.arn):
            tags.tag(ref.arn)
            done.tagged.append(f"{prompt} {ref.version}")
