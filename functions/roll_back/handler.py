"""Puts the safe version back. Alarms (SNS), the workflow, the operations API and the console all come here.

The safe route needs the route table alone: one read, one conditional write, signed here. Everything else follows after
it, and is loaded after it: the SDK, the logger, what people are told by (docs/adr/0043).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.signed_routes import signed_routes
from promptlane.domain import incoming
from promptlane.domain.errors import InvalidInput, PromptlaneError
from promptlane.domain.names import CONSOLE, DRILL_SECONDS, is_drill_alarm
from promptlane.domain.release.alarmed import alarm_applies
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import SYSTEM
from promptlane.domain.text import one_line
from promptlane.lifecycle.rollback import Aftermath, PromotedBefore, RolledBack, Wish, read_alarm, restore_safe_route

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

    from promptlane.domain.ports import RouteStore
    from promptlane.lifecycle.drill import Drills

_OF_THE_JUDGE = ("judge", "undecided")
"""Causes that the workflow passes on from `judge`, always with the release that it is about."""


@wired
def wire(of: Function) -> tuple[RouteStore, str]:
    """All that the safe route needs, and the deployment whose alarms count."""
    return signed_routes(of.setting("route_table")) or of.routes, of.setting("deployment")


@wired
def wire_aftermath(of: Function) -> Aftermath:
    from promptlane.lifecycle.restored import Restoration

    return Aftermath(
        releases=of.releases,
        workflow=of.workflow,
        telling=of.telling,
        restoration=Restoration(routes=of.routes, releases=of.releases, quarantine=of.quarantine, clock=time.time),
        clock=time.time,
        log=log().error,
    )


@wired
def wire_drills(of: Function) -> Drills:
    return of.drills


@wired
def wire_going_back(of: Function) -> Callable[..., PromotedBefore]:
    return partial(PromotedBefore, releases=of.releases, quarantine=of.quarantine)


def log() -> Logger:
    """The function's log, which nothing is written to before the route is safe."""
    from promptlane.aws.observability import logger

    return logger("roll_back")


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
    _, deployment = wire()
    _, _, _, region, account, *_ = context.invoked_function_arn.split(":")
    try:
        message = json.loads(record["Sns"]["Message"])
        if isinstance(message, dict) and is_drill_alarm(
            message.get("AlarmArn"), deployment=deployment, function_arn=context.invoked_function_arn
        ):
            return _drilled(message, context)
        alarm = read_alarm(message, deployment=deployment, account=account, region=region)
    except (InvalidInput, ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, InvalidInput) else f"not JSON: {error}"
        log().info("ignored", extra={"why": why})
        return {"result": "not_applicable", "reason": why}

    def applies(route: Route) -> None:
        alarm_applies(route, track=alarm.track, changed_at=alarm.changed_at)

    wish = Wish(
        prompt=alarm.prompt,
        cause="alarm",
        reason=incoming.mended(f"alarm {alarm.metric} on track {alarm.track}: {alarm.reason}"),
        by=alarm.arn,
        applies=applies,
        evidence={"alarm": alarm.arn, "changed_at": alarm.changed_at},
    )
    return _answer(_rolled_back(wish, context))


def _drilled(message: dict[str, Any], context: Any) -> dict[str, Any]:
    """The drill alarm's notification: everything but the write. Nothing that goes wrong here stops another record."""
    from promptlane.lifecycle.drill import prove, read_drill

    asked = read_drill(message)
    if asked is None:
        return {"result": "not_applicable", "reason": "the drill alarm is well"}
    routes, _ = wire()
    drill = prove(routes, asked, clock=time.time, keep_trying=_patience(context))
    if drill.proved:
        from promptlane.aws import emf

        emf.publish(drill.prompt, {DRILL_SECONDS: drill.seconds}, at=drill.ended_at)
    answer = {"result": "drill", "reason": drill.says, **drill.to_dict(), "seconds": drill.seconds}
    try:
        drills = wire_drills()
        drills.keep(drill)
    except PromptlaneError as error:
        log().error("the drill could not be noted", extra={"why": str(error)})
    log().info("drill", extra={"prompt": drill.prompt, "proved": drill.proved, "why": drill.says})
    return answer


