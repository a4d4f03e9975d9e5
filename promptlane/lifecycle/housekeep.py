"""Once a day: every version is archived, the oldest ones nobody needs are deleted, and a full shelf is announced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.housekeeping import Shelf, archive_key, archived, from_archive, protected, to_delete
from promptlane.domain.ports import Enrolments, Notices, PromptStore, ReleaseStore, RouteStore


class Archive(Protocol):
    """Objects of the report bucket."""

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        """Write one."""

    def get(self, key: str) -> bytes:
        """Read one; NotFound."""

    def keys(self, prefix: str) -> Iterable[str]:
        """Keys that begin so."""


class Shelves(PromptStore, Protocol):
    """Bedrock Prompt Management, for the only one that may delete."""

    def delete(self, prompt_id: str, version: int) -> None:
        """Delete one numbered version, never the prompt; one that is gone already is fine."""


@dataclass(slots=True)
class Kept:
    """What was done, as `prompt version`."""

    archived: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    nearly_full: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Housekeeping:
    """The stores, and how many versions of a prompt stay and may exist."""

    prompts: Shelves
    enrolments: Enrolments
    routes: RouteStore
    releases: ReleaseStore
    archive: Archive
    notices: Notices
    keep: int
    quota: int
    log: Callable[[str], None]

    def run(self) -> Kept:
        """Look after every enrolled prompt; one that fails does not keep the others waiting."""
        done = Kept()
        for prompt in self.enrolments.names():
            try:
                found = self.prompts.find(prompt)
                if found is not None:
                    self._tidy(prompt, found[0], done)
            except PromptlaneError as error:
                done.failed.append(prompt)
                self.log(f"housekeeping of {prompt}: {error}")
        return done

    def _tidy(self, prompt: str, prompt_id: str, done: Kept) -> None:
        numbers = [number for number, _ in self.prompts.versions(prompt_id)]
        there = set(self.archive.keys(f"archive/{prompt_id}/"))
        fingerprints: dict[int, str] = {}
        for number in numbers:
            version = self.prompts.version(prompt_id, number)
            fingerprints[number] = version.fingerprint
            if archive_key(prompt_id, number) not in there:
                self.archive.put(archive_key(prompt_id, number), archived(version))
                done.archived.append(f"{prompt} {number}")
        kept = self._protected(prompt, prompt_id, fingerprints)
        if kept is None:
            return
        stable = next(v for v, reason in kept.items() if reason == "stable")
        for number in to_delete(numbers, kept, keep=self.keep, stable=stable):
            if self._delete(prompt, prompt_id, number, fingerprints):
                numbers.remove(number)
                done.deleted.append(f"{prompt} {number}")
        shelf = Shelf(prompt, len(numbers), self.quota, kept)
        if shelf.nearly_full:
            done.nearly_full.append(prompt)
            self.notices.publish(f"[Promptlane] {prompt}: {shelf.versions} of {shelf.quota} versions", shelf.warning)

    def _protected(self, prompt: str, prompt_id: str, fingerprints: dict[int, str]) -> dict[int, str] | None:
        """None for a prompt that was never promoted: nobody can tell yet what is needed."""
        route = self.routes.get(prompt)
        if route is None:
            return None
        return protected(route, self.releases.of_prompt(prompt_id), self.releases.waiting(prompt_id), fingerprints)

    def _delete(self, prompt: str, prompt_id: str, number: int, fingerprints: dict[int, str]) -> bool:
        """Delete one version whose archived copy was read back, unless it came into use since the list was made."""
        key = archive_key(prompt_id, number)
        try:
            copy = from_archive(self.archive.get(key), key)
        except NotFound:
            self.log(f"{key} is not in the archive yet; version {number} of {prompt} stays")
            return False
        if copy.fingerprint != fingerprints[number]:
            self.log(f"{key} is not what version {number} of {prompt} holds; it stays")
            return False
        now = self._protected(prompt, prompt_id, fingerprints)
        if now is None or number in now:
            return False
        self.prompts.delete(prompt_id, number)
        return True
