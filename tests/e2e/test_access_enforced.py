"""With IAM enforced: a whole release with every function under its own role, and what each duty may do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.access.__main__ import BEGIN, DOCUMENT, END
from local.access.calls import ROLES, ROWS
from local.access.proof import Caller, Finding, Forbidden, prepare, prove, table
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.timeline import Event, chain_problems
from tests.support.deployment import Deployment, draft


@pytest.fixture(scope="module")
def findings(enforced: Deployment) -> list[Finding]:
    return list(prove(enforced.aws, prepare(enforced.aws, enforced.resources)))


def test_a_release_goes_all_the_way_with_each_function_under_its_own_role(enforced: Deployment) -> None:
    first = enforced.first_version("reviewed")
    assert enforced.release(first).outcome is Outcome.PROMOTED
    second = enforced.in_canary("reviewed", "Be brief.")
    operator = Caller(enforced.aws, enforced.resources["operator_role"])
    _applications_get_both_tracks(enforced)

    operator.post(f"{enforced.resources['operations_url']}/prompts/e2e-reviewed/rollback", {"reason": "enough"})

    release = enforced.ended(second)
    assert release.outcome is Outcome.ROLLED_BACK
    further = {"reason": "still bad", "to": 9}  # reads the releases, and finds that version 9 never was one
    assert operator.post(f"{enforced.resources['operations_url']}/prompts/e2e-reviewed/rollback", further) == 409
    route = enforced.route("reviewed")
    assert route is not None
    assert (route.stable.version, route.phase) == (1, Phase.STEADY)
    timeline = enforced.timeline(second)
    assert chain_problems(timeline) == []
    back = next(e for e in timeline if e.event is Event.ROLLED_BACK)
    assert "OperatorRole" in back.by

    _an_auditor_finds_nothing(enforced, second)


def test_a_prompt_under_a_key_of_the_customer_is_released_where_the_deployment_names_the_key(
    enforced: Deployment,
) -> None:
    """Every function, an operator and an application use the key that is named; another one fails at admission."""
    agent, other = enforced.client("bedrock-agent"), enforced.key()
    ids = {}
    for role, key in (("redeployed", enforced.prompt_key), ("racing", other)):
        variants = draft(role).variants()
        made = agent.create_prompt(name=f"e2e-{role}", variants=variants, customerEncryptionKeyArn=key)
        ids[role] = made["id"]

    assert enforced.release(enforced.first_version("redeployed")).outcome is Outcome.PROMOTED
    route = enforced.route("redeployed")
    assert route is not None
    application = Caller(enforced.aws, enforced.resources["runtime_role"])
    said = application.client("bedrock-runtime").converse(
        modelId=route.stable.arn, promptVariables={"question": {"text": "Where is my order?"}}
    )
    assert said["output"]["message"]["content"]
    compared = enforced.promptlane("diff", "e2e-redeployed", "1", "draft", role="operator")
    assert compared["changed"] == []

    refused = enforced.ended(enforced.publish(draft("racing")))
    agent.delete_prompt(promptIdentifier=ids["racing"])
    assert (refused.outcome, enforced.route("racing")) == (Outcome.FAILED, None)
    assert f"is encrypted with the key {other}, which this caller may not use" in refused.reason
    assert "promptlane:prompt_keys" in refused.reason


def _an_auditor_finds_nothing(enforced: Deployment, release: str) -> None:
    """Everything that was stored on the way agrees with the timelines, as far as the auditor's role may read."""
    for subject in (release, "e2e-reviewed"):
        proved = enforced.promptlane("history", subject, "--verify", role="auditor")
        assert (proved["verified"], proved["not_covered"]) == (True, [])
        assert proved["compared"] > 40
    assert enforced.promptlane("record", release, role="auditor")["proof"]["holds"] is True


def _applications_get_both_tracks(enforced: Deployment) -> None:
    """Under the runtime role, by the library's way and through the gateway: what `admit` tagged, nothing else."""
    application = Caller(enforced.aws, enforced.resources["runtime_role"])
    route = enforced.route("reviewed")
    assert route is not None
    assert [ref.version for ref in route.named] == [1, 2]
    question = {"question": {"text": "Where is my order?"}}
    for ref in route.named:
        said = application.client("bedrock-runtime").converse(modelId=ref.arn, promptVariables=question)
        assert said["output"]["message"]["content"]
    gateway = f"{enforced.resources['gateway_url']}/prompts/e2e-reviewed/converse"
    for unit in range(20):
        asked = {"unit": f"unit-{unit}", "variables": {"question": "Where is my order?"}}
        assert application.post(gateway, asked) == 200
    by_id = f"{enforced.resources['gateway_url']}/prompts/{route.prompt_id}/converse"
    assert application.post(by_id, {"unit": "unit-1", "variables": {"question": "Where is my order?"}}) == 200
    unknown = f"{enforced.resources['gateway_url']}/prompts/AAAAAAAAAA/converse"
    assert application.post(unknown, {"unit": "unit-1", "variables": {}}) == 404


