"""Metrics as CloudWatch embedded metric format: one JSON line each on standard output. For Lambda."""

from __future__ import annotations

import json
import sys

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

    def emit(self, document: Document) -> None:
        stream = self._stream or sys.stdout
        stream.write(line(document, storage=self._storage) + "\n")
        stream.flush()

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
