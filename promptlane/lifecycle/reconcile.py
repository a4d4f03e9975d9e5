"""What events missed: versions that nobody announced, waiting ones, releases whose execution is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.ports import (
    Clock,
    Cursors,
    Enrolments,
    EnrolmentTags,
    Identities,
    IntakeQueue,
    Notices,
    PromptLister,
    ReleaseStore,
    RouteStore,
    Watched,
    Workflow,
)
from promptlane.domain.release.release import Release, Waiting

from .identities import NamedPrompts, fixed_id, holder
from .intake import supersede, worth_starting
from .listed_prompts import ListedPrompts
from .prompt_watch import PromptWatch
from .restored import written
from .routing import move_pending
from .signs import AT_ONCE, RECENT, changed, in_turn
from .telling import Telling

_RUN: Final = "reconcile"
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
    restored: list[str] = field(default_factory=list)
    """Prompts whose route is older than what was written."""
    untold: int = 0
    """Notices that are owed and could not be sent."""
    looked_at: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """What is looked after. `wind_up(release id, reason)` asks the only function that may end a release.

    `restored(prompt)` asks it to raise the revision of a route whose table was restored.
    """

    prompts: PromptLister
    enrolments: Enrolments
    identities: Identities
    watched: Watched
    tags: EnrolmentTags
    routes: RouteStore
    releases: ReleaseStore
    workflow: Workflow
    queue: IntakeQueue
    notices: Notices
    cursors: Cursors
    wind_up: Callable[[str, str], None]
    restored: Callable[[str], None]
    clock: Clock
    log: Callable[[str], None]

    def run(self) -> Reconciled:
        """Look after enrolled prompts; one that fails does not keep the others waiting.

        After each that shows signs of change, and after some of the others by turns: what a sign missed is found later.
        """
        done = Reconciled()
        prompts = ListedPrompts(self.prompts)
        named = NamedPrompts(
            prompts=prompts, enrolments=self.enrolments, identities=self.identities, routes=self.routes
        )
        watch = PromptWatch(named=named, watched=self.watched, notices=self.notices, clock=self.clock)
        done.looked_at = self._due(prompts)
        for prompt in done.looked_at:
            try:
                standing = watch.look(prompt)
                prompt_id = standing.prompt_id if standing else holder(prompts, prompt)
                if not prompt_id:
                    continue
                for known in {prompt_id, fixed_id(prompt, self.identities, self.routes) or prompt_id}:
                    self._revive(prompt, known, done)
                if standing is None or standing.sound:
                    self._request_missed(prompt, prompt_id, done)
                self._let_applications_in(prompt, done)
                if standing:
                    standing.demand()
            except PromptlaneError as error:
                done.failed.append(prompt)
                self.log(f"reconciling {prompt}: {error}")
        done.untold = Telling(releases=self.releases, notices=self.notices, clock=self.clock, log=self.log).settle()
        return done

    def _due(self, prompts: ListedPrompts) -> list[str]:
        """Whom this run looks at. Where the signs cannot be read, everybody."""
        names = list(self.enrolments.names())
        if len(names) <= AT_ONCE:
            return names
        now = self.clock()
        try:
            routes = {route.prompt: route for route in self.routes.all()}
            by_name = {summary.name: summary.prompt_id for summary in prompts.listed()}
            ids = {routes[name].prompt_id if name in routes else by_name.get(name, "") for name in names} - {""}
            busy = self.releases.busy(sorted(ids), since=now - RECENT)
            seen = changed(names, routes=routes, listed=prompts.by_id, busy=busy, now=now)
            others = in_turn([name for name in names if name not in seen], self.cursors.get(_RUN))[:AT_ONCE]
            if others:
                # Before they are looked at: one at which a run breaks off is not where the next one begins.
                self.cursors.put(_RUN, others[-1])
        except PromptlaneError as error:
            self.log(f"looking for what changed: {error}")
            return names
        return [*sorted(seen), *others]

    def _revive(self, prompt: str, prompt_id: str, done: Reconciled) -> None:
        route = self.routes.get(prompt)
        if route is not None:
            move_pending(self.releases, route)
            if written(self.releases, route):
                self.restored(prompt)
                done.restored.append(prompt)
        held, routed = self.releases.holder(prompt_id), route.release_id if route else None
        for release_id in dict.fromkeys(filter(None, (held, routed))):
            release = self.releases.find(release_id)
            in_flight = route is not None and route.in_flight(release_id)
            if release is None or (release.ended and release_id != held and not in_flight):
                continue
            status = self.workflow.status(release_id)
            if status == "RUNNING":
                continue
            if status is None and release.state == "started":
                if self.clock() - release.started_at > GRACE:
                    self.workflow.start(release_id, _payload(release))
                    done.restarted.append(release_id)
            else:
                self.wind_up(release_id, f"its execution is {status or 'gone'}")
                done.wound_up.append(release_id)

    def _request_missed(self, prompt: str, prompt_id: str, done: Reconciled) -> None:
        """Ask for the newest version that waits or was missed; older ones are superseded when it starts."""
        now = self.clock()
        versions = self.prompts.versions(prompt_id)
        older = self.releases.at_enrolment(prompt_id, max(versions, default=0), now)
        known = self.releases.newest(prompt_id)
        newest_known = known.version if known else 0
        supersede(self.releases, prompt_id, by=newest_known, now=now, asked_for=False)
        waiting = {w.version: w for w in self.releases.waiting(prompt_id) if worth_starting(w, known)}
        for version in versions:
            if version > max(older, newest_known) and version not in waiting:
                missed = Waiting(prompt, prompt_id, version, now, "promptlane reconcile")
                self.releases.wait(missed)
                waiting[version] = missed
        if waiting and self.releases.holder(prompt_id) is None:
            newest = waiting[max(waiting)]
            self.queue.request(prompt, newest.version, requested_by=newest.requested_by, explicit=newest.explicit)
            done.requested.append(f"{prompt} {newest.version}")

    def _let_applications_in(self, prompt: str, done: Reconciled) -> None:
        """Put back the tag that somebody took from a version which gets traffic: without it IAM denies its calls.

        A prompt that carries another deployment's tag is left to that: the two would take it from each other for ever.
        """
        route = self.routes.get(prompt)
        for ref in route.named if route else ():
            if not self.tags.tagged(ref.arn) and not self.tags.elsewhere(ref.arn):
                self.tags.tag(ref.arn)
                done.tagged.append(f"{prompt} {ref.version}")


def _payload(release: Release) -> dict[str, object]:
    return {
        "release_id": release.release_id,
        "prompt": release.prompt,
        "prompt_id": release.prompt_id,
        "version": release.version,
    }
