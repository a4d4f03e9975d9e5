"""With IAM enforced: a whole release with every function under its own role, and what each duty may do."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.access.__main__ import BEGIN, DOCUMENT, END
from local.access.calls import ROLES, ROWS
from local.access.proof import Caller, Finding, Forbidden, prepare, prove, table
from promptlane.client import PromptClient
from promptlane.client.testing import ListSink
from promptlane.domain.canary.outcome import text_of
from promptlane.domain.names import Outcome, Phase, release_id
from promptlane.domain.release.timeline import Event, chain_problems
from tests.support.deployment import Deployment, draft

OWN = "owned"
"""The role whose prompt these tests alone release."""


@pytest.fixture(scope="module")
def findings(deployed: Deployment) -> list[Finding]:
    return list(prove(deployed.aws, prepare(deployed.aws, deployed.resources)))


def test_a_release_goes_all_the_way_with_each_function_under_its_own_role(deployed: Deployment) -> None:
    first = deployed.first_version(OWN)
    assert deployed.release(first).outcome is Outcome.PROMOTED
    second = deployed.in_canary(OWN, "Be brief.")
    operator = Caller(deployed.aws, deployed.resources["operator_role"])
    _applications_get_both_tracks(deployed)

    operator.post(f"{deployed.resources['operations_url']}/prompts/e2e-owned/rollback", {"reason": "enough"})

    release = deployed.ended(second)
    assert release.outcome is Outcome.ROLLED_BACK
    further = {"reason": "still bad", "to": 9}  # reads the releases, and finds that version 9 never was one
    assert operator.post(f"{deployed.resources['operations_url']}/prompts/e2e-owned/rollback", further) == 409
    route = deployed.route(OWN)
    assert route is not None
    assert (route.stable.version, route.phase) == (1, Phase.STEADY)
    timeline = deployed.timeline(second)
    assert chain_problems(timeline) == []
    back = next(e for e in timeline if e.event is Event.ROLLED_BACK)
    assert "OperatorRole" in back.by

    _an_auditor_finds_nothing(deployed, second)


def test_a_prompt_under_a_key_of_the_customer_is_released_where_the_deployment_names_the_key(
    deployed: Deployment,
) -> None:
    """Every function, an operator and an application use the key that is named; another one fails at admission."""
    agent, other = deployed.client("bedrock-agent"), deployed.key()
    ids = {}
    for role, key in (("keyed", deployed.prompt_key), ("foreign", other)):
        variants = draft(role).variants()
        made = agent.create_prompt(name=f"e2e-{role}", variants=variants, customerEncryptionKeyArn=key)
        ids[role] = made["id"]

    assert deployed.release(deployed.first_version("keyed")).outcome is Outcome.PROMOTED
    route = deployed.route("keyed")
    assert route is not None
    application = Caller(deployed.aws, deployed.resources["runtime_role"])
    said = application.client("bedrock-runtime").converse(
        modelId=route.stable.arn, promptVariables={"question": {"text": "Where is my order?"}}
    )
    assert said["output"]["message"]["content"]
    compared = deployed.promptlane("diff", "e2e-keyed", "1", "draft", role="operator")
    assert compared["changed"] == []

    refused = deployed.ended(deployed.publish(draft("foreign")))
    agent.delete_prompt(promptIdentifier=ids["foreign"])
    assert (refused.outcome, deployed.route("foreign")) == (Outcome.FAILED, None)
    assert f"is encrypted with the key {other}, which this caller may not use" in refused.reason
    assert "promptlane:prompt_keys" in refused.reason


def _an_auditor_finds_nothing(deployed: Deployment, release: str) -> None:
    """Everything that was stored on the way agrees with the timelines, as far as the auditor's role may read."""
    for subject in (release, "e2e-owned"):
        proved = deployed.promptlane("history", subject, "--verify", role="auditor")
        assert (proved["verified"], proved["not_covered"]) == (True, [])
        assert proved["compared"] > 40
    assert deployed.promptlane("record", release, role="auditor")["proof"]["holds"] is True


