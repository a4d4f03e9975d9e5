"""The desk where reviewers decide: who may come in, what is recorded, and when the workflow is answered.

The only way to `TaskTokens.succeed` is `ReviewDesk.settle`, and the only thing it sends is the outcome of a tally that
was closed on the request: an outcome is written on the condition that no decision was counted since the tally's read,
so two reviewers at one instant, a repeated POST or a crash between two writes never half-decide anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from promptlane.domain.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotApplicable,
    NotFound,
    Unauthorized,
    Unavailable,
)
from promptlane.domain.policy import Reviewer
from promptlane.domain.ports import Clock, ReleaseStore
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import SYSTEM, Event, TimelineEntry
from promptlane.domain.review import guesses
from promptlane.domain.review.code import Holder, as_typed
from promptlane.domain.review.link import Link, parse
from promptlane.domain.review.ports import Directory, ReviewStore, Signer, TaskTokens
from promptlane.domain.review.reading import Part, Reading, reading
from promptlane.domain.review.review import (
    MAX_REASON,
    Authors,
    Choice,
    ReviewDecision,
    ReviewRequest,
    acts_as,
    is_author,
    reviewer_key,
    reviewers_of,
)
from promptlane.domain.review.rules import Standing, Tally, outcome_of, tally
from promptlane.domain.review.visit import Door, Fault, Origin, Submission, Visit, known_address
from promptlane.domain.text import clean_reason, one_line

from .briefs import Briefs
from .recording import TRIES, Update, update

Json = Any
LEAST_DIGITS: Final = 12
"""Of a fingerprint with which somebody says what they read."""
TOLD_GUESSES: Final = frozenset({*range(1, 11), 100, 1_000, 10_000, 100_000})
"""Which of a link's attempts, when they are wrong, enter the timeline: a guesser must not fill it."""


def entry_of(
    review: ReviewRequest | Link, event: Event, by: str, detail: Mapping[str, Json], *name: str, at: float
) -> TimelineEntry:
    """A timeline entry of a round of review. Its id is made of `name`, so that writing it twice writes it once."""
    entry_id = "/".join([review.release_id, "review", str(review.round), *name])
    return TimelineEntry(entry_id, review.release_id, at, event, by, dict(detail))


def decided(request: ReviewRequest, decision: ReviewDecision) -> TimelineEntry:
    """The timeline entry of a decision, which is recorded with it."""
    detail = {k: v for k, v in decision.to_dict().items() if k not in ("by", "at")}
    name = ("decision", decision.reviewer)
    return entry_of(request, Event.REVIEWER_DECIDED, decision.by, detail, *name, at=decision.at)


def _check_read(request: ReviewRequest, typed: str) -> None:
    """Raise InvalidInput unless the fingerprint is that of the version under review."""
    told = typed.strip().lower()
    if len(told) < LEAST_DIGITS or not request.candidate.fingerprint.startswith(told):
        what = f"{one_line(typed, 80)!r} is not" if told else "give"
        raise InvalidInput(
            f"fingerprint: {what} the fingerprint of version {request.candidate.version}, which says what you read; "
            f"`promptlane approve {request.release_id}` shows all that changes, and at its end that fingerprint"
        )


def _opened(link: Link) -> str:
    """What the marks of parts that a reviewer opened in a round begin with."""
    return f"opened#{link.round}#{link.reviewer}#"


@dataclass(frozen=True, slots=True)
class Vote:
    """What a reviewer wants to decide. `by` is the email address or the caller's ARN, `via` how it came."""

    link: Link
    reviewer: Reviewer
    choice: Choice
    reason: str
    by: str
    via: str
    origin: Origin


