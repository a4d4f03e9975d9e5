"""DynamoDB behind requests that are made without boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from promptlane.aws.dynamodb import SignedDynamo


def answered_by(client: Any) -> Callable[[SignedDynamo, str, bytes], tuple[int, bytes]]:
    """In place of `SignedDynamo._post`: a boto3 client's answers, as HTTP has them; what it refuses, too."""

    def post(_: SignedDynamo, operation: str, body: bytes) -> tuple[int, bytes]:
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
        try:
            answer = getattr(client, name)(**json.loads(body))
        except ClientError as error:
            told = error.response["Error"]
            kind = f"com.amazonaws.dynamodb.v20120810#{told['Code']}"
            return 400, json.dumps({"__type": kind, "message": told.get("Message")}).encode()
        except BotoCoreError as error:
            raise TimeoutError(f"the test lost the answer: {error}") from error
        return 200, json.dumps({k: v for k, v in answer.items() if k != "ResponseMetadata"}).encode()

    return post


def on(resource: Any) -> SignedDynamo:
    """Where a boto3 resource goes, with its credentials, over connections of its own."""
    client = resource.meta.client
    known = client._request_signer._credentials.get_frozen_credentials()
    environ = {"AWS_ACCESS_KEY_ID": known.access_key, "AWS_SECRET_ACCESS_KEY": known.secret_key}
    environ |= {"AWS_SESSION_TOKEN": known.token} if known.token else {}
    return SignedDynamo(endpoint=client.meta.endpoint_url, region=client.meta.region_name, environ=environ)
