"""SQS → a started release: takes the prompt's lock and starts the execution, or records the version as waiting.

Edits and publications of enrolled prompts are recorded besides: they tell who wrote a version, after CloudTrail forgot.
What became of an enrolled prompt's name is looked after.
"""

from __future__ import annotations

import json
import time
from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.aws.trail import UNREADABLE, read_event
from promptlane.domain.errors import InvalidInput, NotApplicable
from promptlane.domain.release import trigger
from promptlane.lifecycle.edit_log import EditLog
from promptlane.lifecycle.intake import Intake
from promptlane.lifecycle.prompt_watch import PromptWatch

log = logger("intake")


@wired
def wire(of: Function) -> tuple[Intake, EditLog, PromptWatch]:
    intake = Intake(
        prompts=of.prompts,
        enrolments=of.enrolments,
        identities=of.identities,
        routes=of.routes,
        releases=of.releases,
        workflow=of.workflow,
        clock=time.time,
    )
    edits = EditLog(prompts=of.prompts, named=of.named, releases=of.releases, edits=of.edits, clock=time.time)
    return intake, edits, PromptWatch(named=of.named, watched=of.watched, notices=of.notices, clock=time.time)


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Batch item failures are tried again by SQS, and end in the dead-letter queue with their body intact."""
    _, _, _, region, account, *_ = context.invoked_function_arn.split(":")
    failures: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            sender = str(record.get("attributes", {}).get("SenderId") or "")
            _one(record["body"], account, region, sender)
        except Exception as error:
            log.exception("not taken", extra={"message_id": record["messageId"], "why": str(error)})
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def _one(body: str, account: str, region: str, sender: str) -> None:
    message = json.loads(body)
    intake, edits, watch = wire()
    if record := trigger.record_of(message, account=account, region=region):
        try:
            event = read_event(record)
        except UNREADABLE as error:
            raise InvalidInput(f"the CloudTrail event cannot be read: {error}") from error
        if edits.note(event, sent_by=trigger.sender_of(sender)):
            log.info("recorded", extra={"event": event.name, "of": event.target, "by": event.arn})
    try:
        if change := trigger.change(message, account=account, region=region):
            broken = watch.on_change(change)
            log.info("looked after names", extra={"call": change.did, "by": change.by, "broken": broken})
            return
        request = trigger.read(message, account=account, region=region, sender=sender)
    except NotApplicable as reason:
        log.info("dropped", extra={"why": str(reason)})
        return
    taken = intake.take(request)
    log.info(
        taken.result,
        extra={"why": taken.reason, "release_id": taken.release_id, "prompt": request.prompt, "asked": request.version},
    )
