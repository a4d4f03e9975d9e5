"""Metrics through PutMetricData: aggregated in memory, sent by a background thread, flushed at exit.

Data points keep their counts: a rate's numerator (Sum) and denominator (SampleCount) stay what single points would have
made them. Points of two periods are never merged. Latencies are kept to two significant digits (at most 5 % off), and
so is any other metric from its `MAX_DISTINCT`th value in a period on.

Each point is sent until CloudWatch took it, and counts at most once: the operation is not idempotent, so a request that
may have been taken (no answer in time, a connection that broke, an error of the service's own) is not sent again, and
the loss is logged. What CloudWatch does not take is left out; where it refuses a request for something not known here,
the request is halved until the point is found. What is in time, only CloudWatch says: the clock here may have jumped.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import suppress
from math import isfinite
from time import monotonic, sleep, time

from . import points
from .endings import AtEnd
from .metrics import NAMESPACE, UNITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from .aws import Aws
    from .metrics import Document

    Key = tuple[int, tuple[tuple[str, str], ...], str]
    Part = tuple[Key, dict[float, int]]
    Taken = Literal["taken", "refused", "later", "busy", "unknown"]

MAX_VALUES = 150
"""Values of one data point in a request."""
MAX_DATA = 500
"""Data points in a request, of 1,000 that CloudWatch takes."""
MAX_BYTES = 900_000
"""Bytes of a request in the longest of the SDK's protocols, of 1 MB that CloudWatch takes."""
MAX_HELD = 20_000
"""Data points held while CloudWatch cannot be reached; beyond it new ones are dropped and the loss is logged."""
MAX_DISTINCT = 1_024
"""Values of one data point that are kept as they are."""
MAX_PAIRS = 3 * MAX_HELD
"""Values of all data points that are held."""
MAX_REFUSALS = 200
"""Requests refused in one flush, from which on what is refused is not halved but dropped."""
LONGEST = 10.0
"""Seconds of a flush after which no further request is begun."""
_REFUSED = ("InvalidParameter", "MissingParameter", "MissingRequiredParameter", "Validation", "InvalidFormat")
_UNKNOWN = frozenset(
    {
        "ConnectionClosedError",
        "HTTPClientError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseParserError",
        "ResponseStreamingError",
    }
)
"""What the SDK raises when a request was sent and no answer came."""
_log = logging.getLogger("promptlane.client")


