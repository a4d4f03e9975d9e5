"""CloudWatch alarms: evaluation and actions.

Lacking in MiniStack: dimensions, metric math, M of N, missing data, periods that end, Lambda actions, the EventBridge
event, most fields of the SNS message, and evaluation by time (it looks only when data comes in). Here: every alarm is
looked at once a second, by turns over periods that are complete (a moment after their end, because metrics arrive late)
and with the newest one, which is not over yet: CloudWatch does either, and an alarm must be right both ways. After
SetAlarmState an alarm keeps its state for three seconds before it is looked at again."""

from __future__ import annotations

import itertools
import json
import operator
import time
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch, eventbridge, lambda_svc, sns
from ministack.services.cloudformation import provisioners

from local import seams
from local.gaps import alarm_states, lambda_functions, metric_math, metric_store, metrics

TICK_SECONDS = 1.0
HELD_SECONDS = 3.0
REGION_NAMES = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
    "eu-west-1": "EU (Ireland)",
    "eu-central-1": "EU (Frankfurt)",
}
_ACTIONS = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}
_COMPARE: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}

_changed_at: dict[str, float] = {}
_turns = itertools.cycle((False, True))
_error = seams.replies(cloudwatch, "_error")


def install() -> None:
    seams.require(
        cloudwatch, "_alarms", "_composite_alarms", "_record_history", "_evaluate_parent_alarms", "_matching_children"
    )
    seams.require(eventbridge, "_put_events", "_ensure_default_bus")
    seams.require(sns, "_fanout")
    seams.require(lambda_svc, "_get_func_record_for_ref")
    seams.put(cloudwatch, "_evaluate_alarm", evaluate)
    seams.put(cloudwatch, "_dispatch_alarm_actions", dispatch)
    seams.keep("alarm-changes", _changed_at)

    @seams.replace(cloudwatch, "_put_metric_alarm")
    def put(original: seams.Replies, params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> seams.Response:
        """Refuse what AWS refuses; keep `Metrics`, which MiniStack drops."""
        request = data if is_cbor or is_json else metrics.unflatten(params)
        try:
            validate(request)
        except metrics.BadRequest as bad:
            return _error(bad.code, bad.message, 400, use_json=is_json, use_cbor=is_cbor)
        reply = original(params, data, is_cbor, is_json)
        if reply[0] == 200 and request.get("Metrics"):
            _with_math(cloudwatch._alarms[request["AlarmName"]], request["Metrics"])
        return reply

    @seams.replace(cloudwatch, "_set_alarm_state")
    def set_state(
        original: seams.Replies, params: Any, data: Any, is_cbor: bool, is_json: bool = False
    ) -> seams.Response:
        request = data if is_cbor or is_json else metrics.unflatten(params)
        alarm = cloudwatch._alarms.get(request.get("AlarmName", ""))
        if not alarm:
            return original(params, data, is_cbor, is_json)
        before, _changed_at[alarm["AlarmArn"]] = alarm["StateValue"], time.monotonic()
        reply = original(params, data, is_cbor, is_json)
        # MiniStack cuts the first to seconds and leaves out the second, by which an old alarm is told from a new one.
        alarm["StateUpdatedTimestamp"] = time.time()
        if alarm["StateValue"] != before:
            alarm["StateTransitionedTimestamp"] = alarm["StateUpdatedTimestamp"]
        return reply

    @seams.replace(provisioners, "_cw_metric_alarm_record")
    def from_template(original: Any, name: str, props: dict[str, Any]) -> dict[str, Any]:
        """AWS::CloudWatch::Alarm with Metrics, which MiniStack refuses, and with DatapointsToAlarm."""
        try:
            validate(props)
        except metrics.BadRequest as bad:
            raise ValueError(bad.message) from bad
        if not props.get("Metrics"):
            return dict(original(name, props))
        alarm = original(name, {**props, "Metrics": None, "MetricName": "-", "Namespace": "-"})
        _with_math(alarm, _typed(props["Metrics"]))
        return dict(alarm)

    seams.ticker(TICK_SECONDS, tick, "alarms")


def _with_math(alarm: dict[str, Any], queries: list[dict[str, Any]]) -> None:
    alarm["Metrics"] = queries
    for name in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Dimensions"):
        alarm.pop(name, None)


def _typed(queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """CloudFormation may hand over numbers and booleans as strings."""
    typed = []
    for query in queries:
        query = dict(query)
        if "ReturnData" in query:
            query["ReturnData"] = str(query["ReturnData"]).lower() == "true"
        if stat := query.get("MetricStat"):
            query["MetricStat"] = {**stat, "Period": int(stat.get("Period") or 60)}
        typed.append(query)
    return typed


def validate(request: dict[str, Any]) -> None:
    """Refuse what PutMetricAlarm refuses: unreadable math, SEARCH, no or several returned series, bad counts."""
    periods, to_alarm = int(request.get("EvaluationPeriods") or 1), request.get("DatapointsToAlarm")
    if to_alarm is not None and int(to_alarm) > periods:
        raise metrics.BadRequest("ValidationError", "DatapointsToAlarm must not be greater than EvaluationPeriods.")
    queries = request.get("Metrics")
    _validate_period(request, periods)
    if not queries:
        return
    returned = [q for q in queries if str(q.get("ReturnData", True)).lower() == "true"]
    if len(returned) != 1:
        raise metrics.BadRequest("ValidationError", "Exactly one element of the metrics list should return data.")
    expressions = {q["Id"]: q["Expression"] for q in queries if q.get("Expression")}
    if any("SEARCH(" in text.upper() for text in expressions.values()):
        raise metrics.BadRequest("ValidationError", "SEARCH is not supported on Metric Alarms.")
    ids: dict[str, dict[int, float]] = {q["Id"]: {} for q in queries if q.get("MetricStat")}
    if len(ids) > 10:
        raise metrics.BadRequest("ValidationError", "An alarm can use at most 10 metrics.")
    try:
        metric_math.solve(expressions, ids, [0], 60)
    except metric_math.Invalid as invalid:
        raise metrics.BadRequest("ValidationError", str(invalid)) from invalid
    except ValueError as empty:  # a function of no points at all, such as MAX: nothing wrong with the expression
        seams.log.debug("expression over no data: %s", empty)


def _validate_period(request: dict[str, Any], periods: int) -> None:
    """Of a single metric 10, 20 or 30 seconds or whole minutes; of a metric in math 1 and 5 too. At most a day in all,
    or a week where the period is an hour or longer."""
    stats = [query["MetricStat"] for query in request.get("Metrics") or [] if query.get("MetricStat")]
    given = [stat.get("Period") for stat in stats] if stats else [request.get("Period")]
    for value in given:
        period = int(value or 60)
        if not metric_store.valid_period(period) or (not stats and period in (1, 5)):
            raise metrics.BadRequest("ValidationError", metric_store.bad_period(period, "1, 5, " if stats else ""))
        longest = 7 * 86_400 if period >= 3600 else 86_400
        if period * periods > longest:
            text = f"Metrics cannot be checked across more than {'a week' if longest > 86_400 else 'a day'}"
            raise metrics.BadRequest("ValidationError", f"{text} (EvaluationPeriods * Period must be <= {longest}).")


def tick() -> None:
    unfinished = next(_turns)
    for _ in seams.scopes(cloudwatch._alarms):
        for alarm in cloudwatch._alarms.values():
            seams.logged(evaluate, alarm, unfinished)


def evaluate(alarm: dict[str, Any], unfinished: bool = False) -> None:
    """Look at one metric alarm and move it to the state that its data says; `unfinished`: at the present period too."""
    held = _changed_at.get(alarm["AlarmArn"])
    if held is not None:
        if time.monotonic() - held < min(HELD_SECONDS, _period(alarm)):
            return
        del _changed_at[alarm["AlarmArn"]]
    periods = int(alarm.get("EvaluationPeriods") or 1)
    to_alarm = int(alarm.get("DatapointsToAlarm") or periods)
    period = _period(alarm)
    now = time.time()
    end = int(now) // period * period + period if unfinished else int(now - min(2.0, period * 0.1)) // period * period
    starts = [end - period * age for age in range(1, periods + alarm_states.EXTRA_PERIODS + 1)]
    values = _values(alarm, starts[-1], end)
    breaches, words = _COMPARE[alarm["ComparisonOperator"]]
    threshold = float(alarm["Threshold"])
    points = [breaches(values[at], threshold) if at in values else None for at in starts]
    missing = alarm.get("TreatMissingData") or "missing"
    if _namespace(alarm) == "AWS/DynamoDB":
        missing = "ignore"
    old = alarm["StateValue"]
    new = alarm_states.state(points, periods=periods, to_alarm=to_alarm, missing=missing, current=old)
    if new == old:
        return
    recent = [(at, values[at]) for at in starts if at in values][:periods]
    alarm["StateReasonData"] = json.dumps(_reason_data(alarm, recent, starts[periods - 1]))
    _move(alarm, new, _reason(recent, periods, to_alarm, words, threshold, old, new))


def _period(alarm: dict[str, Any]) -> int:
    stats = [query["MetricStat"] for query in alarm.get("Metrics") or [] if query.get("MetricStat")]
    return min((int(stat.get("Period") or 60) for stat in stats), default=int(alarm.get("Period") or 60))


def _namespace(alarm: dict[str, Any]) -> str:
    stats = [query["MetricStat"] for query in alarm.get("Metrics") or [] if query.get("MetricStat")]
    return str(stats[0]["Metric"]["Namespace"] if stats else alarm.get("Namespace"))


def _queries(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The alarm as metric data queries: its own, or one for its single metric."""
    if alarm.get("Metrics"):
        return list(alarm["Metrics"])
    metric = {name: alarm.get(name) for name in ("Namespace", "MetricName", "Dimensions")}
    stat = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    return [{"Id": "m1", "ReturnData": True, "MetricStat": {"Metric": metric, "Period": _period(alarm), "Stat": stat}}]


def _values(alarm: dict[str, Any], start: int, end: int) -> dict[int, float]:
    queries = _queries(alarm)
    values, _ = metric_store.compute(queries, start, end)
    returned = next(q["Id"] for q in queries if str(q.get("ReturnData", True)).lower() == "true")
    return values.get(returned, {})


def _reason(
    recent: list[tuple[int, float]], periods: int, to_alarm: int, words: str, threshold: float, old: str, new: str
) -> str:
    if new == alarm_states.INSUFFICIENT:
        return (
            "Insufficient Data: 1 datapoint was unknown."
            if periods == 1
            else f"Insufficient Data: {periods} datapoints were unknown."
        )
    if not recent:
        treated = "Breaching" if new == alarm_states.ALARM else "NonBreaching"
        return (
            f"Threshold Crossed: no datapoints were received for {periods} period{'s' if periods > 1 else ''} and "
            f"{periods} missing datapoint{'s were' if periods > 1 else ' was'} treated as [{treated}]."
        )
    shown = ", ".join(f"{value} ({time.strftime('%d/%m/%y %H:%M:%S', time.gmtime(at))})" for at, value in recent)
    was = "was" if len(recent) == 1 else "were"
    negated = "" if new == alarm_states.ALARM else "not "
    least = to_alarm if new == alarm_states.ALARM else max(1, periods - to_alarm + 1)
    return (
        f"Threshold Crossed: {len(recent)} out of the last {periods} datapoints [{shown}] {was} {negated}{words} the "
        f"threshold ({threshold}) (minimum {least} datapoint{'s' if least > 1 else ''} for {old} -> {new} transition)."
    )


def _reason_data(alarm: dict[str, Any], recent: list[tuple[int, float]], start: int) -> dict[str, Any]:
    return {
        "version": "1.0",
        "queryDate": stamp(time.time()),
        "startDate": stamp(start),
        "statistic": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
        "period": _period(alarm),
        "recentDatapoints": [value for _, value in reversed(recent)],
        "threshold": float(alarm["Threshold"]),
        "evaluatedDatapoints": [{"timestamp": stamp(at), "value": value} for at, value in recent],
    }


def _move(alarm: dict[str, Any], new: str, reason: str) -> None:
    old = alarm["StateValue"]
    alarm |= {"StateValue": new, "StateReason": reason, "StateUpdatedTimestamp": time.time()}
    alarm["StateTransitionedTimestamp"] = alarm["StateUpdatedTimestamp"]
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
    dispatch(alarm, old, new, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def stamp(at: float) -> str:
    """A time as CloudWatch writes it into messages: milliseconds and +0000."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}+0000"


def dispatch(alarm: dict[str, Any], old: str, new: str, reason: str) -> None:
    """Tell EventBridge, and the actions for the new state: SNS topics and Lambda functions."""
    now = time.time()
    eventbridge._ensure_default_bus()
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Resources": [alarm["AlarmArn"]],
        "Detail": json.dumps(_alarm_data(alarm, old, new, reason, now)),
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
    if str(alarm.get("ActionsEnabled", True)).lower() == "false":
        return
    for arn in alarm.get(_ACTIONS[new]) or []:
        if ":sns:" in arn:
            subject = f'{new}: "{alarm["AlarmName"]}" in {REGION_NAMES.get(seams.region(), seams.region())}'
            message = json.dumps(_sns_message(alarm, old, new, reason, now))
            sns._fanout(arn, seams.new_uuid(), message, subject[:99])
        elif ":lambda:" in arn:
            event = {
                "source": "aws.cloudwatch",
                "alarmArn": alarm["AlarmArn"],
                "accountId": seams.account(),
                "time": stamp(now),
                "region": seams.region(),
                "alarmData": _alarm_data(alarm, old, new, reason, now),
            }
            lambda_functions.invoke_later(arn, event)


def _alarm_data(alarm: dict[str, Any], old: str, new: str, reason: str, at: float) -> dict[str, Any]:
    configuration: dict[str, Any] = {"description": alarm.get("AlarmDescription") or ""}
    if "AlarmRule" in alarm:
        configuration["alarmRule"] = alarm["AlarmRule"]
    else:
        configuration["metrics"] = [_small(query) for query in _queries(alarm)]
    state = {"value": new, "reason": reason, "timestamp": stamp(at)}
    if alarm.get("StateReasonData"):
        state["reasonData"] = alarm["StateReasonData"]
    previous = {"value": old, "timestamp": stamp(float(alarm.get("_since") or at))}
    alarm["_since"] = at
    return {"alarmName": alarm["AlarmName"], "state": state, "previousState": previous, "configuration": configuration}


def _small(query: dict[str, Any]) -> dict[str, Any]:
    """A metric data query with the key names that alarm events use."""
    small: dict[str, Any] = {"id": query["Id"], "returnData": str(query.get("ReturnData", True)).lower() == "true"}
    if stat := query.get("MetricStat"):
        metric = stat["Metric"]
        small["metricStat"] = {
            "metric": {
                "namespace": metric["Namespace"],
                "name": metric["MetricName"],
                "dimensions": metric_store.dimensions_of(metric.get("Dimensions")),
            },
            "period": int(stat.get("Period") or 60),
            "stat": stat["Stat"],
        }
    else:
        small |= {"expression": query["Expression"], "label": query.get("Label", query["Id"])}
    return small


def _sns_message(alarm: dict[str, Any], old: str, new: str, reason: str, at: float) -> dict[str, Any]:
    message: dict[str, Any] = {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": seams.account(),
        "AlarmConfigurationUpdatedTimestamp": stamp(float(alarm.get("AlarmConfigurationUpdatedTimestamp") or at)),
        "NewStateValue": new,
        "NewStateReason": reason,
        "StateChangeTime": stamp(at),
        "Region": REGION_NAMES.get(seams.region(), seams.region()),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        "OKActions": alarm.get("OKActions") or [],
        "AlarmActions": alarm.get("AlarmActions") or [],
        "InsufficientDataActions": alarm.get("InsufficientDataActions") or [],
    }
    if "AlarmRule" in alarm:
        children = [
            cloudwatch._alarms.get(n) or cloudwatch._composite_alarms.get(n)
            for n in cloudwatch._matching_children(alarm, new)
        ]
        message["AlarmRule"] = alarm["AlarmRule"]
        message["TriggeringChildren"] = [
            {
                "Arn": child["AlarmArn"],
                "State": {"Value": child["StateValue"], "Timestamp": stamp(child["StateUpdatedTimestamp"])},
            }
            for child in children
        ]
        return message
    return message | {"Trigger": _trigger(alarm)}


def _trigger(alarm: dict[str, Any]) -> dict[str, Any]:
    common = {
        "Period": _period(alarm),
        "EvaluationPeriods": int(alarm.get("EvaluationPeriods") or 1),
        "DatapointsToAlarm": int(alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods") or 1),
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": float(alarm["Threshold"]),
        "TreatMissingData": alarm.get("TreatMissingData") or "missing",
        "EvaluateLowSampleCountPercentile": alarm.get("EvaluateLowSampleCountPercentile") or "",
    }
    if alarm.get("Metrics"):
        return common | {"Metrics": [_with_small_dimensions(query) for query in alarm["Metrics"]]}
    extended = alarm.get("ExtendedStatistic")
    statistic = (
        {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": extended}
        if extended
        else {"StatisticType": "Statistic", "Statistic": _upper(alarm.get("Statistic") or "Average")}
    )
    dimensions = [{"value": d["Value"], "name": d["Name"]} for d in alarm.get("Dimensions") or []]
    metric = {"MetricName": alarm["MetricName"], "Namespace": alarm["Namespace"], "Unit": alarm.get("Unit")}
    return metric | statistic | {"Dimensions": dimensions} | common


def _upper(statistic: str) -> str:
    return "SAMPLE_COUNT" if statistic == "SampleCount" else statistic.upper()


def _with_small_dimensions(query: dict[str, Any]) -> dict[str, Any]:
    if not query.get("MetricStat"):
        return query
    metric = query["MetricStat"]["Metric"]
    dimensions = [{"value": d["Value"], "name": d["Name"]} for d in metric.get("Dimensions") or []]
    return {**query, "MetricStat": {**query["MetricStat"], "Metric": {**metric, "Dimensions": dimensions}}}
