"""Once a day: every version is archived, the oldest ones nobody needs are deleted, and a quota nearly met is announced.

What applications read of the versions that a route names is put where it is missing: `admit` put nothing before 0.2.

Timeline entries that have no locked copy get one. For one prompt also when a release of it starts, and before
`restore`: Bedrock holds ten versions of a prompt, and a day with several publications would meet that before its night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.names import prompt_id_of
from promptlane.domain.ports import (
    Clock,
    Contents,
    Cursors,
    Enrolments,
    Identities,
    LockedCopies,
    Notices,
    Objects,
    PromptDeleter,
    ReleaseStore,
    RouteStore,
)
from promptlane.domain.release.content import content
from promptlane.domain.release.housekeeping import (
    VersionQuota,
    archive_key,
    archived,
    from_archive,
    protected,
    related,
    to_delete,
)
from promptlane.domain.release.meant import Identity
from promptlane.domain.release.route import Route

from .copies import copy_missing, settled
from .identities import NamedPrompts, holder, standing
from .listed_prompts import ListedPrompts
from .signs import in_turn

_RUN: Final = "housekeep"
_NOTED: Final = 25
"""Prompts after which a run notes where it is, so that one that dies goes on there."""


@dataclass(slots=True)
class Tidied:
    """What was done, as `prompt version`; `copied` as `release entry`; `failed` with what was wrong."""

    archived: list[str] = field(default_factory=list)
    readable: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    nearly_full: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: int = 0
    """Prompts that have their turn the next time."""


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """The stores, and how many versions of a prompt stay and may exist. `copies`: None without an audit bucket."""

    prompts: PromptDeleter
    enrolments: Enrolments
    identities: Identities
    routes: RouteStore
    releases: ReleaseStore
    archive: Objects
    contents: Contents
    cursors: Cursors
    copies: LockedCopies | None
    notices: Notices
    clock: Clock
    keep: int
    quota: int
    log: Callable[[str], None]

    def run(self, only: str = "", *, keep_going: Callable[[], bool] = lambda: True) -> Tidied:
        """Look after every enrolled prompt; what fails keeps nothing else waiting, and people are told of it.

        `only`: make room for this prompt alone, if it is enrolled; copies of timelines are left to the daily run. That
        one begins where the last one stopped, and stops where `keep_going` says so.
        """
        done = Tidied()
        names = list(self.enrolments.names())
        run = _Run(self, names)
        names = [name for name in names if name == only] if only else in_turn(names, self.cursors.get(_RUN))
        for i, prompt in enumerate(names):
            with self._telling(prompt, done):
                self._look_after(prompt, run, done, copies=None if only else self.copies)
            done.left = len(names) - i - 1
            if not only and (i % _NOTED == _NOTED - 1 or not keep_going()):
                self.cursors.put(_RUN, prompt)
            if not keep_going():
                break
        if done.left:
            self.log(f"housekeeping stopped in time; {done.left} prompts are looked after first the next time")
        if done.failed:
            self._tell_failures(done.failed)
        return done

    def _look_after(self, prompt: str, run: _Run, done: Tidied, *, copies: LockedCopies | None) -> None:
        prompt_id = run.named.fixed(prompt) or holder(run.prompts, prompt)
        if not prompt_id:
            return
        with self._telling(prompt, done):
            self._tidy(prompt, prompt_id, run, done)
        with self._telling(prompt, done):
            self._make_readable(prompt, run, done)
        if copies is not None:
            self._copy(copies, prompt_id, done)

    def _make_readable(self, prompt: str, run: _Run, done: Tidied) -> None:
        """A reference with a fingerprint of the first schema names no bytes: applications ask Bedrock for that one."""
        named = [ref for route in run.routes if route.prompt == prompt for ref in route.named]
        if not named:
            return
        there = set(self.contents.kept(prompt))
        for ref in named:
            if ref.fingerprint in there:
                continue
            there.add(ref.fingerprint)
            version = self.prompts.version(prompt_id_of(ref.arn), ref.version)
            if version.fingerprint == ref.fingerprint:
                self.contents.put(prompt, ref.fingerprint, content(version.variants))
                done.readable.append(f"{prompt} {ref.version}")

    def _tell_failures(self, failed: Sequence[str]) -> None:
        lines = "\n".join(f"  {failure}" for failure in failed)
        body = f"Housekeeping could not do everything:\n{lines}\n\n"
        body += "It tries again tomorrow. The log of `housekeep` has the same lines."
        try:
            self.notices.publish(f"[Promptlane] housekeeping: {len(failed)} failed", body)
        except PromptlaneError as error:
            self.log(f"telling people what housekeeping could not do: {error}")

    @contextmanager
    def _telling(self, what: str, done: Tidied) -> Iterator[None]:
        """Note a failure and go on."""
        try:
            yield
        except PromptlaneError as error:
            done.failed.append(f"{what}: {error}")
            self.log(f"housekeeping of {what}: {error}")

    def _tidy(self, prompt: str, prompt_id: str, run: _Run, done: Tidied) -> None:
        """Archive, and delete where the name still means this prompt."""
        numbers = self.prompts.versions(prompt_id)
        self._archive(prompt, prompt_id, numbers, done)
        run.named.standing(prompt, prompt_id).demand()
        kept = self._protected(prompt_id, numbers, run)
        deletable = to_delete(numbers, kept, keep=self.keep)
        if deletable:
            standing(self.prompts, prompt, prompt_id).demand()  # the list may be minutes old
        for number in deletable:
            with self._telling(f"{prompt} {number}", done):
                if self._delete(prompt, prompt_id, number, run):
                    numbers.remove(number)
                    done.deleted.append(f"{prompt} {number}")
        use = VersionQuota(prompt, len(numbers), self.quota, kept)
        if use.nearly_full:
            done.nearly_full.append(prompt)
            with self._telling(prompt, done):
                self.notices.publish(f"[Promptlane] {prompt}: {use.versions} of {use.quota} versions", use.warning)

    def _archive(self, prompt: str, prompt_id: str, numbers: list[int], done: Tidied) -> None:
        """Archive what is not in the archive yet."""
        there = set(self.archive.keys(f"archive/{prompt_id}/"))
        for number in numbers:
            if archive_key(prompt_id, number) in there:
                continue
            with self._telling(f"{prompt} {number}", done):
                self.archive.put(archive_key(prompt_id, number), archived(self.prompts.version(prompt_id, number)))
                done.archived.append(f"{prompt} {number}")

    def _protected(self, prompt_id: str, numbers: list[int], run: _Run, *, now: bool = False) -> dict[int, str]:
        """By all routes, whatever they are called; one that cannot be read protects everything, since this raises.

        `now`: by the routes as they are at this moment, not as this run read them first.
        """
        routes = self.routes.all() if now else run.routes
        # A release of another prompt id may compare with a version of this one: under a name that changed its prompt.
        known = {prompt_id, *related(prompt_id, routes, run.identities.values())}
        return protected(
            prompt_id,
            numbers,
            routes=routes,
            releases=[release for each in sorted(known) for release in self.releases.of_prompt(each)],
            waiting=self.releases.waiting(prompt_id),
        )

    def _delete(self, prompt: str, prompt_id: str, number: int, run: _Run) -> bool:
        """Delete one version whose archived copy was read back, unless it came into use since the list was made."""
        key = archive_key(prompt_id, number)
        try:
            copy = from_archive(self.archive.get(key), key)
        except NotFound:
            self.log(f"{key} is not in the archive yet; version {number} of {prompt} stays")
            return False
        if copy.fingerprint != self.prompts.version(prompt_id, number).fingerprint:
            self.log(f"{key} is not what version {number} of {prompt} holds; it stays")
            return False
        if number in self._protected(prompt_id, [number], run, now=True):
            return False
        self.prompts.delete(prompt_id, number)
        return True

    def _copy(self, copies: LockedCopies, prompt_id: str, done: Tidied) -> None:
        """`relay` copies each entry within seconds; what it gave up on is copied here."""
        now = self.clock()
        for release in self.releases.of_prompt(prompt_id):
            if settled(release, now):
                continue
            name = release.release_id
            with self._telling(f"release {name}", done):
                numbers = copy_missing(copies, self.releases, release, now=now)
                done.copied += [f"{name} {number}" for number in numbers]


class _Run:
    """What one run reads once, however many prompts it looks after."""

    def __init__(self, of: Housekeeping, names: Sequence[str]) -> None:
        self._of, self._names = of, names
        self.prompts = ListedPrompts(of.prompts)
        self.named = NamedPrompts(
            prompts=self.prompts, enrolments=of.enrolments, identities=of.identities, routes=of.routes
        )

    @cached_property
    def routes(self) -> list[Route]:
        return self._of.routes.all()

    @cached_property
    def identities(self) -> Mapping[str, Identity]:
        return self._of.identities.of(self._names)
