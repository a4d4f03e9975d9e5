"""Bedrock's model invocation log.

Lacking in MiniStack: the configuration is stored and never used. Here: every call writes a record in AWS's schema
(ModelInvocationLog 1.0) to the configured log group, and to the configured bucket in gzipped files of JSON lines.
A body of more than 100 KB leaves the record: it goes to the large-data bucket, if there is one, and the record holds
`inputBodyS3Path` or `outputBodyS3Path` instead. A configuration must name a bucket and a group that exist."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import defaultdict
from typing import Any

from ministack.services import bedrock, cloudwatch_logs, s3

from local import seams
from local.gaps import log_groups

STREAM = "aws/bedrock/modelinvocations"
LARGE_BYTES = 100_000
FLUSH_SECONDS = 2.0

_waiting: dict[tuple[str, str], list[tuple[str, str, bytes]]] = defaultdict(list)
_lock = threading.Lock()
_refused = seams.replies(bedrock, "_validation")


def install() -> None:
    seams.require(bedrock, "_invocation_logging_config", "_put_logging_config", "_get_logging_config")
    seams.require(cloudwatch_logs, "_log_groups")
    seams.require(s3, "_buckets")

    @seams.replace(bedrock, "_put_logging_config")
    def put(original: seams.Replies, body: bytes) -> seams.Response:
        config = json.loads(body or b"{}").get("loggingConfig") or {}
        group = (config.get("cloudWatchConfig") or {}).get("logGroupName")
        if group and group not in cloudwatch_logs._log_groups:
            return _refused(f"Failed to validate permissions for log group: {group}. It does not exist.")
        if (bucket := (config.get("s3Config") or {}).get("bucketName")) and bucket not in s3._buckets:
            return _refused(f"Failed to validate permissions for bucket: {bucket}. It does not exist.")
        return original(body)

    @seams.replace(bedrock, "_get_logging_config")
    def get(original: seams.Replies) -> seams.Response:
        """Without a configuration AWS leaves the field out; MiniStack sends null."""
        config = bedrock._invocation_logging_config.get("config")
        return seams.json_reply({"loggingConfig": config} if config else {})

    seams.ticker(FLUSH_SECONDS, flush, "invocation-log")
    seams.keep("invocation-log", _waiting)


def write(
    *,
    operation: str,
    model_id: str,
    identity_arn: str,
    request: dict[str, Any],
    response: dict[str, Any] | None,
    tokens: tuple[int | None, int | None],
    metadata: dict[str, str],
    error: tuple[str, str] | None,
    status: int,
    cached: tuple[int | None, int | None] = (None, None),
) -> None:
    """Log one model invocation, if the account logs them in this Region.

    `cached`: tokens of its input that the prompt cache gave, and took.
    """
    config = bedrock._invocation_logging_config.get("config")
    if not config:
        return
    if config.get("textDataDeliveryEnabled") is False and "embed" not in model_id:
        request, response = {}, None
    request_id = seams.new_uuid()
    record: dict[str, Any] = {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "accountId": seams.account(),
        "identity": {"arn": identity_arn},
        "region": seams.region(),
        "requestId": request_id,
        "operation": operation,
        "modelId": model_id,
        "input": {"inputContentType": "application/json", "inputBodyJson": request, "inputTokenCount": tokens[0]}
        | {"cacheReadInputTokenCount": cached[0], "cacheWriteInputTokenCount": cached[1]},
        "output": {"outputContentType": "application/json", "outputBodyJson": response, "outputTokenCount": tokens[1]},
        "inferenceRegion": seams.region(),
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
    }
    if metadata:
        record["requestMetadata"] = metadata
    if error:
        record |= {"errorCode": error[0], "status": str(status)}
        del record["output"]
    for side in ("input", "output"):
        record[side] = _without_absent(record[side]) if side in record else None
    record = _without_absent(record)
    to_logs, to_s3 = config.get("cloudWatchConfig") or {}, config.get("s3Config") or {}
    if to_s3.get("bucketName"):
        _later(to_s3, f"{request_id}.json.gz", json.dumps(record).encode())
    if to_logs.get("logGroupName"):
        large = to_logs.get("largeDataDeliveryS3Config") or to_s3
        log_groups.write(to_logs["logGroupName"], STREAM, [json.dumps(_offloaded(record, large, request_id))])


def _without_absent(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if value is not None}


def _offloaded(record: dict[str, Any], large: dict[str, Any], request_id: str) -> dict[str, Any]:
    """The record with each body of more than LARGE_BYTES replaced by its place in S3."""
    record = dict(record)
    for side in ("input", "output"):
        body = json.dumps((record.get(side) or {}).get(f"{side}BodyJson")).encode()
        if len(body) <= LARGE_BYTES:
            continue
        part = {name: value for name, value in record[side].items() if name != f"{side}BodyJson"}
        if large.get("bucketName"):
            part[f"{side}BodyS3Path"] = _later(large, f"data/{request_id}_{side}.json.gz", body)
        record[side] = part
    return record


def _later(config: dict[str, Any], name: str, data: bytes) -> str:
    """Queue a gzipped object for the bucket; returns its s3:// path."""
    day = time.strftime("%Y/%m/%d/%H", time.gmtime())
    prefix = f"{config['keyPrefix'].strip('/')}/" if config.get("keyPrefix") else ""
    folder = f"{prefix}AWSLogs/{seams.account()}/BedrockModelInvocationLogs/{seams.region()}/{day}"
    key = f"{folder}/{name}"
    with _lock:
        _waiting[seams.account(), seams.region()].append((config["bucketName"], key, gzip.compress(data)))
    return f"s3://{config['bucketName']}/{key}"


def flush() -> None:
    """Write what is queued; a bucket that is gone meanwhile loses its records, as on AWS."""
    with _lock:
        queued = {at: list(items) for at, items in _waiting.items() if items}
        _waiting.clear()
    for (account, region), objects in queued.items():
        with seams.scope(account, region):
            for bucket, key, data in objects:
                seams.logged(_put, bucket, key, data)


def _put(bucket: str, key: str, data: bytes) -> None:
    seams.client("s3").put_object(Bucket=bucket, Key=key, Body=data, ContentType="application/gzip")
