"""Bedrock's setting of model invocation logging through an SDK that does not know all of it."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.stub import Stubber

from promptlane.aws.model_logging import BedrockLogging
from promptlane.domain.errors import InvalidInput

OURS = {"s3Config": {"bucketName": "ours"}, "textDataDeliveryEnabled": True, "audioDataDeliveryEnabled": False}


def test_an_sdk_that_cannot_name_a_kind_of_data_yet_leaves_it_out() -> None:
    """The Lambda runtime brings its own SDK, which may be older than what Bedrock can log."""
    bedrock = botocore.session.get_session().create_client(
        "bedrock", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    description = bedrock.meta.service_model._service_description["shapes"]["LoggingConfig"]["members"]
    del description["audioDataDeliveryEnabled"]
    with Stubber(bedrock) as stub:
        told = {k: v for k, v in OURS.items() if k != "audioDataDeliveryEnabled"}
        stub.add_response("put_model_invocation_logging_configuration", {}, {"loggingConfig": told})
        BedrockLogging(bedrock).write(OURS)
    with pytest.raises(InvalidInput, match="audioDataDeliveryEnabled"):  # on, it is somebody's wish
        BedrockLogging(bedrock).write({**OURS, "audioDataDeliveryEnabled": True})
