"""Keeps who edited and published enrolled prompts, for longer than CloudTrail can look back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from promptlane.domain.errors import AmbiguousName, KeyDenied, NotFound, PromptlaneError
from promptlane.domain.ports import Clock, DraftReader, ReleaseStore
from promptlane.domain.release.content import fingerprint
from promptlane.domain.review.edits import RECORDED, Edit
from promptlane.domain.review.ports import EditStore
from promptlane.domain.trail import CREATE, TRAIL_KEPT, TRAIL_LATE, Trail, TrailEvent, Window, is_creation_of

from .identities import NamedPrompts, holder

_ID: Final = re.compile(r"[0-9A-Za-z]{1,100}")
_AGAIN: Final = 6 * 3600.0
"""Seconds after which the history of a prompt is copied on: LookupEvents gives an account two calls a second."""
_OVERLAP: Final = 3600.0
_MOST: Final = 5_000
"""Events of one name that are read for it, of all prompts of the account."""


@dataclass(frozen=True, kw_only=True)
class EditLog:
    """Records an event when it arrives."""

    prompts: DraftReader
    named: NamedPrompts
    releases: ReleaseStore
    edits: EditStore
    clock: Clock

    def note(self, event: TrailEvent, *, sent_by: str = "") -> bool:
        """Record an edit or a publication of a prompt that is, was or may become an enrolled one; False for any other.

        What the prompt is called in the meantime says nothing: it may have been renamed for the time of an edit. An
        event twice is recorded once.
        """
        if event.name not in RECORDED or event.error or not event.target:
            return False
        asked = event.target.rpartition("prompt/")[2].partition(":")[0]
        try:
            found = self.prompts.find(event.target)
        except AmbiguousName as error:
            if "prompt/" not in event.target:  # a creation that tells no id: of those of the name, time says which
                noted = [self._noted(event, i, (i, error.name), sent_by) for i in error.ids]
                return any(noted)
            found = None
        if found and "prompt/" in event.target and found[0] != asked:
            found = None  # gone; another prompt calls itself what was its id
        return self._noted(event, found[0] if found else asked, found, sent_by)

    def _noted(self, event: TrailEvent, prompt_id: str, found: tuple[str, str] | None, sent_by: str) -> bool:
        if not _ID.fullmatch(prompt_id) or not self._concerns_us(prompt_id, found):
            return False
        if found and event.name == CREATE and not self._created(event, prompt_id):
            return False
        newest, draft = self._now(prompt_id) if found else (0, "")
        return self.edits.record(
            prompt_id, Edit(event, arrived=self.clock(), newest=newest, draft=draft, sent_by=sent_by)
        )

    def _concerns_us(self, prompt_id: str, found: tuple[str, str] | None) -> bool:
        enrolled = found is not None and self.named.enrolments.enrolled(found[1])
        return enrolled or self._was_enrolled(prompt_id) or self._is_meant(prompt_id, found is not None)

    def _is_meant(self, prompt_id: str, exists: bool) -> bool:
        """Whether some enrolled name means it, or means none yet, so that any prompt may come to be the one."""
        meanings = self.named.meanings(self.named.enrolments.names()).values()
        return any(prompt_id in meant or (exists and not meant) for meant in meanings)

    def _created(self, event: TrailEvent, prompt_id: str) -> bool:
        """Whether a creation is this prompt's: one that is known by its name alone may be another's."""
        return is_creation_of(event, prompt_id, self.prompts.created_at(prompt_id))

    def _was_enrolled(self, prompt_id: str) -> bool:
        return self.edits.watched(prompt_id) is not None or self.releases.newest(prompt_id) is not None

    def _now(self, prompt_id: str) -> tuple[int, str]:
        """The newest version, and what the draft holds: hints, so that no event is lost for want of them."""
        newest, draft = 0, ""
        with suppress(NotFound, KeyDenied, ValueError, TypeError, AttributeError):  # deleted, or of an unknown form
            newest = max(self.prompts.versions(prompt_id), default=0)
            draft = fingerprint(self.prompts.draft_variants(prompt_id))
        return newest, draft


@dataclass(frozen=True, kw_only=True)
class EditSweep:
    """Copies what CloudTrail's history has of enrolled prompts: events that EventBridge lost, or that were before."""

    named: NamedPrompts
    trail: Trail
    edits: EditStore
    clock: Clock
    log: Callable[[str], None]
    late: float = TRAIL_LATE

    def run(self, names: Sequence[str] | None = None) -> list[str]:
        """Copy for the prompts where it is due, of these names or of all enrolled ones; one that fails stays due.

        What joins an earlier copy is read over one period for all of them: CloudTrail is asked for events by their
        name, whichever prompt they are about, so that is as many calls as for one.
        """
        due: list[tuple[float, str, str]] = []
        for name in names if names is not None else self.named.enrolments.names():
            try:
                for prompt_id in self._meant(name):
                    watched = self.edits.watched(prompt_id)
                    if watched is None or watched.until < self.clock() - self.late - _AGAIN:
                        due.append((watched.until if watched else 0.0, name, prompt_id))
            except PromptlaneError as error:
                self.log(f"finding the prompt that {name} means: {error}")
        done = []
        now = self.clock()
        joining = [until for until, _, _ in due if until - _OVERLAP >= now - TRAIL_KEPT]
        since = min(joining, default=now) - _OVERLAP
        for _, name, prompt_id in sorted(due):
            try:
                if self._swept(prompt_id, name, now, since):
                    done.append(name)
            except PromptlaneError as error:
                self.log(f"copying who edited {name}: {error}")
        return done

    def _meant(self, name: str) -> list[str]:
        """The prompts that the name means, whatever they are called now; without any, the one that has the name."""
        prompts = self.named.prompts
        there = [i for i in self.named.every(name) if prompts.name_of(i) is not None]
        return there or list(filter(None, [holder(prompts, name)]))

    def _swept(self, prompt_id: str, name: str, now: float, joined: float) -> bool:
        oldest = max(0.0, now - TRAIL_KEPT)
        watched = self.edits.watched(prompt_id)
        joins = watched is not None and watched.until - _OVERLAP >= oldest
        since = joined if joins else oldest
        told = self.trail.events(prompt_id, name, names=RECORDED, window=Window(since, now), most=_MOST)
        created = self.named.prompts.created_at(prompt_id)
        for event in told.events:
            if not event.error and is_creation_of(event, prompt_id, created):
                self.edits.record(prompt_id, Edit(event, arrived=now, told_by="history"))
        if told.failed or told.truncated or told.unreadable:
            self.log(f"the history of {name} is not whole: {told.failure or 'events are missing or cannot be read'}")
            return False
        self.edits.watch(prompt_id, Window(watched.since if watched and joins else oldest, now - self.late))
        return True
