"""SQS: the queue before `intake`, and the one for timeline entries that nobody was told of."""

from __future__ import annotations

import json
import uuid
from typing import Any

from .errors import translated


class SqsIntakeQueue:
    """`IntakeQueue` on SQS."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs, self._url = sqs, queue_url

    def request(self, prompt: str, version: int, *, requested_by: str, explicit: bool) -> None:
        body = {
            "source": "promptlane.request",
            "prompt": prompt,
            "version": str(version),
            "requested_by": requested_by,
            "explicit": explicit,
            "request_id": str(uuid.uuid4()),
        }
        with translated(f"asking for a release of {prompt} {version}"):
            self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(body))


class UnrelayedQueue:
    """Where `relay` sets aside what it cannot pass on; a message there raises an alarm."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs, self._url = sqs, queue_url

    def put(self, key: str, why: str) -> None:
        """Name the item, and say why nobody was told of it."""
        body = {"source": "promptlane.relay", "key": key, "why": why[:2_000]}
        with translated(f"setting {key} aside"):
            self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(body))
