"""From a wish to a started release: the prompt's lock, the record, the execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from promptlane.domain.errors import AlreadyExists, AmbiguousName, Conflict, KeyDenied, NotApplicable, NotFound
from promptlane.domain.names import Outcome, release_id
from promptlane.domain.ports import Clock, Enrolments, Identities, PromptReader, ReleaseStore, RouteStore, Workflow
from promptlane.domain.release.meant import AnotherPrompt, demand_own
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.release.trigger import ReleaseRequest

from .identities import NamedPrompts, fixed_id

AT_ONCE: Final = 100
"""Versions that waited and are superseded in one pass: each takes three calls."""


class Overtaken(NotApplicable):
    """A version that nobody heard of before a newer one was released."""

    def __init__(self, prompt: str, version: int, *, by: int) -> None:
        super().__init__(f"version {version} of {prompt} is older than version {by}, which has a release")
        self.by = by


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request, with the sentence for the log."""

    result: Literal["started", "waiting", "duplicate", "dropped", "refused"]
    reason: str
    release_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What starts releases."""

    prompts: PromptReader
    enrolments: Enrolments
    identities: Identities
    routes: RouteStore
    releases: ReleaseStore
    workflow: Workflow
    clock: Clock

    def take(self, request: ReleaseRequest) -> Taken:
        """Start the release that is asked for, or record its version as waiting while another is in flight.

        An event means the first attempt and is worth nothing twice; an explicit request makes another attempt.
        """
        try:
            prompt_id, prompt, records = self._meant(request)
        except NotApplicable as error:
            return Taken("dropped", str(error))
        except (AnotherPrompt, AmbiguousName) as error:
            return Taken("refused", str(error))
        version = request.version or self._newest_unreleased(prompt_id, records)
        if version is None:
            return Taken("duplicate", f"every version of {prompt} has a release record")
        if gone := self._gone(prompt_id, version):
            return Taken("dropped", gone)
        try:
            attempt = self._attempt(request, (prompt, prompt_id), version, records)
        except Overtaken as error:
            # It gets a record, or nobody could tell it from a version that is still to be released.
            late = Waiting(prompt, prompt_id, version, self.clock(), request.requested_by)
            attempt = _attempts(records)[version] + 1
            _superseded(self.releases, late, by=error.by, now=self.clock(), reason=str(error), attempt=attempt)
            return Taken("duplicate", str(error))
        except NotApplicable as error:
            return Taken("duplicate", str(error))
        name = release_id(prompt_id, version, attempt)
        release = Release(
            release_id=name,
            prompt=prompt,
            started_at=self.clock(),
            requested_by=request.requested_by,
            explicit=request.explicit,
            request_id=request.request_id,
        )
        detail = {"prompt": prompt, "version": version, "attempt": attempt, "explicit": request.explicit}
        if request.sent_by:
            detail["sent_by"] = request.sent_by
        entry = TimelineEntry(f"{name}/started", name, release.started_at, Event.STARTED, request.requested_by, detail)
        try:
            if held := self._held_by_another(prompt, prompt_id):
                raise Conflict(f"release {held} is in flight")
            self.releases.start(release, entry)
        except AlreadyExists:
            # Cut off between record and execution: starting again is harmless, the execution's name is taken once.
            if self.releases.get(name).ended:
                return Taken("duplicate", f"release {name} has ended already", name)
        except Conflict:
            holder = self.releases.holder(prompt_id) or self._held_by_another(prompt, prompt_id)
            self.releases.wait(
                Waiting(prompt, prompt_id, version, release.started_at, request.requested_by, request.explicit)
            )
            return Taken("waiting", f"release {holder} of {prompt} is in flight; version {version} waits for its end")
        self.workflow.start(name, {"release_id": name, "prompt": prompt, "prompt_id": prompt_id, "version": version})
        supersede(self.releases, prompt_id, by=version, now=self.clock())
        self.releases.stop_waiting(prompt_id, version)
        return Taken("started", f"release {name} of {prompt} started", name)

    def _meant(self, request: ReleaseRequest) -> tuple[str, str, list[Release]]:
        """(id, name, releases) of the prompt; NotApplicable where none is enrolled, AnotherPrompt for a moved name."""
        found = self.prompts.find(request.prompt)
        if found is None:
            raise NotApplicable(f"prompt {request.prompt!r} does not exist (any more)")
        prompt_id, prompt = found
        if not self.enrolments.enrolled(prompt):
            raise NotApplicable(f"prompt {prompt!r} is not enrolled: there is no prompts/{prompt}/release.yaml")
        records = self.releases.of_prompt(prompt_id)
        self.named.demand(prompt, prompt_id)
        demand_own(prompt, prompt_id, records, deployed=self.enrolments.deployed_id(prompt))
        return prompt_id, prompt, records

    @property
    def named(self) -> NamedPrompts:
        return NamedPrompts(
            prompts=self.prompts, enrolments=self.enrolments, identities=self.identities, routes=self.routes
        )

    def _gone(self, prompt_id: str, version: int) -> str:
        """Why there is no such version; "" where there is one, also one that cannot be decrypted: admission says so."""
        try:
            self.prompts.version(prompt_id, version)
        except NotFound as error:
            return str(error)
        except KeyDenied:
            pass
        return ""

    def _held_by_another(self, prompt: str, prompt_id: str) -> str | None:
        """The release in flight under the prompt id that the name meant before; None where there is none."""
        before = fixed_id(prompt, self.identities, self.routes)
        return self.releases.holder(before) if before not in ("", prompt_id) else None

    def _newest_unreleased(self, prompt_id: str, records: list[Release]) -> int | None:
        newest = max((r.version for r in records), default=0)
        return max((v for v in self.prompts.versions(prompt_id) if v > newest), default=None)

    def _attempt(self, request: ReleaseRequest, named: tuple[str, str], version: int, records: list[Release]) -> int:
        """Which attempt a request means. NotApplicable when it is a duplicate or there is nothing to release.

        `named`: the prompt's name and id.
        """
        prompt, prompt_id = named
        mine = [r for r in records if r.version == version]
        unfinished = [r for r in mine if not r.ended]
        if unfinished:
            return unfinished[-1].attempt
        if not request.explicit:
            if mine:
                raise NotApplicable(
                    f"version {version} of {prompt} has release records; only an explicit request repeats it"
                )
            newer = [r.version for r in records if r.version > version]
            if newer:
                raise Overtaken(prompt, version, by=max(newer))
            return 1
        if request.request_id and any(r.request_id == request.request_id for r in mine):
            raise NotApplicable("this very request was taken already")
        route = self.routes.get(prompt)
        if route is not None and route.stable.is_version(prompt_id, version):
            raise NotApplicable(f"version {version} of {prompt} is stable already")
        return max((r.attempt for r in mine), default=0) + 1


def supersede(releases: ReleaseStore, prompt_id: str, *, by: int, now: float, asked_for: bool = True) -> list[str]:
    """End the waiting versions that are older than `by`: each gets a record that says so. Returns their release ids.

    `AT_ONCE` of them, the oldest first: after a burst of publications `reconcile` goes on, with `asked_for` False: what
    was asked for since then is left.
    """
    waiting = [w for w in releases.waiting(prompt_id) if w.version < by and (asked_for or not w.explicit)]
    older = waiting[:AT_ONCE]
    if not older:
        return []
    ended: list[str] = []
    records = releases.of_prompt(prompt_id)
    attempts = _attempts(records)
    # Cut off between the record and the end of its waiting, or its answer was lost: it is recorded already.
    done = {(r.version, r.started_at) for r in records if r.outcome is Outcome.SUPERSEDED}
    for one in older:
        name = ""
        if (one.version, one.since) not in done:
            reason = f"version {by} was published while this one waited"
            name = _superseded(releases, one, by=by, now=now, reason=reason, attempt=attempts[one.version] + 1)
        releases.stop_waiting(prompt_id, one.version)  # after it: a version never ends without a record
        if name:
            ended.append(name)
    return ended


def worth_starting(waiting: Waiting, newest: Release | None) -> bool:
    """Whether it is not overtaken: one that is older than a release and not asked for is left to be superseded."""
    return waiting.explicit or newest is None or waiting.version > newest.version


def _attempts(records: Iterable[Release]) -> Counter[int]:
    """The last attempt of every version that has a record."""
    found: Counter[int] = Counter()
    for record in records:
        found[record.version] = max(found[record.version], record.attempt)
    return found


def _superseded(releases: ReleaseStore, waiting: Waiting, *, by: int, now: float, reason: str, attempt: int) -> str:
    """Record that a version was superseded; the release id, "" where there is a record already."""
    name = release_id(waiting.prompt_id, waiting.version, attempt)
    record = Release(
        release_id=name,
        prompt=waiting.prompt,
        started_at=waiting.since,
        requested_by=waiting.requested_by,
        explicit=waiting.explicit,
        state="ended",
        outcome=Outcome.SUPERSEDED,
        reason=reason,
        ended_at=now,
    )
    detail = {"outcome": Outcome.SUPERSEDED.value, "reason": reason, "by_version": by}
    try:
        releases.record_ended(record, TimelineEntry(f"{name}/ended", name, now, Event.ENDED, detail=detail))
    except AlreadyExists:
        return ""
    return name