def _from_workflow(event: dict[str, Any], context: Any) -> RolledBack:
    """What the judge of a release decided. The workflow ends its own execution."""
    prompt, reason = _asked(event)
    wish = Wish(
        prompt=prompt,
        cause=event["cause"],
        reason=reason,
        by=SYSTEM,
        release_id=event["release_id"],
        evidence=event.get("evidence"),
    )
    return _rolled_back(wish, context, stop_execution=False)


def _from_somebody(event: dict[str, Any], context: Any) -> RolledBack:
    """Invoked directly: by the CLI where the API is silent, or at the console.

    Lambda does not say who invoked it, so the name is recorded as a claim, and no evidence is taken from a payload.
    CloudTrail knows the caller where it records invocations. Operators may invoke the alias `console` alone, whose
    requests end here whatever they look like: an alarm's message and a judge's decision come by the function itself.
    """
    says = one_line(str(event.get("by") or "nobody"), 200)
    return _by_operator(event, context, by=f"invoked directly (says: {says})")


def _by_operator(event: dict[str, Any], context: Any, *, by: str) -> RolledBack:
    prompt, reason = _asked(event)
    to = _version(event.get("to"))
    wish = Wish(
        prompt=prompt,
        cause="operator",
        reason=reason,
        by=by,
        release_id=event.get("release_id"),
        to=wire_going_back()(version=to) if to else None,
    )
    return _rolled_back(wish, context)


def _rolled_back(wish: Wish, context: Any, *, stop_execution: bool = True) -> RolledBack:
    """The safe route first; then timeline, execution and people."""
    routes, _ = wire()
    done = restore_safe_route(routes, wish, clock=time.time, keep_trying=_patience(context))
    log().info(done.result, extra={"prompt": done.prompt, "release_id": done.release_id, "why": done.reason})
    if done.result != "not_applicable":
        wire_aftermath().tell(done, stop_execution=stop_execution)
    return done


def _asked(event: dict[str, Any]) -> tuple[str, str]:
    """The prompt to roll back, and why."""
    prompt, reason = event.get("prompt"), str(event.get("reason") or "").strip()
    if not isinstance(prompt, str) or not prompt or not reason:
        raise InvalidInput('a rollback names the prompt and says why: {"prompt": "...", "reason": "..."}')
    return incoming.name(prompt, "prompt"), incoming.whole(reason, "reason")[:2000]


def _version(given: Any) -> int:
    """The number of the version to go back to; 0 when none is named."""
    if given is None:
        return 0
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= incoming.MAX_VERSION:
        raise InvalidInput(f'"to" is {json.dumps(given)[:80]}; name a version by its number, such as {{"to": 3}}')
    return given


def _from_api(event: dict[str, Any], context: Any) -> dict[str, Any]:
    from promptlane.aws import http_events as http
    from promptlane.domain.release.identity import vouched

    def request() -> dict[str, Any]:
        by = vouched(http.caller(event))
        body = http.json_object(event, '{"reason": "..."}')
        prompt = http.part(event, "pathParameters", "prompt")
        done = _by_operator({"prompt": prompt, "reason": body.get("reason"), "to": body.get("to")}, context, by=by)
        if done.result not in ("rolled_back", "already"):
            raise http.Problem(409, "not-applicable", done.reason, **_answer(done))
        return _answer(done)

    return http.answered(
        request,
        lambda error: log().exception("not rolled back", extra={"why": str(error)}),
        problem=partial(http.problem_of, undone="the route could not be written"),
    )


def _patience(context: Any) -> Any:
    """Try until two seconds before the function's end, a little longer between tries each time."""

    def keep_trying(attempt: int) -> bool:
        if context.get_remaining_time_in_millis() < 2000:
            return False
        import random

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
