"""IAM enforcement in the embedded AWS: allowed and denied calls of one user each, and of a state machine's role."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.running import EmbeddedAws
from tests.support.embedded_functions import deploy, run
from tests.support.tables import make_table

ACCOUNT = "000000000000"
MODEL = "amazon.nova-lite-v1:0"
FOUNDATION = f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"


@pytest.fixture
def user(aws: EmbeddedAws, request: pytest.FixtureRequest) -> Callable[..., Callable[[str], Any]]:
    """`user(statement, …)` makes an IAM user that may do exactly that; returns its `client(service)`."""

    numbers = count()

    def make(*statements: dict[str, Any]) -> Callable[[str], Any]:
        iam = aws.client("iam")
        name = f"u{abs(hash(request.node.name))}-{next(numbers)}"
        iam.create_user(UserName=name)
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        return lambda service: aws.client(service, **keys)

    return make


@pytest.fixture(scope="module")
def prompt(aws: EmbeddedAws) -> dict[str, Any]:
    agent = aws.client("bedrock-agent")
    template = {"text": {"text": "Hello"}}
    variant = {"name": "v", "templateType": "TEXT", "templateConfiguration": template, "modelId": MODEL}
    made = agent.create_prompt(name="support", variants=[variant])
    version: dict[str, Any] = agent.create_prompt_version(promptIdentifier=made["id"])
    return version


def denied(call: Callable[[], Any]) -> bool:
    """Whether a call is refused by IAM; any other error is raised."""
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDeniedException", "AccessDenied"):
            raise
        return True
    return False


def test_converse_on_a_version_needs_the_prompt_and_the_model(user: Any, prompt: dict[str, Any]) -> None:
    draft, version = prompt["arn"].rpartition(":")[0], prompt["arn"]
    render = {"Action": "bedrock:RenderPrompt", "Resource": f"{draft}:*"}
    client = user(render, {"Action": "bedrock:InvokeModel", "Resource": FOUNDATION})
    runtime = client("bedrock-runtime")
    assert not denied(lambda: runtime.converse(modelId=version))
    assert denied(lambda: runtime.converse(modelId=draft))
    assert denied(lambda: runtime.converse_stream(modelId=version))


def test_a_prompt_under_a_customers_key_needs_the_key_for_its_content_and_not_for_its_metadata(
    aws: EmbeddedAws, user: Any
) -> None:
    key, another = (aws.client("kms").create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    agent = aws.client("bedrock-agent")
    template = {"text": {"text": "Hello"}}
    variant = {"name": "v", "templateType": "TEXT", "templateConfiguration": template, "modelId": MODEL}
    made = agent.create_prompt(name="sealed", variants=[variant], customerEncryptionKeyArn=key)
    version = agent.create_prompt_version(promptIdentifier=made["id"])
    render = {"Action": "bedrock:*", "Resource": "*"}

    def uses(key: str, context: str = "prompt/*", actions: tuple[str, ...] = ("Decrypt", "GenerateDataKey")) -> Any:
        held = {"kms:EncryptionContext:aws:bedrock-prompts:arn": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:{context}"}
        actions = tuple(f"kms:{action}" for action in actions)
        return user(render, {"Action": actions, "Resource": key, "Condition": {"StringLike": held}})

    def calls(client: Any) -> list[bool]:
        agent, runtime = client("bedrock-agent"), client("bedrock-runtime")
        whole = {"name": "sealed", "variants": [variant], "customerEncryptionKeyArn": key}
        return [
            denied(partial(agent.get_prompt, promptIdentifier=made["id"])),
            denied(partial(agent.get_prompt, promptIdentifier=made["id"], promptVersion="1")),
            denied(partial(agent.update_prompt, promptIdentifier=made["id"], **whole)),
            denied(partial(agent.create_prompt_version, promptIdentifier=made["id"])),
            denied(partial(agent.create_prompt, **whole)),
            denied(partial(runtime.converse, modelId=version["arn"])),
        ]

    assert calls(uses(key)) == [False] * 6
    without = [user(render), uses(another), uses(key, "prompt/OTHER00000"), uses(key, actions=("Decrypt",))]
    for client in without:
        assert calls(client) == [True] * 6
        shown = client("bedrock-agent").get_prompt(promptIdentifier=made["id"], includedData="METADATA_ONLY")
        assert shown["customerEncryptionKeyArn"] == key


def test_rendering_alone_is_not_enough(user: Any, prompt: dict[str, Any]) -> None:
    runtime = user({"Action": "bedrock:RenderPrompt", "Resource": "*"})("bedrock-runtime")
    assert denied(lambda: runtime.converse(modelId=prompt["arn"]))


def test_the_model_alone_is_not_enough(user: Any, prompt: dict[str, Any]) -> None:
    runtime = user({"Action": "bedrock:InvokeModel", "Resource": "*"})("bedrock-runtime")
    hello = [{"role": "user", "content": [{"text": "hi"}]}]
    assert denied(lambda: runtime.converse(modelId=prompt["arn"]))
    assert not denied(lambda: runtime.converse(modelId=MODEL, messages=hello))


def test_an_inference_profile_needs_its_foundation_model_too(user: Any) -> None:
    profile = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{MODEL}"
    runtime = user({"Action": "bedrock:InvokeModel", "Resource": profile})("bedrock-runtime")
    hello = [{"role": "user", "content": [{"text": "hi"}]}]
    assert denied(lambda: runtime.converse(modelId=f"us.{MODEL}", messages=hello))


def test_an_inference_profile_needs_its_model_in_every_region_of_its_group(user: Any) -> None:
    hello = [{"role": "user", "content": [{"text": "hi"}]}]
    profile = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/us.{MODEL}"
    for regions, answered in (("us-east-1", False), ("*", True)):
        model = f"arn:aws:bedrock:{regions}::foundation-model/{MODEL}"
        runtime = user({"Action": "bedrock:InvokeModel", "Resource": [profile, model]})("bedrock-runtime")
        assert denied(partial(runtime.converse, modelId=f"us.{MODEL}", messages=hello)) is not answered


def test_a_guardrail_needs_a_permission_of_its_own(user: Any) -> None:
    hello: dict[str, Any] = {
        "modelId": MODEL,
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "guardrailConfig": {"guardrailIdentifier": "gr0000000001", "guardrailVersion": "1"},
    }
    invoke = {"Action": "bedrock:InvokeModel", "Resource": "*"}
    apply = {"Action": "bedrock:ApplyGuardrail", "Resource": f"arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/*"}
    assert denied(lambda: user(invoke)("bedrock-runtime").converse(**hello))
    with pytest.raises(ClientError, match="does not exist"):
        user(invoke, apply)("bedrock-runtime").converse(**hello)


def test_an_index_is_a_resource_of_its_own(aws: EmbeddedAws, user: Any) -> None:
    make_table(aws.client("dynamodb"), "indexed", "name", index="id")
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/indexed"

    def query(resource: str, key: str, **index: str) -> Any:
        client = user({"Action": "dynamodb:Query", "Resource": resource})("dynamodb")
        return lambda: client.query(
            TableName="indexed",
            KeyConditionExpression=f"{key} = :x",
            ExpressionAttributeValues={":x": {"S": "x"}},
            **index,
        )

    assert not denied(query(f"{table}/index/by_id", "id", IndexName="by_id"))
    assert denied(query(table, "id", IndexName="by_id"))
    assert denied(query(f"{table}/index/by_id", "id"))


def test_versions_and_drafts_are_resources_of_their_own(user: Any, prompt: dict[str, Any]) -> None:
    draft = prompt["arn"].rpartition(":")[0]
    agent = user({"Action": ["bedrock:GetPrompt", "bedrock:DeletePrompt"], "Resource": f"{draft}:*"})("bedrock-agent")
    assert not denied(lambda: agent.get_prompt(promptIdentifier=prompt["id"], promptVersion="1"))
    assert denied(lambda: agent.get_prompt(promptIdentifier=prompt["id"]))
    assert denied(lambda: agent.create_prompt_version(promptIdentifier=prompt["id"]))
    assert denied(lambda: agent.delete_prompt(promptIdentifier=prompt["id"]))


def test_a_denied_call_is_on_the_record_with_its_caller(aws: EmbeddedAws, user: Any, prompt: dict[str, Any]) -> None:
    agent = user({"Action": "sqs:*", "Resource": "*"})("bedrock-agent")
    assert denied(lambda: agent.update_prompt(promptIdentifier=prompt["id"], name="support"))
    attribute = {"AttributeKey": "EventName", "AttributeValue": "UpdatePrompt"}
    found = aws.client("cloudtrail").lookup_events(LookupAttributes=[attribute])["Events"][0]
    event = json.loads(found["CloudTrailEvent"])
    assert (event["errorCode"], event["userIdentity"]["type"]) == ("AccessDenied", "IAMUser")
    assert event["userIdentity"]["userName"] == found["Username"]


def test_leading_keys_hold_for_single_items_queries_and_each_item_of_a_transaction(aws: EmbeddedAws, user: Any) -> None:
    make_table(aws.client("dynamodb"), "releases", "pk", "sk")
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/releases"
    only_prompts = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["prompt#*"]}}
    client = user(
        {"Action": ["dynamodb:PutItem", "dynamodb:Query"], "Resource": table},
        {"Action": "dynamodb:UpdateItem", "Resource": table, "Condition": only_prompts},
    )("dynamodb")

    def key(pk: str) -> dict[str, Any]:
        return {"pk": {"S": pk}, "sk": {"S": "x"}}

    def update(pk: str) -> dict[str, Any]:
        values = {":a": {"S": "1"}}
        return {
            "TableName": "releases",
            "Key": key(pk),
            "UpdateExpression": "SET a = :a",
            "ExpressionAttributeValues": values,
        }

    def put(pk: str) -> dict[str, Any]:
        return {"Put": {"TableName": "releases", "Item": key(pk)}}

    assert not denied(lambda: client.update_item(**update("prompt#1")))
    assert denied(lambda: client.update_item(**update("timeline#1")))
    append = [{"Update": update("prompt#1")}, put("timeline#1")]
    assert not denied(lambda: client.transact_write_items(TransactItems=append))
    rewrite = [{"Update": update("timeline#1")}, put("prompt#2")]
    assert denied(lambda: client.transact_write_items(TransactItems=rewrite))


def test_a_request_that_names_no_key_passes_for_all_values_and_not_the_guard_of_null(
    aws: EmbeddedAws, user: Any
) -> None:
    make_table(aws.client("dynamodb"), "guarded", "pk", "sk")
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/guarded"
    below = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["prompt#*"]}}
    guard = {"Null": {"dynamodb:LeadingKeys": "false"}}
    actions = ["dynamodb:Scan", "dynamodb:PutItem", "dynamodb:BatchWriteItem"]
    vacuous = user({"Action": actions, "Resource": table, "Condition": below})("dynamodb")
    guarded = user({"Action": actions, "Resource": table, "Condition": {**below, **guard}})("dynamodb")

    def batch(*keys: str) -> dict[str, Any]:
        puts = [{"PutRequest": {"Item": {"pk": {"S": key}, "sk": {"S": "x"}}}} for key in keys]
        return {"RequestItems": {"guarded": puts}}

    def elsewhere(table: str) -> list[dict[str, Any]]:
        return [{"Put": {"TableName": table, "Item": {"pk": {"S": "prompt#1"}, "sk": {"S": "x"}}}}]

    def outcomes(client: Any) -> list[bool]:
        return [
            denied(lambda: client.scan(TableName="guarded")),
            denied(lambda: client.batch_write_item(**batch("prompt#1", "prompt#2"))),
            denied(lambda: client.batch_write_item(**batch("prompt#1", "timeline#2"))),
            denied(lambda: client.transact_write_items(TransactItems=elsewhere("guarded"))),
        ]

    assert outcomes(vacuous) == [False, False, True, False]
    assert outcomes(guarded) == [True, False, True, False]
    # A table that is not there has no known key: for AWS it is the same as a request that names none.
    everywhere = {"Action": actions, "Resource": "*", "Condition": {**below, **guard}}
    assert denied(lambda: user(everywhere)("dynamodb").transact_write_items(TransactItems=elsewhere("not-there")))


def test_a_partiql_statement_is_checked_by_its_kind_and_its_key(aws: EmbeddedAws, user: Any) -> None:
    make_table(aws.client("dynamodb"), "stated", "pk", "sk")
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/stated"
    below = {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["prompt#*"]},
        "Null": {"dynamodb:LeadingKeys": "false"},
    }
    actions = ["dynamodb:PartiQLInsert", "dynamodb:PartiQLDelete"]
    client = user({"Action": actions, "Resource": table, "Condition": below})("dynamodb")

    def insert(pk: str, sk: str) -> str:
        return f"INSERT INTO \"stated\" VALUE {{'pk': '{pk}', 'sk': '{sk}'}}"

    changed = "UPDATE \"stated\" SET a = '1' WHERE pk = 'prompt#1' AND sk = 'a'"
    gone = "DELETE FROM \"stated\" WHERE pk = 'prompt#1' AND sk = 'a'"
    assert not denied(lambda: client.execute_statement(Statement=insert("prompt#1", "a")))
    assert denied(lambda: client.execute_statement(Statement=insert("timeline#1", "a")))
    assert denied(lambda: client.execute_statement(Statement=changed))
    assert not denied(lambda: client.execute_statement(Statement=gone))
    both = [{"Statement": insert("prompt#2", "a")}, {"Statement": insert("timeline#2", "a")}]
    assert denied(lambda: client.batch_execute_statement(Statements=both))
    assert denied(lambda: client.execute_transaction(TransactStatements=both))
    assert not denied(lambda: client.execute_transaction(TransactStatements=both[:1]))


TAG = "promptlane:enrolled"


def test_a_version_is_rendered_and_read_where_its_tag_lets_in(user: Any, aws: EmbeddedAws) -> None:
    agent = aws.client("bedrock-agent")
    template = {"text": {"text": "Hello"}}
    variant = {"name": "v", "templateType": "TEXT", "templateConfiguration": template, "modelId": MODEL}
    made = agent.create_prompt(name="tagged", variants=[variant])
    version = agent.create_prompt_version(promptIdentifier=made["id"])["arn"]
    condition = {"StringEquals": {f"aws:ResourceTag/{TAG}": "one"}}
    actions = ["bedrock:RenderPrompt", "bedrock:GetPrompt"]
    client = user(
        {"Action": actions, "Resource": "arn:aws:bedrock:*:*:prompt/*:*", "Condition": condition},
        {"Action": "bedrock:InvokeModel", "Resource": FOUNDATION},
    )

    def refused() -> list[bool]:
        return [
            denied(lambda: client("bedrock-runtime").converse(modelId=version, messages=[])),
            denied(lambda: client("bedrock-agent").get_prompt(promptIdentifier=made["id"], promptVersion="1")),
        ]

    assert refused() == [True, True]
    agent.tag_resource(resourceArn=version, tags={TAG: "another"})
    assert refused() == [True, True]
    agent.tag_resource(resourceArn=version, tags={TAG: "one"})
    assert refused() == [False, False]
    agent.untag_resource(resourceArn=version, tagKeys=[TAG])
    assert refused() == [True, True]


def test_tags_are_put_and_taken_where_their_keys_allow_it(user: Any, aws: EmbeddedAws, prompt: dict[str, Any]) -> None:
    client = user(
        {
            "Action": "bedrock:TagResource",
            "Resource": "arn:aws:bedrock:*:*:prompt/*",
            "Condition": {
                "StringEquals": {f"aws:RequestTag/{TAG}": "one"},
                "ForAllValues:StringEquals": {"aws:TagKeys": [TAG]},
            },
        },
        {"Action": ["bedrock:UntagResource", "bedrock:CreatePrompt"], "Resource": "*"},
        {
            "Effect": "Deny",
            "Action": ["bedrock:UntagResource", "bedrock:CreatePrompt"],
            "Resource": "*",
            "Condition": {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": [TAG]}},
        },
    )("bedrock-agent")
    arn = prompt["arn"]
    assert not denied(lambda: client.tag_resource(resourceArn=arn, tags={TAG: "one"}))
    assert denied(lambda: client.tag_resource(resourceArn=arn, tags={TAG: "two"}))
    assert denied(lambda: client.tag_resource(resourceArn=arn, tags={TAG: "one", "more": "x"}))
    assert denied(lambda: client.tag_resource(resourceArn=arn, tags={"more": "x"}))
    assert denied(lambda: client.untag_resource(resourceArn=arn, tagKeys=[TAG.upper()]))
    assert not denied(lambda: client.untag_resource(resourceArn=arn, tagKeys=["more"]))
    assert denied(lambda: client.create_prompt(name="sneaky", tags={TAG: "one"}))
    assert not denied(lambda: client.create_prompt(name="open", tags={"team": "x"}))


def test_metrics_can_be_put_into_the_allowed_namespace_only(user: Any) -> None:
    condition = {"StringEquals": {"cloudwatch:namespace": "Promptlane"}}
    client = user({"Action": "cloudwatch:PutMetricData", "Resource": "*", "Condition": condition})("cloudwatch")
    datum = [{"MetricName": "m", "Value": 1.0}]
    assert not denied(lambda: client.put_metric_data(Namespace="Promptlane", MetricData=datum))
    assert denied(lambda: client.put_metric_data(Namespace="Other", MetricData=datum))


def role(aws: EmbeddedAws, name: str, service: str, *statements: dict[str, Any]) -> str:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    made = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
    aws.client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    arn: str = made["Arn"]
    return arn


def test_functions_and_state_machines_act_under_their_own_roles(aws: EmbeddedAws, eventually: Any) -> None:
    client = aws.client
    client("sqs").create_queue(QueueName="closed")
    logs = {"Action": "logs:*", "Resource": "*"}
    function_role = role(aws, "function", "lambda.amazonaws.com", logs)
    sdk = f"import sys\nsys.path.append({str(Path(boto3.__file__).parents[1])!r})\n"  # in place of a layer
    source = f"{sdk}import boto3\ndef handle(event, context): boto3.client('sqs').get_queue_url(QueueName='closed')\n"
    function = deploy(client, source, Role=function_role)

    def machine(name: str, *statements: dict[str, Any]) -> str:
        task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
        task["Arguments"] = {"FunctionName": function, "Payload": {}}
        definition = {"QueryLanguage": "JSONata", "StartAt": "T", "States": {"T": task}}
        made = client("stepfunctions").create_state_machine(
            name=name,
            definition=json.dumps(definition),
            roleArn=role(aws, name, "states.amazonaws.com", *statements),
        )
        arn: str = made["stateMachineArn"]
        return arn

    refused = run(client, eventually, machine("may-not", {"Action": "sns:Publish", "Resource": "*"}))
    assert "lambda:InvokeFunction" in refused["cause"]
    invoked = run(client, eventually, machine("may", {"Action": "lambda:InvokeFunction", "Resource": function}))
    assert invoked["status"] == "FAILED"
    assert "assumed-role/function/" in invoked["cause"]
    assert "sqs:GetQueueUrl" in invoked["cause"] or "sqs:getqueueurl" in invoked["cause"].lower()


def test_task_tokens_can_be_answered_only_for_the_granted_state_machine(
    aws: EmbeddedAws, user: Any, eventually: Any
) -> None:
    client = aws.client
    function = deploy(
        client,
        "def handle(event, context): print('TOKEN', event['token'])\n",
        name="asks",
        Role=role(aws, "asks", "lambda.amazonaws.com", {"Action": "logs:*", "Resource": "*"}),
    )
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": True}
    task["Arguments"] = {"FunctionName": function, "Payload": {"token": "{% $states.context.Task.Token %}"}}
    definition = {"QueryLanguage": "JSONata", "StartAt": "T", "States": {"T": task}}
    invoke = {"Action": "lambda:InvokeFunction", "Resource": function}
    machine = client("stepfunctions").create_state_machine(
        name="review", definition=json.dumps(definition), roleArn=role(aws, "review", "states.amazonaws.com", invoke)
    )["stateMachineArn"]
    client("stepfunctions").start_execution(stateMachineArn=machine)

    def printed() -> Any:
        groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/asks")["logGroups"]
        return (
            groups
            and client("logs").filter_log_events(logGroupName="/aws/lambda/asks", filterPattern="TOKEN")["events"]
        )

    token = eventually(printed)[0]["message"].split()[1]
    send = {"Action": ["states:SendTaskHeartbeat", "states:SendTaskSuccess"]}
    mine = user({**send, "Resource": machine})("stepfunctions")
    assert not denied(lambda: mine.send_task_heartbeat(taskToken=token))
    iam = aws.client("iam")
    iam.create_user(UserName="other")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **send, "Resource": f"{machine}-other"}]}
    iam.put_user_policy(UserName="other", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="other")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    assert denied(lambda: aws.client("stepfunctions", **keys).send_task_success(taskToken=token, output="{}"))


def test_a_boundary_from_a_template_limits_what_the_roles_policy_allows(aws: EmbeddedAws, eventually: Any) -> None:
    def document(*actions: str) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}

    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    limits = {"ManagedPolicyName": "only-read", "PolicyDocument": document("bedrock:ListPrompts")}
    policy = {"PolicyName": "p", "PolicyDocument": document("bedrock:ListPrompts", "bedrock:CreatePrompt")}
    bounded = {
        "RoleName": "bounded",
        "AssumeRolePolicyDocument": trust,
        "PermissionsBoundary": {"Ref": "Limits"},
        "Policies": [policy],
    }
    resources = {
        "Limits": {"Type": "AWS::IAM::ManagedPolicy", "Properties": limits},
        "Role": {"Type": "AWS::IAM::Role", "Properties": bounded},
    }
    cloudformation = aws.client("cloudformation")
    template = json.dumps({"Resources": resources})
    cloudformation.create_stack(StackName="bounded", TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"])
    eventually(
        lambda: cloudformation.describe_stacks(StackName="bounded")["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
    )

    arn = aws.client("iam").get_role(RoleName="bounded")["Role"]["Arn"]
    made = aws.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    keys = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }
    agent = aws.client("bedrock-agent", **keys)
    assert not denied(lambda: agent.list_prompts())
    assert denied(lambda: agent.create_prompt(name="new", variants=[]))


def test_a_topics_policy_tells_who_subscribes_which_address_by_what(aws: EmbeddedAws, user: Any) -> None:
    sns, reviewer = aws.client("sns"), "rita@example.com"
    topic = sns.create_topic(Name="review-of-rita")["TopicArn"]
    asks = {"Action": "sns:Subscribe", "Resource": "*"}
    operator, stranger = user(asks), user(asks)
    by_email = user({**asks, "Condition": {"StringEqualsIfExists": {"sns:Protocol": "email"}}})
    me = operator("sts").get_caller_identity()["Arn"]
    denials = [
        {"ArnNotLike": {"aws:PrincipalArn": [me, by_email("sts").get_caller_identity()["Arn"]]}},
        {"StringNotEquals": {"sns:Protocol": "email"}},
        {"StringNotEquals": {"sns:Endpoint": reviewer}},
    ]
    statements = [
        {
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "sns:Subscribe",
            "Resource": topic,
            "Condition": condition,
        }
        for condition in denials
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=document)

    def may(who: Any, protocol: str, endpoint: str, on: str = topic) -> bool:
        try:
            who("sns").subscribe(TopicArn=on, Protocol=protocol, Endpoint=endpoint)
        except who("sns").exceptions.AuthorizationErrorException:
            return False
        return True

    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:eavesdropper"
    assert may(operator, "email", reviewer)
    assert not may(operator, "email", "mallory@example.com")
    assert not may(operator, "email-json", reviewer)
    assert not may(operator, "sqs", queue)
    assert not may(stranger, "email", reviewer)
    assert [s["Endpoint"] for s in sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]] == [reviewer]
    # The same key in a policy of the caller's own.
    elsewhere = sns.create_topic(Name="notices-of-all")["TopicArn"]
    assert may(by_email, "email", reviewer, elsewhere)
    assert not may(by_email, "sqs", queue, elsewhere)
