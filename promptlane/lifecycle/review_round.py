"""A round of review from the side of Promptlane: ask everybody, remind them, notice who cannot be reached."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from promptlane.domain.errors import NotApplicable, PromptlaneError, Unauthorized, Unavailable
from promptlane.domain.names import prompt_id_of
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.ports import Clock, Enrolments, Notices, PromptReader, ReleaseStore
from promptlane.domain.release.content import is_content_of, rounding, vouches
from promptlane.domain.release.prompt import PromptVersion, VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import SYSTEM, Event, TimelineEntry
from promptlane.domain.review.brief import Brief, VerdictShown, make_brief
from promptlane.domain.review.code import Holder
from promptlane.domain.review.link import Link, url
from promptlane.domain.review.mail import Mail, WayIn, reminder_mail, review_mail, warning_mail
from promptlane.domain.review.ports import Post, ReviewStore, Signer
from promptlane.domain.review.review import Authors, ReviewRequest, reviewer_key
from promptlane.domain.review.rules import REACHED, Standing, Tally, out_of_reach, reach_in_words, tally

from .briefs import Briefs
from .recording import Update, update
from .review_desk import ReviewDesk, entry_of

Json = Any
_LOOK: Final = "`promptlane reviewers list` shows the subscriptions"
_REMEDY: Final = {
    "missing": f"{_LOOK}, `promptlane reviewers subscribe` has SNS ask again; then there are 48 hours to confirm",
    "pending": f"{_LOOK}, `promptlane reviewers confirm` confirms one, "
    "`promptlane reviewers subscribe` has SNS ask again",
    "no_topic": f"{_LOOK}; deploy the reviewers' stacks",
    "left": "if that was not meant, declare the person again and deploy; if the others are too few, ask for the "
    "release again with `promptlane release`: it asks whoever is declared then",
}
_EARLY: Final = 60.0
_GRACE: Final = 3600.0
"""How long an expired review stays listed, so that its release's end is surely written before it is forgotten."""


