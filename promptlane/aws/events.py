"""EventBridge: the deployment's bus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from promptlane.domain.errors import Unavailable
from promptlane.domain.text import one_line

from .errors import translated

MOST: Final = 200_000
"""Bytes of a detail. EventBridge takes 256 KiB an event; the whole entry is in the table."""


def _as_json(body: Mapping[str, Any]) -> str:
    """Half a surrogate pair, which the bus would refuse for ever, becomes a mark of replacement."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace").decode()


class EventBus:
    """Timeline entries as events. `events` is the boto3 client `events`."""

    def __init__(self, events: Any, bus: str) -> None:
        self._events, self._bus = events, bus

    def put(self, entry: Mapping[str, Any], *, prompt: str, version: int) -> None:
        """Publish one entry of a release of this version; a detail that is too long is cut. Raises Unavailable."""
        known = {"schema": 1, "prompt": prompt, "version": version, **entry}
        detail = _as_json(known)
        if len(detail.encode()) > MOST:
            detail = _as_json({**known, "detail": {"cut": True}})
        if len(detail.encode()) > MOST:
            short = {name: one_line(value, 300) if isinstance(value, str) else value for name, value in known.items()}
            detail = _as_json({**short, "detail": {"cut": True}})
        event = {
            "Source": "promptlane",
            "DetailType": entry["event"],
            "Detail": detail,
            "EventBusName": self._bus,
            "Resources": [f"promptlane:release/{entry['release_id']}"],
        }
        with translated("putting an event"):
            answer = self._events.put_events(Entries=[event])
        if answer.get("FailedEntryCount"):
            raise Unavailable(f"the event bus refused an event: {answer['Entries'][0].get('ErrorMessage')}")
