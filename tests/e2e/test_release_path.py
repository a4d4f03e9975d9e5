"""The way of a version on the deployed stacks: what ends it, where, and what is left behind."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any

import pytest

from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, chain_problems
from tests.support.deployment import Deployment, draft


def left_safe(deployed: Deployment, release: Release, role: str) -> None:
    """A safe route, a free lock, a whole timeline with exactly one end."""
    route = deployed.route(role)
    if route is not None:
        assert route.canary is None
        assert route.phase is Phase.STEADY
        assert route.holdback == 0
    entries = deployed.wait(
        lambda: [e for e in deployed.timeline(release.release_id) if e.event is Event.ENDED], "no end on the timeline"
    )
    assert len(entries) == 1
    timeline = deployed.timeline(release.release_id)
    assert chain_problems(timeline) == []
    lock = {"pk": {"S": f"prompt#{release.prompt_id}"}, "sk": {"S": "lock"}}
    table = deployed.resources["release_table"]
    deployed.wait(
        lambda: "Item" not in deployed.client("dynamodb").get_item(TableName=table, Key=lock), "lock not freed"
    )


def test_a_release_stopped_while_it_is_tested(deployed: Deployment) -> None:
    release_id = deployed.publish(draft("tested"))
    deployed.wait(lambda: deployed.release(release_id).state == "testing", "no test started")
    deployed.stop_execution(release_id)
    release = deployed.ended(release_id)
    assert release.outcome is Outcome.FAILED
    assert "aborted" in release.reason
    assert deployed.route("tested") is None
    left_safe(deployed, release, "tested")


def test_a_release_stopped_at_review(deployed: Deployment) -> None:
    release_id = deployed.publish(draft("reviewed"))
    (invitation,) = deployed.wait(lambda: deployed.mail.invitations(release_id), "nobody was asked")
    deployed.stop_execution(release_id)
    release = deployed.ended(release_id)
    assert release.outcome is Outcome.FAILED
    left_safe(deployed, release, "reviewed")
    with pytest.raises(Exception, match="This review is over"):
        deployed.mail.approve(invitation, "too late")
    assert deployed.route("reviewed") is None


def test_releases_stopped_in_canary_and_in_watch(deployed: Deployment) -> None:
    deployed.first_version("canary")
    stable = deployed.route("canary")
    assert stable is not None
    release_id = deployed.in_canary("canary", "Be brief.")
    deployed.stop_execution(release_id)
    release = deployed.ended(release_id)
    assert release.outcome is Outcome.FAILED
    left_safe(deployed, release, "canary")
    after = deployed.route("canary")
    assert after is not None
    assert after.stable == stable.stable

    # The same version again, explicitly, and all the way into watch.
    deployed.promptlane("release", "e2e-canary", "2")
    again = release_id.removesuffix("-1") + "-2"
    deployed.approve(again)

    def in_step(step: int) -> bool:
        release = deployed.release(again)
        return (release.state, release.step) == ("canary", step)

    for step in (0, 1):
        deployed.wait(partial(in_step, step), f"step {step} did not begin")
        deployed.promptlane("advance", again, "--reason", "nobody is on at night")
    deployed.wait(lambda: deployed.release(again).state == "watch", "not promoted")
    deployed.stop_execution(again)
    release = deployed.ended(again)
    assert release.outcome is Outcome.PROMOTED
    left_safe(deployed, release, "canary")
    route = deployed.route("canary")
    assert route is not None
    assert route.stable.version == 2
    events = [e.event for e in deployed.timeline(again)]
    assert events.count(Event.CANARY_ADVANCED) == 2


def test_a_review_that_expires(deployed: Deployment) -> None:
    release_id = deployed.publish(draft("expiring"))
    release = deployed.ended(release_id)
    assert release.outcome is Outcome.EXPIRED
    left_safe(deployed, release, "expiring")
    assert deployed.route("expiring") is None


def test_a_version_that_cannot_be_admitted(deployed: Deployment) -> None:
    broken = draft("reviewed", "Mind {{undeclared}}.")
    release = deployed.ended(deployed.publish(broken))
    assert release.outcome is Outcome.FAILED
    assert "{{undeclared}}" in release.reason
    assert "declare" in release.reason


def test_an_alarm_rolls_back_without_the_workflow(deployed: Deployment) -> None:
    deployed.first_version("alarmed")
    release_id = deployed.in_canary("alarmed", "Be rude.")
    cloudwatch = deployed.client("cloudwatch")
    alarm = "promptlane/e2e-alarmed/canary/Error"

    before = deployed.route("alarmed")
    drilled = deployed.promptlane("drill", "e2e-alarmed")
    assert (drilled["proved"], drilled["says"]) == (True, "a rollback would leave version 1 to everybody")
    assert 0 < drilled["seconds"] < 30
    assert deployed.promptlane("drill", "e2e-alarmed", "--last") == drilled
    assert deployed.route("alarmed") == before
    print(f"drill: {drilled['seconds']:.2f} s")

    began = time.monotonic()
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="set by a test")
    deployed.wait(lambda: (r := deployed.route("alarmed")) is not None and r.canary is None, "not rolled back", 30)
    seconds = time.monotonic() - began
    release = deployed.ended(release_id)
    assert release.outcome is Outcome.ROLLED_BACK
    left_safe(deployed, release, "alarmed")
    rolled = next(e for e in deployed.timeline(release_id) if e.event is Event.ROLLED_BACK)
    assert alarm in rolled.by
    print(f"alarm to safe route: {seconds:.2f} s")

    # The same content never comes back by itself, not even as a new version.
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="set by a test")
    again = deployed.ended(deployed.publish(draft("alarmed", "Be rude.")))
    assert again.outcome is Outcome.FAILED
    assert "rolled back" in again.reason
    refused = deployed.promptlane("release", "e2e-alarmed", "1", status=1)
    assert "stable" in json.dumps(refused)


def test_two_versions_at_once_and_duplicate_events(deployed: Deployment) -> None:
    first = deployed.publish(draft("waiting"))
    deployed.wait(lambda: deployed.mail.invitations(first), "no review")
    second = deployed.publish(draft("waiting", "Second."))
    third = deployed.publish(draft("waiting", "Third."))
    sqs, queue = deployed.client("sqs"), deployed.resources["intake_queue_url"]
    event: dict[str, Any] = {
        "detail-type": "AWS API Call via CloudTrail",
        "account": "000000000000",
        "detail": {
            "eventSource": "bedrock.amazonaws.com",
            "eventName": "CreatePromptVersion",
            "awsRegion": "us-east-1",
            "requestParameters": {"promptIdentifier": first.split("-")[0]},
            "responseElements": {"version": "1"},
        },
    }
    for _ in range(3):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(event))
    table, pk = deployed.resources["release_table"], f"prompt#{first.split('-')[0]}"

    def waiting() -> set[str]:
        answer = deployed.client("dynamodb").query(
            TableName=table,
            KeyConditionExpression="pk = :p AND begins_with(sk, :w)",
            ExpressionAttributeValues={":p": {"S": pk}, ":w": {"S": "waiting#"}},
        )
        return {item["sk"]["S"] for item in answer["Items"]}

    deployed.wait(lambda: waiting() == {"waiting#00002", "waiting#00003"}, "versions 2 and 3 do not wait")
    executions = deployed.client("stepfunctions").list_executions(
        stateMachineArn=deployed.resources["state_machine_arn"]
    )
    assert [e["name"] for e in executions["executions"] if e["name"].startswith(first.split("-")[0])] == [first]
    deployed.approve(first)
    deployed.ended(first)
    deployed.wait(lambda: deployed.tables.release(third), "the newest waiting version did not start")
    superseded = deployed.ended(second)
    assert superseded.outcome is Outcome.SUPERSEDED
    deployed.wait(lambda: waiting() == set(), "versions are still said to wait")


@pytest.mark.deployments
def test_a_deployment_in_the_middle_of_a_canary(deployed: Deployment) -> None:
    deployed.first_version("redeployed")
    release_id = deployed.in_canary("redeployed", "Be kind.")
    before = deployed.route("redeployed")
    deployed.deploy(log_retention_days="30")
    assert deployed.route("redeployed") == before
    assert deployed.release(release_id).state == "canary"
    done = deployed.promptlane("rollback", "e2e-redeployed", "--reason", "the test is over")
    assert done
    release = deployed.ended(release_id)
    assert release.outcome is Outcome.ROLLED_BACK
    left_safe(deployed, release, "redeployed")


def test_timeline_entries_reach_the_event_bus(deployed: Deployment) -> None:
    events, sqs = deployed.client("events"), deployed.client("sqs")
    queue = sqs.create_queue(QueueName="e2e-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus = deployed.resources["event_bus"]
    pattern = json.dumps({"source": ["promptlane"], "detail": {"prompt": ["e2e-watched"]}})
    events.put_rule(Name="e2e-all", EventBusName=bus, EventPattern=pattern)
    events.put_targets(Rule="e2e-all", EventBusName=bus, Targets=[{"Id": "q", "Arn": arn}])
    release_id = deployed.first_version("watched")
    seen: list[str] = []

    def all_there() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            event = json.loads(message["Body"])
            assert event["detail"]["release_id"] == release_id
            assert (event["detail"]["schema"], event["detail"]["prompt"]) == (1, "e2e-watched")
            seen.append(event["detail-type"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return str(Event.ENDED) in seen

    deployed.wait(all_there, "the end did not reach the bus")
    assert set(seen) == {str(e.event) for e in deployed.timeline(release_id)}
    # `Release Started` had housekeep look after the prompt, a day before its schedule would.
    kept = f"archive/{release_id.split('-')[0]}/1.json"
    asked = {"Bucket": deployed.resources["report_bucket"], "Prefix": kept}
    deployed.wait(lambda: deployed.client("s3").list_objects_v2(**asked)["KeyCount"], "nothing was archived")
