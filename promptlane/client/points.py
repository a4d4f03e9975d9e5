"""Which data points CloudWatch takes. It refuses a whole request for one that it does not.

Source: "PutMetricData" and "MetricDatum" in the Amazon CloudWatch API reference: time stamps of the last two weeks and
the next two hours, numbers from 2^-360 to 2^360 (and zero) of either sign, at most 30 dimensions of printable ASCII.
"""

from __future__ import annotations

import logging
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST = 14 * 86_400.0 - 900
"""Seconds back that a time stamp may lie: a quarter of an hour less than CloudWatch's bound, by whose clock it goes."""
NEWEST = 2 * 3_600.0 - 300
"""Seconds ahead, likewise."""
LARGEST, SMALLEST = 2.0**360, 2.0**-360
MAX_DIMENSIONS = 30
MAX_DIMENSION = 1_024
"""Characters of a dimension's value."""
_log = logging.getLogger("promptlane.client")


def wrong_value(value: float) -> str:
    """What is wrong with a number; "" where nothing is."""
    if not -LARGEST <= value <= LARGEST:  # NaN is not either
        return f"a value of {value:g} is beyond 2^360, or no number"
    return f"a value of {value:g} is nearer to zero than 2^-360" if 0 < abs(value) < SMALLEST else ""


def wrong_time(at: float, now: float) -> str:
    """What is wrong with a time stamp, in epoch seconds."""
    if not now - OLDEST <= at <= now + NEWEST:
        return f"the time stamp {at:.0f} is older than two weeks or more than two hours ahead of the clock ({now:.0f})"
    return ""


def wrong_dimensions(dimensions: Mapping[str, str]) -> str:
    """What is wrong with dimensions by name; the names are ours."""
    if len(dimensions) > MAX_DIMENSIONS:
        return f"{len(dimensions)} dimensions are more than {MAX_DIMENSIONS}"
    for name, value in dimensions.items():
        fits = value.isascii() and value.isprintable() and 0 < len(value) <= MAX_DIMENSION
        if not fits or value.isspace():
            return f"{name}={value[:40]!a} is no text of 1 to {MAX_DIMENSION} printable ASCII characters"
    return ""


class Losses:
    """Says what was not sent and why: at once, then at most once a minute."""

    def __init__(self) -> None:
        self._count = 0
        self._due = 0.0

    def note(self, count: int, why: str) -> None:
        self._count += count
        now = monotonic()
        if now >= self._due:
            self._due = now + 60
            lost, self._count = self._count, 0
            _log.warning("%d data points dropped: %s", lost, why)