def _applications_get_both_tracks(deployed: Deployment) -> None:
    """Under the runtime role, by the library's way and through the gateway: what `admit` tagged, nothing else."""
    application = Caller(deployed.aws, deployed.resources["runtime_role"])
    route = deployed.route(OWN)
    assert route is not None
    assert [ref.version for ref in route.named] == [1, 2]
    question = {"question": {"text": "Where is my order?"}}
    for ref in route.named:
        said = application.client("bedrock-runtime").converse(modelId=ref.arn, promptVariables=question)
        assert said["output"]["message"]["content"]
    gateway = f"{deployed.resources['gateway_url']}/prompts/e2e-owned/converse"
    for unit in range(20):
        asked = {"unit": f"unit-{unit}", "variables": {"question": "Where is my order?"}}
        assert application.post(gateway, asked) == 200
    by_id = f"{deployed.resources['gateway_url']}/prompts/{route.prompt_id}/converse"
    assert application.post(by_id, {"unit": "unit-1", "variables": {"question": "Where is my order?"}}) == 200
    unknown = f"{deployed.resources['gateway_url']}/prompts/AAAAAAAAAA/converse"
    assert application.post(unknown, {"unit": "unit-1", "variables": {}}) == 404
    _agents_get_both_versions_as_data(deployed, application)


