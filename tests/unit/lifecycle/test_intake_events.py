"""What becomes of events and requests: started, waiting, duplicate or dropped, and never lost."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.intake import handler
from promptlane.domain.errors import InvalidInput, NotApplicable, NotFound, PromptlaneError, Unavailable
from promptlane.domain.names import Outcome
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.domain.release import trigger
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.route import Route, first_route
from promptlane.domain.release.timeline import Event
from promptlane.domain.release.trigger import Request
from promptlane.fakes import (
    FakeEnrolments,
    FakeEnrolmentTags,
    FakePrompts,
    FakeQueue,
    FakeWorkflow,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.lifecycle.intake import Intake, Taken
from promptlane.lifecycle.reconcile import GRACE, Reconciliation
from promptlane.lifecycle.windup import WindUp

EVENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "events/create-prompt-version.json").read_text())
ID, HOME = "PROMPT0001", {"account": "111122223333", "region": "us-east-1"}
POLICY = Policy(review=ReviewPolicy((Reviewer("Prompt review", "prompt-review@example.com"),)))


@dataclass
class World:
    prompts: FakePrompts = field(default_factory=FakePrompts)
    tags: FakeEnrolmentTags = field(default_factory=FakeEnrolmentTags)
    enrolments: FakeEnrolments = field(default_factory=lambda: FakeEnrolments({"support": POLICY}))
    routes: InMemoryRoutes = field(default_factory=InMemoryRoutes)
    releases: InMemoryReleases = field(default_factory=InMemoryReleases)
    workflow: FakeWorkflow = field(default_factory=FakeWorkflow)
    queue: FakeQueue = field(default_factory=FakeQueue)
    now: float = 1000.0

    def publish(self, name: str = "support", prompt_id: str = ID) -> int:
        draft = PromptDraft(name=name, model="m", template="{{q}}", variables=("q",))
        return self.prompts.publish(draft, prompt_id=prompt_id, at=self.now).version

    @property
    def wired(self) -> dict[str, Any]:
        names = ("prompts", "enrolments", "routes", "releases", "workflow")
        return {n: getattr(self, n) for n in names} | {"clock": lambda: self.now}

    def take(self, version: int | None, **given: Any) -> Taken:
        return Intake(**self.wired).take(Request(ID, version, "arn:aws:iam::111122223333:role/Author", **given))

    def reconcile(self) -> Any:
        wound_up: list[str] = []
        done = Reconciliation(
            **self.wired,
            tags=self.tags,
            queue=self.queue,
            wind_up=lambda r, why: wound_up.append(r),
            log=lambda text: None,
        ).run()
        assert done.wound_up == wound_up
        return done

    def end(self, release_id: str, outcome: Outcome = Outcome.REJECTED) -> None:
        WindUp(
            routes=self.routes,
            releases=self.releases,
            queue=self.queue,
            notices=type("Quiet", (), {"publish": lambda *a: None})(),
            clock=lambda: self.now,
            log=lambda text: None,
        ).end(release_id, claimed=outcome, reason="")


@pytest.fixture
def world() -> World:
    world = World()
    world.publish()
    return world


def test_a_cloudtrail_event_is_read_without_its_response() -> None:
    request = trigger.read(EVENT, **HOME)
    assert (request.prompt, request.version, request.explicit) == (ID, None, False)
    assert request.requested_by.endswith("PromptAuthor/release-pipeline")


def test_both_services_that_may_sign_the_event_are_understood() -> None:
    other = copy.deepcopy(EVENT)
    other["detail"]["eventSource"] = "bedrock-agent.amazonaws.com"
    other["detail"]["requestParameters"]["promptIdentifier"] = f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}"
    other["detail"]["responseElements"] = {"version": "7"}
    assert trigger.read(other, **HOME).version == 7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"errorCode": "ThrottlingException"}, "failed with ThrottlingException"),
        ({"eventName": "UpdatePrompt"}, "starts no release"),
        ({"eventSource": "s3.amazonaws.com"}, "starts no release"),
        ({"awsRegion": "eu-west-1"}, "this deployment serves"),
    ],
)
def test_events_that_are_none_of_ours_are_dropped_with_the_reason(change: dict[str, str], says: str) -> None:
    other = copy.deepcopy(EVENT)
    other["detail"].update(change)
    with pytest.raises(NotApplicable, match=says):
        trigger.read(other, **HOME)


def test_an_event_of_another_account_is_dropped() -> None:
    with pytest.raises(NotApplicable, match="999999999999"):
        trigger.read({**EVENT, "account": "999999999999"}, **HOME)


CLAIMED = "arn:aws:sts::111122223333:assumed-role/Operator/kim"


@pytest.mark.parametrize(
    ("sender", "requested_by", "sent_by"),
    [
        ("AROAEXAMPLEROLEID0001:kim", CLAIMED, "AROAEXAMPLEROLEID0001:kim"),
        (
            "AROAEXAMPLEROLEID0001:sam",
            f"{CLAIMED} (sent by AROAEXAMPLEROLEID0001:sam)",
            "AROAEXAMPLEROLEID0001:sam",
        ),
        ("AIDAEXAMPLEUSERID0001", f"{CLAIMED} (sent by AIDAEXAMPLEUSERID0001)", "AIDAEXAMPLEUSERID0001"),
        ("111122223333", CLAIMED, ""),
        ("", CLAIMED, ""),
    ],
)
def test_a_request_is_known_by_who_sent_it_too(sender: str, requested_by: str, sent_by: str) -> None:
    message = {"source": "promptlane.request", "prompt": "support", "version": "1", "requested_by": CLAIMED}
    request = trigger.read(message, **HOME, sender=sender)
    assert (request.requested_by, request.sent_by) == (requested_by, sent_by)


@pytest.mark.parametrize("sender", ["", "AIDAEVENTBRIDGEEXAMPLE", "111122223333", "AROAEXAMPLEROLEID0001:sam"])
def test_no_event_is_dropped_for_its_sender_and_one_that_a_person_sent_says_so(sender: str) -> None:
    request = trigger.read(EVENT, **HOME, sender=sender)
    assert request.prompt == ID
    assert ("(sent by" in request.requested_by) == sender.startswith("AROA")


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "text",
        {},
        {"detail-type": "AWS API Call via CloudTrail"},
        {**EVENT, "detail": {**EVENT["detail"], "requestParameters": None}},
        {**EVENT, "detail": {**EVENT["detail"], "requestParameters": {"promptIdentifier": "a b; drop"}}},
        {"source": "promptlane.request", "prompt": "support", "version": "DRAFT"},
        {"source": "promptlane.request", "prompt": "support", "version": "0"},
        {"source": "promptlane.request", "version": "1"},
    ],
)
def test_malformed_messages_are_errors_that_name_what_is_wrong(message: Any) -> None:
    with pytest.raises(InvalidInput):
        trigger.read(message, **HOME)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.sampled_from(["detail", "account", "requestParameters", "userIdentity", "responseElements"]))
def test_whatever_a_message_holds_it_is_read_or_refused_by_name(value: Any, where: str) -> None:
    message = copy.deepcopy(EVENT)
    (message if where in message else message["detail"])[where] = value
    try:
        request = trigger.read(message, **HOME)
    except PromptlaneError:
        return
    assert request.version is None or request.version > 0


def test_an_event_starts_the_release_named_by_its_id(world: World) -> None:
    taken = world.take(None)
    assert (taken.result, taken.release_id) == ("started", f"{ID}-1-1")
    assert world.workflow.executions == {f"{ID}-1-1": "RUNNING"}
    assert world.releases.holder(ID) == f"{ID}-1-1"
    assert [e.event for e in world.releases.timeline(f"{ID}-1-1")] == [Event.STARTED]


def test_duplicate_events_start_nothing_twice(world: World) -> None:
    assert world.take(1).result == "started"
    again = world.take(1)
    assert again.release_id == f"{ID}-1-1"
    assert list(world.workflow.executions) == [f"{ID}-1-1"]
    world.end(f"{ID}-1-1")
    assert world.take(1).result == "duplicate"
    assert world.take(None).result == "duplicate"


def test_a_start_that_was_cut_off_is_completed_by_the_duplicate(world: World) -> None:
    class Down(FakeWorkflow):
        def start(self, release_id: str, payload: dict[str, object]) -> str:
            raise Unavailable("no answer")

    works, world.workflow = world.workflow, Down()
    with pytest.raises(Unavailable):
        world.take(1)
    world.workflow = works
    assert world.take(1).result == "started"
    assert world.workflow.executions == {f"{ID}-1-1": "RUNNING"}


def test_an_unenrolled_or_unknown_prompt_is_dropped(world: World) -> None:
    world.publish("other", "OTHER00001")
    other = Intake(**world.wired).take(Request("OTHER00001", 1, "x"))
    assert (other.result, "release.yaml" in other.reason) == ("dropped", True)
    gone = Intake(**world.wired).take(Request("NOWHERE001", 1, "x"))
    assert (gone.result, "does not exist" in gone.reason) == ("dropped", True)
    assert world.take(9).result == "dropped"
    assert world.workflow.executions == {}


def test_two_releases_at_once_one_waits_and_the_newest_wins(world: World) -> None:
    world.take(1)
    for _ in range(3):
        world.publish()
    assert [world.take(v).result for v in (2, 3, 4)] == ["waiting"] * 3
    world.end(f"{ID}-1-1")
    assert world.queue.requests[-1][:2] == ("support", 4)
    assert world.take(4).result == "started"
    assert world.releases.waiting(ID) == []
    skipped = [r for r in world.releases.of_prompt(ID) if r.version in (2, 3)]
    assert [r.outcome for r in skipped] == [Outcome.SUPERSEDED] * 2
    assert all(world.releases.timeline(r.release_id)[-1].event is Event.ENDED for r in skipped)


def test_an_explicit_request_makes_another_attempt_once(world: World) -> None:
    world.take(1)
    world.end(f"{ID}-1-1")
    assert world.take(1, explicit=True, request_id="r1").release_id == f"{ID}-1-2"
    world.end(f"{ID}-1-2")
    assert world.take(1, explicit=True, request_id="r1").result == "duplicate"
    assert world.take(1, explicit=True, request_id="r2").release_id == f"{ID}-1-3"


def test_a_request_for_what_is_stable_already_is_refused(world: World) -> None:
    version = world.prompts.version(ID, 1)
    world.routes.put(
        first_route(prompt="support", prompt_id=ID, candidate=version.ref, release_id=f"{ID}-1-1", now=1.0, by="x"),
        expected=None,
    )
    refused = world.take(1, explicit=True, request_id="r")
    assert (refused.result, "stable already" in refused.reason) == ("duplicate", True)


def test_an_event_that_comes_late_does_not_release_an_older_version(world: World) -> None:
    world.publish()
    world.take(2)
    world.end(f"{ID}-2-1")
    assert world.take(1).result == "duplicate"


def test_reconcile_finds_what_no_event_announced(world: World) -> None:
    world.releases.enrolled_since(ID, 900.0)
    world.publish()
    done = world.reconcile()
    assert done.requested == ["support 2"]
    assert [w.version for w in world.releases.waiting(ID)] == [1, 2]
    assert world.take(2).result == "started"
    assert world.releases.find(f"{ID}-1-1").outcome is Outcome.SUPERSEDED  # type: ignore[union-attr]
    assert world.reconcile().requested == []


def test_reconcile_leaves_versions_from_before_the_enrolment_alone(world: World) -> None:
    world.now += 50
    assert world.reconcile().requested == []
    assert world.queue.requests == []


def test_reconcile_starts_what_was_recorded_and_never_started(world: World) -> None:
    world.take(1)
    world.workflow.executions.clear()
    assert world.reconcile().restarted == []
    world.now += GRACE + 1
    assert world.reconcile().restarted == [f"{ID}-1-1"]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"])
def test_reconcile_winds_up_what_has_no_execution(world: World, status: str) -> None:
    world.take(1)
    release = world.releases.get(f"{ID}-1-1")
    world.releases.update(replace(release, state="review"))
    world.workflow.executions[f"{ID}-1-1"] = status
    assert world.reconcile().wound_up == [f"{ID}-1-1"]


def test_reconcile_lets_applications_back_in_where_somebody_took_the_tag(world: World) -> None:
    served, retired = world.prompts.version(ID, 1).ref, world.prompts.version(ID, world.publish()).ref
    world.routes.put(Route("support", ID, served, previous=retired), expected=None)
    world.tags.tag(retired.arn)

    assert world.reconcile().tagged == ["support 1"]
    assert world.tags.tagged(served.arn)
    assert world.reconcile().tagged == []


def test_a_version_that_cannot_be_tagged_keeps_no_other_work_from_being_done(world: World) -> None:
    class Gone(FakeEnrolmentTags):
        def tagged(self, version_arn: str) -> bool:
            raise NotFound(f"there is no {version_arn}")

    world.tags = Gone()
    world.releases.enrolled_since(ID, 900.0)
    world.routes.put(Route("support", ID, world.prompts.version(ID, 1).ref), expected=None)

    done = world.reconcile()

    assert (done.requested, done.failed) == (["support 1"], ["support"])


def test_the_handler_reports_only_what_must_be_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "wire", lambda: Intake(**world.wired))
    failed_call = copy.deepcopy(EVENT)
    failed_call["detail"]["errorCode"] = "AccessDenied"
    bodies = [json.dumps(EVENT), "not json", json.dumps(failed_call), json.dumps({"source": "elsewhere"})]
    event = {"Records": [{"messageId": str(i), "body": body} for i, body in enumerate(bodies)]}
    context = type("C", (), {"invoked_function_arn": "arn:aws:lambda:us-east-1:111122223333:function:intake"})
    answer = handler.handle(event, context)
    assert [f["itemIdentifier"] for f in answer["batchItemFailures"]] == ["1", "3"]
    assert world.workflow.executions == {f"{ID}-1-1": "RUNNING"}


def test_the_sender_is_on_the_timeline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "wire", lambda: Intake(**world.wired))
    body = {"source": "promptlane.request", "prompt": "support", "version": "1", "requested_by": CLAIMED}
    sender = "AROAEXAMPLEROLEID0001:sam"
    record = {"messageId": "m", "body": json.dumps(body), "attributes": {"SenderId": sender}}
    context = type("C", (), {"invoked_function_arn": "arn:aws:lambda:us-east-1:111122223333:function:intake"})

    assert handler.handle({"Records": [record]}, context) == {"batchItemFailures": []}

    (started,) = world.releases.timeline(f"{ID}-1-1")
    assert (started.by, started.detail["sent_by"]) == (f"{CLAIMED} (sent by {sender})", sender)
