"""CloudFormation custom resource of a trial: empties a bucket before CloudFormation deletes it, which it does to empty
buckets alone.

Property: `BucketName`. A bucket that lost the tag of a trial is left as it is: the deployment is kept from now on.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from promptlane.aws.composition import Function, wired
from promptlane.aws.custom_resource import answer
from promptlane.aws.trial_buckets import TrialBuckets

Json = Any
log = logging.getLogger("empty_buckets")
log.setLevel(logging.INFO)
_SPARE: Final = 30_000
"""Milliseconds kept of the function's time, to answer in."""


@wired
def wire(of: Function) -> TrialBuckets:
    return of.trial_buckets


def handle(event: dict[str, Json], context: Any) -> dict[str, Json]:
    """Always answers CloudFormation, or the stack would wait for an hour."""
    bucket = event["ResourceProperties"]["BucketName"]
    # The request for an old bucket names the new one among its properties.
    physical = str(event.get("PhysicalResourceId") or bucket)
    try:
        status, said = "SUCCESS", _emptied(physical, context) if event["RequestType"] == "Delete" else "nothing yet"
    except Exception as error:
        log.exception("not emptied")
        status, said = "FAILED", str(error)
    log.info("%s: %s", status, said)
    if event["RequestType"] != "Delete":
        physical = bucket
    return answer(event, status, said, physical=physical, stream=getattr(context, "log_stream_name", ""))


def _emptied(bucket: str, context: Any) -> str:
    buckets = wire()
    if not buckets.of_trial(bucket):
        return f"{bucket} is no bucket of a trial, or is gone: left as it is"
    buckets.close(bucket)
    gone = buckets.empty(bucket, more=lambda: context.get_remaining_time_in_millis() > _SPARE)
    return f"{gone:,} objects of {bucket} deleted"
