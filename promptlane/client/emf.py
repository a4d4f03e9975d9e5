"""Metrics as CloudWatch embedded metric format: one JSON line each on standard output. For Lambda."""

from __future__ import annotations

import json
import sys
from math import isfinite

from . import points
from .forks import unbroken
from .metrics import NAMESPACE, UNITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from .metrics import Document


class EmfSink:
    """Writes documents at once. `resolution`: seconds; below 60 the metrics are stored at high resolution."""

    def __init__(self, *, resolution: int = 60, stream: TextIO | None = None) -> None:
        self._storage = 60 if resolution >= 60 else 1
        self._stream = stream
        self._losses = points.Losses()

    def emit(self, document: Document) -> None:
        try:
            good = self._good(document)
            if good is None:
                return
            text = line(good, storage=self._storage) + "\n"
            stream = self._stream or sys.stdout
            with unbroken():
                stream.write(text)
                stream.flush()
        except Exception as error:  # noqa: BLE001 - metrics must never fail a request
            self._losses.note(len(document.values), f"{type(error).__name__}: {error}")

    def _good(self, document: Document) -> Document | None:
        """What of the document CloudWatch takes: a line with a number that JSON has none of is no metric at all."""
        wrong = "" if isfinite(document.at) else f"a time stamp of {document.at}"
        if wrong := wrong or points.wrong_dimensions(document.dimensions):
            self._losses.note(len(document.values), wrong)
            return None
        bad = {name: problem for name, value in document.values.items() if (problem := points.wrong_value(value))}
        for name, problem in bad.items():
            self._losses.note(1, f"{name}: {problem}")
        if not bad:
            return document
        directives = [
            directive._replace(metrics=tuple(name for name in directive.metrics if name not in bad))
            for directive in document.directives
        ]
        values = {name: value for name, value in document.values.items() if name not in bad}
        left = tuple(directive for directive in directives if directive.metrics)
        return document._replace(directives=left, values=values) if left else None

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held back."""

    def after_fork(self) -> None:
        """Nothing is held."""


def line(document: Document, *, storage: int = 60) -> str:
    """The document as one EMF line."""

    def metric(name: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"Name": name, "Unit": UNITS.get(name, "Count")}
        if storage != 60:
            entry["StorageResolution"] = storage
        return entry

    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [list(names) for names in directive.dimension_sets],
            "Metrics": [metric(name) for name in directive.metrics],
        }
        for directive in document.directives
    ]
    body = {
        "_aws": {"Timestamp": round(document.at * 1000), "CloudWatchMetrics": directives},
        **document.dimensions,
        **document.values,
    }
    if document.release_id:
        body["Release"] = document.release_id
    return json.dumps(body, separators=(",", ":"))
