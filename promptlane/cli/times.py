"""Times as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from promptlane.domain.errors import InvalidInput

_AGO = re.compile(r"^([0-9]+(?:\.[0-9]+)?)\s*([smhdw])(?: ago)?\Z")
_CLOCK = re.compile(r"^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\s*(?:UTC|Z))?\Z", re.I)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment(text: str, now: float) -> float:
    """Epoch seconds of `2h` (ago), `14:00` (UTC, the latest one), `now`, or an ISO 8601 time (UTC unless it says)."""
    found = _moment(text.strip(), now)
    if found < 0:
        raise InvalidInput(f"{text!r} is before 1970, when nothing was recorded; write a later time")
    return found


def _moment(text: str, now: float) -> float:
    if text == "now":
        return now
    if match := _AGO.match(text):
        return now - float(match[1]) * _SECONDS[match[2]]
    if match := _CLOCK.match(text):
        present = datetime.fromtimestamp(now, UTC)
        try:
            then = present.replace(hour=int(match[1]), minute=int(match[2]), second=int(match[3] or 0), microsecond=0)
        except ValueError:
            raise _wrong(text) from None
        return (then if then <= present else then - timedelta(days=1)).timestamp()
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _wrong(text) from None


def _wrong(text: str) -> InvalidInput:
    return InvalidInput(f"{text!r} is not a time; write 2h (ago), 14:00 (UTC), or 2026-03-01T14:00")
