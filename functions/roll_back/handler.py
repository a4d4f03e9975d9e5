"""Puts the safe version back. Alarms (SNS), the workflow, the operations API and the console all come here.

The safe route needs the route table alone: one read, one conditional write. Everything else follows after it.
"""

from __future__ import annotations

import base64
import json
import random
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.observability import logger
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.settings import read
from promptlane.aws.workflow import SnsNotices, StepFunctionsWorkflow
from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.names import CONSOLE
from promptlane.domain.release.route import Route, alarm_applies
from promptlane.domain.release.timeline import SYSTEM
from promptlane.domain.text import one_line
from promptlane.lifecycle.rollback import RolledBack, promoted_before, read_alarm, restore_safe_route, tell

log = logger("roll_back")
_OF_THE_JUDGE = ("judge", "undecided")
"""Causes that the workflow passes on from `judge`, always with the release that it is about."""


@dataclass(frozen=True)
class Settings:
    route_table: str
    release_table: str
    notices_topic: str
    state_machine_arn: str
    deployment: str


@cache
def wire() -> tuple[DynamoRoutes, str]:
    """All that the safe route needs."""
    s = read(Settings)
    return DynamoRoutes(resource("dynamodb").Table(s.route_table)), s.deployment


@cache
def wire_aftermath() -> dict[str, Any]:
    s = read(Settings)
    return {
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "workflow": StepFunctionsWorkflow(client("stepfunctions"), s.state_machine_arn),
        "notices": SnsNotices(client("sns"), s.notices_topic),
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if context.invoked_function_arn.endswith(f":{CONSOLE}"):
        return _answer(_from_somebody(event, context))
    if "Records" in event:
        return {"results": [_from_alarm(record, context) for record in event["Records"]]}
    if "requestContext" in event:
        return _from_api(event, context)
    if event.get("release_id") and event.get("cause") in _OF_THE_JUDGE:
        return _answer(_from_workflow(event, context))
    return _answer(_from_somebody(event, context))


def _from_alarm(record: dict[str, Any], context: Any) -> dict[str, Any]:
    """One SNS record. What is no alarm of ours is logged and ignored; what cannot be written is raised, and retried."""
    routes, deployment = wire()
    _, _, _, region, account, *_ = context.invoked_function_arn.split(":")
    try:
        alarm = read_alarm(_json(record["Sns"]["Message"]), deployment=deployment, account=account, region=region)
    except InvalidInput as error:
        log.info("ignored", extra={"why": str(error)})
        return {"result": "not_applicable", "reason": str(error)}

    def applies(route: Route) -> None:
        alarm_applies(route, track=alarm.track, changed_at=alarm.changed_at)

    done = restore_safe_route(
        routes, alarm.prompt, cause="alarm", reason=f"alarm {alarm.metric} on track {alarm.track}: {alarm.reason}",
        by=alarm.arn, clock=time.time, keep_trying=_patience(context), applies=applies,
        evidence={"alarm": alarm.arn, "changed_at": alarm.changed_at},
    )  # fmt: skip
    _after(done, stop_execution=True)
    return _answer(done)


def _from_workflow(event: dict[str, Any], context: Any) -> RolledBack:
    """What the judge of a release decided. The workflow ends its own execution."""
    prompt, reason = _wish(event)
    done = restore_safe_route(
        wire()[0], prompt, cause=event["cause"], reason=reason, by=SYSTEM, clock=time.time,
        keep_trying=_patience(context), release_id=event["release_id"], evidence=event.get("evidence"),
    )  # fmt: skip
    _after(done, stop_execution=False)
    return done


def _from_somebody(event: dict[str, Any], context: Any) -> RolledBack:
    """Invoked directly: by the CLI where the API is silent, or at the console.

    Lambda does not say who invoked it, so the name is recorded as a claim, and no evidence is taken from a payload.
    CloudTrail knows the caller where it records invocations. Operators may invoke the alias `console` alone, whose
    requests end here whatever they look like: an alarm's message and a judge's decision come by the function itself.
    """
    says = one_line(str(event.get("by") or "nobody"), 200)
    return _by_operator(event, context, by=f"invoked directly (says: {says})")


def _by_operator(event: dict[str, Any], context: Any, *, by: str) -> RolledBack:
    prompt, reason = _wish(event)
    to = _version(event.get("to"))
    done = restore_safe_route(
        wire()[0], prompt, cause="operator", reason=reason, by=by, clock=time.time, keep_trying=_patience(context),
        release_id=event.get("release_id"), to=promoted_before(wire_aftermath()["releases"], to) if to else None,
    )  # fmt: skip
    _after(done, stop_execution=True)
    return done


def _wish(event: dict[str, Any]) -> tuple[str, str]:
    """The prompt to roll back, and why."""
    prompt, reason = event.get("prompt"), str(event.get("reason") or "").strip()
    if not isinstance(prompt, str) or not prompt or not reason:
        raise InvalidInput('a rollback names the prompt and says why: {"prompt": "...", "reason": "..."}')
    return prompt, reason[:2000]


def _version(given: Any) -> int:
    """The number of the version to go back to; 0 when none is named."""
    if given is None:
        return 0
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise InvalidInput(f'"to" is {json.dumps(given)}; name a version by its number, such as {{"to": 3}}')
    return given


def _from_api(event: dict[str, Any], context: Any) -> dict[str, Any]:
    caller = ((event["requestContext"].get("authorizer") or {}).get("iam") or {}).get("userArn")
    if not caller:
        return _response(403, {"title": "sign the request with an IAM identity"})
    try:
        body = _json(event.get("body") or "{}", encoded=event.get("isBase64Encoded", False))
        request = {
            "prompt": event["pathParameters"]["prompt"],
            "reason": body.get("reason") if isinstance(body, dict) else None,
            "to": body.get("to") if isinstance(body, dict) else None,
        }
        done = _by_operator(request, context, by=str(caller))
    except InvalidInput as error:
        return _response(400, {"title": str(error)})
    except PromptlaneError as error:
        return _response(503, {"title": f"the route could not be written: {error}; try again"})
    return _response(200 if done.result in ("rolled_back", "already") else 409, _answer(done))


def _after(done: RolledBack, *, stop_execution: bool) -> None:
    log.info(done.result, extra={"prompt": done.prompt, "release_id": done.release_id, "why": done.reason})
    if done.result in ("rolled_back", "nothing_to_go_back_to"):
        tell(done, clock=time.time, stop_execution=stop_execution, log=log.error, **wire_aftermath())


def _patience(context: Any) -> Any:
    """Try until two seconds before the function's end, a little longer between tries each time."""

    def keep_trying(attempt: int) -> bool:
        if context.get_remaining_time_in_millis() < 2000:
            return False
        time.sleep(random.uniform(0, min(0.5, 0.01 * 2**attempt)))
        return True

    return keep_trying


def _answer(done: RolledBack) -> dict[str, Any]:
    return {
        "result": done.result,
        "reason": done.reason,
        "prompt": done.prompt,
        "release_id": done.release_id,
        "stable": done.route.stable.version if done.route else None,
    }


def _response(status: int, body: dict[str, Any]) -> dict[str, Any]:
    kind = "application/json" if status < 400 else "application/problem+json"
    return {"statusCode": status, "headers": {"content-type": kind}, "body": json.dumps(body)}


def _json(text: str, *, encoded: bool = False) -> Any:
    try:
        return json.loads(base64.b64decode(text) if encoded else text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not JSON: {error}") from error
