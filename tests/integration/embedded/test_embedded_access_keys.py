"""Whom the embedded AWS lets call: who holds a key of its own, refused otherwise as each service of AWS refuses."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from local import keys
from local.running import EmbeddedAws

Client = Callable[[str], Any]
CALLS: dict[str, Callable[[Any], object]] = {
    "dynamodb": lambda c: c.list_tables(),
    "kms": lambda c: c.list_keys(),
    "sqs": lambda c: c.list_queues(),
    "sns": lambda c: c.list_topics(),
    "sts": lambda c: c.get_caller_identity(),
    "iam": lambda c: c.list_users(),
    "cloudformation": lambda c: c.list_stacks(),
    "cloudwatch": lambda c: c.list_metrics(),
    "lambda": lambda c: c.list_functions(),
    "bedrock-agent": lambda c: c.list_prompts(),
    "apigatewayv2": lambda c: c.get_apis(),
    "s3": lambda c: c.list_buckets(),
    "secretsmanager": lambda c: c.list_secrets(),
    "stepfunctions": lambda c: c.list_state_machines(),
    "ssm": lambda c: c.describe_parameters(),
}
"""One call of each protocol that AWS has, and of each service whose answers have a shape of their own."""
INVALID = {
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "InvalidToken",
    "InvalidSecurity",
    "AccessDenied",
}


def client(aws: EmbeddedAws, service: str, **identity: str) -> Any:
    """A client with exactly these credentials; unsigned without any."""
    settings = Config(retries={"max_attempts": 0}, signature_version=None if identity else UNSIGNED)
    return boto3.client(service, endpoint_url=aws.url, region_name="us-east-1", config=settings, **identity)


def refused(call: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call()
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def posted(request: str | urllib.request.Request) -> int:
    """The status of an answer."""
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("service", CALLS)
@pytest.mark.parametrize("key", ["test", "123456789012", "AKIAIOSFODNN7EXAMPLE"])
@pytest.mark.parametrize("token", [None, "guess"])
def test_a_key_without_the_token_of_this_instance_is_unknown(
    embedded_aws: EmbeddedAws, service: str, key: str, token: str | None
) -> None:
    identity = {"aws_access_key_id": key, "aws_secret_access_key": "test"}
    identity |= {"aws_session_token": token} if token else {}
    code, status = refused(lambda: CALLS[service](client(embedded_aws, service, **identity)))
    assert code in INVALID
    assert status in (400, 403)


NAMELESS = {"cloudformation", "sts", "iam", "sns", "cloudwatch", "bedrock-agent"}
"""Services that nothing in an unsigned call names where all have one host: these are refused in another's shape."""


@pytest.mark.parametrize("service", sorted(CALLS.keys() - NAMELESS))
def test_an_unsigned_call_is_refused_as_its_service_refuses_it(embedded_aws: EmbeddedAws, service: str) -> None:
    code, status = refused(lambda: CALLS[service](client(embedded_aws, service)))
    assert "Missing" in code or code in INVALID
    assert status in (400, 403)


@pytest.mark.parametrize("service", CALLS)
def test_the_keys_of_the_instance_are_taken_for_every_account(
    embedded_aws: EmbeddedAws, account: str, service: str
) -> None:
    for name in (None, account):
        CALLS[service](client(embedded_aws, service, **keys.credentials(embedded_aws.home, name)))


def test_what_iam_and_sts_made_is_taken_and_no_longer_once_it_is_gone(
    embedded_aws: EmbeddedAws, client: Client, account: str
) -> None:
    iam = client("iam")
    iam.create_user(UserName="ada")
    made = iam.create_access_key(UserName="ada")["AccessKey"]
    ada = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
    call = CALLS["sts"]
    call(embedded_aws.client("sts", **ada))
    assert refused(lambda: call(embedded_aws.client("sts", **ada, aws_session_token="guess")))[0] in INVALID
    iam.delete_access_key(UserName="ada", AccessKeyId=made["AccessKeyId"])
    assert refused(lambda: call(embedded_aws.client("sts", **ada)))[0] in INVALID


def test_a_signed_address_carries_its_key(embedded_aws: EmbeddedAws, client: Client, account: str) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="signed-addresses")
    s3.put_object(Bucket="signed-addresses", Key="a", Body=b"what is in it")
    for version in ("s3", "s3v4"):
        signer = boto3.client(
            "s3",
            endpoint_url=embedded_aws.url,
            region_name="us-east-1",
            config=Config(signature_version=version),
            **keys.credentials(embedded_aws.home, account),
        )
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "signed-addresses", "Key": "a"})
        assert posted(url) == 200
        assert posted(re.sub("(?i)x-amz-security-token", "x-other", url)) in (400, 403)


def test_the_emulators_own_routes_take_the_key_as_a_bearer_token(embedded_aws: EmbeddedAws) -> None:
    url = f"{embedded_aws.url}/_ministack/config"
    for headers, status in (({}, 403), ({"Authorization": "Bearer x"}, 403), (keys.bearer(embedded_aws.home), 200)):
        assert posted(urllib.request.Request(url, data=b"{}", headers=headers, method="POST")) == status
