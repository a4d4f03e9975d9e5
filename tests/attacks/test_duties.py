"""Somebody with a duty's role does what the duty may not, by real calls with IAM attacked."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from local.access.calls import ROWS, Row
from local.access.proof import Caller, observe, prepare
from tests.support.attacks import attack
from tests.support.deployment import Deployment

_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_NAMES = itertools.count()
_ATTACKS = {
    "author": (
        "enrol a prompt by its tag",
        "take that tag away",
        "delete a version",
        "decide a review",
        "decide a review in another's name",
        "sign a reviewer's link",
        "try a reviewer's code",
        "answer for the reviewers",
        "start a release past the lock",
        "invoke promote",
        "enrol a prompt past CloudFormation",
        "write what is enrolled",
        "replace a deployed policy",
        "replace the policy that a release reads",
        "send a reviewer's mails elsewhere",
        "subscribe somebody else to a reviewer's topic",
        "declare a reviewer",
    ),
    "reviewer": (
        "edit the draft",
        "publish a version",
        "write a release",
        "write a release in PartiQL",
        "enrol a prompt past CloudFormation",
    ),
    "operator": (
        "decide a review",
        "write a route",
        "roll back in an alarm's name",
        "write a report",
        "enrol a prompt past CloudFormation",
        "subscribe somebody else to a reviewer's topic",
        "let a queue listen to a reviewer's topic",
        "change a reviewer's topic",
    ),
    "runtime": (
        "read a release",
        "write releases in a batch",
        "write others' metrics",
        "enrol a prompt past CloudFormation",
    ),
    "auditor": (
        "read the secrets of a review",
        "read releases without naming them",
        "delete a timeline entry",
        "delete a timeline's locked copy",
        "stop the trail",
        "roll back",
        "enrol a prompt past CloudFormation",
    ),
}


def _row(says: str) -> Row:
    return next(row for row in ROWS if row.says == says)


@contextmanager
def _unbound(attacked: Deployment, role: str) -> Iterator[None]:
    """The role without its boundary and policies, with everything allowed, and no resource that denies for itself."""
    with ExitStack() as undo:
        _free(attacked.client("iam"), attacked.resources[f"{role}_role"].rpartition("/")[2], undo)
        _open_table(attacked, undo)
        _open_key(attacked, undo)
        _open_bucket(attacked, undo)
        _open_topics(attacked, undo)
        yield


def _free(iam: Any, role: str, undo: ExitStack) -> None:
    boundary = iam.get_role(RoleName=role)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"]
    iam.delete_role_permissions_boundary(RoleName=role)
    undo.callback(iam.put_role_permissions_boundary, RoleName=role, PermissionsBoundary=boundary)
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
        undo.callback(iam.attach_role_policy, RoleName=role, PolicyArn=policy["PolicyArn"])
    iam.put_role_policy(RoleName=role, PolicyName="everything", PolicyDocument=json.dumps(_EVERYTHING))
    undo.callback(iam.delete_role_policy, RoleName=role, PolicyName="everything")


def _open_table(attacked: Deployment, undo: ExitStack) -> None:
    dynamodb = attacked.client("dynamodb")
    for name in ("route_table", "release_table"):
        arn = dynamodb.describe_table(TableName=attacked.resources[name])["Table"]["TableArn"]
        kept = dynamodb.get_resource_policy(ResourceArn=arn)["Policy"]
        dynamodb.delete_resource_policy(ResourceArn=arn)
        undo.callback(dynamodb.put_resource_policy, ResourceArn=arn, Policy=kept)


def _open_key(attacked: Deployment, undo: ExitStack) -> None:
    kms = attacked.client("kms")
    key = {"KeyId": _review_key(attacked), "PolicyName": "default"}
    kept = kms.get_key_policy(**key)["Policy"]
    statements = [s for s in json.loads(kept)["Statement"] if s["Effect"] == "Allow"]
    kms.put_key_policy(**key, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    undo.callback(kms.put_key_policy, **key, Policy=kept)


def _open_topics(attacked: Deployment, undo: ExitStack) -> None:
    sns, policy = attacked.client("sns"), {"AttributeName": "Policy"}
    for page in attacked.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/promptlane/reviewers"):
        for parameter in page["Parameters"]:
            if (arn := json.loads(parameter["Value"]).get("topic")) is None:
                continue  # what another attack left behind, made without its guard
            topic = {"TopicArn": arn}
            kept = sns.get_topic_attributes(**topic)["Attributes"]["Policy"]
            nothing = json.dumps({"Version": "2012-10-17", "Statement": []})
            sns.set_topic_attributes(**topic, **policy, AttributeValue=nothing)
            undo.callback(sns.set_topic_attributes, **topic, **policy, AttributeValue=kept)


def _review_key(attacked: Deployment) -> str:
    mailer = attacked.client("lambda").get_function_configuration(
        FunctionName=attacked.resources["request_review_function"]
    )
    return str(mailer["Environment"]["Variables"]["REVIEW_KEY_ID"])


def _open_bucket(attacked: Deployment, undo: ExitStack) -> None:
    s3 = attacked.client("s3")
    for name in ("report_bucket", "audit_bucket"):
        bucket = attacked.resources[name]
        kept = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        s3.delete_bucket_policy(Bucket=bucket)
        undo.callback(s3.put_bucket_policy, Bucket=bucket, Policy=kept)


@pytest.mark.parametrize(("role", "says"), [(role, says) for role, all_ in _ATTACKS.items() for says in all_])
@attack("a duty is overstepped", kind="what a duty may do", without=_unbound)
def test_duty(attacked: Deployment, role: str, says: str) -> bool:
    target = prepare(attacked.aws, attacked.resources, name=f"attacked-{next(_NAMES)}")
    caller = Caller(attacked.aws, attacked.resources[f"{role}_role"])
    return observe(caller, target, _row(says)) == "allowed"
