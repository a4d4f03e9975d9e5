"""How applications tell means: what tokens add to their values, by metric and version, as the route carries it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptlane.domain.metrics import PerToken

Json = Any
PerVersion = Mapping[str, Mapping[int, PerToken]]
"""By metric and version."""


def to_plain(per_token: PerVersion) -> dict[str, Json]:
    """As stored; the client's `live_route` reads it too."""
    return {metric: {str(v): list(each) for v, each in of.items()} for metric, of in per_token.items()}


def from_plain(stored: Mapping[str, Json] | None) -> PerVersion:
    return {
        str(metric): {int(version): (float(each[0]), float(each[1])) for version, each in of.items()}
        for metric, of in (stored or {}).items()
    }
