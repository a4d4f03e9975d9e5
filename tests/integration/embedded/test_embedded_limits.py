"""What a stack may not hold or do: the embedded AWS refuses it as AWS does, so that a deployment which works here is
refused by no account for its size, its names or its exports."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.deployments import RULE

Json = Any
Client = Callable[[str], Any]
ROLE = "arn:aws:iam::000000000000:role/x"
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}
FUNCTION = {"Runtime": "python3.13", "Handler": "index.h", "Role": ROLE, "Code": {"ZipFile": "def h(e, c): pass"}}
ALARM = {
    "MetricName": "m",
    "Namespace": "n",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanThreshold",
    "Statistic": "Sum",
}
TABLE = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
}


def policy(characters: int) -> Json:
    """A policy document of at least so many characters."""
    one = "arn:aws:s3:::bucket/a-long-name-of-an-object"
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [one] * (characters // len(one) + 1)}
    return {"Version": "2012-10-17", "Statement": [allow]}


def inline(characters: int) -> Json:
    return {"PolicyName": "p", "PolicyDocument": policy(characters)}


def dashboard(metrics: int) -> str:
    shown = {"metrics": [["n", f"m{i}"] for i in range(metrics)], "region": "us-east-1"}
    return json.dumps({"widgets": [{"type": "metric", "properties": shown}]})


@dataclass(frozen=True)
class Rule:
    """A resource that AWS takes, one that it does not, and what it says."""

    name: str
    kind: str
    taken: Json
    refused: Json
    says: str


def rule(name: str, kind: str, says: str, common: Json, taken: Json, refused: Json) -> Rule:
    return Rule(name, f"AWS::{kind}", {**common, **taken}, {**common, **refused}, says)


LAYERS = [f"arn:aws:lambda:us-east-1:000000000000:layer:l{i}:1" for i in range(6)]
ARNS = [f"arn:aws:iam::aws:policy/p{i}" for i in range(11)]
TARGETS = [{"Id": str(i), "Arn": f"arn:aws:sqs:us-east-1:000000000000:q{i}"} for i in range(6)]
RULES = (
    rule(
        "a managed policy has 6,144 characters",
        "IAM::ManagedPolicy",
        "quota for PolicySize: 6144",
        {},
        {"PolicyDocument": policy(5500)},
        {"PolicyDocument": policy(6144)},
    ),
    rule(
        "a role's inline policies have 10,240 characters together",
        "IAM::Role",
        "Maximum policy size of 10240 bytes exceeded",
        {"AssumeRolePolicyDocument": TRUST},
        {"Policies": [inline(9000)]},
        {"Policies": [inline(5200), {**inline(5200), "PolicyName": "q"}]},
    ),
    rule(
        "a role has ten managed policies",
        "IAM::Role",
        "PoliciesPerRole: 10",
        {"AssumeRolePolicyDocument": TRUST},
        {},
        {"ManagedPolicyArns": ARNS},
    ),
    rule(
        "a standard parameter has 4,096 characters",
        "SSM::Parameter",
        "4096 characters",
        {"Type": "String"},
        {"Value": "x" * 4096},
        {"Value": "x" * 4097},
    ),
    rule(
        "a function's environment has 4 KB",
        "Lambda::Function",
        "exceeded the 4KB limit",
        FUNCTION,
        {"Environment": {"Variables": {"A": "x" * 4000}}},
        {"Environment": {"Variables": {"A": "x" * 4090}}},
    ),
    rule("a function has five layers", "Lambda::Function", "more than 5 layers", FUNCTION, {}, {"Layers": LAYERS}),
    rule(
        "a rule has five targets",
        "Events::Rule",
        "maximum number allowed",
        {"ScheduleExpression": "rate(1 hour)"},
        {"Targets": TARGETS[:5]},
        {"Targets": TARGETS},
    ),
    rule(
        "an event pattern has 2,048 characters",
        "Events::Rule",
        "longer than 2048",
        {},
        {"EventPattern": {"source": ["x" * 2000]}},
        {"EventPattern": {"source": ["x" * 2048]}},
    ),
    rule(
        "a widget shows 500 metrics",
        "CloudWatch::Dashboard",
        "more than 500 metrics",
        {},
        {"DashboardBody": dashboard(500)},
        {"DashboardBody": dashboard(501)},
    ),
    rule(
        "a key's policy has 32 KB",
        "KMS::Key",
        "at most 32768 bytes",
        {},
        {},
        {"KeyPolicy": policy(32_768)},
    ),
    rule(
        "a table's policy has 20 KB",
        "DynamoDB::Table",
        "maximum allowed size of 20 KB",
        TABLE,
        {},
        {"ResourcePolicy": {"PolicyDocument": policy(20_480)}},
    ),
    rule(
        "an alarm looks back a day at most",
        "CloudWatch::Alarm",
        r"EvaluationPeriods \* Period",
        ALARM,
        {"EvaluationPeriods": 1440},
        {"EvaluationPeriods": 1441},
    ),
    rule("a period of 50 seconds does not exist", "CloudWatch::Alarm", "Period|period", ALARM, {}, {"Period": 50}),
    rule("a topic's name has no spaces", "SNS::Topic", "Topic Name", {}, {}, {"TopicName": "a topic"}),
    rule(
        "a property that a type does not have is refused",
        "SNS::Topic",
        r"extraneous key \[Colour\] is not permitted",
        {},
        {},
        {"Colour": "red"},
    ),
    rule(
        "a property that a type demands must be there",
        "SSM::Parameter",
        r"required key \[Value\] not found",
        {"Type": "String"},
        {"Value": "x"},
        {},
    ),
    rule(
        "a value outside an enumeration is refused",
        "CloudWatch::Alarm",
        "not a valid enum value|enum",
        ALARM,
        {},
        {"ComparisonOperator": "IsLarge"},
    ),
)


class Stacks:
    """Of one account."""

    def __init__(self, client: Client) -> None:
        self.cloudformation = client("cloudformation")

    def put(self, name: str, template: Json, *, update: bool = False, **given: Json) -> str:
        """The status that it ends in."""
        call = self.cloudformation.update_stack if update else self.cloudformation.create_stack
        given = given or {"TemplateBody": json.dumps(template, separators=(",", ":"))}
        call(StackName=name, Capabilities=["CAPABILITY_NAMED_IAM"], **given)
        deadline = time.monotonic() + 30
        while (status := self.status(name)).endswith("IN_PROGRESS"):
            assert time.monotonic() < deadline, f"{name} is {status}"
            time.sleep(0.05)
        return status

    def status(self, name: str) -> str:
        return str(self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def reasons(self, name: str) -> str:
        """All that was said of what failed; of early validation, too."""
        events = self.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        told = [str(e["ResourceStatusReason"]) for e in events if e.get("ResourceStatusReason")]
        early = self.cloudformation.describe_events(StackName=name)["OperationEvents"]
        return "\n".join(told + [str(e.get("ValidationStatusReason", "")) for e in early])


@pytest.fixture
def stacks(client: Client) -> Stacks:
    return Stacks(client)


def only(kind: str, properties: Json) -> Json:
    return {"Resources": {"R": {"Type": kind, "Properties": properties}}}


def exporting(value: str, name: str = "shared") -> Json:
    template = only("AWS::SSM::Parameter", {"Type": "String", "Value": "x"})
    outputs = {"Out": {"Value": value, "Export": {"Name": name}}}
    return {**template, "Outputs": outputs} if value else template


IMPORTING = only("AWS::SSM::Parameter", {"Type": "String", "Value": {"Fn::ImportValue": "shared"}})
MANY = {f"R{i}": {"Type": "AWS::SNS::Topic"} for i in range(501)}


@pytest.fixture
def refuses(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Names the rule that a test attacks, for .local/deployments.json."""
    return lambda name: record_property(RULE, name)


