"""A review over the in-memory stores, and requests to its page as the HTTP API sends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from functions.review import handler
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.brief import CaseChange, VerdictShown
from promptlane.domain.review.mail import Mail
from promptlane.domain.review.review import ReviewRequest, reviewer_key
from promptlane.domain.trail import TrailEvent
from promptlane.fakes import FakeEnrolments, FakeNotices, FakePrompts, InMemoryReleases
from promptlane.fakes.edits import InMemoryEdits
from promptlane.fakes.objects import MemoryObjects
from promptlane.fakes.review import FakeDirectory, FakePost, FakeSigner, FakeTokens, FakeTrail, InMemoryReviews
from promptlane.lifecycle.authors import AuthorSearch
from promptlane.lifecycle.briefs import Briefs
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_round import ReviewRound

Json = Any
ACCOUNT = "111122223333"
PROMPT_ID = "PROMPTID12"
RELEASE = f"{PROMPT_ID}-2-1"
AUTHOR = f"arn:aws:iam::{ACCOUNT}:user/author"
FIRST = f"arn:aws:iam::{ACCOUNT}:user/first"
"""Who created the prompt and published version 1."""


def person(name: str, *groups: str, principals: Sequence[str] | None = None) -> Reviewer:
    """A reviewer who is mapped to the IAM user of that name."""
    arns = (f"arn:aws:iam::{ACCOUNT}:user/{name.lower()}",) if principals is None else tuple(principals)
    return Reviewer(name=name, email=f"{name.lower()}@example.com", groups=groups, principals=arns)


LEAD, QUALITY, LEGAL = person("support-lead"), person("support-quality"), person("legal-desk", "legal")
OLD = PromptDraft(
    name="support-assistant",
    model="amazon.nova-lite-v1:0",
    variables=("customer_name", "question"),
    template="You help customers of a shop.\nGreet {{customer_name}} politely.\nAnswer: {{question}}\nBe brief.\n",
    inference={"temperature": 0.2, "max_tokens": 400},
)
NEW = replace(
    OLD,
    template="You help customers of a shop.\nGreet {{customer_name}} warmly.\nAnswer: {{question}}\nBe brief.\n"
    "Never promise a refund.\n",
    inference={"temperature": 0.3, "max_tokens": 400},
)


@dataclass
class UnderReview:
    """Everything around one review. `now` is the clock."""

    policy: ReviewPolicy = field(default_factory=lambda: ReviewPolicy(reviewers=(LEAD, QUALITY, LEGAL)))
    old: PromptDraft = OLD
    new: PromptDraft = NEW
    description: str = "Warmer greeting, no promises"
    verdict: str = "pass"
    events: tuple[TrailEvent, ...] | None = None
    states: Mapping[str, str] = field(default_factory=dict)
    now: float = 10_000.0

    def __post_init__(self) -> None:
        self.releases, self.objects = InMemoryReleases(), MemoryObjects()
        self.briefs = Briefs(self.objects)
        self.reviews = InMemoryReviews(self.releases)
        self.tokens, self.notices, self.signer = FakeTokens(), FakeNotices(), FakeSigner()
        self.post, self.prompts = FakePost(self.states), FakePrompts()
        self.prompts.publish(self.old, prompt_id=PROMPT_ID)
        self.prompts.publish(self.new, prompt_id=PROMPT_ID, description=self.description)
        before = (
            TrailEvent("CreatePrompt", 900, FIRST, "IAMUser", PROMPT_ID),
            TrailEvent("CreatePromptVersion", 1_000, FIRST, "IAMUser", version=1),
        )
        by_author = (
            TrailEvent("UpdatePrompt", 8_999, AUTHOR, "IAMUser"),
            TrailEvent("CreatePromptVersion", 9_000, AUTHOR, "IAMUser", version=2),
        )
        self.trail = FakeTrail(*before, *(by_author if self.events is None else self.events))
        self.enrolments = FakeEnrolments({"support-assistant": Policy(review=self.policy)}, suite={})
        sha256, _ = self.enrolments.capture("support-assistant")
        stable, candidate = self.prompts.version(PROMPT_ID, 1), self.prompts.version(PROMPT_ID, 2)
        release = Release(
            RELEASE,
            "support-assistant",
            self.now - 500,
            AUTHOR,
            state="testing",
            candidate=candidate.ref,
            stable=stable.ref,
            policy_sha256=sha256,
            round=1,
            verdict={"verdict": self.verdict},
        )
        self.releases.start(release, TimelineEntry(f"{RELEASE}/started", RELEASE, self.now - 500, Event.STARTED))
        self.edits = InMemoryEdits()
        search = AuthorSearch(self.trail, self.edits, self.prompts, self.releases, self.clock)
        self.directory = FakeDirectory()
        self.desk = ReviewDesk(
            self.reviews,
            self.releases,
            self.tokens,
            self.clock,
            self.signer,
            search.again,
            briefs=self.briefs,
            directory=self.directory,
        )
        self.round = ReviewRound(
            reviews=self.reviews,
            releases=self.releases,
            prompts=self.prompts,
            enrolments=self.enrolments,
            briefs=self.briefs,
            signer=self.signer,
            post=self.post,
            notices=self.notices,
            desk=self.desk,
            clock=self.clock,
            base_url="https://ops.example.com/live",
            authors=search,
            tests=self.tests,
        )
        self.wired = handler.Reviews(self.desk, self.briefs, self.clock)

    def clock(self) -> float:
        return self.now

    def tests(self, release: Release, round: int) -> VerdictShown:
        return VerdictShown(
            verdict=self.verdict,
            reason="40 cases compared, none got worse by more than 5%",
            rows=(("All cases", "38 of 40", "39 of 40"), ("billing", "10 of 10", "9 of 10")),
            newly_failing=(CaseChange("refund-after-30-days", "refunds", "answer lacks 'within 30 days'"),),
            inconclusive=("slice shipping: 4 cases are too few to tell",),
            report_key="report.html",
        )

    def ask(self, round: int = 1, token: str = "token-1") -> ReviewRequest:
        return self.round.ask(RELEASE, round=round, task_token=token)

    @property
    def request(self) -> ReviewRequest:
        found = self.reviews.get(RELEASE)
        assert found is not None
        return found

    @property
    def events_seen(self) -> list[str]:
        return [str(e.event) for e in self.releases.timeline(RELEASE)]

    def mail_to(self, who: Reviewer) -> Mail:
        return next(mail for email, mail in reversed(self.post.sent) if email == who.email)

    def link(self, who: Reviewer) -> str:
        """The link in the newest email of this reviewer."""
        lines = self.mail_to(who).body.splitlines()
        return next(part for line in lines if "/review/" in line for part in line.split() if "?t=" in part)

    def token(self, who: Reviewer) -> str:
        return self.link(who).split("?t=")[1]

    def code(self, who: Reviewer = LEAD) -> str:
        """The short code in the newest email of this reviewer."""
        line = next(line for line in self.mail_to(who).body.splitlines() if line.startswith("Short code:"))
        return line.split()[2]

    def http(
        self,
        method: str,
        token: str,
        *,
        release_id: str = RELEASE,
        path: str = "",
        body: str = "",
        content_type: str = "application/x-www-form-urlencoded",
        base64: bool = False,
        site: str = "",
        address: str = "203.0.113.7",
        forwarded: str = "",
    ) -> Json:
        """One request to the page, through the function's own code."""
        event = {
            "version": "2.0",
            "rawPath": f"/review/{release_id}{path}",
            "pathParameters": {"release_id": release_id},
            "queryStringParameters": {"t": token},
            "headers": {
                "content-type": content_type,
                **({"sec-fetch-site": site} if site else {}),
                **({"x-forwarded-for": forwarded} if forwarded else {}),
            },
            "requestContext": {"http": {"method": method, "sourceIp": address, "userAgent": "Test/1.0"}},
            "body": body,
            "isBase64Encoded": base64,
        }
        before = handler.wire
        handler.wire = lambda: self.wired  # type: ignore[assignment]
        try:
            return handler.handle(event, None)
        finally:
            handler.wire = before

    def send(self, who: Reviewer, choice: str = "approve", *, code: str | None = None, reason: str = "Read it") -> Json:
        form = {"decision": choice, "code": self.code(who) if code is None else code, "reason": reason}
        return self.http("POST", self.token(who), body=urlencode(form))

    def from_address(self, address: str, who: Reviewer, code: str, *, forwarded: str = "") -> int:
        """The status of a form that was sent from there."""
        form = urlencode({"decision": "approve", "code": code, "reason": "Read it"})
        return int(self.http("POST", self.token(who), body=form, address=address, forwarded=forwarded)["statusCode"])

    def by_identity(self, arn: str, choice: str = "approve", reason: str = "Read it") -> Any:
        from promptlane.domain.review.visit import Origin

        asked = self.reviews.get(RELEASE)
        return self.desk.decide_by_identity(
            RELEASE,
            arn=arn,
            choice=choice,
            reason=reason,
            caller=Origin("203.0.113.7"),
            fingerprint=asked.candidate.fingerprint if asked else "",
        )


def key(who: Reviewer) -> str:
    return reviewer_key(who.email)


def told(world: UnderReview, *events: Event) -> list[TimelineEntry]:
    """The entries of these events, without their numbers and hashes."""
    entries = [e for e in world.releases.timeline(RELEASE) if e.event in events]
    return [replace(e, seq=0, prev_hash="", hash="") for e in entries]
