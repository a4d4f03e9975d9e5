"""Permissions between services, which the embedded AWS does not check: resource policy and key policy of each edge."""

import re

import pytest

from tests.support.alone import plain
from tests.support.synthesized import Json, Synthesized, allows, listed, principals, text


def key_policies(synthesized: Synthesized) -> dict[str, list[Json]]:
    return {logical: p["KeyPolicy"]["Statement"] for _, logical, p in synthesized.resources("AWS::KMS::Key")}


def message_key(synthesized: Synthesized) -> list[Json]:
    found = [statements for logical, statements in key_policies(synthesized).items() if "MessageKey" in logical]
    assert len(found) == 1
    return found[0]


def policies_of(synthesized: Synthesized, kind: str, target: str, logical: str) -> list[Json]:
    """Statements of all policies attached to a topic or queue, given by logical id."""
    return [
        statement
        for _, _, p in synthesized.resources(kind)
        if f'"{logical}"' in text(p[target])
        for statement in p["PolicyDocument"]["Statement"]
    ]


@pytest.mark.parametrize("service", ["cloudwatch", "events", "sns"])
def test_the_message_key_lets_each_sending_service_encrypt(synthesized: Synthesized, service: str) -> None:
    of_service = [s for s in message_key(synthesized) if f"{service}.amazonaws.com" in principals(s)]
    assert any(allows(s, "kms:GenerateDataKey") and allows(s, "kms:Decrypt") for s in of_service)


def test_every_topic_and_queue_is_encrypted_with_the_message_key(synthesized: Synthesized) -> None:
    holders = [
        (logical, p.get("KmsMasterKeyId"))
        for kind in ("AWS::SNS::Topic", "AWS::SQS::Queue")
        for _, logical, p in synthesized.resources(kind)
    ]
    assert len(holders) >= 8
    assert [logical for logical, key in holders if "MessageKey" not in text(key)] == []


