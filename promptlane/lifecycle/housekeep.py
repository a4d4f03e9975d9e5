"""Once a day: every version is archived, the oldest ones nobody needs are deleted, and a quota nearly met is announced.

Timeline entries that have no locked copy get one. For one prompt also when a release of it starts, and before
`restore`: Bedrock holds ten versions of a prompt, and a day with several publications would meet that before its night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.ports import (
    Clock,
    Enrolments,
    Identities,
    LockedCopies,
    Notices,
    Objects,
    PromptDeleter,
    ReleaseStore,
    RouteStore,
)
from promptlane.domain.release.housekeeping import (
    VersionQuota,
    archive_key,
    archived,
    from_archive,
    protected,
    to_delete,
)
from promptlane.domain.release.meant import Standing

from .copies import copy_missing
from .identities import NamedPrompts, holder


@dataclass(slots=True)
class Tidied:
    """What was done, as `prompt version`; `copied` as `release entry`; `failed` with what was wrong."""

    archived: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    nearly_full: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """The stores, and how many versions of a prompt stay and may exist. `copies`: None without an audit bucket."""

    prompts: PromptDeleter
    enrolments: Enrolments
    identities: Identities
    routes: RouteStore
    releases: ReleaseStore
    archive: Objects
    copies: LockedCopies | None
    notices: Notices
    clock: Clock
    keep: int
    quota: int
    log: Callable[[str], None]

    def run(self, only: str = "") -> Tidied:
        """Look after every enrolled prompt; what fails keeps nothing else waiting, and people are told of it.

        `only`: make room for this prompt alone, if it is enrolled; copies of timelines are left to the daily run.
        """
        done = Tidied()
        named = NamedPrompts(
            prompts=self.prompts, enrolments=self.enrolments, identities=self.identities, routes=self.routes
        )
        for prompt in (name for name in self.enrolments.names() if only in ("", name)):
            with self._telling(prompt, done):
                fixed = named.fixed(prompt)
                prompt_id = fixed or holder(self.prompts, prompt)
                if not prompt_id:
                    continue
                with self._telling(prompt, done):
                    self._tidy(prompt, prompt_id, done, named.standing(prompt, prompt_id))
                if self.copies is not None and not only:
                    self._copy(self.copies, prompt_id, done)
        if done.failed:
            self._tell_failures(done.failed)
        return done

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

    def _tidy(self, prompt: str, prompt_id: str, done: Tidied, standing: Standing) -> None:
        """Archive, and delete where the name still means this prompt."""
        numbers = self.prompts.versions(prompt_id)
        fingerprints = self._archive(prompt, prompt_id, numbers, done)
        standing.demand()
        kept = self._protected(prompt_id, numbers)
        for number in to_delete(numbers, kept, keep=self.keep):
            with self._telling(f"{prompt} {number}", done):
                if self._delete(prompt, prompt_id, number, fingerprints):
                    numbers.remove(number)
                    done.deleted.append(f"{prompt} {number}")
        use = VersionQuota(prompt, len(numbers), self.quota, kept)
        if use.nearly_full:
            done.nearly_full.append(prompt)
            with self._telling(prompt, done):
                self.notices.publish(f"[Promptlane] {prompt}: {use.versions} of {use.quota} versions", use.warning)

    def _archive(self, prompt: str, prompt_id: str, numbers: list[int], done: Tidied) -> dict[int, str]:
        """Archive what is not in the archive yet; the fingerprints of the versions that could be read."""
        there = set(self.archive.keys(f"archive/{prompt_id}/"))
        fingerprints: dict[int, str] = {}
        for number in numbers:
            with self._telling(f"{prompt} {number}", done):
                version = self.prompts.version(prompt_id, number)
                fingerprints[number] = version.fingerprint
                if archive_key(prompt_id, number) not in there:
                    self.archive.put(archive_key(prompt_id, number), archived(version))
                    done.archived.append(f"{prompt} {number}")
        return fingerprints

    def _protected(self, prompt_id: str, numbers: list[int]) -> dict[int, str]:
        """By all routes, whatever they are called; one that cannot be read protects everything, since this raises."""
        routes = self.routes.all()
        # A release of another prompt id may compare with a version of this one: under a name that changed its prompt.
        known = {prompt_id, *(route.prompt_id for route in routes), *map(self._fixed, self.enrolments.names())} - {""}
        return protected(
            prompt_id,
            numbers,
            routes=routes,
            releases=[release for each in sorted(known) for release in self.releases.of_prompt(each)],
            waiting=self.releases.waiting(prompt_id),
        )

    def _fixed(self, prompt: str) -> str:
        identity = self.identities.get(prompt)
        return identity.prompt_id if identity else ""

    def _delete(self, prompt: str, prompt_id: str, number: int, fingerprints: Mapping[int, str]) -> bool:
        """Delete one version whose archived copy was read back, unless it came into use since the list was made."""
        key = archive_key(prompt_id, number)
        try:
            copy = from_archive(self.archive.get(key), key)
        except NotFound:
            self.log(f"{key} is not in the archive yet; version {number} of {prompt} stays")
            return False
        if copy.fingerprint != fingerprints.get(number):
            self.log(f"{key} is not what version {number} of {prompt} holds; it stays")
            return False
        if number in self._protected(prompt_id, [number]):
            return False
        self.prompts.delete(prompt_id, number)
        return True

    def _copy(self, copies: LockedCopies, prompt_id: str, done: Tidied) -> None:
        """`relay` copies each entry within seconds; what it gave up on is copied here."""
        kept = copies.kept(prompt_id)
        for release in self.releases.of_prompt(prompt_id):
            name = release.release_id
            with self._telling(f"release {name}", done):
                numbers = copy_missing(copies, self.releases, release, kept.get(name, ()), now=self.clock())
                done.copied += [f"{name} {number}" for number in numbers]
