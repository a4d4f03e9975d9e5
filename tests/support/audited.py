"""Two releases that went their whole way by the real steps, an audit bucket, and commands typed at them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptlane.cli.deployment import Deployment
from promptlane.domain.enrolment.floor import Floor, SuiteFacts
from promptlane.domain.policy import CanaryPolicy, Policy, ReviewPolicy, Step, WatchPolicy
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import SYSTEM, Event, LockedCopy, TimelineEntry
from promptlane.domain.release.trigger import ReleaseRequest
from promptlane.domain.review.brief import VerdictShown
from promptlane.domain.review.proof import policy_key
from promptlane.domain.review.review import Authors
from promptlane.domain.review.visit import Origin
from promptlane.fakes import (
    FakeAlarms,
    FakeEnrolments,
    FakeEnrolmentTags,
    FakeNotices,
    FakeWorkflow,
    InMemoryQuarantine,
)
from promptlane.fakes.edits import InMemoryEdits
from promptlane.fakes.objects import MemoryContents, ScriptedModel
from promptlane.fakes.review import FakeDirectory, FakePost, FakeSigner, FakeTokens
from promptlane.lifecycle.admit import Admission
from promptlane.lifecycle.authors import ApprovalCheck
from promptlane.lifecycle.briefs import Briefs
from promptlane.lifecycle.intake import Intake
from promptlane.lifecycle.restored import Restoration
from promptlane.lifecycle.review_desk import ReviewDesk
from promptlane.lifecycle.review_round import ReviewRound
from promptlane.lifecycle.rollback import Aftermath, Wish, restore_safe_route
from promptlane.lifecycle.shift import Traffic
from promptlane.lifecycle.telling import Telling
from promptlane.lifecycle.test_round import BatchRunner, Planner, grade
from promptlane.lifecycle.windup import WindUp
from tests.support.cli_desk import Desk
from tests.support.locked_copies import Copies
from tests.support.prompt import ID
from tests.support.review import AUTHOR, LEAD, LEGAL, QUALITY

PROMPT = "greeter"
FIRST, SECOND = f"{ID}-1-1", f"{ID}-2-1"
POLICY = Policy(
    review=ReviewPolicy((LEAD, QUALITY, LEGAL), quorum=2),
    canary=CanaryPolicy(steps=(Step(1_000, 10, 100), Step(5_000, 10, 100))),
    watch=WatchPolicy(duration=50, holdback=500),
)
SUITE = {
    "tests": [
        {"id": f"q{n}", "vars": {"name": f"Ann {n}"}, "assert": [{"type": "contains", "value": f"Ann {n}"}]}
        for n in range(3)
    ]
}


class Audited(Desk):
    """Version 1 was promoted as the first, version 2 by a canary; every entry has its locked copy."""

    def __init__(self) -> None:
        super().__init__()
        self.quarantine = InMemoryQuarantine()
        self.enrolments = FakeEnrolments({PROMPT: POLICY}, SUITE)
        self.briefs, self.copies = Briefs(self.objects), Copies()
        self.published: list[PromptVersion] = [self.publish("Greet {{name}}.")]
        self.release(FIRST)
        self.published.append(self.publish("Greet {{name}} warmly."))
        self.release(SECOND)
        self.copy()

    def clock(self) -> float:
        self.now += 1.0
        return self.now

    # --- the steps, by the real code -----------------------------------------------------------------------------

    def release(self, name: str, *, until: str = "ended") -> None:
        self.begin(name)
        self.review(name)
        if until == "review":
            return
        for who in (LEAD, QUALITY):
            self.decide(name, who.principals[0])
        traffic = self.traffic()
        if self.releases.get(name).stable is not None:
            traffic.shift(name, 0)
            if until == "canary":
                return
            traffic.shift(name, 1)
        traffic.promote(name)
        self.wind_up(name)

    def begin(self, name: str) -> None:
        """Taken, admitted and tested."""
        version = int(name.split("-")[1])
        workflow = FakeWorkflow()
        intake = Intake(
            prompts=self.prompts,
            enrolments=self.enrolments,
            identities=self.identities,
            routes=self.routes,
            releases=self.releases,
            workflow=workflow,
            clock=self.clock,
        )
        assert intake.take(ReleaseRequest(PROMPT, version, requested_by=AUTHOR)).release_id == name
        for sha256 in self.enrolments.capture(PROMPT):
            captured = self.enrolments._captured[sha256]
            self.objects.put(policy_key(sha256), json.dumps(captured, sort_keys=True, separators=(",", ":")).encode())
        Admission(
            prompts=self.prompts,
            enrolments=self.enrolments,
            identities=self.identities,
            tags=FakeEnrolmentTags(self.prompts),
            routes=self.routes,
            releases=self.releases,
            directory=FakeDirectory(),
            quarantine=self.quarantine,
            contents=MemoryContents(),
            check_suite=lambda suite, variables: ([], SuiteFacts(1)),
            floor=Floor(),
            clock=self.clock,
        ).admit(name)
        plan = Planner(
            releases=self.releases,
            routes=self.routes,
            prompts=self.prompts,
            enrolments=self.enrolments,
            objects=self.objects,
            clock=self.clock,
        ).plan(name)
        items = [json.loads(line) for line in self.objects.get(plan["key"]).splitlines()]
        model = ScriptedModel(lambda request: str(request.body["promptVariables"]["name"]["text"]))
        runner = BatchRunner(objects=self.objects, model=model, judge=_none, embedder=_none, clock=self.clock)
        runner.run(name, plan["round"], items)
        grade(name, plan["round"], releases=self.releases, objects=self.objects, clock=self.clock)

    @property
    def desk(self) -> ReviewDesk:
        return ReviewDesk(self.reviews, self.releases, FakeTokens(), self.clock, FakeSigner())

    def review(self, name: str) -> None:
        ReviewRound(
            reviews=self.reviews,
            releases=self.releases,
            prompts=self.prompts,
            enrolments=self.enrolments,
            briefs=self.briefs,
            signer=FakeSigner(),
            post=FakePost({}),
            notices=FakeNotices(),
            desk=self.desk,
            clock=self.clock,
            base_url="https://ops.example.com/live",
            authors=lambda candidate, reviewers: Authors((AUTHOR,)),
            tests=lambda release, round: VerdictShown(verdict=str(release.verdict["verdict"])),
        ).ask(name, round=self.releases.get(name).round, task_token="token")

    def decide(self, name: str, arn: str, choice: str = "approve") -> None:
        asked = self.reviews.get(name)
        self.desk.decide_by_identity(
            name,
            arn=arn,
            choice=choice,
            reason="Read it",
            caller=Origin("203.0.113.7"),
            fingerprint=asked.candidate.fingerprint if asked else "",
        )

    @property
    def telling(self) -> Telling:
        return Telling(releases=self.releases, notices=FakeNotices(), clock=self.clock, log=lambda text: None)

    def traffic(self) -> Traffic:
        return Traffic(
            routes=self.routes,
            releases=self.releases,
            prompts=self.prompts,
            enrolments=self.enrolments,
            identities=self.identities,
            quarantine=self.quarantine,
            alarms=FakeAlarms(),
            telling=self.telling,
            clock=self.clock,
            reopened=ApprovalCheck(self.reviews, InMemoryEdits(), self.releases, self.clock),
        )

    def wind_up(self, name: str, outcome: Any = "promoted") -> None:
        WindUp(
            routes=self.routes,
            releases=self.releases,
            quarantine=self.quarantine,
            queue=self.queue,
            telling=self.telling,
            clock=self.clock,
            log=lambda text: None,
        ).end(name, claimed=outcome, reason="")

    def roll_back(self) -> None:
        wish = Wish(prompt=PROMPT, cause="operator", reason="refusals", by="arn:aws:iam::111122223333:user/operator")
        done = restore_safe_route(self.routes, wish, clock=self.clock, keep_trying=lambda attempt: False)
        Aftermath(
            releases=self.releases,
            workflow=FakeWorkflow(),
            telling=self.telling,
            restoration=Restoration(
                routes=self.routes, releases=self.releases, quarantine=self.quarantine, clock=self.clock
            ),
            clock=self.clock,
            log=lambda text: None,
        ).tell(done, stop_execution=False)

    # --- what an auditor sees, and what a function gone wrong does ------------------------------------------------

    def copy(self) -> None:
        """What `relay` does: whatever stands in the table without a copy gets one."""
        for name in (FIRST, SECOND):
            for entry in self.releases.timeline(name):
                self.copies.put(entry.to_dict())

    def connect(self) -> Deployment:
        deployment = super().connect()
        deployment.__dict__["audit_copies"] = self.copies
        return deployment

    def refused(self, subject: str = SECOND) -> str:
        """What `history --verify` says does not hold; empty when it finds nothing."""
        result = self.type("history", subject, "--verify", "--json")
        if result.exit_code == 0:
            return ""
        error = json.loads(result.stdout)["error"]
        assert error["type"] == "TimelineBroken", error
        return str(error["message"])

    def record(self) -> Any:
        """What `record` writes."""
        return json.loads(self.type("record", SECOND, "--json").stdout)

    def forge_record(self, **changes: Any) -> None:
        """The record alone is put anew, as any function that may write it could."""
        stored = self.releases.get(SECOND)
        self.releases._releases[SECOND] = Release.from_item(replace(stored, **changes).to_item())

    def append(self, event: Event, own: str, detail: Mapping[str, Any], *, by: str = SYSTEM) -> None:
        """An entry that nobody was to write, with the head moved, and copied by `relay` as any other."""
        self.releases.append(TimelineEntry(f"{SECOND}/{own}", SECOND, self.clock(), event, by, dict(detail)))
        self.copy()

    def locked(self, release_id: str) -> list[LockedCopy]:
        return self.copies.timeline(release_id)


def _none(model_id: str) -> Any:
    raise AssertionError("no judge is needed here")