@dataclass(frozen=True)
class ReviewRound:
    """Opens rounds and looks after the open ones. `base_url` is the address of the API of the review pages."""

    reviews: ReviewStore
    releases: ReleaseStore
    prompts: PromptReader
    enrolments: Enrolments
    briefs: Briefs
    signer: Signer
    post: Post
    notices: Notices
    desk: ReviewDesk
    clock: Clock
    base_url: str
    authors: Callable[[Release, Sequence[Reviewer]], Authors]
    tests: Callable[[Release, int], VerdictShown]

    def ask(self, release_id: str, *, round: int, task_token: str) -> ReviewRequest:
        """Open the round and send every reviewer an own link. Safe to repeat: nobody gets a second email."""
        release = self.releases.get(release_id)
        if release.ended or release.candidate is None:
            raise NotApplicable(f"release {release_id} is {release.outcome or 'not admitted'}; it cannot be reviewed")
        policy = self.enrolments.policy(release.policy_sha256)
        stored = self.reviews.get(release_id)
        if stored is None or stored.round != round:
            request = self._new_request(release, release.candidate, policy, round)
        else:
            request = replace(stored, expires_at=self._expiry(policy))
        request = self.reviews.open(request, task_token)
        self._in_review(request)
        if request.outcome is None:
            self._mail_links(request)
        # Answers at once what can never be approved, and what was decided before this token was known.
        self.desk.settle(release_id)
        return request

    def _new_request(self, release: Release, admitted: VersionRef, policy: Policy, round: int) -> ReviewRequest:
        candidate = self._pinned(release, admitted)
        stable = self._pinned(release, release.stable) if release.stable else None
        try:
            authors = self.authors(release, policy.review.reviewers)
        except (Unavailable, Unauthorized) as error:
            authors = Authors((), (f"who wrote it could not be asked: {error}",), complete=False)
        tests = self.tests(release, round)
        now = self.clock()
        self.briefs.put(
            make_brief(
                release_id=release.release_id,
                round=round,
                candidate=candidate,
                stable=stable,
                authors=authors.principals,
                requested_by=release.requested_by,
                tests=tests,
                policy=policy,
            )
        )
        return ReviewRequest(
            release_id=release.release_id,
            round=round,
            prompt=release.prompt,
            candidate=admitted,
            stable=release.stable,
            policy=policy.review,
            authors=authors,
            verdict=tests.verdict,
            requested_at=now,
            expires_at=self._expiry(policy),
            reach=self.post_reach(policy.review.reviewers, {}),
        )

    def _expiry(self, policy: Policy) -> float:
        """A little before the workflow's step times out, so that no decision in time is answered into the void."""
        span = policy.review.expires_after
        return self.clock() + span - min(_EARLY, span / 20)

    def _pinned(self, release: Release, ref: VersionRef) -> PromptVersion:
        found = self.prompts.version(prompt_id_of(ref.arn) or release.prompt_id, ref.version)
        fits = vouches if ref == release.candidate else is_content_of
        if not fits(ref.fingerprint, found.variants):
            raise NotApplicable(
                f"version {ref.version} of {release.prompt} no longer has the fingerprint that this release was "
                f"admitted with{rounding(ref.fingerprint, found.variants)}; publish a new version and release that"
            )
        return found

    def post_reach(self, reviewers: Sequence[Reviewer], known: dict[str, str]) -> dict[str, str]:
        """How email reaches each reviewer, by key. `known`: by address, what was asked in this run already."""
        known |= self.post.reach([r.email for r in reviewers if r.email not in known])
        states = {r.email: known[r.email] for r in reviewers if r.email in known}
        left = {r.email for r, now in zip(reviewers, self.desk.as_declared(reviewers), strict=True) if now is None}
        return {reviewer_key(email): "left" if email in left else state for email, state in states.items()}

    def _in_review(self, request: ReviewRequest) -> None:
        """The release record says that it is in review, with the entry that says who was asked."""
        detail = {
            "round": request.round,
            "candidate": request.candidate.to_item(),
            "stable": request.stable.to_item() if request.stable else None,
            "reviewers": [r.email for r in request.policy.reviewers],
            "quorum": request.policy.quorum,
            "required_groups": list(request.policy.required_groups),
            "authors": request.authors.to_dict(),
            "verdict": request.verdict,
            "expires_at": request.expires_at,
            "reach": dict(request.reach),
            "brief_sha256": self.briefs.sha256(request.release_id, request.round),
        }
        entry = self._entry(request, Event.REVIEW_REQUESTED, detail, "requested")

        def in_review(release: Release) -> Update | None:
            # An approval of an earlier round was given for another stable version: it must not outlive it.
            approval = release.approval if release.approval.get("round") == request.round else {}
            if release.ended or (release.state == "review" and approval == release.approval):
                self.releases.append(entry)
                return None
            return replace(release, state="review", approval=approval), entry

        update(self.releases, request.release_id, in_review)

    def _mail_links(self, request: ReviewRequest) -> None:
        """Send the link to everybody who can get it and has not got it; say so about everybody else."""
        brief = self.briefs.get(request.release_id, request.round)
        state = self._state(request)
        sent = self.reviews.marked(request.release_id, f"mailed#{request.round}#")
        for reviewer in request.policy.reviewers:
            key = reviewer_key(reviewer.email)
            mailed = f"mailed#{request.round}#{key}" in sent and self._sealed(request, key)
            if not mailed and request.reach.get(key) in REACHED:
                mail = review_mail(request, brief, state, reviewer, self._way_in(request, key), self.clock())
                if self._send(request, reviewer, mail):
                    self.reviews.mark(request.release_id, f"mailed#{request.round}#{key}", self.clock())
        self._warn(request, state)

    def _state(self, request: ReviewRequest) -> Tally:
        return tally(request, self.reviews.decisions(request.release_id, request.round), self.clock())

    def _way_in(self, request: ReviewRequest, key: str) -> WayIn:
        """A reviewer's link and code; the same code in every email of a round, whenever it is sent."""
        link = Link(request.release_id, request.round, key, int(request.expires_at))
        holder = Holder(request.release_id, request.round, key)
        seal = self.reviews.sealed(request.release_id, request.round, key)
        if seal is None:
            new = holder.seal(secrets.token_hex(32), self.signer.sign)
            seal = self.reviews.seal(request.release_id, request.round, key, new)
        return WayIn(url(self.base_url, link, self.signer.sign(link.message)), holder.code(seal.seed, self.signer.sign))

    def _sealed(self, request: ReviewRequest, key: str) -> bool:
        """Whether the emails of this round carry a code of this reviewer's own: those of earlier versions do not."""
        return self.reviews.sealed(request.release_id, request.round, key) is not None

    def _send(self, request: ReviewRequest, reviewer: Reviewer, mail: Mail) -> bool:
        """Whether the email went out. One that did not keeps nobody else from theirs, and is tried again later."""
        try:
            self.post.send(reviewer.email, mail)
        except PromptlaneError as error:
            remedy = "remove the unexpected subscription, or deploy the reviewer's topic again"
            self._hindered(request, reviewer_key(reviewer.email), "not sent", f"{reviewer.name}: {error}", remedy)
            return False
        return True

    def _warn(self, request: ReviewRequest, state: Tally) -> None:
        """Say at once, in the timeline and to the notices topic, whom email does not reach and what that means."""
        for reviewer in request.policy.reviewers:
            key = reviewer_key(reviewer.email)
            reach = request.reach.get(key, "missing")
            if reach not in REACHED:
                what = f"{reviewer.name} <{reviewer.email}> {reach_in_words(reach)}"
                self._hindered(request, key, reach, what, _REMEDY.get(reach, _LOOK))
        obstacle = out_of_reach(request, state)
        if obstacle:
            what = f"The quorum cannot be met by email now: {obstacle}"
            remedy = (
                "confirm the missing subscriptions, or let those who are declared decide with `promptlane approve`; "
                "otherwise the release ends when the review expires"
            )
            self._hindered(request, "quorum", "out of reach", what, remedy)
        elif state.standing is Standing.IMPOSSIBLE:
            what = f"The quorum can never be met: {state.why}"
            remedy = (
                "the release is rejected now; change the reviewers in release.yaml, deploy, and ask for a new release "
                "with `promptlane release`"
            )
            self._hindered(request, "quorum", "impossible", what, remedy)

    def _hindered(self, request: ReviewRequest, subject: str, state: str, what: str, remedy: str) -> None:
        if not self._note(request, subject, state, what, remedy):
            return
        mail = warning_mail(request, what, remedy)
        try:
            self.notices.publish(mail.subject, mail.body)
        except PromptlaneError as error:
            untold = f"The notices topic takes no messages: {error}"
            self._note(request, "notices", "not sent", untold, "deploy the topic again, or let this function use it")

    def _note(self, request: ReviewRequest, subject: str, state: str, what: str, remedy: str) -> bool:
        """Put it on the timeline; False when it stands there already."""
        detail = {"what": what, "state": state, "remedy": remedy}
        return self.releases.append(self._entry(request, Event.REVIEW_HINDERED, detail, "hindered", subject, state))

    def look_after(self) -> dict[str, list[str]]:
        """What the schedule does: settle what a crash left, watch subscriptions, mail latecomers, remind.

        Returns release ids by what was done; one release's failure never keeps the others waiting.
        """
        done: dict[str, list[str]] = {"settled": [], "reminded": [], "closed": [], "failed": []}
        known: dict[str, str] = {}  # many reviews have the same reviewers
        for release_id in self.reviews.open_reviews():
            try:
                did = self._look_after(release_id, known)
            except PromptlaneError:
                did = "failed"
            if did:
                done[did].append(release_id)
        return done

    def _look_after(self, release_id: str, known: dict[str, str]) -> str:
        """What was done for one review: settled, reminded, closed, or nothing."""
        request = self.reviews.get(release_id)
        self.reviews.conceal(release_id)
        if request is not None and request.outcome is None:
            self.desk.with_authors(request)
        state = self.desk.settle(release_id)
        request = self.reviews.get(release_id)
        release = self.releases.find(release_id)
        over = release is None or release.ended
        if request is None or state is None or over or self.clock() > request.expires_at + _GRACE:
            self.reviews.unlist(release_id)
            return "closed"
        if request.outcome is not None:
            return "settled"
        if state.standing is Standing.EXPIRED:
            return ""
        reach = self.post_reach(request.policy.reviewers, known)
        if reach != dict(request.reach):
            self.reviews.note(request, reach=reach)
            request = replace(request, reach=reach)
        self._mail_links(request)
        return "reminded" if self._remind(request, state) else ""

    def _remind(self, request: ReviewRequest, state: Tally) -> bool:
        """Remind whoever has not decided, once, when the policy's `remind_before` is reached."""
        now = self.clock()
        if now < request.expires_at - request.policy.remind_before:
            return False
        brief: Brief | None = None
        reminded = False
        done = self.reviews.marked(request.release_id, f"reminder#{request.round}#")
        for reviewer in state.can_still:
            key = reviewer_key(reviewer.email)
            if f"reminder#{request.round}#{key}" in done or request.reach.get(key) not in REACHED:
                continue
            brief = brief or self.briefs.get(request.release_id, request.round)
            # Sent before it is marked: a reminder may come twice, never not at all.
            mail = reminder_mail(request, brief, state, reviewer, self._way_in(request, key), now)
            if self._send(request, reviewer, mail):
                self.reviews.mark(request.release_id, f"reminder#{request.round}#{key}", now)
                self.releases.append(
                    self._entry(request, Event.REVIEW_REMINDED, {"reviewer": reviewer.email}, "reminded", key)
                )
                reminded = True
        return reminded

    def _entry(self, request: ReviewRequest, event: Event, detail: Mapping[str, Json], *name: str) -> TimelineEntry:
        return entry_of(request, event, SYSTEM, detail, *name, at=self.clock())
