"""Who wrote what a release changes: asked of CloudTrail and of what was recorded, and asked again until it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from promptlane.domain.errors import NotFound, PromptlaneError
from promptlane.domain.names import parse_release_id
from promptlane.domain.policy import Reviewer
from promptlane.domain.ports import Clock, PromptReader, ReleaseStore
from promptlane.domain.release.content import is_content_of
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.attribution import Question, attribute, with_recorded
from promptlane.domain.review.edits import RECORDED, Known, merged
from promptlane.domain.review.ports import EditStore, ReviewStore
from promptlane.domain.review.review import Authors, ReviewDecision, ReviewRequest
from promptlane.domain.review.rules import Standing, tally
from promptlane.domain.trail import CREATE, TRAIL_KEPT, TRAIL_LATE, Trail, TrailAnswer, Window, is_creation_of

from .review_desk import entry_of

_OVERLAP: Final = 3600.0
"""Seconds that the history is read again for, beside what was copied of it."""


@dataclass(frozen=True)
class AuthorSearch:
    """Finds the authors of what a release changes. `late`: how late CloudTrail may deliver an event, seconds."""

    trail: Trail
    edits: EditStore
    prompts: PromptReader
    releases: ReleaseStore
    clock: Clock
    late: float = TRAIL_LATE

    def __call__(self, release: Release, reviewers: Sequence[Reviewer], begun: float | None = None) -> Authors:
        """`begun`: when the review asked first, epoch seconds; now, where this is the first time."""
        now = self.clock()
        others = self.releases.of_prompt(release.prompt_id)
        seen_at = min([release.started_at, *(r.started_at for r in others if r.version == release.version)])
        bound = self._bound(release, others)
        question = Question(
            version=release.version,
            bound=bound,
            seen_at=seen_at,
            now=now,
            late=self.late,
            begun=now if begun is None else begun,
        )
        return attribute(self._known(release, now), reviewers, question)

    def again(self, request: ReviewRequest) -> Authors:
        """The same for a review that is under way; once nothing more is due, only what arrived since is added."""
        reviewers = request.policy.reviewers
        if not request.authors.complete:
            return self(self.releases.get(request.release_id), reviewers, request.requested_at)
        return since_recorded(self.edits, request)

    def _bound(self, release: Release, others: Sequence[Release]) -> int:
        """The lowest version that holds what stable holds; 0 where the candidate is a first or an older one."""
        if release.stable is None:
            return 0
        held, lowest = release.stable.fingerprint, release.stable.version
        same = [r.version for r in others if r.candidate and r.candidate.fingerprint == held]
        for number in self.prompts.versions(release.prompt_id):
            if number < lowest and number not in same:
                try:
                    there = is_content_of(held, self.prompts.version(release.prompt_id, number).variants)
                except NotFound:
                    continue  # deleted meanwhile
                same += [number] if there else []
        bound = min([lowest, *same])
        return bound if bound < release.version else 0

    def _known(self, release: Release, now: float) -> Known:
        recorded = self.edits.edits(release.prompt_id)
        watched = self.edits.watched(release.prompt_id)
        since = max(0.0, now - TRAIL_KEPT)
        if watched is not None and watched.until > since:
            since = max(since, watched.until - _OVERLAP)
        asked = Window(since, now)
        try:
            told = self.trail.events(release.prompt_id, release.prompt, names=RECORDED, window=asked)
        except PromptlaneError as error:
            told = TrailAnswer((), failed=RECORDED, failure=str(error))
        if any(e.name == CREATE for e in (*told.events, *(r.event for r in recorded))):
            created = self.prompts.created_at(release.prompt_id)
            own = partial(is_creation_of, prompt_id=release.prompt_id, created=created)
            told = replace(told, events=tuple(filter(own, told.events)))
            recorded = [edit for edit in recorded if own(edit.event)]
        return merged(told, asked, recorded, watched, settled=now - self.late)


def since_recorded(edits: EditStore, request: ReviewRequest) -> Authors:
    """The authors of a request, and those whom recorded events name by now."""
    authors = request.authors
    if not authors.until:
        return authors
    prompt_id, _, _ = parse_release_id(request.release_id)
    recorded = edits.edits(prompt_id, authors.since, authors.until + 1)
    return with_recorded(authors, recorded, request.policy.reviewers)


@dataclass(frozen=True)
class ApprovalCheck:
    """Asks before the first shift whether the approval still holds, now that late events have arrived."""

    reviews: ReviewStore
    edits: EditStore
    releases: ReleaseStore
    clock: Clock

    def __call__(self, release: Release) -> str:
        """Why the release must be reviewed again; empty where its approval holds. What is found enters the timeline."""
        request = self.reviews.get(release.release_id)
        if request is None or request.round != release.approval.get("round"):
            return ""
        authors = since_recorded(self.edits, request)
        votes = [ReviewDecision.from_dict(vote) for vote in release.approval.get("approvals", ())]
        state = tally(replace(request, authors=authors), votes, votes[-1].at if votes else self.clock())
        if state.standing is Standing.APPROVED:
            return ""
        found = sorted({*authors.principals} - {*request.authors.principals})
        late = f"CloudTrail told after the approval of {', '.join(found)}" if found else "its authors are known better"
        reason = f"the approval no longer holds: {late}; {state.why}"[:1500]
        detail = {"round": request.round, "reason": reason, "authors": authors.to_dict()}
        entry = entry_of(request, Event.REVIEW_REOPENED, "promptlane", detail, "reopened", at=self.clock())
        self.releases.append(entry)
        return reason