class CloudWatchSink:
    """Aggregates by period, dimensions and metric.

    `resolution`: seconds of a period; below 60 stored at high resolution. Sent every `interval` seconds: by default
    every 5 s at high resolution, 15 s while a split is watched by the judge, and 55 s when nothing is.
    """

    def __init__(self, aws: Aws, *, resolution: int = 60, interval: float | None = None) -> None:
        self._aws = aws
        self._resolution = resolution
        self._interval = interval
        self.after_fork()
        self._at_end = AtEnd(self.close, priority=10)
        self._at_end.arm()

    def after_fork(self) -> None:
        """In a forked child: what the parent gathered is the parent's to send."""
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._sending = threading.RLock()
        self._wake = threading.Event()
        self._held: dict[Key, dict[float, int]] = {}
        self._pairs = 0
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._losses = points.Losses()
        self._watched = False
        self._closed = False

    def _own(self) -> None:
        """Where a server forked without telling Python of it, as uWSGI may."""
        if self._process != os.getpid():
            self.after_fork()

    def emit(self, document: Document) -> None:
        self._own()
        self._at_end.arm()
        try:
            points_of = self._read(document)
        except Exception as error:  # noqa: BLE001 - metrics must never fail a request
            self._losses.note(1, f"{type(error).__name__}: {error}")
            return
        with self._lock:
            for key, value in points_of:
                self._add(key, value, 1)
            if "Group" in document.dimensions and not self._watched:
                self._watched = True
                self._wake.set()
            if self._thread is None and not self._closed:
                self._start()
        if self._at_end.reached:  # an exit hook of the application's own still asks
            self.flush()

    def _read(self, document: Document) -> list[tuple[Key, float]]:
        """The document's data points that CloudWatch takes, as far as its clock has no say."""
        if not isfinite(document.at):
            self._losses.note(len(document.values), f"a time stamp of {document.at}")
            return []
        period = int(document.at // self._resolution) * self._resolution
        found: list[tuple[Key, float]] = []
        for directive in document.directives:
            for names in directive.dimension_sets:
                named = {name: document.dimensions[name] for name in names}
                wrong = points.wrong_dimensions(named)
                for metric in directive.metrics:
                    value = document.values[metric]
                    if problem := wrong or points.wrong_value(value):
                        self._losses.note(1, f"{metric}: {problem}")
                    else:
                        found.append(((period, tuple(named.items()), metric), _rounded(metric, value)))
        return found

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="promptlane-metrics", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads, or the interpreter ends, which sends what is held
            return
        self._thread = thread

    def _add(self, key: Key, value: float, count: int) -> None:
        counts = self._held.get(key)
        if counts is None:
            if len(self._held) >= MAX_HELD:
                self._dropped += count
                return
            counts = self._held[key] = {}
        if value not in counts:
            if len(counts) >= MAX_DISTINCT:
                value = _two_digits(value)
            if value not in counts:
                if self._pairs >= MAX_PAIRS and counts:
                    self._dropped += count
                    return
                self._pairs += 1
        counts[value] = counts.get(value, 0) + count

    def _pause(self) -> float:
        if self._interval is not None:
            return self._interval
        if self._resolution < 60:
            return 5.0
        return 15.0 if self._watched else 55.0

    def _work(self) -> None:
        while not self._closed:
            if self._wake.wait(self._pause()) and not self._closed:
                self._wake.clear()
                self._wake.wait(self._pause())
            self._watched = False
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 - the thread goes on
                self._losses.note(1, f"{type(error).__name__}: {error}")

    def flush(self) -> None:
        """Send what is held now. What CloudWatch surely did not take is kept for the next time."""
        self._flush()

    def _flush(self) -> Taken:
        self._own()
        with self._sending:
            with self._lock:
                held, self._held, self._pairs = self._held, {}, 0
                dropped, self._dropped = self._dropped, 0
            if dropped:
                _log.warning("%d data points dropped: CloudWatch could not be reached and the buffer was full", dropped)
            return self._send(held) if held else "taken"

    def _send(self, held: dict[Key, dict[float, int]]) -> Taken:
        """How the last request ended: "taken" when nothing is left of what was held."""
        until, refusals = monotonic() + LONGEST, 0
        waiting = deque(_requests([part for key, counts in held.items() for part in _parts(key, counts)], time()))
        ended: Taken = "taken"
        while waiting and monotonic() < until and ended not in ("later", "busy", "unknown"):
            batch = waiting.popleft()
            ended, error = self._put(batch)
            if ended == "refused" and refusals < MAX_REFUSALS and (apart := _apart(batch, str(error))):
                refusals += 1
                waiting += apart  # behind those that may be good
            elif ended == "refused":
                self._losses.note(_count(batch), f"CloudWatch does not take them: {error}")
            elif ended == "unknown":
                self._losses.note(_count(batch), f"it is not known whether CloudWatch took them: {error}")
            elif ended != "taken":
                _log.warning("metrics were not sent and will be retried: %s", error)
                waiting.appendleft(batch)
        with self._lock:
            for batch in waiting:
                for key, counts in batch:
                    for value, count in counts.items():
                        self._add(key, value, count)
        return ended if waiting else "taken"

    def _put(self, batch: list[Part]) -> tuple[Taken, BaseException | None]:
        cloudwatch: Any = None
        try:
            cloudwatch = self._aws.client("cloudwatch", read_timeout=5.0, attempts=1)
            data = [_datum(key, counts, self._resolution) for key, counts in batch]
            cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)
        except Exception as error:  # noqa: BLE001 - metrics must never fail the application
            return _ended(error), error
        finally:
            if cloudwatch is not None:
                with suppress(Exception):  # a connection that dies idle would leave it unknown what the next one did
                    cloudwatch.close()
        return "taken", None

    def close(self) -> None:
        """Send what is held and stop the thread. A busy CloudWatch is asked three times."""
        self._own()
        self._closed = True
        self._wake.set()
        for pause in (0.2, 0.6, 0.0):
            if self._flush() != "busy":
                break
            sleep(pause)
        self._at_end.disarm()


