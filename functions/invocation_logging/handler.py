"""CloudFormation custom resource: model invocation logging, which an account has once per Region.

Properties: `LogGroupName`, `RoleArn`, `LargeDataBucket`, `LargeDataPrefix`. Create and Update fail, saying why, where
somebody else's configuration is in place; Delete restores what was found.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from promptlane.aws.composition import Function, wired
from promptlane.aws.custom_resource import answer
from promptlane.domain.errors import InvalidInput, Unauthorized
from promptlane.lifecycle.model_logging import LoggingSwitch, Memory, switch_back, switch_on

Json = Any
log = logging.getLogger("invocation_logging")
log.setLevel(logging.INFO)
_ATTEMPTS: Final = 6
_PAUSE: Final = 5.0
"""Seconds. Bedrock tests the role by writing a record, and a role that was just made takes some to work everywhere:
until then Bedrock refuses it as invalid, or the call as not allowed."""


@wired
def wire(of: Function) -> tuple[LoggingSwitch, Memory]:
    return of.model_logging


def handle(event: dict[str, Json], context: Any) -> dict[str, Json]:
    """Always answers CloudFormation, or the stack would wait for an hour."""
    try:
        status, said = "SUCCESS", act(event)
    except Exception as error:
        log.exception("not set up")
        status, said = "FAILED", str(error)
    log.info("%s: %s", status, said)
    physical = event.get("PhysicalResourceId") or "model-invocation-logging"
    return answer(event, status, said, physical=physical, stream=getattr(context, "log_stream_name", ""))


def act(event: dict[str, Json]) -> str:
    switch, memory = wire()
    if event["RequestType"] == "Delete":
        return switch_back(switch, memory)
    wanted = configuration(event["ResourceProperties"])
    for _ in range(_ATTEMPTS - 1):
        try:
            return switch_on(switch, memory, wanted)
        except (InvalidInput, Unauthorized):
            time.sleep(_PAUSE)
    return switch_on(switch, memory, wanted)


def configuration(properties: dict[str, Json]) -> dict[str, Json]:
    """Bedrock's loggingConfig: texts to CloudWatch Logs, bodies too large for it to S3, and no other kind of data.

    Every kind is named, so that none is left to what Bedrock takes for granted.
    """
    large = {"bucketName": properties["LargeDataBucket"], "keyPrefix": properties["LargeDataPrefix"]}
    return {
        "cloudWatchConfig": {
            "logGroupName": properties["LogGroupName"],
            "roleArn": properties["RoleArn"],
            "largeDataDeliveryS3Config": large,
        },
        "textDataDeliveryEnabled": True,
        "imageDataDeliveryEnabled": False,
        "embeddingDataDeliveryEnabled": False,
        "videoDataDeliveryEnabled": False,
        "audioDataDeliveryEnabled": False,
    }