@dataclass(frozen=True)
class ReviewDesk:
    """Takes views and decisions; by link with `signer` and `briefs` alone.

    `authors_again` asks once more who wrote what a request is about; `directory` says who is a reviewer now.
    """

    reviews: ReviewStore
    releases: ReleaseStore
    tokens: TaskTokens
    clock: Clock
    signer: Signer | None = None
    authors_again: Callable[[ReviewRequest], Authors] | None = field(default=None)
    briefs: Briefs | None = None
    directory: Directory | None = None

    # --- the signed link -----------------------------------------------------------------------------------------

    def enter(self, release_id: str, token: str) -> Visit:
        """Who comes with this token, and which door it opens. Reads only."""
        try:
            link, mac = parse(token)
        except InvalidInput:
            return Visit(Door.INVALID)
        if self.signer is None or not self.signer.verify(link.message, mac):
            return Visit(Door.INVALID)
        if link.release_id != release_id:
            return Visit(Door.FOREIGN, link)
        request = self.reviews.get(link.release_id)
        reviewer = request.reviewer(link.reviewer) if request else None
        if request is None or reviewer is None:
            return Visit(Door.CLOSED, link)
        visit = self._look(request, link, reviewer)
        if link.round != request.round:
            return replace(visit, door=Door.STALE)
        return visit

    def _look(self, request: ReviewRequest, link: Link, reviewer: Reviewer) -> Visit:
        now = self.clock()
        decisions = tuple(self.reviews.decisions(request.release_id, request.round))
        state = tally(request, decisions, now)
        visit = Visit(Door.OPEN, link, request, reviewer, state, decisions)
        if visit.own is not None:
            return replace(visit, door=Door.USED)
        if request.outcome is not None or self._over(request):
            return replace(visit, door=Door.CLOSED)
        if now >= min(float(link.expires), request.expires_at):
            return replace(visit, door=Door.EXPIRED)
        if self.as_declared([reviewer])[0] is None:
            return replace(visit, door=Door.LEFT)
        return visit

    def as_declared(self, reviewers: Sequence[Reviewer]) -> list[Reviewer | None]:
        """Each reviewer of a captured policy as the deployment declares them now; None for who left.

        Where nobody was ever declared, everybody is what the policy says.
        """
        declared = self.directory.declared() if self.directory else None
        return list(reviewers) if declared is None else [declared.now(reviewer) for reviewer in reviewers]

    def _over(self, request: ReviewRequest) -> bool:
        release = self.releases.find(request.release_id)
        return release is None or release.ended

    def reading(self, visit: Visit) -> Reading:
        """What the visitor is shown, and which parts of it they have opened."""
        request, link = visit.request, visit.link
        if request is None or link is None or self.briefs is None:
            raise InvalidInput("only an open link shows a review")
        brief = self.briefs.get(request.release_id, request.round)
        if not brief.shows(request.candidate.fingerprint, request.stable_fingerprint):
            raise InvalidInput(f"the record of the review of {request.release_id} is not of the versions under review")
        marks = self.reviews.marked(request.release_id, _opened(link))
        return reading(brief, (mark.removeprefix(_opened(link)) for mark in marks))

    def open_part(self, visit: Visit, part_id: str, caller: Origin) -> tuple[Reading, Part | None]:
        """Take note that a visitor opened a part of the page, by something that a person does; None: no such part."""
        if visit.door is not Door.OPEN or visit.link is None:
            raise InvalidInput("only an open link opens parts of a review")
        shown = self.reading(visit)
        part = shown.part(part_id)
        if part is not None:
            self.reviews.mark(visit.link.release_id, f"{_opened(visit.link)}{part.id}", self.clock())
            self.viewed(visit, caller)
            shown = replace(shown, opened=shown.opened | {part.id})
        return shown, part

    def report_shown(self, visit: Visit) -> bool:
        """Whether a link still opens the test report: while the review and its release last."""
        ours = visit.request is not None and visit.door in (Door.OPEN, Door.USED, Door.CLOSED)
        return ours and visit.request is not None and not self._over(visit.request)

    def viewed(self, visit: Visit, caller: Origin) -> None:
        """Record that a reviewer read the page, once per reviewer and round: never for a GET, which scanners do."""
        if visit.request is None or visit.link is None or visit.reviewer is None:
            return
        key = visit.link.reviewer
        if self.reviews.mark(visit.request.release_id, f"view#{visit.request.round}#{key}", self.clock()):
            self._append(visit.request, Event.REVIEW_VIEWED, visit.reviewer.email, caller.detail, "viewed", key)

    def refused(self, visit: Visit, caller: Origin, *, posted: bool) -> None:
        """Record that a link with a valid signature opened nothing, once per reason, reviewer and way.

        A link without a valid signature is not recorded: anybody could fill the timeline. The caller logs it.
        """
        link = visit.link
        if link is None or visit.door in (Door.OPEN, Door.INVALID):
            return
        if visit.door is Door.USED and not posted:
            return  # looking again at one's own decision is no refusal
        if self.releases.find(link.release_id) is None:
            return
        why = "replayed" if visit.door is Door.USED else str(visit.door)
        by = visit.reviewer.email if visit.reviewer else f"reviewer {link.reviewer}"
        self._refuse(link, by, caller, why, why, "post" if posted else "get", posted=posted)

    def _refuse(self, link: Link, by: str, caller: Origin, why: str, *name: str, posted: bool = True) -> None:
        detail = {**caller.detail, "why": why, "reviewer": link.reviewer, "posted": posted}
        self._append(link, Event.REVIEW_LINK_REFUSED, by, detail, "refused", link.reviewer, *name)

    def decide_by_link(self, visit: Visit, *, choice: str, code: str, reason: str, caller: Origin) -> Submission:
        """Take a form that came with an open link. A fault decides nothing."""
        request, reviewer, link = visit.request, visit.reviewer, visit.link
        if visit.door is not Door.OPEN or request is None or reviewer is None or link is None:
            self.refused(visit, caller, posted=True)
            return Submission(visit)
        count = self._attempt(request, link, caller)
        fault = self._code_fault(link, code) if count else Fault.TOO_MANY
        if fault is Fault.CODE and count in TOLD_GUESSES:
            self._refuse(link, reviewer.email, caller, "wrong code", str(fault), str(count))
        fault = fault or self._form_fault(choice, reason)
        if fault is None and self.reading(visit).unread:
            fault = Fault.UNREAD
        if fault is not None:
            return Submission(visit, fault)
        self.viewed(visit, caller)
        return self._decide(request, Vote(link, reviewer, Choice(choice), reason, reviewer.email, "link", caller))

    def _attempt(self, request: ReviewRequest, link: Link, caller: Origin) -> int:
        """Count an attempt before the code is looked at: how many this link has had, 0 for one too many.

        First by address, so that one guesser's attempts beyond that do not use up what the link has.
        """
        now = self.clock()
        name = guesses.from_address(link.round, link.reviewer, caller.address, now)
        if not self.reviews.attempt(link.release_id, name, guesses.ADDRESS_TRIES):
            return 0
        most = guesses.allowed(request.requested_at, now)
        return self.reviews.attempt(link.release_id, guesses.of_link(link.round, link.reviewer), most)

    def _code_fault(self, link: Link, code: str) -> Fault | None:
        seal = self.reviews.sealed(link.release_id, link.round, link.reviewer)
        if seal is None:
            return Fault.OLD_CODE
        typed = as_typed(code)
        claim = Holder(link.release_id, link.round, link.reviewer).claim(typed)
        right = typed and self.signer is not None and self.signer.verify(claim, bytes.fromhex(seal.verifier))
        return None if right else Fault.CODE

    def _form_fault(self, choice: str, reason: str) -> Fault | None:
        if choice not in set(Choice):
            return Fault.CHOICE
        if not 1 <= len(clean_reason(reason)) <= MAX_REASON:
            return Fault.REASON
        return None

    # --- an IAM identity -----------------------------------------------------------------------------------------

    def decide_by_identity(
        self, release_id: str, *, arn: str, choice: str, reason: str, caller: Origin, fingerprint: str = ""
    ) -> Submission:
        """Take the decision of an authenticated caller; errors say what is wrong and what to do.

        No page was shown here, so an approval says by its `fingerprint` what was read: the candidate's, or at least
        twelve of its first digits.
        """
        request = self.reviews.get(release_id)
        if request is None:
            raise NotFound(f"release {release_id} has no review; `promptlane status` shows where it is")
        if choice not in set(Choice):
            raise InvalidInput(f"decision {one_line(choice, 40)!r}: must be approve or reject")
        if not 1 <= len(clean_reason(reason)) <= MAX_REASON:
            raise InvalidInput(f"reason: give one of 1 to {MAX_REASON:,} characters; it had {len(reason):,}")
        mine = reviewers_of(request.policy, arn)
        if len(mine) != 1:
            self._refused_identity(request, arn, caller, "no reviewer" if not mine else "several reviewers")
        if not mine:
            raise Unauthorized(
                f"{arn} is no reviewer of this release: its policy (as captured with the release) names this principal "
                "for nobody; decide by the link in your email, or add the principal for the next release"
            )
        if len(mine) > 1:
            raise Unauthorized(
                f"{arn} stands for several reviewers ({', '.join(r.name for r in mine)}), so it cannot be told who "
                "decides; use your link, or map each reviewer to an own principal"
            )
        reviewer = mine[0]
        key = reviewer_key(reviewer.email)
        link = Link(release_id, request.round, key, int(request.expires_at))
        visit = self._look(request, link, reviewer)
        if visit.door is not Door.OPEN:
            self.refused(visit, caller, posted=True)
            return Submission(visit)
        if not self._still_acts_as(reviewer, arn):
            self._refused_identity(request, arn, caller, "no longer the reviewer's")
            raise Unauthorized(
                f"{arn} is no longer declared for {reviewer.name}: decide by the link in your email, or as a principal "
                "that the deployment declares for you now"
            )
        if choice == Choice.APPROVE:
            _check_read(request, fingerprint)
        return self._decide(request, Vote(link, reviewer, Choice(choice), reason, arn, "iam", caller))

    def _still_acts_as(self, reviewer: Reviewer, arn: str) -> bool:
        return any(acts_as(p, arn) for now in self.as_declared([reviewer]) if now for p in now.principals)

    def _refused_identity(self, request: ReviewRequest, arn: str, caller: Origin, why: str) -> None:
        detail = {**caller.detail, "why": why, "posted": True}
        self._append(request, Event.REVIEW_LINK_REFUSED, arn, detail, "refused", arn, why)

    # --- recording and settling ----------------------------------------------------------------------------------

    def _decide(self, request: ReviewRequest, vote: Vote) -> Submission:
        link, reviewer = vote.link, vote.reviewer
        for _ in range(TRIES):
            request = self.with_authors(request)
            visit = self._look(request, link, reviewer)
            if visit.door is not Door.OPEN:
                self.settle(request.release_id)
                self.refused(visit, vote.origin, posted=True)
                return Submission(visit)
            known = [reviewer, *(now for now in self.as_declared([reviewer]) if now)]
            wrote_it = any(is_author(r, request.authors) for r in known) or vote.by in request.authors.principals
            if vote.choice is Choice.APPROVE and wrote_it:
                self._refuse(link, vote.by, vote.origin, "own version", "own")
                return Submission(visit, Fault.AUTHOR)
            decision = ReviewDecision(
                reviewer=link.reviewer,
                choice=vote.choice,
                reason=clean_reason(vote.reason),
                at=self.clock(),
                by=vote.by,
                via=vote.via,
                address=known_address(vote.origin.address),
                candidate=request.candidate.fingerprint,
                stable=request.stable_fingerprint,
                number=request.decisions + 1,
            )
            try:
                self.reviews.record(request, decision, decided(request, decision))
            except (Conflict, AlreadyExists):
                request = self._latest(request)
                continue
            self.settle(request.release_id)
            return Submission(replace(self._look(self._latest(request), link, reviewer), door=Door.USED), fresh=True)
        raise Unavailable("several reviewers decided at this moment; send it again, nothing of it was recorded")

    def _latest(self, request: ReviewRequest) -> ReviewRequest:
        latest = self.reviews.get(request.release_id)
        if latest is None or latest.round != request.round:
            raise NotApplicable(
                f"the review of {request.release_id} was asked for again meanwhile, because what is in production "
                "changed; use the link in the newer email"
            )
        return latest

    def with_authors(self, request: ReviewRequest) -> ReviewRequest:
        """CloudTrail delivers late: ask again before a decision that its answer may forbid. Who is new is recorded."""
        if self.authors_again is None:
            return request
        try:
            authors = self.authors_again(request)
        except (Unavailable, Unauthorized, NotFound):
            return request  # what was known when the review began still stands, doubts included
        if authors == request.authors:
            return request
        self.reviews.note(request, authors=authors)
        if authors.principals != request.authors.principals:
            name = ("authors", hashlib.sha256(repr(authors.principals).encode()).hexdigest()[:12])
            self._append(request, Event.AUTHORS_FOUND, SYSTEM, authors.to_dict(), *name)
        return replace(request, authors=authors)

    def settle(self, release_id: str) -> Tally | None:
        """Complete a review whose tally is decided, and record and answer it. Safe to repeat; None without a review."""
        for _ in range(TRIES):
            request = self.reviews.get(release_id)
            if request is None:
                return None
            decisions = self.reviews.decisions(release_id, request.round)
            state = tally(request, decisions, self.clock())
            if request.outcome is None:
                if state.standing in (Standing.OPEN, Standing.EXPIRED):
                    return state
                try:
                    self.reviews.close(request, outcome_of(request, state, self.clock()))
                except Conflict:
                    continue
                request = self._latest(request)
            self._finish(request)
            return state
        raise Unavailable(f"the review of {release_id} is being decided by others; try again")

    def _finish(self, request: ReviewRequest) -> None:
        outcome: Mapping[str, Json] = request.outcome or {}
        entry = entry_of(request, Event.REVIEW_DECIDED, str(outcome["by"]), outcome, "decided", at=outcome["at"])

        def approved(release: Release) -> Update | None:
            if release.ended or outcome["decision"] != "approved" or release.approval.get("round") == request.round:
                self.releases.append(entry)
                return None
            return replace(release, approval=dict(outcome)), entry

        try:
            update(self.releases, request.release_id, approved)
        except NotFound:
            self.releases.append(entry)
        answer = {k: outcome[k] for k in ("decision", "by", "reason", "candidate", "stable")}
        self.tokens.succeed(self.reviews.task_token(request.release_id, request.round), answer)
        self.reviews.unlist(request.release_id)

    def _append(
        self, review: ReviewRequest | Link, event: Event, by: str, detail: Mapping[str, Json], *name: str
    ) -> None:
        self.releases.append(entry_of(review, event, by, detail, *name, at=self.clock()))