@pytest.mark.parametrize("case", RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_a_resource_beyond_a_limit_fails_its_stack(stacks: Stacks, refuses: Callable[[str], None], case: Rule) -> None:
    refuses(case.name)
    assert stacks.put("taken", only(case.kind, case.taken)) == "CREATE_COMPLETE", stacks.reasons("taken")
    assert stacks.put("refused", only(case.kind, case.refused)) == "ROLLBACK_COMPLETE"
    assert re.search(case.says, stacks.reasons("refused"))


class TestExports:
    @pytest.mark.parametrize(
        ("after", "rule", "says"),
        [
            ("b", "an export in use cannot be changed", "cannot be updated as it is in use by user"),
            ("", "an export in use cannot be removed", "cannot be deleted as it is in use by user"),
        ],
    )
    def test_an_export_in_use_stays(
        self, stacks: Stacks, refuses: Callable[[str], None], after: str, rule: str, says: str
    ) -> None:
        refuses(rule)
        stacks.put("owner", exporting("a"))
        stacks.put("user", IMPORTING)
        assert stacks.put("owner", exporting(after), update=True) == "UPDATE_ROLLBACK_COMPLETE"
        assert f"Export shared {says}" in stacks.reasons("owner")
        stacks.put("user", only("AWS::SSM::Parameter", {"Type": "String", "Value": "a"}), update=True)
        assert stacks.put("owner", exporting(after), update=True) == "UPDATE_COMPLETE"
        exported = [one["Value"] for one in stacks.cloudformation.list_exports()["Exports"]]
        assert exported == ([after] if after else [])

    def test_a_stack_whose_export_is_in_use_is_not_deleted(
        self, stacks: Stacks, refuses: Callable[[str], None]
    ) -> None:
        refuses("a stack whose export is in use cannot be deleted")
        stacks.put("owner", exporting("a"))
        stacks.put("user", IMPORTING)
        with pytest.raises(ClientError, match=r"Export shared .*user"):
            stacks.cloudformation.delete_stack(StackName="owner")

    def test_two_stacks_export_no_name_alike(self, stacks: Stacks, refuses: Callable[[str], None]) -> None:
        refuses("two stacks export no name alike")
        stacks.put("owner", exporting("a"))
        assert stacks.put("second", exporting("b")) == "ROLLBACK_COMPLETE"
        assert "already exported by stack owner" in stacks.reasons("second")

    def test_what_nobody_exports_is_not_imported(self, stacks: Stacks, refuses: Callable[[str], None]) -> None:
        refuses("what nobody exports cannot be imported")
        assert stacks.put("user", IMPORTING) == "ROLLBACK_COMPLETE"
        assert "shared" in stacks.reasons("user")


class TestTemplates:
    def test_a_body_has_51_200_bytes(self, stacks: Stacks, refuses: Callable[[str], None]) -> None:
        refuses("a template in a request has 51,200 bytes")
        large = {**only("AWS::SNS::Topic", {}), "Metadata": {"x": "x" * 51_200}}
        with pytest.raises(ClientError, match="51200"):
            stacks.put("large", large)

    def test_a_template_in_s3_has_1_000_000_bytes(
        self, stacks: Stacks, refuses: Callable[[str], None], client: Client
    ) -> None:
        refuses("a template in S3 has 1,000,000 bytes")
        s3 = client("s3")
        s3.create_bucket(Bucket="templates-of-limits")
        at = s3.meta.endpoint_url

        def put(name: str, size: int) -> str:
            body = json.dumps({**only("AWS::SNS::Topic", {}), "Metadata": {"x": "x" * size}})
            s3.put_object(Bucket="templates-of-limits", Key=name, Body=body)
            return stacks.put(name, None, TemplateURL=f"{at}/templates-of-limits/{name}")

        assert put("fits", 999_000) == "CREATE_COMPLETE"
        with pytest.raises(ClientError, match=r"1000000|1,000,000"):
            put("large", 1_000_000)

    @pytest.mark.parametrize(
        ("rule", "template", "says"),
        [
            ("a template has 500 resources", {"Resources": MANY}, "Number of resources, 501"),
            (
                "a template has 200 parameters",
                {
                    **only("AWS::SNS::Topic", {}),
                    "Parameters": {f"P{i}": {"Type": "String", "Default": "x"} for i in range(201)},
                },
                "Number of parameters, 201",
            ),
            (
                "a template has 200 outputs",
                {**only("AWS::SNS::Topic", {}), "Outputs": {f"O{i}": {"Value": "x"} for i in range(201)}},
                "Number of outputs, 201",
            ),
            (
                "a template's description has 1,024 bytes",
                {**only("AWS::SNS::Topic", {}), "Description": "x" * 1025},
                "description may not exceed 1024",
            ),
        ],
    )
    def test_a_template_beyond_a_quota(
        self, stacks: Stacks, refuses: Callable[[str], None], rule: str, template: Json, says: str
    ) -> None:
        refuses(rule)
        with pytest.raises(ClientError, match=says):
            stacks.put("large", template)

    def test_resources_in_a_circle(self, stacks: Stacks, refuses: Callable[[str], None]) -> None:
        refuses("resources do not depend on each other in a circle")
        one = {"Type": "AWS::SNS::Topic", "DependsOn": "B"}
        two = {"Type": "AWS::SNS::Topic", "DependsOn": "A"}
        with pytest.raises((ClientError, AssertionError), match=r"[Cc]ircular"):
            assert stacks.put("circle", {"Resources": {"A": one, "B": two}}) == "CREATE_COMPLETE", stacks.reasons(
                "circle"
            )

    def test_a_stack_has_a_name_that_aws_takes(self, stacks: Stacks, refuses: Callable[[str], None]) -> None:
        refuses("a stack's name begins with a letter")
        with pytest.raises(ClientError, match="stackName"):
            stacks.put("1-stack", only("AWS::SNS::Topic", {}))


def test_a_role_gets_no_more_from_several_stacks_than_from_one(stacks: Stacks, refuses: Callable[[str], None]) -> None:
    refuses("inline policies of several resources count together")
    stacks.put("role", only("AWS::IAM::Role", {"RoleName": "shared", "AssumeRolePolicyDocument": TRUST}))
    common = {"PolicyDocument": policy(5200), "Roles": ["shared"]}
    assert stacks.put("first", only("AWS::IAM::Policy", {**common, "PolicyName": "a"})) == "CREATE_COMPLETE"
    assert stacks.put("second", only("AWS::IAM::Policy", {**common, "PolicyName": "b"})) == "ROLLBACK_COMPLETE"
    assert "10240" in stacks.reasons("second")


def test_a_log_group_has_two_subscription_filters(stacks: Stacks, refuses: Callable[[str], None]) -> None:
    refuses("a log group has two subscription filters")
    stacks.put("group", only("AWS::Logs::LogGroup", {"LogGroupName": "subscribed"}))
    to = "arn:aws:lambda:us-east-1:000000000000:function:f"
    common = {"LogGroupName": "subscribed", "FilterPattern": "", "DestinationArn": to}
    made = [
        stacks.put(f"f{i}", only("AWS::Logs::SubscriptionFilter", {**common, "FilterName": f"f{i}"})) for i in range(3)
    ]
    assert made == ["CREATE_COMPLETE", "CREATE_COMPLETE", "ROLLBACK_COMPLETE"]


@pytest.mark.parametrize(
    ("template", "capabilities", "missing"),
    [
        (only("AWS::IAM::Role", {"AssumeRolePolicyDocument": TRUST}), [], "CAPABILITY_IAM"),
        (
            only("AWS::IAM::Role", {"RoleName": "named", "AssumeRolePolicyDocument": TRUST}),
            ["CAPABILITY_IAM"],
            "CAPABILITY_NAMED_IAM",
        ),
        (
            {"Transform": "AWS::LanguageExtensions", **only("AWS::SNS::Topic", {})},
            ["CAPABILITY_NAMED_IAM"],
            "CAPABILITY_AUTO_EXPAND",
        ),
    ],
    ids=["iam", "named-iam", "macro"],
)
def test_whoever_deploys_says_that_a_template_may_make_roles_or_run_macros(
    stacks: Stacks, refuses: Callable[[str], None], template: Json, capabilities: list[str], missing: str
) -> None:
    refuses(f"a template that needs {missing} is refused without it")
    asked = {"StackName": "x", "TemplateBody": json.dumps(template)}
    with pytest.raises(ClientError, match=rf"Requires capabilities : \[{missing}\]"):
        stacks.cloudformation.create_stack(**asked, Capabilities=capabilities)
    with pytest.raises(ClientError, match="does not exist"):
        stacks.status("x")
    assert stacks.cloudformation.create_stack(**asked, Capabilities=[*capabilities, missing])["StackId"]


def test_an_attribute_that_a_type_does_not_have_fails_the_stack(stacks: Stacks, refuses: Callable[[str], None]) -> None:
    refuses("a type has the attributes of its schema")
    for attribute, ends in (("TopicName", "CREATE_COMPLETE"), ("TopicArm", "ROLLBACK_COMPLETE")):
        value = {"Fn::GetAtt": ["Topic", attribute]}
        template = only("AWS::SSM::Parameter", {"Type": "String", "Value": value})
        template["Resources"]["Topic"] = {"Type": "AWS::SNS::Topic"}
        assert stacks.put(attribute.lower(), template) == ends
    assert "attribute TopicArm does not exist" in stacks.reasons("topicarm")


def zipped(mib: int) -> bytes:
    """So many MiB of nothing, and a function."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("index.py", "def h(e, c): pass")
        archive.writestr("python/nothing", bytes(mib * 2**20))
    return body.getvalue()


def test_code_and_layers_have_250_mib_together_unzipped(
    stacks: Stacks, client: Client, account: str, refuses: Callable[[str], None]
) -> None:
    refuses("a function's code and layers have 250 MiB together, unzipped")
    s3, bucket = client("s3"), f"code-{account}"
    s3.create_bucket(Bucket=bucket)
    for mib in (100, 140, 260):
        s3.put_object(Bucket=bucket, Key=str(mib), Body=zipped(mib))
    content = {mib: {"S3Bucket": bucket, "S3Key": str(mib)} for mib in (100, 140, 260)}

    def with_layers(*sizes: int) -> Json:
        layers = {
            f"L{i}": {"Type": "AWS::Lambda::LayerVersion", "Properties": {"Content": content[mib]}}
            for i, mib in enumerate(sizes)
        }
        function = {**FUNCTION, "Code": content[100], "Layers": [{"Ref": name} for name in layers]}
        return {"Resources": {**layers, "F": {"Type": "AWS::Lambda::Function", "Properties": function}}}

    assert stacks.put("fits", with_layers(140)) == "CREATE_COMPLETE", stacks.reasons("fits")
    for name, sizes in (("together", (100, 100)), ("alone", (260,))):
        assert stacks.put(name, with_layers(*sizes)) == "ROLLBACK_COMPLETE"
        assert "Unzipped size must be smaller than 262144000 bytes" in stacks.reasons(name)
