"""The rollback in every race, and which alarms it hears. Over its real adapters: test_roll_back.py."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.dynamodb.types import TypeSerializer
from botocore.awsrequest import AWSResponse

from functions.roll_back import handler
from promptlane.aws.attributes import to_attribute
from promptlane.aws.dynamodb import SignedDynamo
from promptlane.aws.plain import to_store
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.signed_routes import SignedRoutes
from promptlane.domain.errors import Conflict
from promptlane.domain.names import Outcome, Phase, release_id
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Rollback, roll_back
from promptlane.lifecycle.rollback import PATH_CALLS, Aftermath, PromotedBefore
from tests.support.functions import ACCOUNT, REGION, Context
from tests.support.prompt import ID, PROMPT, RELEASE
from tests.support.stage import Stage

ARN = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:promptlane/support/{{}}/Error"
JUDGE = {"prompt": PROMPT, "release_id": RELEASE, "cause": "judge", "reason": "worse"}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Version 2 is in canary since 1,000."""
    stage = Stage(versions=6)
    stage.workflow.start(stage.release(2).release_id, {})
    stage.serve(
        1,
        canary=stage.ref(2),
        weight=500,
        release_id=RELEASE,
        phase=Phase.CANARY,
        phase_since=1000.0,
        shifts=((1000.0, 500),),
    )
    after = Aftermath(**stage.ports("releases", "workflow", "telling", "restoration", "clock", "log"))
    monkeypatch.setattr(handler, "wire", lambda: (stage.routes, "promptlane"))
    monkeypatch.setattr(handler, "wire_aftermath", lambda: after)
    going_back = partial(PromotedBefore, **stage.ports("releases", "quarantine"))
    monkeypatch.setattr(handler, "wire_going_back", lambda: going_back)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return stage


@pytest.fixture
def in_watch(stage: Stage) -> Stage:
    """Version 2 is stable since 1,100."""
    watch = {"phase": Phase.WATCH, "phase_since": 1100.0, "watch_until": 9e9, "holdback": 500}
    stage.serve(2, previous=stage.ref(1), release_id=RELEASE, shifts=((1000.0, 500),), **watch)
    return stage


def alarm(track: str = "canary", at: str = "2030-01-01T00:00:00.000+0000", state: str = "ALARM", arn: str = ARN) -> Any:
    message = {
        "AlarmName": f"promptlane/support/{track}/Error",
        "AlarmArn": arn.format(track),
        "NewStateValue": state,
        "OldStateValue": "OK",
        "NewStateReason": "Threshold Crossed: 2 datapoints were greater than the threshold",
        "StateChangeTime": at,
        "Region": "US East (N. Virginia)",
        "AWSAccountId": ACCOUNT,
    }
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]}


def only(answer: dict[str, Any]) -> dict[str, Any]:
    (one,) = answer["results"]
    return dict(one)


