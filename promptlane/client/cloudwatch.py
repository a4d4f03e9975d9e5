"""Metrics through PutMetricData: aggregated in memory, sent by a background thread, flushed at exit.

Data points keep their counts: a rate's numerator (Sum) and denominator (SampleCount) stay what single points would have
made them. Points of two periods are never merged. Latencies are kept to two significant digits (at most 5 % off).
"""

from __future__ import annotations

import atexit
import logging
import threading
from weakref import WeakMethod

from .metrics import NAMESPACE, UNITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .aws import Aws
    from .metrics import Document

    Key = tuple[int, tuple[tuple[str, str], ...], str]
    Part = tuple[Key, dict[float, int]]

MAX_VALUES = 150
MAX_DATA = 500
MAX_HELD = 20_000
"""Data points held while CloudWatch cannot be reached; beyond it new ones are dropped and the loss is logged."""
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
        self._at_exit = _AtExit(WeakMethod(self.close))
        atexit.register(self._at_exit)

    def after_fork(self) -> None:
        """In a forked child: what the parent gathered is the parent's to send."""
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._wake = threading.Event()
        self._held: dict[Key, dict[float, int]] = {}
        self._thread: threading.Thread | None = None
        self._dropped = 0
        self._watched = False
        self._closed = False

    def emit(self, document: Document) -> None:
        period = int(document.at // self._resolution) * self._resolution
        with self._lock:
            for directive in document.directives:
                for names in directive.dimension_sets:
                    dimensions = tuple((name, document.dimensions[name]) for name in names)
                    for metric in directive.metrics:
                        self._add((period, dimensions, metric), _rounded(metric, document.values[metric]), 1)
            if "Group" in document.dimensions and not self._watched:
                self._watched = True
                self._wake.set()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._work, name="promptlane-metrics", daemon=True)
                self._thread.start()

    def _add(self, key: Key, value: float, count: int) -> None:
        counts = self._held.get(key)
        if counts is None:
            if len(self._held) >= MAX_HELD:
                self._dropped += count
                return
            counts = self._held[key] = {}
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
            self.flush()

    def flush(self) -> None:
        """Send what is held now. What CloudWatch did not take is kept for the next time."""
        with self._sending:
            with self._lock:
                held, self._held = self._held, {}
                dropped, self._dropped = self._dropped, 0
            if dropped:
                _log.warning("%d data points dropped: CloudWatch could not be reached and the buffer was full", dropped)
            parts = [part for key, counts in held.items() for part in _parts(key, counts)]
            for start in range(0, len(parts), MAX_DATA):
                try:
                    self._put(parts[start : start + MAX_DATA])
                except Exception as error:  # noqa: BLE001 - metrics must never fail the application
                    _log.warning("metrics were not sent and will be retried: %s", error)
                    self._put_back(parts[start:])
                    return

    def _put(self, parts: list[Part]) -> None:
        cloudwatch = self._aws.client("cloudwatch", read_timeout=5.0, attempts=3)
        data = [_datum(key, counts, self._resolution) for key, counts in parts]
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data)

    def _put_back(self, parts: list[Part]) -> None:
        with self._lock:
            for key, counts in parts:
                for value, count in counts.items():
                    self._add(key, value, count)

    def close(self) -> None:
        """Send what is held and stop the thread."""
        self._closed = True
        self._wake.set()
        self.flush()
        atexit.unregister(self._at_exit)


class _AtExit:
    """Closes the sink at exit, without keeping it alive until then."""

    def __init__(self, close: WeakMethod[Any]) -> None:
        self._close = close

    def __call__(self) -> None:
        close = self._close()
        if close is not None:
            close()


def _rounded(metric: str, value: float) -> float:
    return float(f"{value:.2g}") if metric in UNITS else value


def _parts(key: Key, counts: dict[float, int]) -> list[Part]:
    """The counts in as many parts as there are data points to send."""
    pairs = sorted(counts.items())
    return [(key, dict(pairs[i : i + MAX_VALUES])) for i in range(0, len(pairs), MAX_VALUES)]


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
