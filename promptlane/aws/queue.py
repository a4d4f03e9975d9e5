"""SQS: the queue before `intake`."""

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
