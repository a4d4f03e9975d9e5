"""A role's session is known by its role to the conditions of policies, as on AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.running import EmbeddedAws

ACCOUNT = "000000000000"


@pytest.fixture
def session(aws: EmbeddedAws) -> Callable[[str, str], Any]:
    """`session(role, path)` makes a role that may write to S3, and returns a client of a session of it."""

    def make(role: str, path: str = "/") -> Any:
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
        iam, document = aws.client("iam"), {"Version": "2012-10-17", "Statement": [trust]}
        made = iam.create_role(RoleName=role, Path=path, AssumeRolePolicyDocument=json.dumps(document))["Role"]
        writes = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [writes]})
        iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=policy)
        keys = aws.client("sts").assume_role(RoleArn=made["Arn"], RoleSessionName="somebody")["Credentials"]
        return aws.client(
            "s3",
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    return make


def test_a_bucket_that_refuses_all_but_a_role_takes_what_that_roles_session_puts(
    aws: EmbeddedAws, session: Callable[..., Any]
) -> None:
    aws.client("s3").create_bucket(Bucket="locked")
    relay, other = session("pipeline-Relay-1", "/service/"), session("pipeline-Other-1")
    deny = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::locked/timeline/*",
        "Condition": {
            "ArnNotLike": {"aws:PrincipalArn": [f"arn:aws:iam::{ACCOUNT}:role/service/pipeline-Relay*", "arn:aws:x"]}
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    aws.client("s3").put_bucket_policy(Bucket="locked", Policy=policy)

    relay.put_object(Bucket="locked", Key="timeline/a", Body=b"a")
    other.put_object(Bucket="locked", Key="elsewhere/a", Body=b"a")
    with pytest.raises(ClientError, match="AccessDenied"):
        other.put_object(Bucket="locked", Key="timeline/b", Body=b"b")