def test_every_topic_that_an_alarm_names_takes_alarms_of_this_account_only(synthesized: Synthesized) -> None:
    named = {
        text(action)
        for _, _, alarm in synthesized.resources("AWS::CloudWatch::Alarm")
        for action in alarm.get("AlarmActions", [])
    }
    assert named
    topics = [logical for _, logical, _ in synthesized.resources("AWS::SNS::Topic")]
    # Stacks of prompts read the fuse's topic from a parameter.
    by_parameter = {p["Name"]: text(p["Value"]) for _, _, p in synthesized.resources("AWS::SSM::Parameter")}
    named = {
        next((v for n, v in by_parameter.items() if f"ParameterValue{n.replace('/', '')}" in action), action)
        for action in named
    }
    for action in named:
        (topic,) = [logical for logical in topics if logical in action]
        statements = policies_of(synthesized, "AWS::SNS::TopicPolicy", "Topics", topic)
        publishing = [s for s in statements if allows(s, "sns:Publish")]
        assert [principals(s) for s in publishing] == [["cloudwatch.amazonaws.com"]], topic
        assert publishing[0]["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_the_fuse_topic_takes_only_alarms_named_as_fuses(synthesized: Synthesized) -> None:
    statements = policies_of(
        synthesized, "AWS::SNS::TopicPolicy", "Topics", synthesized.one("AWS::SNS::Topic", "/Alarms/Topic")[1]
    )
    (publishing,) = [s for s in statements if allows(s, "sns:Publish")]
    assert ":alarm:promptlane/*" in text(publishing["Condition"]["ArnLike"])


def test_every_rule_may_send_to_its_queue_and_to_its_dead_letters(synthesized: Synthesized) -> None:
    queues = [logical for _, logical, _ in synthesized.resources("AWS::SQS::Queue")]
    edges = 0
    for _, rule, properties in synthesized.resources("AWS::Events::Rule"):
        for target in properties["Targets"]:
            for arn in (target["Arn"], target.get("DeadLetterConfig", {}).get("Arn")):
                for queue in (q for q in queues if arn is not None and f'"{q}"' in text(arn)):
                    sending = [
                        s
                        for s in policies_of(synthesized, "AWS::SQS::QueuePolicy", "Queues", queue)
                        if allows(s, "sqs:SendMessage") and "events.amazonaws.com" in principals(s)
                    ]
                    scoped = [text(s["Condition"]) for s in sending]
                    assert any(rule in c or "AWS::AccountId" in c for c in scoped), (rule, queue)
                    edges += 1
    assert edges >= 5  # version created → requests; and the dead letters of every rule


def test_every_rule_has_dead_letters(synthesized: Synthesized) -> None:
    for _, rule, properties in synthesized.resources("AWS::Events::Rule"):
        assert all("DeadLetterConfig" in target for target in properties["Targets"]), rule


def test_every_function_that_a_rule_calls_permits_that_rule(synthesized: Synthesized) -> None:
    called = [
        (rule, text(target["Arn"]))
        for _, rule, properties in synthesized.resources("AWS::Events::Rule")
        for target in properties["Targets"]
        if "Function" in text(target["Arn"])
    ]
    verbs = {match[1] for _, function in called if (match := re.search(r"(\w+?)Function[0-9A-F]{8}", function))}
    assert verbs == {"WindUp", "Reconcile", "Remind", "Housekeep"}
    permissions = [p for _, _, p in synthesized.resources("AWS::Lambda::Permission")]
    for rule, function in called:
        assert any(
            p["Principal"] == "events.amazonaws.com"
            and text(p["FunctionName"]) == function
            and rule in text(p["SourceArn"])
            for p in permissions
        ), rule


def test_the_fuse_topic_calls_roll_back_and_keeps_what_could_not_be_delivered(synthesized: Synthesized) -> None:
    roll_back = synthesized.function("roll_back")[1]
    (subscription,) = [p for _, _, p in synthesized.resources("AWS::SNS::Subscription") if p["Protocol"] == "lambda"]
    assert roll_back in text(subscription["Endpoint"])
    assert "Alarms" in text(subscription["TopicArn"])
    (permission,) = [
        p
        for _, _, p in synthesized.resources("AWS::Lambda::Permission")
        if p["Principal"] == "sns.amazonaws.com" and roll_back in text(p["FunctionName"])
    ]
    assert "Alarms" in text(permission["SourceArn"])
    dead = subscription["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    sending = [
        s
        for s in policies_of(synthesized, "AWS::SQS::QueuePolicy", "Queues", dead)
        if allows(s, "sqs:SendMessage") and "sns.amazonaws.com" in principals(s)
    ]
    assert sending
    assert "Alarms" in text(sending[0]["Condition"])
    alarms = [p for _, _, p in synthesized.resources("AWS::CloudWatch::Alarm") if dead in text(p.get("Dimensions", []))]
    assert alarms
    assert "Notices" in text(alarms[0]["AlarmActions"])


def test_every_dead_letter_queue_is_watched(synthesized: Synthesized) -> None:
    watched = text([p.get("Dimensions", []) for _, _, p in synthesized.resources("AWS::CloudWatch::Alarm")])
    worked_off = {text(p["EventSourceArn"]) for _, _, p in synthesized.resources("AWS::Lambda::EventSourceMapping")}
    for _, queue, _ in synthesized.resources("AWS::SQS::Queue"):
        assert f"GetAtt{queue}QueueName" in watched or any(f'"{queue}"' in source for source in worked_off), queue


def test_each_reviewer_has_a_topic_that_nobody_subscribes_but_the_deployment_and_operators(
    synthesized: Synthesized,
) -> None:
    mails = [p for _, _, p in synthesized.resources("AWS::SNS::Subscription") if p["Protocol"] == "email"]
    assert mails
    assert len({p["Endpoint"] for p in mails}) == len(mails) == len({text(p["TopicArn"]) for p in mails})
    for mail in mails:
        topic = mail["TopicArn"]["Ref"]
        statements = policies_of(synthesized, "AWS::SNS::TopicPolicy", "Topics", topic)
        denials = {s["Sid"]: s for s in statements if s["Effect"] == "Deny" and "Condition" in s}
        whose = {sid: text(s["Condition"].get("ArnNotLike", "")) for sid, s in denials.items()}
        assert set(listed(denials["OnlyTheDeploymentChangesIt"]["Action"])) == {
            "sns:AddPermission",
            "sns:RemovePermission",
            "sns:SetTopicAttributes",
        }
        asking = [sid for sid, s in denials.items() if s["Action"] == "sns:Subscribe"]
        assert asking == ["OnlyOperatorsSubscribe", "OnlyByEmail", "OnlyThisAddress"]
        assert all("cfn-exec-role" in whose[sid] for sid in ("OnlyTheDeploymentChangesIt", *asking))
        assert [sid for sid in whose if "OperatorRole" in whose[sid]] == ["OnlyOperatorsSubscribe"]
        told = [denials[sid]["Condition"].get("StringNotEquals") for sid in asking]
        assert told == [None, {"sns:Protocol": "email"}, {"sns:Endpoint": mail["Endpoint"]}]
        assert not [s for s in statements if s["Effect"] == "Allow"]  # the functions' own roles say who may publish


def test_who_mails_reviewers_may_use_topics_and_their_key(synthesized: Synthesized) -> None:
    stacks = {s for s, logical, _ in synthesized.resources("AWS::SNS::Topic") if logical.startswith("Reviewer")}
    assert stacks
    assert all(re.fullmatch("reviewers-[0-7]", stack) for stack in stacks)
    for verb in ("request_review", "remind"):
        statements = synthesized.grants(synthesized.role_of(verb))
        (publishing,) = [s for s in statements if s.get("Sid") == "MailReviewers"]
        assert plain(publishing["Resource"]) == "arn:<aws>:sns:<here>:promptlane-reviewers-*"
        assert any(allows(s, "kms:GenerateDataKey") and "MessageKey" in text(s["Resource"]) for s in statements)


def test_nobody_else_publishes_to_reviewers(synthesized: Synthesized) -> None:
    for verb in set(synthesized.verbs()) - {"request_review", "remind"}:
        for statement in synthesized.grants(synthesized.role_of(verb)):
            assert not (allows(statement, "sns:Publish") and "reviewers" in text(statement["Resource"])), verb


def test_the_trail_may_write_its_bucket_and_use_its_key(synthesized: Synthesized) -> None:
    (policy,) = [
        p for stack, _, p in synthesized.resources("AWS::S3::BucketPolicy") if stack == "audit" and "Trails" in text(p)
    ]
    of_trail = [s for s in policy["PolicyDocument"]["Statement"] if "cloudtrail.amazonaws.com" in principals(s)]
    for action in ("s3:GetBucketAcl", "s3:PutObject"):
        (statement,) = [s for s in of_trail if allows(s, action)]
        assert ":trail/promptlane" in text(statement["Condition"]["StringEquals"]["aws:SourceArn"])
    (key,) = [p for stack, _, p in synthesized.resources("AWS::KMS::Key") if stack == "audit"]
    assert any(
        allows(s, "kms:GenerateDataKey") and "cloudtrail.amazonaws.com" in principals(s)
        for s in key["KeyPolicy"]["Statement"]
    )


def test_every_http_route_may_call_its_function_and_is_signed_unless_a_review_link(synthesized: Synthesized) -> None:
    routes = list(synthesized.resources("AWS::ApiGatewayV2::Route"))
    assert len(routes) > 8
    open_routes = {p["RouteKey"] for _, _, p in routes if p.get("AuthorizationType", "NONE") != "AWS_IAM"}
    review = "/review/{release_id}"
    assert open_routes == {f"{how} {review}" for how in ("GET", "POST", "ANY")} | {
        f"ANY {review}{below}" for below in ("/part", "/report")
    }
    callers = [
        p
        for _, _, p in synthesized.resources("AWS::Lambda::Permission")
        if p["Principal"] == "apigateway.amazonaws.com"
    ]
    integrations = {
        (stack, logical): text(p["IntegrationUri"])
        for stack, logical, p in synthesized.resources("AWS::ApiGatewayV2::Integration")
    }
    for stack, _, route in routes:
        (integration,) = [logical for s, logical in integrations if s == stack and logical in text(route["Target"])]
        path = route["RouteKey"].split()[1]
        assert any(
            text(p["FunctionName"]) == integrations[stack, integration] and path.split("{")[0] in text(p["SourceArn"])
            for p in callers
        ), route["RouteKey"]


def test_what_strangers_ask_for_takes_nothing_of_what_deciding_by_identity_needs(synthesized: Synthesized) -> None:
    """An API of its own, and on it a throttle for each route."""
    open_apis, closed_apis = set(), {}
    for stack, _, route in synthesized.resources("AWS::ApiGatewayV2::Route"):
        api = text(route["ApiId"])
        if route.get("AuthorizationType", "NONE") != "AWS_IAM":
            open_apis.add((stack, api))
        else:
            closed_apis[route["RouteKey"]] = (stack, api)
    assert len(open_apis) == 1
    for key in ("POST /releases/{release_id}/decision", "POST /prompts/{prompt}/rollback"):
        assert closed_apis[key] not in open_apis
    assert not open_apis & set(closed_apis.values())
    stages = {text(p["ApiId"]): p for _, _, p in synthesized.resources("AWS::ApiGatewayV2::Stage")}
    ((_, public),) = open_apis
    rates = {key: s["ThrottlingRateLimit"] for key, s in stages[public]["RouteSettings"].items()}
    assert rates == {
        "GET /review/{release_id}": 2,
        "POST /review/{release_id}": 1,
        "ANY /review/{release_id}": 0.5,
        "ANY /review/{release_id}/part": 1,
        "ANY /review/{release_id}/report": 0.5,
    }
    decisions = stages[closed_apis["POST /releases/{release_id}/decision"][1]]
    assert decisions["RouteSettings"]["POST /releases/{release_id}/decision"]["ThrottlingRateLimit"] == 0.5
    assert all("querystring" not in s["AccessLogSettings"]["Format"].lower() for s in stages.values())