def test_an_operator_restores_a_subscription_and_confirms_it(enforced: Deployment) -> None:
    """As after 48 hours in which nobody confirmed: the role of the duty, the topics' own policies, the command line."""
    sns, who = enforced.client("sns"), "expiring@example.com"
    rows = {row["email"]: row for row in enforced.promptlane("reviewers", role="operator")["reviewers"]}
    assert rows[who]["name"] == "expiring-review"
    assert {row["state"] for row in rows.values()} == {"confirmed"}
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=rows[who]["topic"])["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    first = enforced.mail.confirmations()[who]

    (asked,) = enforced.promptlane("reviewers", "subscribe", role="operator")["reviewers"]

    assert (asked["email"], asked["state"], asked["action"]) == (who, "missing", "asked")
    enforced.wait(lambda: enforced.mail.confirmations()[who] != first, f"no second confirmation for {who}")
    link = enforced.mail.confirmations()[who]
    enforced.promptlane("reviewers", "confirm", "expiring-review", link, role="operator")
    states = enforced.promptlane("reviewers", role="operator")
    assert {row["state"] for part in states.values() for row in part} == {"confirmed"}
    enforced.promptlane("reviewers", "subscribe", who, role="author", status=1)


def test_a_version_without_a_release_answers_no_application(enforced: Deployment) -> None:
    application = Caller(enforced.aws, enforced.resources["runtime_role"])
    agent = enforced.client("bedrock-agent")
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


def test_scheduled_functions_work_under_their_roles(enforced: Deployment) -> None:
    enforced.first_version("canary")
    for verb in ("reconcile", "remind", "housekeep"):
        answer = enforced.client("lambda").invoke(FunctionName=enforced.resources[f"{verb}_function"], Payload=b"{}")
        done = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, done
        assert not done.get("failed"), done


def test_timelines_are_copied_to_the_locked_bucket(enforced: Deployment) -> None:
    release = enforced.first_version("watched")
    prefix = f"timeline/{release}/"

    def copied() -> Any:
        listed = enforced.client("s3").list_objects_v2(Bucket=enforced.resources["audit_bucket"], Prefix=prefix)
        return listed.get("KeyCount", 0) >= len(enforced.timeline(release))

    enforced.wait(copied, "the timeline was not copied")


@pytest.mark.parametrize("role", ROLES)
def test_a_duty_may_do_its_own_and_nothing_else(findings: list[Finding], role: str) -> None:
    wrong = [f.to_dict() for f in findings if f.role == role and f.expected != f.observed]
    assert wrong == []


def test_every_call_of_the_matrix_was_made_under_every_role(findings: list[Finding]) -> None:
    assert len(findings) == len(ROWS) * len(ROLES)
    assert {f.observed for f in findings} == {"allowed", "denied"}


def test_the_doctor_needs_what_it_says_that_it_needs(enforced: Deployment) -> None:
    """A role with the policy that `--permissions` prints sees all that root sees; one without sees what it may not."""
    iam = enforced.client("iam")
    policy = enforced.promptlane("doctor", "--permissions")
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sts:AssumeRole"}
    trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    # The command line finds a deployment by these parameters, as every duty may.
    finding = {"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParametersByPath"], "Resource": "*"}
    found = {}
    for name, statements in (("doctor", policy["Statement"]), ("visitor", [])):
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)["Role"]["Arn"]
        allowed = {"Version": "2012-10-17", "Statement": [finding, *statements]}
        iam.put_role_policy(RoleName=name, PolicyName="looks", PolicyDocument=json.dumps(allowed))
        enforced.resources[f"{name}_role"] = role
        rows = enforced.promptlane("doctor", role=name, status=1)["checks"]
        found[name] = {row["id"]: row for row in rows}
    refused = {who: {id for id, row in rows.items() if "not authorized" in row["said"]} for who, rows in found.items()}
    assert refused["doctor"] <= {"prompt-quota"}, [  # Service Quotas is no service of the embedded AWS
        found["doctor"][id]["said"] for id in refused["doctor"]
    ]
    assert len(refused["visitor"]) > len(found["visitor"]) // 2


def test_an_unsigned_identity_is_let_in_nowhere(enforced: Deployment) -> None:
    caller = Caller(enforced.aws, enforced.resources["auditor_role"])
    with pytest.raises(Forbidden):
        caller.post(f"{enforced.resources['operations_url']}/prompts/e2e-reviewed/rollback", {"reason": "mine"})


def test_the_document_shows_what_was_observed(findings: list[Finding]) -> None:
    shown = DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()
    assert shown == table(findings), "run `make access-matrix`"