def _ended(error: BaseException) -> Taken:
    """How a request ended that raised: refused for what it holds, not taken, or not known."""
    kind = type(error).__name__
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if kind == "ParamValidationError" or code.startswith(_REFUSED) or status == 413:
        return "refused"
    if "Throttl" in code or "LimitExceeded" in code or status in (429, 503):
        return "busy"
    if kind in _UNKNOWN or status >= 500 or code.startswith("Internal"):
        return "unknown"
    return "later"


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def _rounded(metric: str, value: float) -> float:
    return _two_digits(value) if metric in UNITS else value


def _count(batch: list[Part]) -> int:
    return sum(count for _, counts in batch for count in counts.values())


def _parts(key: Key, counts: dict[float, int]) -> list[Part]:
    """The counts in as many parts as there are data points to send."""
    pairs = sorted(counts.items())
    return [(key, dict(pairs[i : i + MAX_VALUES])) for i in range(0, len(pairs), MAX_VALUES)]


def _requests(parts: list[Part], now: float) -> list[list[Part]]:
    """What to ask CloudWatch, in order: what the own clock finds out of time by itself, behind the rest.

    Whether the clock jumped when that was stamped, or has jumped now, CloudWatch alone can tell.
    """
    doubted = [part for part in parts if points.wrong_time(part[0][0], now)]
    timely = [part for part in parts if not points.wrong_time(part[0][0], now)]
    return [*_batches(timely), *(request for period in _by_period(doubted) for request in _batches(period))]


def _by_period(parts: list[Part]) -> list[list[Part]]:
    found: dict[int, list[Part]] = {}
    for part in parts:
        found.setdefault(part[0][0], []).append(part)
    return list(found.values())


def _apart(batch: list[Part], why: str) -> list[list[Part]]:
    """What to ask instead of a request that was refused: period by period if it may be for a time stamp, else by
    halves; nothing where all of it is bad."""
    periods = _by_period(batch)
    if "imestamp" in why or points.wrong_time(batch[0][0][0], time()):
        return periods if len(periods) > 1 else []
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]] if middle else []


def _batches(parts: list[Part]) -> list[list[Part]]:
    """In as many requests as CloudWatch takes them, in order."""
    found: list[list[Part]] = []
    size = MAX_BYTES
    for part in parts:
        (_, dimensions, metric), counts = part
        # Of the query protocol: `MetricData.member.500.Values.member.150=…` and the like, escaped at worst.
        bytes_ = 300 + len(metric) + 120 * len(counts) + sum(100 + len(n) + 3 * len(v) for n, v in dimensions)
        if size + bytes_ > MAX_BYTES or len(found[-1]) >= MAX_DATA:
            found.append([])
            size = 0
        found[-1].append(part)
        size += bytes_
    return found


def _datum(key: Key, counts: dict[float, int], resolution: int) -> dict[str, Any]:
    period, dimensions, metric = key
    return {
        "MetricName": metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions],
        "Timestamp": period,
        "Values": [float(value) for value in counts],
        "Counts": [float(count) for count in counts.values()],
        "Unit": UNITS.get(metric, "Count"),
        "StorageResolution": 60 if resolution >= 60 else 1,
    }
