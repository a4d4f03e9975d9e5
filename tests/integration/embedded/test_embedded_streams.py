"""Function URLs of the embedded AWS: they stream, ask for both permissions, and cut short what failed."""

from __future__ import annotations

import http.client
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from local import keys
from local.running import EmbeddedAws
from tests.support.embedded_functions import ROLE, zipped
from tests.support.streamed import Keys, asked

SOURCE = """
const fs = require("fs");
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
exports.handle = awslambda.streamifyResponse(async (event, stream, context) => {
  const asked = JSON.parse(event.body || "{}");
  if (asked.fails === "before") throw new Error("before the first byte");
  stream = awslambda.HttpResponseStream.from(stream, {
    statusCode: 203,
    headers: { "Content-Type": "text/event-stream", "x-caller": event.requestContext.authorizer.iam.userArn },
  });
  if (asked.fails === "silent") return void stream.end();
  stream.write("first ");
  if (asked.fails === "after") throw new Error("after the first byte");
  while (asked.until && !fs.existsSync(asked.until)) await sleep(20);
  console.log("the rest of " + event.rawPath);
  stream.end("last");
});
"""


@pytest.fixture(scope="module")
def url(aws: EmbeddedAws) -> str:
    """Of a streaming function, made by CloudFormation."""
    code = aws.client("s3")
    code.create_bucket(Bucket="streaming-code")
    code.put_object(Bucket="streaming-code", Key="f.zip", Body=zipped(SOURCE, "handler.js"))
    function = {
        "FunctionName": "streaming",
        "Runtime": "nodejs22.x",
        "Role": ROLE,
        "Handler": "handler.handle",
        "Timeout": 5,
        "Code": {"S3Bucket": "streaming-code", "S3Key": "f.zip"},
    }
    address = {"TargetFunctionArn": {"Ref": "F"}, "AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM"}
    template = {
        "Resources": {
            "F": {"Type": "AWS::Lambda::Function", "Properties": function},
            "U": {"Type": "AWS::Lambda::Url", "Properties": address},
        },
        "Outputs": {"Url": {"Value": {"Fn::GetAtt": ["U", "FunctionUrl"]}}},
    }
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName="streaming", TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName="streaming", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="streaming")["Stacks"]
    return str(stack["Outputs"][0]["OutputValue"])


def root(aws: EmbeddedAws) -> Keys:
    return keys.credentials(aws.home)


def user(aws: EmbeddedAws, *statements: dict[str, Any]) -> Keys:
    iam, name = aws.client("iam"), f"streams-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", **s} for s in statements]}
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def status(url: str, signed_by: Keys | None) -> int:
    with asked(url, {}, signed_by) as answer:
        return answer.status


def test_what_a_function_writes_is_there_before_it_goes_on(aws: EmbeddedAws, url: str, tmp_path: Path) -> None:
    more = tmp_path / "more"
    with asked(url, {"until": str(more)}, root(aws)) as answer:
        assert (answer.status, answer.headers["content-type"]) == (203, "text/event-stream")
        assert answer.headers["x-caller"].endswith(":root")
        assert answer.read1(100) == b"first "
        more.touch()  # only now may it write the rest
        assert answer.read() == b"last"


def test_what_it_logs_is_kept_and_requests_are_counted(aws: EmbeddedAws, url: str, eventually: Any) -> None:
    path = f"p{uuid.uuid4().hex}"
    assert status(url + path, root(aws)) == 203
    logs, cloudwatch = aws.client("logs"), aws.client("cloudwatch")

    def told() -> Any:
        events = logs.filter_log_events(logGroupName="/aws/lambda/streaming")["events"]
        return [e["message"] for e in events if path in e["message"]]

    assert eventually(told)[0].endswith(f"the rest of /{path}")
    named = {m["MetricName"] for m in cloudwatch.list_metrics(Namespace="AWS/Lambda")["Metrics"]}
    assert {"UrlRequestCount", "Url4xxCount", "Url5xxCount"} <= named


def test_callers_need_both_permissions(aws: EmbeddedAws, url: str) -> None:
    through = {
        "Action": "lambda:InvokeFunctionUrl",
        "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}},
    }
    within = {"Action": "lambda:InvokeFunction", "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}}
    both = user(aws, through, within)
    assert status(url, both) == 203
    directly = aws.client("lambda", **both)
    with pytest.raises(directly.exceptions.ClientError, match="not authorized"):
        directly.invoke(FunctionName="streaming")
    assert [status(url, keys) for keys in (user(aws, through), user(aws, within), None)] == [403, 403, 403]
    forged = {**both, "aws_secret_access_key": "x" * 40}
    assert status(url, forged) == 403


def test_a_response_that_broke_is_cut_short_and_never_looks_whole(aws: EmbeddedAws, url: str) -> None:
    with asked(url, {"fails": "before"}, root(aws)) as answer:
        assert (answer.status, json.load(answer)) == (502, {"Message": "Internal Server Error"})
    with asked(url, {"fails": "silent"}, root(aws)) as answer:
        assert (answer.status, answer.read()) == (200, b"")
    for asked_for in ({"fails": "after"}, {"until": "/no/such/file"}):
        with asked(url, asked_for, root(aws)) as answer, pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
        assert cut.value.partial == b"first "


def test_a_streaming_function_that_is_invoked_answers_with_all_it_wrote(aws: EmbeddedAws, url: str) -> None:
    event = {"body": "{}", "requestContext": {"authorizer": {"iam": {"userArn": "me"}}}}
    payload = aws.client("lambda").invoke(FunctionName="streaming", Payload=json.dumps(event))["Payload"].read()
    assert b"first last" in payload
