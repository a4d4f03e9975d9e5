"""`promptlane doctor` at a deployment: every check runs, and each fault that is made is said with its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from promptlane.lifecycle.doctor.checks import CHECKS
from tests.support.deployment import Deployment

Json = Any
NOT_HERE = {
    "prompt-quota": "Service Quotas is no service of the embedded AWS",
    "enrolments": "some prompts of the tests are not published yet",
}
FRESH = "lambda-quota"
"""The embedded AWS has the ten concurrent executions of a fresh account, and that is said."""
NOT_YET = ("events", "models", "log-records", "alarms")
"""Cannot tell, or fail, before a release was made or a minute after one failed: which depends on the tests before."""


def doctor(deployed: Deployment, *words: str, status: int = 0) -> dict[str, Json]:
    rows = deployed.promptlane("doctor", *words, status=status)["checks"]
    return {row["id"]: row for row in rows}


def test_every_check_runs_and_a_deployment_that_is_well_is_said_to_be(deployed: Deployment) -> None:
    checks = [word for check in CHECKS if check.id not in (*NOT_YET, FRESH) for word in ("--only", check.id)]
    found = doctor(deployed, "--write", *checks)
    assert {id: row["said"] for id, row in found.items() if row["status"] != "ok"}.keys() <= NOT_HERE.keys()
    assert not [row for row in found.values() if row["status"] == "wrong"]
    tried = deployed.client("bedrock-agent").list_prompts(maxResults=1000)["promptSummaries"]
    assert not [prompt for prompt in tried if prompt["name"].startswith("promptlane-doctor")], "it is deleted again"


def test_each_fault_is_said_with_its_remedy(deployed: Deployment) -> None:
    with ExitStack() as faults:
        for fault in (_rule_disabled, _dead_letter, _alarm_red, _fuse_mute, _key_disabled):
            faults.enter_context(fault(deployed))
        words = [w for id in (FRESH, "rules", "dead-letters", "alarms", "notices", "keys") for w in ("--only", id)]
        found = doctor(deployed, *words, status=1)
    assert {id: row["status"] for id, row in found.items()} == dict.fromkeys(found, "wrong")
    for id, said, remedy in (
        (FRESH, "10 concurrent executions", "Service Quotas"),
        ("rules", "Disabled: ", "enable-rule"),
        ("dead-letters", ": 1", "docs/runbook.md"),
        ("alarms", "_health-executions-failed (for a test)", "docs/runbook.md"),
        ("notices", "roll_back has not subscribed", "deploy"),
        ("keys", " is Disabled", "Enable it"),
    ):
        assert said in found[id]["said"], found[id]
        assert remedy in found[id]["remedy"]


@contextmanager
def _rule_disabled(deployed: Deployment) -> Iterator[None]:
    events = deployed.client("events")
    (rule,) = [r["Name"] for r in events.list_rules(Limit=100)["Rules"] if "HousekeepSchedule" in r["Name"]]
    events.disable_rule(Name=rule)
    yield
    events.enable_rule(Name=rule)


@contextmanager
def _dead_letter(deployed: Deployment) -> Iterator[None]:
    sqs = deployed.client("sqs")
    (url,) = [u for u in sqs.list_queues()["QueueUrls"] if "DeadRequests" in u]
    sqs.send_message(QueueUrl=url, MessageBody="for a test")
    yield
    sqs.purge_queue(QueueUrl=url)


@contextmanager
def _alarm_red(deployed: Deployment) -> Iterator[None]:
    cloudwatch, name = deployed.client("cloudwatch"), "promptlane_health-executions-failed"
    # Evaluation may put it right within seconds: it is held there for as long as the period's end allows.
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="for a test")
    yield
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="over")


@contextmanager
def _fuse_mute(deployed: Deployment) -> Iterator[None]:
    sns, topic = deployed.client("sns"), deployed.resources["alarms_topic"]
    (known,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=known["SubscriptionArn"])["Attributes"]
    sns.unsubscribe(SubscriptionArn=known["SubscriptionArn"])
    yield
    kept = {"RedrivePolicy": attributes["RedrivePolicy"]} if "RedrivePolicy" in attributes else {}
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=known["Endpoint"], Attributes=kept)


@contextmanager
def _key_disabled(deployed: Deployment) -> Iterator[None]:
    kms = deployed.client("kms")
    key = deployed.resources["receipt_key"]
    kms.disable_key(KeyId=key)
    yield
    kms.enable_key(KeyId=key)


def state(deployed: Deployment, name: str) -> str:
    (alarm,) = deployed.client("cloudwatch").describe_alarms(AlarmNames=[f"promptlane_health-{name}"])["MetricAlarms"]
    return str(alarm["StateValue"])


def mailed(deployed: Deployment) -> list[str]:
    return [str(mail.get_content()) for mail in deployed.aws.mails(kind="notification") if not mail.is_multipart()]


def test_what_fails_every_try_is_mailed_with_what_to_do(deployed: Deployment) -> None:
    with _dead_letter(deployed):
        deployed.wait(lambda: state(deployed, "dead-letters-requests") == "ALARM", "no alarm")
        told = '"AlarmName": "promptlane_health-dead-letters-requests"'
        mail = deployed.wait(lambda: [m for m in mailed(deployed) if told in m], "no mail")[0]
    assert "versions whose release could not be started" in mail
    assert "docs/runbook.md" in mail


def test_a_call_past_the_split_rings_and_one_that_names_its_prompt_does_not(deployed: Deployment) -> None:
    agent, runtime = deployed.client("bedrock-agent"), deployed.client("bedrock-runtime")
    variant = {
        "name": "default",
        "templateType": "TEXT",
        "modelId": "amazon.nova-lite-v1:0",
        "templateConfiguration": {"text": {"text": "Say hello."}},
    }
    made = agent.create_prompt(name="past-the-split", variants=[variant], defaultVariant="default")
    version = agent.create_prompt_version(promptIdentifier=made["id"])
    counted = {"Namespace": "Promptlane/promptlane", "MetricName": "CallsPastTheSplit"}
    cloudwatch = deployed.client("cloudwatch")
    runtime.converse(modelId=version["arn"], requestMetadata={"prompt": "past-the-split", "version": "1"})
    assert cloudwatch.list_metrics(**counted)["Metrics"] == []
    assert state(deployed, "calls-past-the-split") != "ALARM"
    deployed.aws.knobs(log_prompt_arn=True)
    try:
        runtime.converse(modelId=version["arn"])
    finally:
        deployed.aws.knobs(log_prompt_arn=False)
    deployed.wait(lambda: state(deployed, "calls-past-the-split") == "ALARM", "nothing rang")
    agent.delete_prompt(promptIdentifier=made["id"])
