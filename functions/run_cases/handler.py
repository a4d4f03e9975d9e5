"""Runs one batch of cases against candidate and stable."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.models import BedrockEmbedder, ConverseJudge, ConverseModel
from promptlane.aws.transport import BedrockTransport
from promptlane.lifecycle.test_round import BatchRunner


@wired
def wire(of: Function) -> BatchRunner:
    transport = BedrockTransport.from_environment()
    return BatchRunner(
        objects=of.objects,
        model=ConverseModel(transport),
        judge=partial(ConverseJudge, transport),
        embedder=partial(BedrockEmbedder, transport),
        clock=time.time,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, int]:
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1_000
    return wire().run(event["release_id"], int(event["round"]), event["items"], deadline=deadline)
