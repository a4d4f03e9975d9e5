"""Keeps who edited and published enrolled prompts, for longer than CloudTrail can look back."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.ports import Clock, DraftReader, Enrolments, PromptReader, ReleaseStore
from promptlane.domain.release.content import fingerprint
from promptlane.domain.review.edits import RECORDED, Edit
from promptlane.domain.review.ports import EditStore
from promptlane.domain.trail import TRAIL_KEPT, TRAIL_LATE, Trail, TrailEvent, Window

_ID: Final = re.compile(r"[0-9A-Za-z]{1,100}")
_AGAIN: Final = 6 * 3600.0
"""Seconds after which the history of a prompt is copied on: LookupEvents gives all of an account two calls a second."""
_OVERLAP: Final = 3600.0
_AT_ONCE: Final = 5
"""Prompts whose history is copied in one run."""
_MOST: Final = 5_000
"""Events of one name that are read for it, of all prompts of the account."""


@dataclass(frozen=True, kw_only=True)
class EditLog:
    """Records an event when it arrives."""

    prompts: DraftReader
    enrolments: Enrolments
    releases: ReleaseStore
    edits: EditStore
    clock: Clock

    def note(self, event: TrailEvent, *, sent_by: str = "") -> bool:
        """Record an edit or a publication of a prompt that is, or was, enrolled; False where nothing is to be recorded.

        A prompt that was enrolled stays one: it may have been renamed for the time of an edit. An event twice is
        recorded once.
        """
        if event.name not in RECORDED or event.error or not event.target:
            return False
        found = self.prompts.find(event.target)
        prompt_id = found[0] if found else event.target.rpartition("prompt/")[2].partition(":")[0]
        enrolled = found is not None and self.enrolments.enrolled(found[1])
        if not _ID.fullmatch(prompt_id) or not (enrolled or self._was_enrolled(prompt_id)):
            return False
        newest, draft = self._now(prompt_id) if found else (0, "")
        return self.edits.record(
            prompt_id, Edit(event, arrived=self.clock(), newest=newest, draft=draft, sent_by=sent_by)
        )

    def _was_enrolled(self, prompt_id: str) -> bool:
        return self.edits.watched(prompt_id) is not None or bool(self.releases.of_prompt(prompt_id))

    def _now(self, prompt_id: str) -> tuple[int, str]:
        """The newest version, and what the draft holds: hints, so that no event is lost for want of them."""
        newest, draft = 0, ""
        with suppress(NotFound, ValueError, TypeError, AttributeError):  # deleted meanwhile, or of an unknown form
            newest = max(self.prompts.versions(prompt_id), default=0)
            draft = fingerprint(self.prompts.draft_variants(prompt_id))
        return newest, draft


@dataclass(frozen=True, kw_only=True)
class EditSweep:
    """Copies what CloudTrail's history has of enrolled prompts: events that EventBridge lost, or that were before."""

    prompts: PromptReader
    enrolments: Enrolments
    trail: Trail
    edits: EditStore
    clock: Clock
    log: Callable[[str], None]
    late: float = TRAIL_LATE

    def run(self) -> list[str]:
        """Copy for the prompts where it is due, some at a time; their names. One that fails stays due."""
        due: list[tuple[float, str, str]] = []
        for name in self.enrolments.names():
            found = self.prompts.find(name)
            if found is not None:
                watched = self.edits.watched(found[0])
                if watched is None or watched.until < self.clock() - self.late - _AGAIN:
                    due.append((watched.until if watched else 0.0, name, found[0]))
        done = []
        for _, name, prompt_id in sorted(due)[:_AT_ONCE]:
            try:
                if self._swept(prompt_id, name):
                    done.append(name)
            except PromptlaneError as error:
                self.log(f"copying who edited {name}: {error}")
        return done

    def _swept(self, prompt_id: str, name: str) -> bool:
        now = self.clock()
        oldest = max(0.0, now - TRAIL_KEPT)
        watched = self.edits.watched(prompt_id)
        joins = watched is not None and watched.until - _OVERLAP >= oldest
        since = watched.until - _OVERLAP if watched and joins else oldest
        told = self.trail.events(prompt_id, name, names=RECORDED, window=Window(since, now), most=_MOST)
        for event in told.events:
            if not event.error:
                self.edits.record(prompt_id, Edit(event, arrived=now, told_by="history"))
        if told.failed or told.truncated or told.unreadable:
            self.log(f"the history of {name} is not whole: {told.failure or 'events are missing or cannot be read'}")
            return False
        self.edits.watch(prompt_id, Window(watched.since if watched and joins else oldest, now - self.late))
        return True
