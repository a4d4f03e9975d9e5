"""Telling people: owed with the entry that says what happened, until it is done.

Whoever ends, moves or takes back a version owes its notice in the same write (`ReleaseStore.owed`), sends it at once
and notes that. A step that is cut off in between, a notices topic that does not answer, an answer that was lost: the
notice stays owed, and `reconcile`, or whoever writes next, sends it. Sent twice is possible, never is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from promptlane.domain.names import parse_release_id
from promptlane.domain.ports import Clock, Notices, ReleaseStore
from promptlane.domain.release.notice import is_told, notice_of
from promptlane.domain.release.timeline import TimelineEntry

LATE: Final = 120.0
"""Seconds after which a notice that is still owed is everybody's to send: its writer had the time to."""
AT_ONCE: Final = 50
"""Notices that one call sends: what a long outage of the topic left is sent by several, in turn."""


@dataclass(frozen=True, kw_only=True)
class Telling:
    """What sends notices that are owed."""

    releases: ReleaseStore
    notices: Notices
    clock: Clock
    log: Callable[[str], None]

    def settle(self, release_id: str = "", *, prompt: str = "") -> int:
        """Send what is owed of this release, and what is owed too long of any; how many could not be sent.

        `prompt`: the name of the release's prompt, where the caller knows it. Never raises: what is left stays owed,
        and is logged.
        """
        try:
            mine = self.releases.owed(release_id) if release_id else []
            late = [entry for entry in self.releases.owed() if entry.at <= self.clock() - LATE]
        except Exception as error:  # noqa: BLE001 - telling is owed, and must not undo what is told
            self.log(f"reading which notices are owed: {error}")
            return 1
        due = {(entry.release_id, entry.id): entry for entry in (*mine, *late)}
        return sum(not self._tell(entry, prompt) for entry in list(due.values())[:AT_ONCE])

    def at_once(self, entry: TimelineEntry, *, prompt: str) -> None:
        """Send the notice of an entry that no timeline holds yet, since its table does not answer. It stays owed."""
        if is_told(entry):
            _, version, _ = parse_release_id(entry.release_id)
            self._send(entry, prompt, version)

    def _tell(self, entry: TimelineEntry, prompt: str) -> bool:
        try:
            prompt_id, version, _ = parse_release_id(entry.release_id)
            release = self.releases.find(entry.release_id)
            self._send(entry, release.prompt if release else prompt or prompt_id, version)
            self.releases.told(entry)
        except Exception as error:  # noqa: BLE001 - one that cannot be sent does not keep the others waiting
            self.log(f"telling people of {entry.id}: {error}")
            return False
        return True

    def _send(self, entry: TimelineEntry, prompt: str, version: int) -> None:
        notice = notice_of(entry, prompt=prompt, version=version)
        self.notices.publish(notice.subject, notice.body, id=notice.id)
