"""The rollback function: one read and one write to a safe route, right in every race, silent about what is not ours."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.awsrequest import AWSResponse

from functions.roll_back import handler
from promptlane.aws.plain import to_store
from promptlane.aws.routes import DynamoRoutes
from promptlane.domain.errors import Conflict, InvalidInput, Unavailable
from promptlane.domain.names import Outcome, Phase, release_id
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route, first_route, promote, shift
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import FakeNotices, FakeWorkflow, InMemoryReleases, InMemoryRoutes
from promptlane.lifecycle.rollback import PATH_CALLS, Aftermath

ID = "PROMPT0001"
ARN = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:promptlane/support/{}/Error"


class Context:
    invoked_function_arn = "arn:aws:lambda:us-east-1:111122223333:function:roll_back"
    left = 20_000

    def get_remaining_time_in_millis(self) -> int:
        self.left -= 10
        return self.left


class CountingRoutes(InMemoryRoutes):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def get(self, prompt: str) -> Route | None:
        self.calls.append("get")
        return super().get(prompt)

    def put(self, route: Route, *, expected: Route | None) -> None:
        self.calls.append("put")
        super().put(route, expected=expected)


def ref(version: int) -> VersionRef:
    return VersionRef(version, f"{version:064d}", f"arn:aws:bedrock:us-east-1:111122223333:prompt/{ID}:{version}")


class World:
    def __init__(self) -> None:
        self.routes, self.releases = CountingRoutes(), InMemoryReleases()
        self.workflow, self.notices = FakeWorkflow(), FakeNotices()
        first = first_route(
            prompt="support", prompt_id=ID, candidate=ref(1), release_id=release_id(ID, 1), now=1, by="x"
        )
        self.routes.put(first, expected=None)
        self.release(2)
        self.to_canary(2)

    def release(self, version: int) -> None:
        name = release_id(ID, version)
        entry = TimelineEntry(f"{name}/started", name, 1.0, Event.STARTED)
        self.releases.unlock(ID, self.releases.holder(ID) or "")
        self.releases.start(Release(name, "support", 1.0, "x"), entry)
        self.workflow.start(name, {})

    def route(self) -> Route:
        route = self.routes.get("support")
        assert route is not None
        return route

    def to_canary(self, version: int, weight: int = 500, now: float = 1000.0) -> None:
        route = self.route()
        moved = shift(
            route,
            release_id=release_id(ID, version),
            candidate=ref(version),
            tested_against=route.stable.fingerprint,
            weight=weight,
            now=now,
        )
        self.routes.put(moved, expected=route)

    def to_watch(self, version: int, watch_for: float = 9e9) -> None:
        route = self.route()
        against = route.stable.fingerprint
        moved = promote(
            route,
            release_id=release_id(ID, version),
            candidate=ref(version),
            tested_against=against,
            watch_for=watch_for,
            holdback=500,
            now=1100.0,
        )
        self.routes.put(moved, expected=route)


def aftermath(releases: Any, workflow: Any, notices: Any) -> Aftermath:
    return Aftermath(
        releases=releases,
        workflow=workflow,
        notices=notices,
        clock=time.time,
        log=handler.log.error,
    )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(handler, "wire", lambda: (world.routes, "promptlane"))
    after = aftermath(world.releases, world.workflow, world.notices)
    monkeypatch.setattr(handler, "wire_aftermath", lambda: after)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    world.routes.calls.clear()
    return world


def alarm(track: str = "canary", at: str = "2030-01-01T00:00:00.000+0000", state: str = "ALARM", arn: str = ARN) -> Any:
    message = {
        "AlarmName": f"promptlane/support/{track}/Error",
        "AlarmArn": arn.format(track),
        "NewStateValue": state,
        "OldStateValue": "OK",
        "NewStateReason": "Threshold Crossed: 2 datapoints were greater than the threshold",
        "StateChangeTime": at,
        "Region": "US East (N. Virginia)",
        "AWSAccountId": "111122223333",
    }
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]}


def only(answer: dict[str, Any]) -> dict[str, Any]:
    (one,) = answer["results"]
    return dict(one)


def test_the_safe_route_takes_one_read_and_one_write(world: World) -> None:
    answer = only(handler.handle(alarm(), Context()))
    assert answer["result"] == "rolled_back"
    assert world.routes.calls == ["get", "put"]
    assert (world.route().stable, world.route().canary, world.route().phase) == (ref(1), None, Phase.STEADY)


def test_the_path_takes_as_many_network_calls_as_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real boto3 table whose requests are answered before they would leave."""
    sent: list[str] = []
    stored = TypeSerializer().serialize(to_store(World().route().to_item()))["M"]

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request.headers["X-Amz-Target"].decode().partition(".")[2])
        body = json.dumps({"Item": stored} if sent[-1] == "GetItem" else {}, default=repr).encode()
        return AWSResponse(request.url, 200, {"content-type": "application/x-amz-json-1.0"}, _Raw(body))

    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    table = session.resource("dynamodb").Table("routes")
    table.meta.client.meta.events.register("before-send.dynamodb", answer)
    monkeypatch.setattr(handler, "wire", lambda: (DynamoRoutes(table), "promptlane"))
    told = SimpleNamespace(tell=lambda done, stop_execution: sent.append(done.result))
    monkeypatch.setattr(handler, "wire_aftermath", lambda: told)
    handler.handle(alarm(), Context())
    assert sent == ["GetItem", "PutItem", "rolled_back"]
    assert len(sent) - 1 == PATH_CALLS


