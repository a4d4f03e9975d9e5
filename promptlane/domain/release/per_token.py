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


def from_plain(stored: Json) -> PerVersion:
    """What cannot be read is left out: a rollback must not fail on how costs are told."""
    found: dict[str, dict[int, PerToken]] = {}
    for metric, of in stored.items() if isinstance(stored, Mapping) else ():
        for version, each in of.items() if isinstance(of, Mapping) else ():
            try:
                of_input, of_output = map(float, each)
                number = int(version)
            except (TypeError, ValueError):
                continue
            found.setdefault(str(metric), {})[number] = of_input, of_output
    return found
