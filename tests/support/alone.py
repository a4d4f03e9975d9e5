"""One construct alone in a stack, as what it becomes: every resource whole, so that a missing argument is noticed."""

import re
from typing import Any

from aws_cdk import App, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from infra.config import DeploymentConfig
from tests.support.synthesized import Json, context

KEPT = DeploymentConfig(name="lane", log_retention_days=30)
PASSING = DeploymentConfig(name="lane", log_retention_days=7, trial=True)
"""A deployment that is not kept, and another whose values differ from it wherever a construct looks."""
_SHORTER = (
    (r"[\w-]+:ExportsOutputRef([A-Za-z]\w*?)[0-9A-F]{16}\b", r"\1"),
    (r"[\w-]+:ExportsOutputFnGetAtt([A-Za-z]\w*?)[0-9A-F]{8}(\w+?)[0-9A-F]{8}\b", r"\1.\2"),
    (r"\b([A-Za-z]\w*?)[0-9A-F]{8}\b", r"\1"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    ("<AWS::Partition>", "<aws>"),
    ("<AWS::Region>:<AWS::AccountId>", "<here>"),
)
PLACE = "eu-west-1:111122223333"


def alone(*, staged: bool = False) -> Stack:
    """`staged`: what it uploads lies beside its template."""
    return Stack(App(context=context(staged=staged)), "Alone")


def made(stack: Stack) -> dict[str, Json]:
    """The resources by logical id, as `plain` writes them, without metadata."""
    resources = Template.from_stack(stack).to_json().get("Resources", {})
    return {plain(name): {k: plain(v) for k, v in one.items() if k != "Metadata"} for name, one in resources.items()}


def plain(value: Json) -> Any:
    """References as `<LogicalId>` and `<LogicalId.Attribute>`, joined; without the hashes of CDK's ids and assets.

    `<aws>` is the partition, `<here>` Region and account.
    """
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, str):
        for pattern, written in _SHORTER:
            value = re.sub(pattern, written, value)
        return value
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        return plain(f"<{value['Ref']}>")
    if set(value) == {"Fn::ImportValue"}:
        return f"<{plain(value['Fn::ImportValue'])}>"
    if set(value) == {"Fn::GetAtt"}:
        return f"<{'.'.join(plain(value['Fn::GetAtt']))}>"
    if set(value) == {"Fn::Select"} and "AWS::StackId" in str(value):
        return "<end of the stack's id>"
    if set(value) == {"Fn::Sub"}:
        return plain(value["Fn::Sub"])
    if set(value) == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return plain(separator.join(plain(parts)))
    return {plain(key): plain(one) for key, one in value.items()}


def accepted(stack: Stack) -> set[tuple[str, str]]:
    """(path, finding) of every finding of cdk-nag that is accepted with a reason."""
    return {
        (construct.node.path, plain(finding.removeprefix("Annotation::")))
        for construct in stack.node.find_all()
        for entry in construct.node.metadata
        if entry.type == "aws:cdk:acknowledged-rules"
        for finding, reason in entry.data.items()
        if reason
    }


def key(stack: Stack) -> kms.IKey:
    return kms.Key.from_key_arn(stack, "Key", f"arn:aws:kms:{PLACE}:key/01234567-89ab-cdef-0123-456789abcdef")


def topic(stack: Stack) -> sns.ITopic:
    return sns.Topic.from_topic_arn(stack, "Notices", f"arn:aws:sns:{PLACE}:notices")


def queue(stack: Stack) -> sqs.IQueue:
    return sqs.Queue.from_queue_arn(stack, "Letters", f"arn:aws:sqs:{PLACE}:letters")


def function(stack: Stack, name: str) -> lambda_.IFunction:
    return lambda_.Function.from_function_arn(stack, name, f"arn:aws:lambda:{PLACE}:function:{name}")