class _Raw(io.BytesIO):
    """What botocore reads a body from."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def test_afterwards_it_is_told_and_the_execution_stopped(world: World) -> None:
    handler.handle(alarm(), Context())
    entries = world.releases.timeline(release_id(ID, 2))
    assert [e.event for e in entries if e.event is Event.ROLLED_BACK] == [Event.ROLLED_BACK]
    assert world.workflow.status(release_id(ID, 2)) == "ABORTED"
    subject, body = world.notices.sent[-1]
    assert "version 2 rolled back" in subject
    assert ARN.format("canary") in body


def test_the_mail_gives_the_judges_evidence_in_words(world: World) -> None:
    metric = {"control": [4000, 80], "trial": [1000, 52], "harm": 123.4, "advance": None, "inflation": 1.0}
    silent = {"control": [10, 0], "trial": [0, 0], "harm": 1.0, "advance": 1.0, "inflation": 1.0}
    evidence = {"harm": 61.7, "harm_needed": 20.0, "metrics": {"Refusal": metric, "Error": silent}, "notes": ["odd"]}
    event = {"prompt": "support", "release_id": release_id(ID, 2), "cause": "judge", "reason": "worse"}
    handler.handle({**event, "evidence": evidence}, Context())
    _, body = world.notices.sent[-1]
    for line in (
        "harm 61.7, decides at 20",
        "Refusal: 52 of 1,000 (5.2%) against 80 of 4,000 (2%); evidence of harm 123",
        "Error: no request against 0 of 10 (0%); evidence of harm 1",
        "odd",
    ):
        assert f"  {line}\n" in body


@pytest.mark.parametrize("evidence", [{"harm": "much"}, {"metrics": [1]}, {"alarm": "a", "changed_at": "soon"}])
def test_evidence_that_cannot_be_read_is_mailed_as_it_is(world: World, evidence: dict[str, Any]) -> None:
    event = {"prompt": "support", "release_id": release_id(ID, 2), "cause": "judge", "reason": "worse"}
    assert handler.handle({**event, "evidence": evidence}, Context())["result"] == "rolled_back"
    assert f"  {next(iter(evidence))}: " in world.notices.sent[-1][1]


def test_a_duplicate_or_second_alarm_changes_nothing_more(world: World) -> None:
    handler.handle(alarm(), Context())
    revision = world.route().revision
    assert only(handler.handle(alarm(), Context()))["result"] == "already"
    assert world.route().revision == revision
    assert len(world.notices.sent) == 1


def test_a_stale_alarm_of_an_older_release_does_not_condemn_the_next(world: World) -> None:
    answer = only(handler.handle(alarm(at="1970-01-01T00:00:10.000+0000"), Context()))
    assert answer["result"] == "not_applicable"
    assert "earlier release or phase" in answer["reason"]
    assert world.route().canary == ref(2)


def test_a_stable_alarm_in_canary_is_a_shared_outage(world: World) -> None:
    assert only(handler.handle(alarm("stable"), Context()))["result"] == "not_applicable"
    assert world.route().canary == ref(2)


def test_the_outage_alarm_of_stable_condemns_nobody(world: World) -> None:
    outage = ARN.replace("Error", "Outage")
    assert only(handler.handle(alarm("canary", arn=outage), Context()))["result"] == "not_applicable"
    world.to_watch(2)
    answer = only(handler.handle(alarm("stable", arn=outage), Context()))
    assert answer["result"] == "not_applicable"
    assert "condemns none" in answer["reason"]
    assert world.route().stable == ref(2)


def test_an_alarm_of_another_prompt_leaves_this_one_alone(world: World) -> None:
    answer = only(handler.handle(alarm(arn=ARN.replace("support", "billing")), Context()))
    assert answer["result"] == "not_applicable"
    assert "'billing' has no route" in answer["reason"]
    assert world.route().canary == ref(2)


def test_in_watch_the_previous_version_comes_back(world: World) -> None:
    world.to_watch(2)
    assert only(handler.handle(alarm("stable"), Context()))["result"] == "rolled_back"
    assert world.route().stable == ref(1)


def test_an_alarm_on_the_canary_that_a_promotion_overtook_still_counts(world: World) -> None:
    world.to_watch(2)
    assert world.route().phase_since == 1100.0
    late = alarm("canary", at="1970-01-01T00:17:30.000+0000")  # 1050: after the first shift, before the promotion
    assert only(handler.handle(late, Context()))["result"] == "rolled_back"
    assert world.route().stable == ref(1)


def test_an_alarm_from_before_the_release_does_not_count_in_its_watch(world: World) -> None:
    world.to_watch(2)
    for track, at in (("canary", "00:16:39"), ("stable", "00:17:30")):
        stale = alarm(track, at=f"1970-01-01T{at}.000+0000")
        assert only(handler.handle(stale, Context()))["result"] == "not_applicable"
    assert world.route().stable == ref(2)


def test_it_works_while_the_next_version_waits_at_review(world: World) -> None:
    world.to_watch(2)
    world.release(3)
    assert only(handler.handle(alarm("stable"), Context()))["result"] == "rolled_back"
    assert world.route().stable == ref(1)
    assert world.releases.holder(ID) == release_id(ID, 3)


@pytest.mark.parametrize(
    "event",
    [
        alarm(state="OK"),
        alarm(arn="arn:aws:cloudwatch:us-east-1:111122223333:alarm:cpu-high"),
        alarm(arn="arn:aws:cloudwatch:us-east-1:999999999999:alarm:promptlane/support/canary/Error"),
        alarm(at="yesterday"),
        {"Records": [{"Sns": {"Message": "hello"}}]},
        {"Records": [{"Sns": {"Message": "[1]"}}]},
        {"Records": [{"Sns": {"Message": "{}"}}]},
    ],
)
def test_a_message_that_is_no_alarm_of_ours_is_ignored(world: World, event: Any) -> None:
    answer = only(handler.handle(event, Context()))
    assert answer["result"] == "not_applicable"
    assert answer["reason"]
    assert world.route().canary == ref(2)


def test_it_does_not_need_the_release_table_the_machine_or_the_mail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down:
        def __getattr__(self, name: str) -> Any:
            def fail(*args: Any, **kwargs: Any) -> None:
                raise Unavailable("no answer")

            return fail

    monkeypatch.setattr(handler, "wire_aftermath", lambda: aftermath(Down(), Down(), Down()))
    assert only(handler.handle(alarm(), Context()))["result"] == "rolled_back"
    route = world.route()
    assert route.canary is None
    assert route.pending[-1].event is Event.ROLLED_BACK, "its timeline entry must ride on the route"


def test_a_storm_of_shifts_does_not_keep_it_from_the_safe_route(world: World) -> None:
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            route = world.routes.get("support")
            if route is None or route.canary is None:
                return
            moved = replace(route, weight=min(9999, route.weight + 1), revision=route.revision + 1)
            with contextlib.suppress(Conflict):
                world.routes.put(moved, expected=route)

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        answer = only(handler.handle(alarm(), Context()))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert answer["result"] == "rolled_back"
    assert world.route().canary is None


def test_a_table_that_is_down_is_tried_until_the_time_is_up_and_then_raised(world: World) -> None:
    class Down(CountingRoutes):
        def get(self, prompt: str) -> Route | None:
            self.calls.append("get")
            raise Unavailable("throttled")

    world.routes = Down()
    context = Context()
    context.left = 2_100
    handler_wire = handler.wire
    handler.wire = lambda: (world.routes, "promptlane")  # type: ignore[assignment]
    try:
        with pytest.raises(Unavailable):
            handler.handle(alarm(), context)
    finally:
        handler.wire = handler_wire
    assert len(world.routes.calls) > 3


def test_a_thousand_alarms_at_once_roll_back_once(world: World) -> None:
    results: list[str] = []

    def one() -> None:
        results.append(only(handler.handle(alarm(), Context()))["result"])

    for _ in range(10):
        threads = [threading.Thread(target=one) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results.count("rolled_back") == 1
    assert set(results) == {"rolled_back", "already"}


def test_the_workflow_rolls_back_its_own_release_only(world: World) -> None:
    other = handler.handle(
        {"release_id": release_id(ID, 9), "prompt": "support", "cause": "judge", "reason": "worse"}, Context()
    )
    assert other["result"] == "not_applicable"
    mine = handler.handle(
        {"release_id": release_id(ID, 2), "prompt": "support", "cause": "judge", "reason": "worse"}, Context()
    )
    assert mine["result"] == "rolled_back"
    assert world.workflow.status(release_id(ID, 2)) == "RUNNING", "the workflow ends its own execution"


def test_a_console_rollback_needs_a_prompt_and_a_reason(world: World) -> None:
    with pytest.raises(InvalidInput, match="says why"):
        handler.handle({"prompt": "support"}, Context())
    assert handler.handle({"prompt": "support", "reason": "customers complain"}, Context())["result"] == "rolled_back"


@pytest.mark.parametrize(
    "claim",
    [
        {"cause": "operator", "by": "arn:aws:iam::111122223333:user/kim"},
        {"cause": "judge", "evidence": {"harm": 99.0}},
        {"cause": "alarm", "by": "promptlane", "release_id": release_id(ID, 2)},
    ],
)
def test_what_a_direct_invocation_says_of_itself_is_recorded_as_a_claim(world: World, claim: dict[str, Any]) -> None:
    payload = {"prompt": "support", "reason": "customers complain", **claim}
    assert handler.handle(payload, Context())["result"] == "rolled_back"
    last = world.releases.timeline(release_id(ID, 2))[-1]
    assert last.by == f"invoked directly (says: {claim.get('by', 'nobody')})"
    assert (last.detail["cause"], "evidence" in last.detail) == ("operator", False)
    assert world.workflow.status(release_id(ID, 2)) == "ABORTED"


@pytest.mark.parametrize(
    "imitated",
    [
        alarm(),
        {"release_id": release_id(ID, 2), "prompt": "support", "cause": "judge", "reason": "worse", "evidence": {}},
        {
            "requestContext": {"authorizer": {"iam": {"userArn": "arn:aws:iam::1:user/kim"}}},
            "pathParameters": {"prompt": "support"},
            "body": '{"reason": "x"}',
        },
    ],
    ids=["an alarm", "the judge", "the API"],
)
def test_what_people_invoke_passes_for_nothing_else(world: World, imitated: dict[str, Any]) -> None:
    """Operators may invoke the alias alone; evidence and names that others vouch for are not theirs to give."""

    class Console(Context):
        invoked_function_arn = f"{Context.invoked_function_arn}:console"

    try:
        done = handler.handle(imitated, Console())
    except InvalidInput:
        assert world.route().phase is Phase.CANARY
        return
    last = world.releases.timeline(release_id(ID, 2))[-1]
    assert (done["result"], last.by) == ("rolled_back", "invoked directly (says: nobody)")
    assert (last.detail["cause"], "evidence" in last.detail) == ("operator", False)


def test_the_judges_rollback_is_recorded_as_the_systems_own_whoever_it_names(world: World) -> None:
    event = {"release_id": release_id(ID, 2), "prompt": "support", "cause": "judge", "reason": "worse", "by": "kim"}
    handler.handle(event, Context())
    world.releases.append(world.route().pending[-1])
    last = world.releases.timeline(release_id(ID, 2))[-1]
    assert (last.event, last.by, last.detail["cause"]) == (Event.ROLLED_BACK, "promptlane", "judge")


def api(body: str, arn: str | None = "arn:aws:sts::111122223333:assumed-role/Operator/x") -> dict[str, Any]:
    identity = {"authorizer": {"iam": {"userArn": arn}}} if arn else {}
    return {"requestContext": identity, "pathParameters": {"prompt": "support"}, "body": body}


def test_the_operations_api_records_the_caller(world: World) -> None:
    answer = handler.handle(api(json.dumps({"reason": "customers complain"})), Context())
    assert answer["statusCode"] == 200
    last = world.releases.timeline(release_id(ID, 2))[-1]
    assert (last.event, last.by) == (Event.ROLLED_BACK, "arn:aws:sts::111122223333:assumed-role/Operator/x")


def promoted(world: World, version: int, *, approved: int = 0, outcome: Outcome = Outcome.PROMOTED) -> None:
    """A record of an earlier release of the version; `approved`: the version whose content was, if another."""
    name = release_id(ID, version, 9)
    approval = {"candidate": ref(approved or version).fingerprint}
    world.releases.record_ended(
        Release(name, "support", 1.0, "x", state="ended", outcome=outcome, candidate=ref(version), approval=approval)
    )


def test_an_operator_goes_back_further_than_the_route_remembers(world: World) -> None:
    promoted(world, 7)
    handler.handle(alarm(), Context())
    asked = api(json.dumps({"reason": "version 1 is bad too", "to": 7}))

    answers = [handler.handle(asked, Context()) for _ in range(2)]

    assert [a["statusCode"] for a in answers] == [200, 200]
    assert [json.loads(a["body"])["result"] for a in answers] == ["rolled_back", "already"]
    route = world.route()
    assert (route.stable, route.previous) == (ref(7), None)
    assert set(route.quarantined) == {ref(1).fingerprint, ref(2).fingerprint}


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (8, "version 8 of support was never promoted"),
        (5, "version 5 of support was never promoted"),
        (6, "version 6 of support was never promoted"),
        (2, "version 2 of support was rolled back"),
    ],
    ids=["unknown", "rejected", "of another content than was approved", "quarantined"],
)
def test_nobody_goes_back_to_what_was_not_approved_and_promoted(world: World, to: int, said: str) -> None:
    promoted(world, 5, outcome=Outcome.REJECTED)
    promoted(world, 6, approved=5)
    promoted(world, 2)
    handler.handle(alarm(), Context())
    before = world.route()

    answer = handler.handle(api(json.dumps({"reason": "x", "to": to})), Context())

    assert answer["statusCode"] == 409
    assert said in json.loads(answer["body"])["reason"]
    assert world.route() == before


@pytest.mark.parametrize("to", [0, -1, "7", True, 1.5, [7]])
def test_a_version_that_is_no_number_is_refused(world: World, to: Any) -> None:
    answer = handler.handle(api(json.dumps({"reason": "x", "to": to})), Context())

    assert answer["statusCode"] == 400
    assert "name a version by its number" in answer["body"]


def test_with_nothing_to_go_back_to_people_are_told(world: World) -> None:
    handler.handle(alarm(), Context())
    answer = handler.handle(api(json.dumps({"reason": "still bad"})), Context())
    assert answer["statusCode"] == 409
    assert "impossible" in world.notices.sent[-1][0]
    assert world.route().stable == ref(1)


@pytest.mark.parametrize(
    ("body", "arn", "status"), [("{", "a", 400), ("{}", "a", 400), ("[]", "a", 400), ("{}", None, 403)]
)
def test_bad_requests_change_nothing(world: World, body: str, arn: str | None, status: int) -> None:
    assert handler.handle(api(body, arn), Context())["statusCode"] == status
    assert world.route().canary == ref(2)
