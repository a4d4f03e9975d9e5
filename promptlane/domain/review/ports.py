"""What a review needs from the outside world, beside the stores in `ports`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from promptlane.domain.release.timeline import TimelineEntry
from promptlane.domain.trail import Window

from .code import Seal
from .declared import Declared
from .edits import Edit
from .mail import Mail
from .review import Authors, ReviewDecision, ReviewRequest

Json = Any


class ReviewStore(Protocol):
    """Requests, decisions, marks and secrets of reviews. All reads are consistent."""

    def open(self, request: ReviewRequest, task_token: str) -> ReviewRequest:
        """Store a round's request and the workflow's token, and list it as open; returns what is stored now.

        The same round again changes the task token and the expiry; once it has an outcome, the token only. Conflict
        when a later round is stored.
        """

    def task_token(self, release_id: str, round: int) -> str:
        """The token of the workflow that waits for this round; "" where none is stored."""

    def seal(self, release_id: str, round: int, reviewer: str, seal: Seal) -> Seal:
        """Store a code's seal once; returns the one that is stored, which may be an earlier one."""

    def sealed(self, release_id: str, round: int, reviewer: str) -> Seal | None:
        """The seal of a reviewer's code, None where no email with one was sent."""

    def conceal(self, release_id: str) -> None:
        """Take token and code off a request that an earlier version of Promptlane stored them in."""

    def get(self, release_id: str) -> ReviewRequest | None:
        """The latest round's request, None when no review was ever asked for."""

    def decisions(self, release_id: str, round: int) -> list[ReviewDecision]:
        """The decisions of one round in the order in which they were recorded."""

    def record(self, request: ReviewRequest, decision: ReviewDecision, *entries: TimelineEntry) -> ReviewDecision:
        """Put a decision once, count it on the request and append the entries to the timeline, all or nothing.

        AlreadyExists when this reviewer has decided in this round; Conflict when the request has an outcome, is of
        another round, or somebody else's decision was counted since `request` was read.
        """

    def close(self, request: ReviewRequest, outcome: Mapping[str, Json]) -> None:
        """Set the outcome; Conflict when there is one, or a decision was counted since `request` was read."""

    def note(
        self, request: ReviewRequest, *, authors: Authors | None = None, reach: Mapping[str, str] | None = None
    ) -> None:
        """Write what was learnt meanwhile about authors or subscriptions; nothing happens if the round is over."""

    def mark(self, release_id: str, name: str, at: float) -> bool:
        """Put a mark once (`view#…`, `mailed#…`, `reminder#…`); False when it is there already."""

    def marked(self, release_id: str, prefix: str) -> set[str]:
        """The names of the marks that begin with this prefix."""

    def attempt(self, release_id: str, name: str, most: int) -> int:
        """Count one attempt under a name; returns how many there are now, 0 where there were `most` already."""

    def open_reviews(self) -> list[str]:
        """Release ids of all reviews that are listed as open."""

    def unlist(self, release_id: str) -> None:
        """Take a review off that list."""


class Directory(Protocol):
    """The reviewers whom the deployment declares. Reads are consistent."""

    def declared(self) -> Declared | None:
        """All of them; None where no deployment ever declared any."""


class EditStore(Protocol):
    """Edits and publications of prompts, by prompt id and time. Reads are consistent."""

    def record(self, prompt_id: str, edit: Edit) -> bool:
        """Keep one; False when it is there already. What the history tells takes the place of what an event told."""

    def edits(self, prompt_id: str, since: float = 0.0, until: float | None = None) -> list[Edit]:
        """Those from `since` to `until`, both included in whole seconds, oldest first."""

    def watched(self, prompt_id: str) -> Window | None:
        """Of which time the whole history was recorded; None where it never was."""

    def watch(self, prompt_id: str, window: Window) -> None:
        """Note that it was."""


class Signer(Protocol):
    """A key that signs links and never leaves its vault."""

    def sign(self, message: bytes) -> bytes:
        """32 bytes of HMAC-SHA-256."""

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Whether the signature is this key's for this message."""


class TaskTokens(Protocol):
    """The workflow that waits for an answer."""

    def succeed(self, task_token: str, output: Mapping[str, Json]) -> bool:
        """Answer the waiting step; False when it no longer waits (answered, timed out, or its execution is gone)."""


class Post(Protocol):
    """Email to reviewers, each through an own topic."""

    def reach(self, emails: Sequence[str]) -> dict[str, str]:
        """How email reaches each address: a state that `reach_in_words` knows."""

    def send(self, email: str, mail: Mail) -> None:
        """Send to one reviewer; NotApplicable when a subscription that nobody expects would get it too."""