def _agents_get_both_versions_as_data(deployed: Deployment, application: Caller) -> None:
    """As `admit` put them, without GetPrompt; where the object is gone or is another's, by GetPrompt."""
    bucket, mine = deployed.resources["version_bucket"], {"question": "Where is my order?"}
    asked: list[str] = []

    def client(service: str, **_: Any) -> Any:
        asked.append(service)
        return application.client(service)

    def texts() -> dict[str, tuple[str, str]]:
        """By track: what the version asks the model, and what that answers."""
        sink, found = ListSink(), dict[str, tuple[str, str]]()
        settings: Any = {"route_table": deployed.resources["route_table"], "version_bucket": bucket, "sink": sink}
        with PromptClient(session=SimpleNamespace(client=client), **settings) as prompts:
            for unit in map(str, range(40)):
                version = prompts.prompt("e2e-owned", unit=unit, variables=mine)
                with prompts.observe(version) as session:
                    said = application.client("bedrock-runtime").converse(**version.request())
                    session.add(said)
                found[version.track] = version.messages[0]["content"][0]["text"], text_of(said)
        assert {document.values["Error"] for document in sink.documents if "Error" in document.values} == {0}
        return found

    right = texts()
    assert {*right} == {"stable", "canary"}
    assert right["canary"][0] != right["stable"][0]
    assert all("Where is my order?" in text and said for text, said in right.values())
    assert set(asked) == {"dynamodb", "s3"}
    s3 = deployed.client("s3")
    objects = s3.list_objects_v2(Bucket=bucket, Prefix="e2e-owned/")["Contents"]
    bodies = {each["Key"]: s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in objects}
    one, two = bodies
    s3.put_object(Bucket=bucket, Key=one, Body=bodies[two])
    s3.delete_object(Bucket=bucket, Key=two)
    assert texts() == right
    assert set(asked) == {"dynamodb", "s3", "bedrock-agent"}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def test_an_operator_restores_a_subscription_and_confirms_it(deployed: Deployment) -> None:
    """As after 48 hours in which nobody confirmed: the role of the duty, the topics' own policies, the command line."""
    sns, who = deployed.client("sns"), "expiring@example.com"
    rows = {row["email"]: row for row in deployed.promptlane("reviewers", role="operator")["reviewers"]}
    assert rows[who]["name"] == "expiring-review"
    assert {row["state"] for row in rows.values()} == {"confirmed"}
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=rows[who]["topic"])["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    first = deployed.mail.confirmations()[who]

    (asked,) = deployed.promptlane("reviewers", "subscribe", role="operator")["reviewers"]

    assert (asked["email"], asked["state"], asked["action"]) == (who, "missing", "asked")
    deployed.wait(lambda: deployed.mail.confirmations()[who] != first, f"no second confirmation for {who}")
    link = deployed.mail.confirmations()[who]
    deployed.promptlane("reviewers", "confirm", "expiring-review", link, role="operator")
    states = deployed.promptlane("reviewers", role="operator")
    assert {row["state"] for part in states.values() for row in part} == {"confirmed"}
    deployed.promptlane("reviewers", "subscribe", who, role="author", status=1)


def test_a_version_without_a_release_answers_no_application(deployed: Deployment) -> None:
    application = Caller(deployed.aws, deployed.resources["runtime_role"])
    agent = deployed.client("bedrock-agent")
    template = {"text": {"text": "Hello"}}
    variant = {
        "name": "v",
        "templateType": "TEXT",
        "templateConfiguration": template,
        "modelId": "amazon.nova-lite-v1:0",
    }
    secret = agent.create_prompt(name="not-enrolled", variants=[variant])
    version = agent.create_prompt_version(promptIdentifier=secret["id"])
    with pytest.raises(ClientError, match="not authorized to perform: bedrock:RenderPrompt"):
        application.client("bedrock-runtime").converse(modelId=version["arn"])
    with pytest.raises(ClientError, match="not authorized to perform: bedrock:GetPrompt"):
        application.client("bedrock-agent").get_prompt(promptIdentifier=secret["id"], promptVersion="1")


def test_scheduled_functions_work_under_their_roles(deployed: Deployment) -> None:
    for verb in ("reconcile", "remind", "housekeep"):
        answer = deployed.client("lambda").invoke(FunctionName=deployed.resources[f"{verb}_function"], Payload=b"{}")
        done = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, done
        assert not done.get("failed"), done


def test_timelines_are_copied_to_the_locked_bucket(deployed: Deployment) -> None:
    route = deployed.route(OWN)
    assert route is not None
    release = release_id(route.prompt_id, route.stable.version)
    prefix = f"timeline/{release}/"

    def copied() -> Any:
        listed = deployed.client("s3").list_objects_v2(Bucket=deployed.resources["audit_bucket"], Prefix=prefix)
        return listed.get("KeyCount", 0) >= len(deployed.timeline(release))

    deployed.wait(copied, "the timeline was not copied")


@pytest.mark.parametrize("role", ROLES)
def test_a_duty_may_do_its_own_and_nothing_else(findings: list[Finding], role: str) -> None:
    wrong = [f.to_dict() for f in findings if f.role == role and f.expected != f.observed]
    assert wrong == []


def test_every_call_of_the_matrix_was_made_under_every_role(findings: list[Finding]) -> None:
    assert len(findings) == len(ROWS) * len(ROLES)
    assert {f.observed for f in findings} == {"allowed", "denied"}


def test_the_doctor_needs_what_it_says_that_it_needs(deployed: Deployment) -> None:
    """A role with the policy that `--permissions` prints sees all that root sees; one without sees what it may not."""
    iam = deployed.client("iam")
    policy = deployed.promptlane("doctor", "--permissions")
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    # The command line finds a deployment by these parameters, as every duty may.
    finding = {"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParametersByPath"], "Resource": "*"}
    found = {}
    for name, statements in (("doctor", policy["Statement"]), ("visitor", [])):
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
        allowed = {"Version": "2012-10-17", "Statement": [finding, *statements]}
        iam.put_role_policy(RoleName=name, PolicyName="looks", PolicyDocument=json.dumps(allowed))
        deployed.resources[f"{name}_role"] = role
        rows = deployed.promptlane("doctor", role=name, status=1)["checks"]
        found[name] = {row["id"]: row for row in rows}
    refused = {who: {id for id, row in rows.items() if "not authorized" in row["said"]} for who, rows in found.items()}
    assert refused["doctor"] <= {"prompt-quota"}, [  # Service Quotas is no service of the embedded AWS
        found["doctor"][id]["said"] for id in refused["doctor"]
    ]
    assert len(refused["visitor"]) > len(found["visitor"]) // 2


def test_an_unsigned_identity_is_let_in_nowhere(deployed: Deployment) -> None:
    caller = Caller(deployed.aws, deployed.resources["auditor_role"])
    with pytest.raises(Forbidden):
        caller.post(f"{deployed.resources['operations_url']}/prompts/e2e-owned/rollback", {"reason": "mine"})


def test_the_document_shows_what_was_observed(findings: list[Finding]) -> None:
    shown = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == table(findings), "run `make access-matrix`"
