"""CloudFormation in the embedded AWS: the types and properties that our stacks need, by small templates."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local import keys
from tests.support.embedded_functions import finished

Client = Callable[[str], Any]
MODEL = "amazon.nova-lite-v1:0"


def get(name: str, attribute: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [name, attribute]}


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


@pytest.fixture
def deploy(client: Client, account: str, eventually: Any) -> Callable[..., dict[str, str]]:
    """`deploy({logical id: resource}, {output: value})` creates or updates one stack; returns its outputs."""
    stack = f"stack-{account}"

    def run(resources: dict[str, Any], outputs: dict[str, Any] | None = None) -> dict[str, str]:
        cfn = client("cloudformation")
        template = {"Resources": resources}
        if outputs:
            template["Outputs"] = {name: {"Value": value} for name, value in outputs.items()}
        known = [s for s in cfn.list_stacks()["StackSummaries"] if s["StackName"] == stack]
        change = cfn.update_stack if known else cfn.create_stack
        change(StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"])

        def done() -> Any:
            found = cfn.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        found = eventually(done, seconds=30)
        if found["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            events = cfn.describe_stack_events(StackName=stack)["StackEvents"]
            raise RuntimeError([event.get("ResourceStatusReason") for event in events])
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    return run


ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            ]
        }
    },
}


def function(source: str, **more: Any) -> dict[str, Any]:
    properties = {
        "Runtime": "python3.13",
        "Handler": "index.handle",
        "Role": get("Role", "Arn"),
        "Code": {"ZipFile": source},
    }
    return {"Type": "AWS::Lambda::Function", "Properties": properties | more}


def test_prompts_versions_and_guardrails(client: Client, deploy: Any) -> None:
    def variant(text: str) -> dict[str, Any]:
        return {
            "Name": "v",
            "TemplateType": "TEXT",
            "ModelId": MODEL,
            "TemplateConfiguration": {"Text": {"Text": text, "InputVariables": [{"Name": "name"}]}},
            "InferenceConfiguration": {"Text": {"Temperature": "0.5", "MaxTokens": "10"}},
            "AdditionalModelRequestFields": {"TopK": 20, "Stream": True},
            "Metadata": [{"Key": "team", "Value": "x"}],
        }

    def resources(text: str) -> dict[str, Any]:
        prompt = {"Name": "support", "DefaultVariant": "v", "Variants": [variant(text)]}
        blocked = {"BlockedInputMessaging": "no", "BlockedOutputsMessaging": "no"}
        words = {"WordPolicyConfig": {"WordsConfig": [{"Text": "casino"}]}}
        return {
            "Prompt": {"Type": "AWS::Bedrock::Prompt", "Properties": prompt},
            "One": {"Type": "AWS::Bedrock::PromptVersion", "Properties": {"PromptArn": get("Prompt", "Arn")}},
            "Guard": {"Type": "AWS::Bedrock::Guardrail", "Properties": {"Name": "guard", **blocked, **words}},
            "Fixed": {"Type": "AWS::Bedrock::GuardrailVersion", "Properties": fixed},
        }

    fixed = {"GuardrailIdentifier": get("Guard", "GuardrailId")}
    outputs = {"Version": get("One", "Arn"), "Id": get("Prompt", "Id"), "Guard": get("Guard", "GuardrailId")}
    outputs["Fixed"] = get("Fixed", "Version")
    made = deploy(resources("Hi {{name}}"), outputs)
    assert made["Version"].endswith(f"prompt/{made['Id']}:1")
    kept = client("bedrock-agent").get_prompt(promptIdentifier=made["Id"], promptVersion="1")["variants"][0]
    assert kept["inferenceConfiguration"]["text"] == {"temperature": 0.5, "maxTokens": 10, "stopSequences": []}
    assert kept["additionalModelRequestFields"] == {"TopK": "20", "Stream": "true"}, "as CloudFormation has it"
    assert kept["metadata"] == [{"key": "team", "value": "x"}]
    guard = {"guardrailIdentifier": made["Guard"], "guardrailVersion": made["Fixed"]}
    gamble = [{"role": "user", "content": [{"text": "where is the casino"}]}]
    reply = client("bedrock-runtime").converse(modelId=MODEL, messages=gamble, guardrailConfig=guard)
    assert reply["stopReason"] == "guardrail_intervened"

    deploy(resources("Bye {{name}}"), outputs)
    draft = client("bedrock-agent").get_prompt(promptIdentifier=made["Id"])["variants"][0]
    assert draft["templateConfiguration"]["text"]["text"] == "Bye {{name}}"


def test_numbers_in_the_schema_of_a_tool_become_text_and_models_refuse_it(client: Client, deploy: Any) -> None:
    schema = {"type": "object", "properties": {"OrderId": {"type": "string", "maxLength": 12}}, "required": []}
    tool = {"Name": "find", "InputSchema": {"Json": {**schema, "additionalProperties": False}}}
    said = [{"Role": "user", "Content": [{"Text": "Where is my order?"}]}]
    chat = {"Messages": said, "ToolConfiguration": {"Tools": [{"ToolSpec": tool}]}}
    variant = {"Name": "v", "TemplateType": "CHAT", "ModelId": MODEL, "TemplateConfiguration": {"Chat": chat}}
    prompt = {"Name": "tools", "DefaultVariant": "v", "Variants": [variant]}
    resources = {
        "Prompt": {"Type": "AWS::Bedrock::Prompt", "Properties": prompt},
        "One": {"Type": "AWS::Bedrock::PromptVersion", "Properties": {"PromptArn": get("Prompt", "Arn")}},
    }

    made = deploy(resources, {"Version": get("One", "Arn"), "Id": get("Prompt", "Id")})

    kept = client("bedrock-agent").get_prompt(promptIdentifier=made["Id"], promptVersion="1")["variants"][0]
    (found,) = kept["templateConfiguration"]["chat"]["toolConfiguration"]["tools"]
    length = {"type": "string", "maxLength": "12"}
    text = {**schema, "properties": {"OrderId": length}, "additionalProperties": "false"}
    assert found["toolSpec"]["inputSchema"]["json"] == text
    with pytest.raises(ClientError, match="JSON schema is invalid"):
        client("bedrock-runtime").converse(modelId=made["Version"])


def test_alarms_trails_and_saved_queries(client: Client, account: str, deploy: Any) -> None:
    def metric(name: str, stat: str) -> dict[str, Any]:
        one = {"Namespace": "Promptlane", "MetricName": "Error", "Dimensions": [{"Name": "Prompt", "Value": "support"}]}
        return {"Id": name, "ReturnData": False, "MetricStat": {"Metric": one, "Period": 60, "Stat": stat}}

    rate = {"Id": "rate", "Expression": "IF(n > 5, bad / n, 0)", "ReturnData": True}
    alarm = {
        "AlarmName": "promptlane/support/canary/error",
        "Metrics": [metric("bad", "Sum"), metric("n", "SampleCount"), rate],
        "EvaluationPeriods": 2,
        "DatapointsToAlarm": 1,
        "Threshold": 0.1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    fields = [{"Field": "eventCategory", "Equals": ["Management"]}]
    trail = {
        "S3BucketName": ref("Logs"),
        "IsLogging": True,
        "IsMultiRegionTrail": True,
        "EnableLogFileValidation": True,
        "AdvancedEventSelectors": [{"Name": "management", "FieldSelectors": fields}],
    }
    query = {"Name": "promptlane/refusals", "QueryString": "stats count(*)", "LogGroupNames": ["/bedrock"]}
    deploy(
        {
            "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm},
            "Any": {
                "Type": "AWS::CloudWatch::CompositeAlarm",
                "Properties": {"AlarmName": "any", "AlarmRule": 'ALARM("promptlane/support/canary/error")'},
                "DependsOn": "Alarm",
            },
            "Board": {
                "Type": "AWS::CloudWatch::Dashboard",
                "Properties": {"DashboardName": f"board-{account}", "DashboardBody": '{"widgets": []}'},
            },
            "Logs": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"trail-{account}"}},
            "Trail": {"Type": "AWS::CloudTrail::Trail", "Properties": trail},
            "Query": {"Type": "AWS::Logs::QueryDefinition", "Properties": query},
        }
    )
    alarms = client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    found = alarms["MetricAlarms"][0]
    assert (found["DatapointsToAlarm"], found["Metrics"][2]["Expression"]) == (1, "IF(n > 5, bad / n, 0)")
    assert alarms["CompositeAlarms"][0]["AlarmName"] == "any"
    described = client("cloudtrail").describe_trails()["trailList"][0]
    assert (described["IsMultiRegionTrail"], described["LogFileValidationEnabled"]) == (True, True)
    assert client("cloudtrail").get_trail_status(Name=described["Name"])["IsLogging"]
    selectors = client("cloudtrail").get_event_selectors(TrailName=described["Name"])
    assert selectors["AdvancedEventSelectors"][0]["Name"] == "management"
    assert client("logs").describe_query_definitions()["queryDefinitions"][0]["name"] == "promptlane/refusals"


def test_tables_keep_every_property(client: Client, account: str, deploy: Any) -> None:
    keys = {
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
        "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
    }
    deny = {"Effect": "Deny", "Principal": "*", "Action": "dynamodb:DeleteTable", "Resource": "*"}
    guarded = {
        "DeletionProtectionEnabled": True,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "ResourcePolicy": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [deny]}},
    }
    names = {"Plain": f"plain-{account}", "Global": f"global-{account}"}
    deploy(
        {
            "Plain": {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": names["Plain"], **keys, **guarded}},
            "Global": {
                "Type": "AWS::DynamoDB::GlobalTable",
                "Properties": {"TableName": names["Global"], **keys, "Replicas": [{"Region": "us-east-1", **guarded}]},
            },
        }
    )
    dynamodb = client("dynamodb")
    for name in names.values():
        table = dynamodb.describe_table(TableName=name)["Table"]
        assert table["DeletionProtectionEnabled"], name
        assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
        assert "DeleteTable" in dynamodb.get_resource_policy(ResourceArn=table["TableArn"])["Policy"]


def test_functions_with_layers_limits_and_a_stream(client: Client, account: str, deploy: Any, eventually: Any) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("python/from_layer.py", "NAME = 'layer'")
    client("s3").create_bucket(Bucket=f"assets-{account}")
    client("s3").put_object(Bucket=f"assets-{account}", Key="layer.zip", Body=buffer.getvalue())
    source = "import from_layer, json\ndef handle(event, context): print('SAW', from_layer.NAME, json.dumps(event))\n"
    pattern = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "timeline#"}]}}}}
    deploy(
        {
            "Role": ROLE,
            "Dead": {"Type": "AWS::SQS::Queue", "Properties": {}},
            "Layer": {
                "Type": "AWS::Lambda::LayerVersion",
                "Properties": {"Content": {"S3Bucket": f"assets-{account}", "S3Key": "layer.zip"}},
            },
            "F": function(
                source,
                FunctionName="relay",
                Layers=[ref("Layer")],
                DeadLetterConfig={"TargetArn": get("Dead", "Arn")},
            ),
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": f"stream-{account}",
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                    "BillingMode": "PAY_PER_REQUEST",
                    "StreamSpecification": {"StreamViewType": "NEW_IMAGE"},
                },
            },
            "Source": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "FunctionName": ref("F"),
                    "EventSourceArn": get("Table", "StreamArn"),
                    "StartingPosition": "TRIM_HORIZON",
                    "BatchSize": 10,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                    "FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)}]},
                },
            },
        }
    )
    described = client("lambda").get_function(FunctionName="relay")
    assert "Dead" in described["Configuration"]["DeadLetterConfig"]["TargetArn"]
    for key in ("prompt#1", "timeline#1"):
        client("dynamodb").put_item(TableName=f"stream-{account}", Item={"pk": {"S": key}})

    def seen() -> Any:
        groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/relay")["logGroups"]
        return (
            groups and client("logs").filter_log_events(logGroupName="/aws/lambda/relay", filterPattern="SAW")["events"]
        )

    message = eventually(seen, seconds=20)[0]["message"]
    assert "SAW layer" in message
    assert "timeline#1" in message
    assert "prompt#1" not in message


def test_a_custom_resource_answers_for_itself_and_its_failure_fails_the_stack(deploy: Any) -> None:
    source = (
        "import json, urllib.request\n"
        "def handle(event, context):\n"
        "    good = event['ResourceProperties']['Good'] == 'true'\n"
        "    reply = {'Status': 'SUCCESS' if good else 'FAILED', 'Reason': 'somebody else logs here',\n"
        "             'PhysicalResourceId': 'logging', 'StackId': event['StackId'], 'RequestId': event['RequestId'],\n"
        "             'LogicalResourceId': event['LogicalResourceId'], 'Data': {'Was': event['RequestType']}}\n"
        "    request = urllib.request.Request(event['ResponseURL'], data=json.dumps(reply).encode(), method='PUT')\n"
        "    urllib.request.urlopen(request)\n"
    )

    def resources(good: bool) -> dict[str, Any]:
        custom = {"ServiceToken": get("F", "Arn"), "Good": good}
        return {
            "Role": ROLE,
            "F": function(source),
            "Custom": {"Type": "AWS::CloudFormation::CustomResource", "Properties": custom},
        }

    assert deploy(resources(True), {"Was": get("Custom", "Was")}) == {"Was": "Create"}
    with pytest.raises(RuntimeError, match="somebody else logs here"):
        deploy(resources(False), {"Was": get("Custom", "Was")})


def test_a_state_machine_from_s3_with_substitutions(client: Client, account: str, deploy: Any, eventually: Any) -> None:
    states = {"Say": {"Type": "Pass", "Output": {"table": "${table}"}, "End": True}}
    definition = {"QueryLanguage": "JSONata", "StartAt": "Say", "States": states}
    client("s3").create_bucket(Bucket=f"asl-{account}")
    client("s3").put_object(Bucket=f"asl-{account}", Key="release.asl.json", Body=json.dumps(definition).encode())
    properties = {
        "DefinitionS3Location": {"Bucket": f"asl-{account}", "Key": "release.asl.json"},
        "DefinitionSubstitutions": {"table": "routes"},
        "RoleArn": get("Role", "Arn"),
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    arn = deploy({"Role": ROLE, "M": machine}, {"Arn": ref("M")})["Arn"]
    execution = client("stepfunctions").start_execution(stateMachineArn=arn)["executionArn"]
    assert finished(client, eventually, execution)["output"] == {"table": "routes"}


def test_an_http_api_with_iam_authorization_reaches_its_function(embedded_aws: Any, account: str, deploy: Any) -> None:
    source = "def handle(event, context): return {'statusCode': 200, 'body': event['requestContext']['http']['path']}\n"
    uri = {"IntegrationType": "AWS_PROXY", "IntegrationUri": get("F", "Arn"), "PayloadFormatVersion": "2.0"}
    target = {"Fn::Join": ["", ["integrations/", ref("Integration")]]}
    route = {"ApiId": ref("Api"), "RouteKey": "GET /routes/{prompt}", "AuthorizationType": "AWS_IAM", "Target": target}
    outputs = deploy(
        {
            "Role": ROLE,
            "F": function(source),
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "gateway", "ProtocolType": "HTTP"}},
            "Integration": {"Type": "AWS::ApiGatewayV2::Integration", "Properties": {"ApiId": ref("Api"), **uri}},
            "Route": {"Type": "AWS::ApiGatewayV2::Route", "Properties": route},
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {"ApiId": ref("Api"), "StageName": "$default", "AutoDeploy": True},
            },
        },
        {"Url": get("Api", "ApiEndpoint")},
    )
    request = AWSRequest(method="GET", url=f"{outputs['Url']}/routes/support")
    known = Credentials(*keys.credentials(embedded_aws.home, account).values())
    SigV4Auth(known, "execute-api", "us-east-1").add_auth(request)
    signed = urllib.request.Request(request.url, headers=dict(request.headers))
    with urllib.request.urlopen(signed, timeout=15) as reply:
        assert reply.read() == b"/routes/support"


def test_object_lock_keys_policies_parameters_buses_and_schedules(client: Client, account: str, deploy: Any) -> None:
    days = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    statement = {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    mac = {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC", "KeyPolicy": document}
    send = {**statement, "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    rule = {
        "EventBusName": ref("Bus"),
        "EventPattern": {"source": ["promptlane"]},
        "Targets": [{"Id": "q", "Arn": get("Queue", "Arn"), "DeadLetterConfig": {"Arn": get("Queue", "Arn")}}],
    }
    outputs = deploy(
        {
            "Bucket": {
                "Type": "AWS::S3::Bucket",
                "Properties": {
                    "BucketName": f"audit-{account}",
                    "ObjectLockEnabled": True,
                    "ObjectLockConfiguration": days,
                },
            },
            "Key": {"Type": "AWS::KMS::Key", "Properties": mac},
            "Boundary": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"ManagedPolicyName": "limits", "PolicyDocument": document},
            },
            "Role": {**ROLE, "Properties": {**ROLE["Properties"], "PermissionsBoundary": ref("Boundary")}},  # type: ignore[dict-item]
            "Parameter": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {"Name": "/promptlane/enrolled/support", "Type": "String", "Value": "{}"},
            },
            "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "promptlane"}},
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "events"}},
            "Policy": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {"Queues": [ref("Queue")], "PolicyDocument": {"Statement": [send]}},
            },
            "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
            "Hourly": {
                "Type": "AWS::Events::Rule",
                "Properties": {
                    "ScheduleExpression": "rate(15 minutes)",
                    "Targets": [{"Id": "q", "Arn": get("Queue", "Arn")}],
                },
            },
            "Group": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": "/promptlane", "RetentionInDays": 7},
            },
        },
        {"Key": ref("Key"), "Role": ref("Role")},
    )
    lock = client("s3").get_object_lock_configuration(Bucket=f"audit-{account}")["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 1}
    assert client("s3").get_bucket_versioning(Bucket=f"audit-{account}")["Status"] == "Enabled"
    version = client("s3").put_object(Bucket=f"audit-{account}", Key="log", Body=b"1")["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        client("s3").delete_object(Bucket=f"audit-{account}", Key="log", VersionId=version)
    kms = client("kms")
    signed = kms.generate_mac(KeyId=outputs["Key"], Message=b"link", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert kms.verify_mac(KeyId=outputs["Key"], Message=b"link", MacAlgorithm="HMAC_SHA_256", Mac=signed)["MacValid"]
    with pytest.raises(kms.exceptions.KMSInvalidMacException):
        kms.verify_mac(KeyId=outputs["Key"], Message=b"lonk", MacAlgorithm="HMAC_SHA_256", Mac=signed)
    made = client("iam").get_role(RoleName=outputs["Role"])["Role"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith("policy/limits")
    assert client("ssm").get_parameter(Name="/promptlane/enrolled/support")["Parameter"]["Value"] == "{}"
    group = client("logs").describe_log_groups(logGroupNamePrefix="/promptlane")["logGroups"][0]
    assert group["retentionInDays"] == 7
    entry = {"Source": "promptlane", "DetailType": "Release Started", "Detail": "{}", "EventBusName": "promptlane"}
    client("events").put_events(Entries=[entry])
    url = client("sqs").get_queue_url(QueueName="events")["QueueUrl"]
    body = json.loads(client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"][0]["Body"])
    assert body["detail-type"] == "Release Started"


def test_a_log_group_without_a_name_is_named_by_its_stack_and_keeps_its_events_through_an_update(
    client: Client, account: str, deploy: Any
) -> None:
    def group(days: int) -> dict[str, Any]:
        return {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": days}}}

    name = deploy(group(7), {"Name": ref("Group")})["Name"]
    client("logs").create_log_stream(logGroupName=name, logStreamName="s")

    assert name.startswith(f"stack-{account}-Group-")
    assert deploy(group(14), {"Name": ref("Group")})["Name"] == name
    (kept,) = client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert kept["retentionInDays"] == 14
    assert [s["logStreamName"] for s in client("logs").describe_log_streams(logGroupName=name)["logStreams"]] == ["s"]


def test_a_reference_to_a_secret_is_its_arn_also_after_an_update(client: Client, deploy: Any) -> None:
    def secret(description: str) -> dict[str, str]:
        properties = {"Description": description, "GenerateSecretString": {"PasswordLength": 64}}
        resource = {"Type": "AWS::SecretsManager::Secret", "Properties": properties}
        outputs: dict[str, str] = deploy({"Key": resource}, {"Ref": ref("Key")})
        return outputs

    arn = secret("first")["Ref"]
    assert arn.startswith("arn:aws:secretsmanager:")
    assert secret("second") == {"Ref": arn}
    found = client("secretsmanager").describe_secret(SecretId=arn)
    assert (found["ARN"], found["Description"]) == (arn, "second")
    assert len(client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]) == 64
    deploy({"Other": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}})
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client("secretsmanager").get_secret_value(SecretId=arn)