def test_the_path_takes_as_many_network_calls_as_it_promises(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real boto3 table whose requests are answered before they would leave."""
    sent: list[str] = []
    stored = TypeSerializer().serialize(to_store(stage.route.to_item()))["M"]

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


LIGHT = """
import json, os, sys, time
from types import SimpleNamespace
from functions.roll_back import handler
from promptlane.aws.dynamodb import SignedDynamo
from promptlane.lifecycle.rollback import RolledBack

HEAVY = {"boto3", "botocore", "urllib3", "aws_lambda_powertools", "pydantic", "jsonschema", "promptlane.domain.policy"}
item = json.loads(sys.argv[1])

def post(signed, operation, body):
    print(operation, sorted(HEAVY & set(sys.modules)))
    return 200, json.dumps({"Item": item} if operation == "GetItem" else {}).encode()

SignedDynamo._post = post
handler.wire_aftermath = lambda: SimpleNamespace(tell=lambda done, stop_execution: print(done.result))
handler.log = lambda: SimpleNamespace(info=lambda *_, **__: print("logs"))
handler.handle(json.loads(sys.argv[2]), SimpleNamespace(invoked_function_arn=sys.argv[3]))
"""


def test_the_route_is_safe_before_anything_heavy_is_loaded(stage: Stage) -> None:
    item = json.dumps(to_attribute(stage.route.to_item())["M"])
    environ = {"ROUTE_TABLE": "routes", "DEPLOYMENT": "promptlane", "AWS_REGION": REGION, "PYTHONPATH": os.getcwd()}
    environ |= {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    arguments = [item, json.dumps(alarm()), Context.invoked_function_arn]
    done = subprocess.run([sys.executable, "-c", LIGHT, *arguments], env=environ, capture_output=True, text=True)
    assert (done.stdout.splitlines(), done.stderr) == (["GetItem []", "PutItem []", "logs", "rolled_back"], "")


def test_a_signed_write_whose_answer_was_lost_is_nobody_elses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request is sent once: the route is read anew, and is what was written."""
    stored, sent = [to_attribute(stage.route.to_item())["M"]], list[str]()

    def post(_: SignedDynamo, operation: str, body: bytes) -> tuple[int, bytes]:
        sent.append(operation)
        if operation == "GetItem":
            return 200, json.dumps({"Item": stored[-1]}).encode()
        stored.append(json.loads(body)["Item"])
        raise TimeoutError("no answer in time")

    monkeypatch.setattr(SignedDynamo, "_post", post)
    signed = SignedDynamo(endpoint="https://dynamodb.us-east-1.amazonaws.com", region="us-east-1", environ={})
    monkeypatch.setattr(handler, "wire", lambda: (SignedRoutes(signed, "routes"), "promptlane"))
    assert only(handler.handle(alarm(), Context()))["result"] == "rolled_back"
    assert sent == ["GetItem", "PutItem", "GetItem"]
    # The route of the stage stands still meanwhile, which is told as a restored one beside.
    told = [subject for subject, _ in stage.notices.sent if "restored" not in subject]
    assert told == [f"[Promptlane] {PROMPT}: version 2 rolled back"]


@pytest.mark.parametrize("overtaken", [False, True])
def test_a_write_whose_answer_was_lost_is_nobody_elses(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, overtaken: bool
) -> None:
    """The SDK tries again, and meets what it wrote; or what the next writer made of that."""
    stored = [TypeSerializer().serialize(to_store(stage.route.to_item()))["M"]]
    puts: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked, status = json.loads(request.body), 200
        body: dict[str, Any] = {"Item": stored[-1]}
        if request.headers["X-Amz-Target"].decode().endswith("PutItem"):
            puts.append(asked["Item"])
            status, body = 500, {"__type": "InternalServerError"}
            if len(puts) == 1:
                later = {**asked["Item"], "revision": {"N": str(int(asked["Item"]["revision"]["N"]) + 1)}}
                stored.append(later if overtaken else asked["Item"])
            else:
                status, body = 400, {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}
        raw = _Raw(json.dumps(body, default=repr).encode())
        return AWSResponse(request.url, status, {"content-type": "application/x-amz-json-1.0"}, raw)

    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    table = session.resource("dynamodb").Table("routes")
    table.meta.client.meta.events.register("before-send.dynamodb", answer)
    monkeypatch.setattr(handler, "wire", lambda: (DynamoRoutes(table), "promptlane"))
    assert only(handler.handle(alarm(), Context()))["result"] == "rolled_back"
    assert len(puts) == 2
    # The route of the stage stands still meanwhile, which is told as a restored one beside.
    told = [subject for subject, _ in stage.notices.sent if "restored" not in subject]
    assert told == [f"[Promptlane] {PROMPT}: version 2 rolled back"]


def test_what_another_wrote_is_no_write_of_ours(stage: Stage) -> None:
    """Two that roll back the same release in the same moment are two writers, and one of them was first."""
    before = stage.route
    mine = roll_back(before, Rollback(cause="operator", reason="mine", by="me", release_id=RELEASE), now=2000.0)
    theirs = roll_back(before, Rollback(cause="operator", reason="theirs", by="they", release_id=RELEASE), now=2000.0)
    assert not theirs.holds(mine, since=before)
    assert theirs.holds(theirs, since=before)
    assert not before.holds(before, since=before)


class _Raw(io.BytesIO):
    """What botocore reads a body from."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def test_the_mail_gives_the_judges_evidence_in_words(stage: Stage) -> None:
    metric = {"control": [4000, 80], "trial": [1000, 52], "harm": 123.4, "advance": None, "inflation": 1.0}
    silent = {"control": [10, 0], "trial": [0, 0], "harm": 1.0, "advance": 1.0, "inflation": 1.0}
    evidence = {"harm": 61.7, "harm_needed": 20.0, "metrics": {"Refusal": metric, "Error": silent}, "notes": ["odd"]}
    handler.handle({**JUDGE, "evidence": evidence}, Context())
    _, body = stage.notices.sent[-1]
    for line in (
        "harm 61.7, decides at 20",
        "Refusal: 52 of 1,000 (5.2%) against 80 of 4,000 (2%); evidence of harm 123",
        "Error: no request against 0 of 10 (0%); evidence of harm 1",
        "odd",
    ):
        assert f"  {line}\n" in body


@pytest.mark.parametrize("evidence", [{"harm": "much"}, {"metrics": [1]}, {"alarm": "a", "changed_at": "soon"}])
def test_evidence_that_cannot_be_read_is_mailed_as_it_is(stage: Stage, evidence: dict[str, Any]) -> None:
    assert handler.handle({**JUDGE, "evidence": evidence}, Context())["result"] == "rolled_back"
    assert f"  {next(iter(evidence))}: " in stage.notices.sent[-1][1]


def test_a_duplicate_or_second_alarm_changes_nothing_more(stage: Stage) -> None:
    handler.handle(alarm(), Context())
    revision = stage.route.revision
    assert only(handler.handle(alarm(), Context()))["result"] == "already"
    assert stage.route.revision == revision
    assert len(stage.notices.sent) == 1


def test_the_outage_alarm_of_stable_condemns_nobody(in_watch: Stage) -> None:
    outage = ARN.replace("Error", "Outage")
    for track in ("canary", "stable"):
        answer = only(handler.handle(alarm(track, arn=outage), Context()))
        assert (answer["result"], "condemns none" in answer["reason"]) == ("not_applicable", True)
    assert in_watch.route.stable == in_watch.ref(2)


def test_in_watch_the_previous_version_comes_back(in_watch: Stage) -> None:
    assert only(handler.handle(alarm("stable"), Context()))["result"] == "rolled_back"
    assert in_watch.route.stable == in_watch.ref(1)


def test_an_alarm_on_the_canary_that_a_promotion_overtook_still_counts(in_watch: Stage) -> None:
    late = alarm("canary", at="1970-01-01T00:17:30.000+0000")  # 1050: after the first shift, before the promotion
    assert only(handler.handle(late, Context()))["result"] == "rolled_back"
    assert in_watch.route.stable == in_watch.ref(1)


def test_an_alarm_from_before_the_release_does_not_count_in_its_watch(in_watch: Stage) -> None:
    for track, at in (("canary", "00:16:39"), ("stable", "00:17:30")):
        stale = alarm(track, at=f"1970-01-01T{at}.000+0000")
        assert only(handler.handle(stale, Context()))["result"] == "not_applicable"
    assert in_watch.route.stable == in_watch.ref(2)


def test_it_works_while_the_next_version_waits_at_review(in_watch: Stage) -> None:
    in_watch.releases.unlock(ID, RELEASE)
    in_watch.release(3)
    assert only(handler.handle(alarm("stable"), Context()))["result"] == "rolled_back"
    assert in_watch.route.stable == in_watch.ref(1)
    assert in_watch.releases.holder(ID) == release_id(ID, 3)


@pytest.mark.parametrize(
    "event",
    [
        alarm(state="OK"),
        alarm(arn=f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:cpu-high"),
        alarm(arn="arn:aws:cloudwatch:us-east-1:999999999999:alarm:promptlane/support/canary/Error"),
        alarm(at="yesterday"),
        {"Records": [{"Sns": {"Message": "hello"}}]},
        {"Records": [{"Sns": {"Message": "[1]"}}]},
        {"Records": [{"Sns": {"Message": "{}"}}]},
    ],
)
def test_a_message_that_is_no_alarm_of_ours_is_ignored(stage: Stage, event: Any) -> None:
    answer = only(handler.handle(event, Context()))
    assert answer["result"] == "not_applicable"
    assert answer["reason"]
    assert stage.route.canary == stage.ref(2)


def test_a_storm_of_shifts_does_not_keep_it_from_the_safe_route(stage: Stage) -> None:
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            route = stage.routes.get("support")
            if route is None or route.canary is None:
                return
            moved = replace(route, weight=min(9999, route.weight + 1), revision=route.revision + 1)
            with contextlib.suppress(Conflict):
                stage.routes.put(moved, expected=route)

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
    assert stage.route.canary is None


def test_a_thousand_alarms_at_once_roll_back_once(stage: Stage) -> None:
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


def promoted(stage: Stage, version: int, *, approved: int = 0, outcome: Outcome = Outcome.PROMOTED) -> None:
    """A record of an earlier release of the version; `approved`: the version whose content was, if another."""
    approval = {"candidate": stage.ref(approved or version).fingerprint}
    fields: dict[str, Any] = {"outcome": outcome, "candidate": stage.ref(version), "approval": approval}
    stage.releases.record_ended(Release(release_id(ID, version, 9), PROMPT, 1.0, "x", state="ended", **fields))


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
def test_nobody_goes_back_to_what_was_not_approved_and_promoted(stage: Stage, to: int, said: str) -> None:
    promoted(stage, 5, outcome=Outcome.REJECTED)
    promoted(stage, 6, approved=5)
    promoted(stage, 2)
    handler.handle(alarm(), Context())
    before = stage.route

    identity = {"authorizer": {"iam": {"userArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/Operator/x"}}}
    asked = {"pathParameters": {"prompt": PROMPT}, "body": json.dumps({"reason": "x", "to": to})}
    answer = handler.handle({"requestContext": identity, **asked}, Context())

    assert answer["statusCode"] == 409
    assert said in json.loads(answer["body"])["reason"]
    assert stage.route == before
