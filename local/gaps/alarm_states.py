"""What state a CloudWatch alarm is in: AWS's rules for M of N and for missing data, as a pure function.

From the CloudWatch user guide ("Configuring how CloudWatch alarms treat missing data"): an alarm looks at more periods
than it evaluates. If the latest N periods have gaps, the most recent N points that do exist decide, and the setting for
missing data is not used. Only when fewer than N exist in the whole range are gaps filled by that setting. To avoid
premature alarms, with `missing` or `ignore` a few breaching points alone raise the alarm only when the oldest of them
is at least as old as M periods."""

from __future__ import annotations

EXTRA_PERIODS = 2
OK, ALARM, INSUFFICIENT = "OK", "ALARM", "INSUFFICIENT_DATA"


def state(points: list[bool | None], *, periods: int, to_alarm: int, missing: str, current: str) -> str:
    """The alarm's state. `points` is newest first over the whole evaluation range (periods + EXTRA_PERIODS): True for
    breaching, False for not, None for missing. `missing` is TreatMissingData."""
    real = [point for point in points if point is not None]
    if not real:
        return {"breaching": ALARM, "notBreaching": OK, "ignore": current}.get(missing, INSUFFICIENT)
    considered = real[:periods]
    breaching = sum(considered)
    gaps = periods - len(considered)
    if missing == "breaching":
        breaching += gaps
    if breaching >= to_alarm:
        return ALARM
    if gaps == 0 or missing in ("breaching", "notBreaching") or not all(considered):
        return OK
    oldest = max(age for age, point in enumerate(points, start=1) if point is not None)
    if oldest < to_alarm:
        return current
    return ALARM if missing == "missing" else current
