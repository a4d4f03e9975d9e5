"""Bedrock in the embedded AWS: prompts, Converse on prompt versions, the invocation log, CloudTrail."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.running import EmbeddedAws

Client = Callable[[str], Any]
MODEL = "amazon.nova-lite-v1:0"


def variant(text: str, *variables: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "default",
        "templateType": "TEXT",
        "templateConfiguration": {"text": {"text": text, "inputVariables": [{"name": name} for name in variables]}},
        "modelId": MODEL,
        "inferenceConfiguration": {"text": {"temperature": 0.0, "maxTokens": 100}},
        **more,
    }


def publish(client: Client, text: str, *variables: str, name: str = "support") -> dict[str, Any]:
    agent = client("bedrock-agent")
    made = agent.create_prompt(name=name, variants=[variant(text, *variables)], defaultVariant="default")
    version: dict[str, Any] = agent.create_prompt_version(promptIdentifier=made["id"], description="why")
    return version


def said(response: dict[str, Any]) -> str:
    text: str = response["output"]["message"]["content"][0]["text"]
    return text


def error_of(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call()
    return raised.value.response["Error"]["Code"], raised.value.response["Error"]["Message"]


def test_each_region_answers_with_the_models_that_it_offers(embedded_aws: EmbeddedAws, account: str) -> None:
    hello = [{"role": "user", "content": [{"text": "hi"}]}]

    def converse(region: str, model: str) -> str:
        runtime = embedded_aws.client("bedrock-runtime", account, region=region)
        try:
            return str(runtime.converse(modelId=model, messages=hello)["stopReason"])
        except ClientError as error:
            return "{Code}: {Message}".format(**error.response["Error"])

    unknown = "ValidationException: The provided model identifier is invalid."
    assert converse("us-east-1", MODEL) == converse("eu-central-1", f"eu.{MODEL}") == "end_turn"
    on_demand = converse("eu-central-1", MODEL)
    assert "ValidationException: Invocation of model ID" in on_demand
    assert "with on-demand throughput isn\u2019t supported. Retry your request with the ID" in on_demand
    assert converse("af-south-1", MODEL) == converse("eu-central-1", f"us.{MODEL}") == unknown
    eu = embedded_aws.client("bedrock-agent", account, region="eu-central-1")
    made = eu.create_prompt(name="there", variants=[variant("hello")], defaultVariant="default")
    assert converse("eu-central-1", made["arn"]) == on_demand


def test_a_version_is_a_snapshot_of_the_draft(client: Client) -> None:
    agent = client("bedrock-agent")
    version = publish(client, "Hello {{name}}", "name")
    agent.update_prompt(promptIdentifier=version["id"], name="support", variants=[variant("Bye {{name}}", "name")])

    kept = agent.get_prompt(promptIdentifier=version["id"], promptVersion="1")
    draft = agent.get_prompt(promptIdentifier=version["id"])

    assert kept["variants"][0]["templateConfiguration"]["text"]["text"] == "Hello {{name}}"
    assert (kept["version"], kept["description"]) == ("1", "why")
    assert draft["variants"][0]["templateConfiguration"]["text"]["text"] == "Bye {{name}}"
    assert "description" not in draft


def test_versions_are_listed_found_by_arn_and_deleted_one_by_one_without_reusing_a_number(client: Client) -> None:
    agent = client("bedrock-agent")
    version = publish(client, "Hello")
    agent.create_prompt_version(promptIdentifier=version["arn"])

    listed = agent.list_prompts(promptIdentifier=version["id"])["promptSummaries"]
    assert [summary["version"] for summary in listed] == ["DRAFT", "2", "1"]
    assert agent.get_prompt(promptIdentifier=version["arn"])["version"] == "1"

    agent.delete_prompt(promptIdentifier=version["id"], promptVersion="2")
    assert agent.create_prompt_version(promptIdentifier=version["id"])["version"] == "3"
    assert error_of(lambda: agent.get_prompt(promptIdentifier=version["id"], promptVersion="2"))[0] == (
        "ResourceNotFoundException"
    )


def test_tool_schemas_come_back_as_they_were_sent(client: Client) -> None:
    tool = {"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object", "properties": {"OrderId": {}}}}}}
    chat = {
        "messages": [{"role": "user", "content": [{"text": "Hi {{name}}"}]}],
        "system": [{"text": "Be kind."}],
        "inputVariables": [{"name": "name"}],
        "toolConfiguration": {"tools": [tool]},
    }
    made = client("bedrock-agent").create_prompt(
        name="tools",
        variants=[{"name": "v", "templateType": "CHAT", "templateConfiguration": {"chat": chat}, "modelId": MODEL}],
    )
    assert made["variants"][0]["templateConfiguration"]["chat"] == chat


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "no spaces"}, "ValidationException"),
        ({"variants": [variant("a"), variant("b")]}, "ValidationException"),
        ({"variants": [variant("a", name="no spaces")]}, "ValidationException"),
        ({"variants": [variant("a", modelId="no model!")]}, "ValidationException"),
        ({"variants": [variant("{{größe}}", "größe")]}, "ValidationException"),
        ({"variants": [variant("a", metadata=[{"key": "k", "value": "v"}] * 51)]}, "ValidationException"),
        ({"variants": [variant("a", *[f"v{n}" for n in range(21)])]}, "ValidationException"),
    ],
)
def test_prompts_that_bedrock_refuses(client: Client, change: dict[str, Any], code: str) -> None:
    agent = client("bedrock-agent")
    assert error_of(lambda: agent.create_prompt(**({"name": "fine", "variants": []} | change)))[0] == code


def test_several_prompts_may_have_one_name(client: Client) -> None:
    agent = client("bedrock-agent")
    made = {agent.create_prompt(name="support", variants=[])["id"] for _ in range(2)}

    assert {p["id"] for p in agent.list_prompts()["promptSummaries"] if p["name"] == "support"} == made


def test_empty_lists_come_back_the_other_way_about(client: Client) -> None:
    agent = client("bedrock-agent")
    sent = variant("Hi", "name", inferenceConfiguration={"text": {"maxTokens": 5}})
    sent["templateConfiguration"]["text"]["inputVariables"] = []
    made = agent.create_prompt(name="support", variants=[sent])
    published = agent.create_prompt_version(promptIdentifier=made["id"])

    for answer in (made, published, agent.get_prompt(promptIdentifier=made["id"], promptVersion="1")):
        (found,) = answer["variants"]
        assert found["templateConfiguration"] == {"text": {"text": "Hi"}}
        assert found["inferenceConfiguration"] == {"text": {"maxTokens": 5, "stopSequences": []}}
        assert found["metadata"] == []
    metadata = agent.get_prompt(promptIdentifier=made["id"], includedData="METADATA_ONLY")
    assert (metadata["name"], metadata["version"], "variants" in metadata) == ("support", "DRAFT", False)


def test_models_refuse_tools_whose_schemas_hold_text_for_numbers(client: Client) -> None:
    def ask(limit: object) -> str:
        schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": limit}}}
        runtime = client("bedrock-runtime")
        asked = [{"role": "user", "content": [{"text": "Where is my order?"}]}]
        tools = [{"toolSpec": {"name": "find", "inputSchema": {"json": schema}}}]
        return str(runtime.converse(modelId=MODEL, messages=asked, toolConfig={"tools": tools})["stopReason"])

    assert ask(5)
    code, told = error_of(lambda: ask("5"))
    assert code == "ValidationException"
    assert "tools.0.custom.input_schema: JSON schema is invalid" in told


def test_converse_on_a_version_answers_what_the_rendered_prompt_asks(client: Client) -> None:
    runtime = client("bedrock-runtime")
    version = publish(client, "Where is my order {{order}}?", "order")

    by_prompt = runtime.converse(modelId=version["arn"], promptVariables={"order": {"text": "A-17"}})
    by_hand = runtime.converse(
        modelId=MODEL,
        messages=[{"role": "user", "content": [{"text": "Where is my order A-17?"}]}],
        inferenceConfig={"temperature": 0.0, "maxTokens": 100},
    )

    assert said(by_prompt) == said(by_hand)
    assert by_prompt["usage"] == by_hand["usage"]
    assert by_prompt["stopReason"] == "end_turn"


def test_the_stream_says_the_same_in_pieces(client: Client) -> None:
    runtime = client("bedrock-runtime")
    version = publish(client, "Please tell me how to return my order {{order}} and how long a refund takes", "order")
    variables = {"order": {"text": "A-17"}}

    whole = said(runtime.converse(modelId=version["arn"], promptVariables=variables))
    events = list(runtime.converse_stream(modelId=version["arn"], promptVariables=variables)["stream"])

    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert "".join(deltas) == whole
    assert len(deltas) > 1
    assert [name for event in events for name in event][-2:] == ["messageStop", "metadata"]


@pytest.mark.parametrize("field", ["inferenceConfig", "system", "toolConfig", "additionalModelRequestFields"])
def test_fields_that_a_prompt_resource_forbids(client: Client, field: str) -> None:
    version = publish(client, "Hello")
    values: dict[str, Any] = {
        "inferenceConfig": {"maxTokens": 5},
        "system": [{"text": "x"}],
        "toolConfig": {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {}}}}]},
        "additionalModelRequestFields": {"top_k": 3},
    }
    code, message = error_of(
        lambda: client("bedrock-runtime").converse(modelId=version["arn"], **{field: values[field]})
    )
    assert (code, field in message) == ("ValidationException", True)


@pytest.mark.parametrize(("given", "named"), [({}, "order"), ({"order": {"text": "1"}, "ordr": {"text": "1"}}, "ordr")])
def test_missing_and_unknown_variables_are_named(client: Client, given: dict[str, Any], named: str) -> None:
    version = publish(client, "Where is {{order}}?", "order")
    code, message = error_of(lambda: client("bedrock-runtime").converse(modelId=version["arn"], promptVariables=given))
    assert (code, named in message) == ("ValidationException", True)


def test_a_version_or_model_that_does_not_exist(client: Client) -> None:
    runtime = client("bedrock-runtime")
    version = publish(client, "Hello")
    assert error_of(lambda: runtime.converse(modelId=version["arn"][:-1] + "9"))[0] == "ResourceNotFoundException"
    hello = [{"role": "user", "content": [{"text": "hi"}]}]
    assert error_of(lambda: runtime.converse(modelId="acme.brain-1", messages=hello))[0] == "ValidationException"


def test_knobs_throttle_and_disable(embedded_aws: Any, client: Client) -> None:
    runtime = client("bedrock-runtime")
    hello = [{"role": "user", "content": [{"text": "hi"}]}]
    try:
        embedded_aws.knobs(throttle_per_second={"amazon.nova-micro-v1:0": 1}, disabled_models=["amazon.nova-pro-v1:0"])
        runtime.converse(modelId="amazon.nova-micro-v1:0", messages=hello)
        assert error_of(lambda: runtime.converse(modelId="amazon.nova-micro-v1:0", messages=hello))[0] == (
            "ThrottlingException"
        )
        assert error_of(lambda: runtime.converse(modelId="amazon.nova-pro-v1:0", messages=hello))[0] == (
            "AccessDeniedException"
        )
    finally:
        embedded_aws.knobs(throttle_per_second={}, disabled_models=[])


def test_the_guardrail_marker_intervenes(client: Client) -> None:
    hello = [{"role": "user", "content": [{"text": "hi [[guardrail]]"}]}]
    assert client("bedrock-runtime").converse(modelId=MODEL, messages=hello)["stopReason"] == "guardrail_intervened"


def test_embeddings_are_deterministic_and_near_for_texts_that_share_words(client: Client) -> None:
    def embed(text: str) -> list[float]:
        body = json.dumps({"inputText": text, "dimensions": 256})
        reply = client("bedrock-runtime").invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)
        vector: list[float] = json.loads(reply["body"].read())["embedding"]
        return vector

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    one = embed("your refund arrives within five days")
    assert one == embed("your refund arrives within five days")
    assert cosine(one, one) == pytest.approx(1, abs=1e-5)
    assert cosine(one, embed("the refund arrives in five days")) > 0.5
    assert abs(cosine(one, embed("completely unrelated sentence"))) < 0.3


def test_the_invocation_log_names_caller_metadata_and_tokens(client: Client, account: str) -> None:
    client("logs").create_log_group(logGroupName="/bedrock")
    role = f"arn:aws:iam::{account}:role/log"
    client("bedrock").put_model_invocation_logging_configuration(
        loggingConfig={
            "cloudWatchConfig": {"logGroupName": "/bedrock", "roleArn": role},
            "textDataDeliveryEnabled": True,
        }
    )
    version = publish(client, "Hello {{name}}", "name")
    metadata = {"promptlane-version": version["arn"], "track": "canary"}
    client("bedrock-runtime").converse(
        modelId=version["arn"], promptVariables={"name": {"text": "Ada"}}, requestMetadata=metadata
    )

    events = client("logs").filter_log_events(logGroupName="/bedrock")["events"]
    record = json.loads(events[0]["message"])

    assert record["schemaType"] == "ModelInvocationLog"
    assert (record["operation"], record["modelId"], record["requestMetadata"]) == ("Converse", MODEL, metadata)
    assert record["identity"]["arn"] == f"arn:aws:iam::{account}:root"
    assert record["input"]["inputBodyJson"]["messages"][0]["content"][0]["text"] == "Hello Ada"
    assert record["output"]["outputTokenCount"] > 0


def test_large_bodies_of_the_invocation_log_go_to_s3(client: Client, account: str, eventually: Any) -> None:
    client("logs").create_log_group(logGroupName="/bedrock")
    client("s3").create_bucket(Bucket=f"large-{account}")
    cloudwatch = {"logGroupName": "/bedrock", "roleArn": f"arn:aws:iam::{account}:role/log"}
    cloudwatch["largeDataDeliveryS3Config"] = {"bucketName": f"large-{account}", "keyPrefix": "big"}  # type: ignore[assignment]
    client("bedrock").put_model_invocation_logging_configuration(loggingConfig={"cloudWatchConfig": cloudwatch})
    long = [{"role": "user", "content": [{"text": "word " * 30_000}]}]
    client("bedrock-runtime").converse(modelId=MODEL, messages=long)

    record = json.loads(client("logs").filter_log_events(logGroupName="/bedrock")["events"][0]["message"])
    bucket, _, key = record["input"]["inputBodyS3Path"].removeprefix("s3://").partition("/")

    assert "inputBodyJson" not in record["input"]
    assert key.startswith(f"big/AWSLogs/{account}/BedrockModelInvocationLogs/us-east-1/")
    eventually(lambda: client("s3").list_objects_v2(Bucket=bucket).get("Contents"))
    stored = json.loads(gzip.decompress(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()))
    assert stored["messages"][0]["content"][0]["text"].startswith("word word")


def test_logging_configuration_is_absent_until_set_and_checks_the_group(client: Client) -> None:
    bedrock = client("bedrock")
    assert "loggingConfig" not in bedrock.get_model_invocation_logging_configuration()
    nowhere = {"cloudWatchConfig": {"logGroupName": "/nowhere", "roleArn": "arn:aws:iam::1:role/log"}}
    assert error_of(lambda: bedrock.put_model_invocation_logging_configuration(loggingConfig=nowhere))[0] == (
        "ValidationException"
    )


def test_cloudtrail_knows_who_changed_which_prompt_and_hides_its_text(client: Client, account: str) -> None:
    version = publish(client, "secret words")
    client("bedrock-runtime").converse(modelId=version["arn"])
    error_of(lambda: client("bedrock-agent").create_prompt_version(promptIdentifier="AAAAAAAAAA"))

    def events(name: str) -> list[dict[str, Any]]:
        found = client("cloudtrail").lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}]
        )["Events"]
        return [json.loads(event["CloudTrailEvent"]) for event in found]

    failed, published = events("CreatePromptVersion")
    assert published["requestParameters"]["promptIdentifier"] == version["id"]
    assert published["userIdentity"]["arn"] == f"arn:aws:iam::{account}:root"
    assert published["eventSource"] == "bedrock.amazonaws.com"
    assert "secret words" not in json.dumps(published)
    assert failed["errorCode"] == "ResourceNotFoundException"
    assert events("Converse")[0]["requestParameters"] == {"modelId": version["arn"]}


def test_events_reach_eventbridge_only_while_a_trail_is_logging(client: Client, eventually: Any) -> None:
    queue = client("sqs").create_queue(QueueName="seen")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.bedrock"], "detail": {"eventName": ["CreatePromptVersion"]}}
    client("events").put_rule(Name="versions", EventPattern=json.dumps(pattern))
    client("events").put_targets(Rule="versions", Targets=[{"Id": "queue", "Arn": arn}])

    publish(client, "before", name="before")
    client("s3").create_bucket(Bucket="trail-events")
    client("cloudtrail").create_trail(Name="all", S3BucketName="trail-events")
    client("cloudtrail").start_logging(Name="all")
    version = publish(client, "after", name="after")

    received = eventually(lambda: client("sqs").receive_message(QueueUrl=queue).get("Messages"))
    event = json.loads(received[0]["Body"])
    assert event["detail-type"] == "AWS API Call via CloudTrail"
    assert event["detail"]["requestParameters"]["promptIdentifier"] == version["id"]


def test_rendering_is_a_data_event_for_trails_that_ask_for_it(client: Client, account: str) -> None:
    client("logs").create_log_group(logGroupName="/trail")
    client("s3").create_bucket(Bucket=f"trail-{account}")
    client("cloudtrail").create_trail(
        Name="data",
        S3BucketName=f"trail-{account}",
        CloudWatchLogsLogGroupArn=f"arn:aws:logs:us-east-1:{account}:log-group:/trail:*",
        CloudWatchLogsRoleArn=f"arn:aws:iam::{account}:role/trail",
    )
    fields = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::Bedrock::PromptVersion"]},
    ]
    client("cloudtrail").put_event_selectors(
        TrailName="data", AdvancedEventSelectors=[{"Name": "rendering", "FieldSelectors": fields}]
    )
    client("cloudtrail").start_logging(Name="data")
    version = publish(client, "Hello")
    client("bedrock-runtime").converse(modelId=version["arn"])

    messages = [json.loads(e["message"]) for e in client("logs").filter_log_events(logGroupName="/trail")["events"]]
    assert [message["eventName"] for message in messages] == ["RenderPrompt"]
    assert messages[0]["resources"][0]["ARN"] == version["arn"]
    assert messages[0]["eventCategory"] == "Data"


@pytest.mark.parametrize("prefix", ["", "trails"])
def test_a_trail_delivers_what_it_selects_into_its_locked_bucket(
    client: Client, account: str, eventually: Any, prefix: str
) -> None:
    s3, bucket = client("s3"), f"trail-files-{account}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    encrypted = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": encrypted}]},
    )
    trail = client("cloudtrail")
    trail.create_trail(Name="files", S3BucketName=bucket, **({"S3KeyPrefix": prefix} if prefix else {}))
    fields = [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::Bedrock::PromptVersion"]},
    ]
    trail.put_event_selectors(
        TrailName="files", AdvancedEventSelectors=[{"Name": "rendering", "FieldSelectors": fields}]
    )
    version = publish(client, "Hello")
    client("bedrock-runtime").converse(modelId=version["arn"])
    trail.start_logging(Name="files")
    for _ in range(2):
        client("bedrock-runtime").converse(modelId=version["arn"])
    trail.stop_logging(Name="files")
    client("bedrock-runtime").converse(modelId=version["arn"])

    def records() -> list[dict[str, Any]]:
        found = []
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
            assert re.fullmatch(
                rf"{prefix + '/' if prefix else ''}AWSLogs/{account}/CloudTrail/us-east-1/\d{{4}}/\d\d/\d\d/"
                rf"{account}_CloudTrail_us-east-1_\d{{8}}T\d{{4}}Z_\w{{16}}\.json\.gz",
                item["Key"],
            )
            body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            found += json.loads(gzip.decompress(body))["Records"]
        return found

    eventually(lambda: len(records()) == 2)
    assert {(r["eventName"], r["resources"][0]["ARN"]) for r in records()} == {("RenderPrompt", version["arn"])}


def test_lookup_events_has_pages(client: Client) -> None:
    agent = client("bedrock-agent")
    made = agent.create_prompt(name="many", variants=[])
    for _ in range(54):
        agent.update_prompt(promptIdentifier=made["id"], name="many", variants=[])
    pages = list(client("cloudtrail").get_paginator("lookup_events").paginate())
    assert [len(page["Events"]) for page in pages] == [50, 5]


def test_a_prompt_holds_ten_versions_and_the_eleventh_is_refused_by_the_quotas_name(client: Client) -> None:
    agent = client("bedrock-agent")
    made = agent.create_prompt(name="full")
    for _ in range(10):
        agent.create_prompt_version(promptIdentifier=made["id"])

    with pytest.raises(ClientError) as refused:
        agent.create_prompt_version(promptIdentifier=made["id"])
    error = refused.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert "max-number-versions-per-prompt" in error["Message"]
    agent.delete_prompt(promptIdentifier=made["id"], promptVersion="4")
    assert agent.create_prompt_version(promptIdentifier=made["id"])["version"] == "11"
