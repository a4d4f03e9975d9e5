"""Runs one batch of cases against candidate and stable."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from promptlane.aws.clients import client
from promptlane.aws.models import BedrockEmbedder, ConverseJudge, ConverseModel
from promptlane.aws.reports import S3Objects
from promptlane.aws.settings import read
from promptlane.aws.transport import BedrockTransport
from promptlane.lifecycle.test_round import run_batch


@dataclass(frozen=True)
class Settings:
    report_bucket: str


@cache
def wire() -> dict[str, Any]:
    s = read(Settings)
    transport = BedrockTransport.from_environment()
    return {
        "objects": S3Objects(client("s3"), s.report_bucket),
        "model": ConverseModel(transport),
        "judge": partial(ConverseJudge, transport),
        "embedder": partial(BedrockEmbedder, transport),
        "clock": time.time,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, int]:
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1_000
    return run_batch(event["release_id"], int(event["round"]), event["items"], deadline=deadline, **wire())
