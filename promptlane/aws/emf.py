"""Metrics of our own functions as embedded metric format: one line on standard output, no API call."""

from __future__ import annotations

import json
from collections.abc import Mapping

from promptlane.domain.names import NAMESPACE


def publish(prompt: str, values: Mapping[str, float], *, at: float) -> None:
    """Put metrics with dimension [Prompt] at epoch second `at`."""
    declared = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Prompt"]],
        "Metrics": [{"Name": name, "StorageResolution": 60} for name in values],
    }
    line = {"_aws": {"Timestamp": round(at * 1000), "CloudWatchMetrics": [declared]}, "Prompt": prompt, **values}
    print(json.dumps(line), flush=True)
