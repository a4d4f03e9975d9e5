"""What state an alarm of a template would be in, given datapoints: CloudWatch's rules, without a clock."""

from collections.abc import Mapping, Sequence

from local.gaps import alarm_states, metric_math
from tests.support.synthesized import Json

Points = Mapping[str, Sequence[float | None]]
"""Datapoints by the id of the metric in the alarm (`only` for an alarm on a metric itself), the newest first. None is
a gap, and so is what lies before."""


def metrics(alarm: Json) -> list[str]:
    """The ids of the metrics that it reads."""
    return [q["Id"] for q in alarm["Metrics"] if "MetricStat" in q] if "Metrics" in alarm else ["only"]


def state(alarm: Json, points: Points, *, current: str = alarm_states.OK) -> str:
    """OK, ALARM or INSUFFICIENT_DATA after these datapoints."""
    unknown = set(points) - set(metrics(alarm))
    assert not unknown, f"{alarm['AlarmName']} reads no {unknown}"
    periods = alarm["EvaluationPeriods"]
    looked_at = periods + alarm_states.EXTRA_PERIODS
    # Time runs upwards: the newest datapoint is that of period `looked_at`.
    series = {
        name: {
            looked_at - age: float(value)
            for age, value in enumerate(points.get(name, ())[:looked_at])
            if value is not None
        }
        for name in metrics(alarm)
    }
    values = series["only"] if "Metrics" not in alarm else _computed(alarm, series, looked_at)
    ages = range(looked_at, 0, -1)
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return alarm_states.state(
        [values[at] >= alarm["Threshold"] if at in values else None for at in ages],
        periods=periods,
        to_alarm=alarm.get("DatapointsToAlarm", periods),
        # CloudWatch does this for metrics of DynamoDB, whatever the alarm says.
        missing="ignore" if "AWS/DynamoDB" in str(alarm) else alarm["TreatMissingData"],
        current=current,
    )


def _computed(alarm: Json, series: dict[str, dict[int, float]], looked_at: int) -> dict[int, float]:
    expressions = {q["Id"]: q["Expression"] for q in alarm["Metrics"] if "Expression" in q}
    (returned,) = [q["Id"] for q in alarm["Metrics"] if q.get("ReturnData", True)]
    found = metric_math.solve(expressions, dict(series), list(range(1, looked_at + 1)), 60)
    return found[returned]
