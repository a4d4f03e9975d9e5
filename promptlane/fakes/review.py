"""The ports of a review, in memory."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptlane.domain.errors import AlreadyExists, Conflict, InvalidInput, NotApplicable
from promptlane.domain.release.timeline import TimelineEntry
from promptlane.domain.review.code import Seal
from promptlane.domain.review.declared import Declared
from promptlane.domain.review.mail import Mail
from promptlane.domain.review.review import Authors, ReviewDecision, ReviewRequest, numbered
from promptlane.domain.trail import TrailAnswer, TrailEvent, Window

from .limits import check_message
from .stores import InMemoryReleases

Json = Any


class InMemoryReviews:
    """`ReviewStore` in memory, thread safe. `releases` has the timelines."""

    def __init__(self, releases: InMemoryReleases) -> None:
        self._releases = releases
        self._lock = threading.RLock()
        self._requests: dict[str, ReviewRequest] = {}
        self._decisions: dict[tuple[str, int], dict[str, ReviewDecision]] = {}
        self._marks: dict[str, dict[str, float]] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._tokens: dict[tuple[str, int], str] = {}
        self._seals: dict[tuple[str, int, str], Seal] = {}
        self._open: set[str] = set()

    def open(self, request: ReviewRequest, task_token: str) -> ReviewRequest:
        with self._lock:
            stored = self._requests.get(request.release_id)
            if stored is not None and stored.round > request.round:
                raise Conflict(f"round {stored.round} of the review of {request.release_id} was asked for already")
            if stored is not None and stored.round == request.round:
                expires = request.expires_at if stored.outcome is None else stored.expires_at
                request = replace(stored, expires_at=expires)
            self._tokens[request.release_id, request.round] = task_token
            self._requests[request.release_id] = ReviewRequest.from_item(request.to_item())
            self._open.add(request.release_id)
            return self._requests[request.release_id]

    def task_token(self, release_id: str, round: int) -> str:
        with self._lock:
            return self._tokens.get((release_id, round), "")

    def seal(self, release_id: str, round: int, reviewer: str, seal: Seal) -> Seal:
        with self._lock:
            return self._seals.setdefault((release_id, round, reviewer), seal)

    def sealed(self, release_id: str, round: int, reviewer: str) -> Seal | None:
        with self._lock:
            return self._seals.get((release_id, round, reviewer))

    def conceal(self, release_id: str) -> None:
        """Nothing here was stored by an earlier version."""

    def get(self, release_id: str) -> ReviewRequest | None:
        with self._lock:
            return self._requests.get(release_id)

    def decisions(self, release_id: str, round: int) -> list[ReviewDecision]:
        with self._lock:
            return sorted(self._decisions.get((release_id, round), {}).values(), key=lambda d: d.number)

    def record(self, request: ReviewRequest, decision: ReviewDecision, *entries: TimelineEntry) -> ReviewDecision:
        with self._lock:
            recorded = self._decisions.setdefault((request.release_id, request.round), {})
            if decision.reviewer in recorded or self._releases.has_any(entries):
                raise AlreadyExists(f"{decision.by} has decided about {request.release_id} already")
            stored = self._unmoved(request)
            counted, decision = numbered(stored, decision)
            self._requests[request.release_id] = counted
            recorded[decision.reviewer] = ReviewDecision.from_dict(decision.to_dict())
            for entry in entries:
                self._releases.append(entry)
            return decision

    def close(self, request: ReviewRequest, outcome: Mapping[str, Json]) -> None:
        with self._lock:
            self._requests[request.release_id] = replace(self._unmoved(request), outcome=dict(outcome))

    def _unmoved(self, request: ReviewRequest) -> ReviewRequest:
        stored = self._requests.get(request.release_id)
        same = stored is not None and (stored.round, stored.decisions) == (request.round, request.decisions)
        if stored is None or not same or stored.outcome is not None:
            raise Conflict(f"the review of {request.release_id} moved on meanwhile")
        return stored

    def note(
        self, request: ReviewRequest, *, authors: Authors | None = None, reach: Mapping[str, str] | None = None
    ) -> None:
        with self._lock:
            stored = self._requests.get(request.release_id)
            if stored is None or stored.round != request.round or stored.outcome is not None:
                return
            self._requests[request.release_id] = replace(
                stored, authors=authors or stored.authors, reach=stored.reach if reach is None else dict(reach)
            )

    def mark(self, release_id: str, name: str, at: float) -> bool:
        with self._lock:
            marks = self._marks.setdefault(release_id, {})
            if name in marks:
                return False
            marks[name] = at
            return True

    def marked(self, release_id: str, prefix: str) -> set[str]:
        with self._lock:
            return {name for name in self._marks.get(release_id, {}) if name.startswith(prefix)}

    def attempt(self, release_id: str, name: str, most: int) -> int:
        with self._lock:
            count = self._attempts.get((release_id, name), 0)
            if count >= most:
                return 0
            self._attempts[release_id, name] = count + 1
            return count + 1

    def open_reviews(self) -> list[str]:
        with self._lock:
            return sorted(self._open)

    def unlist(self, release_id: str) -> None:
        with self._lock:
            self._open.discard(release_id)


class FakeDirectory:
    """`Directory` that a test fills; None until it does, as where nobody was ever declared."""

    def __init__(self, found: Declared | None = None) -> None:
        self.found = found

    def declared(self) -> Declared | None:
        return self.found


class FakeSigner:
    """`Signer` with a key that is known; only for tests."""

    def __init__(self, key: bytes = b"not a secret") -> None:
        self._key = key

    def sign(self, message: bytes) -> bytes:
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def verify(self, message: bytes, mac: bytes) -> bool:
        return hmac.compare_digest(self.sign(message), mac)


class FakeTokens:
    """`TaskTokens` that remember every answer; a token is answered once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answers: dict[str, Mapping[str, Json]] = {}

    def succeed(self, task_token: str, output: Mapping[str, Json]) -> bool:
        if not 1 <= len(task_token) <= 2048:
            raise InvalidInput(f"a task token of {len(task_token)} characters; Step Functions takes 1 to 2,048")
        with self._lock:
            if task_token in self.answers:
                return False
            self.answers[task_token] = dict(output)
            return True


class FakeTrail:
    """`Trail` with the events that a test puts in, all of them about the prompt."""

    def __init__(self, *found: TrailEvent) -> None:
        self.found = list(found)

    def events(
        self,
        prompt_id: str,
        name: str,
        *,
        names: Sequence[str],
        window: Window,
        most: int = 1000,
        models: Sequence[str] = (),
    ) -> TrailAnswer:
        found = [e for e in self.found if e.name in names and int(window.since) <= e.at <= window.until]
        return TrailAnswer(tuple(found[:most]))

    def logging(self) -> list[str]:
        return ["promptlane"]


class FakePost:
    """`Post` that keeps what it sends. `states` overrides how email reaches an address."""

    def __init__(self, states: Mapping[str, str] | None = None) -> None:
        self.states = dict(states or {})
        self.sent: list[tuple[str, Mail]] = []

    def reach(self, emails: Sequence[str]) -> dict[str, str]:
        return {email: self.states.get(email, "confirmed") for email in emails}

    def send(self, email: str, mail: Mail) -> None:
        if self.states.get(email) == "unexpected":
            raise NotApplicable("a subscription that nobody expects would get this email too")
        check_message(mail.subject, mail.body)
        self.sent.append((email, mail))
