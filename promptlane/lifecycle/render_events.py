"""Whether our trail records who rendered which version. Some Regions know no such events: then it is said, and the rest
of the trail records as ever."""

from __future__ import annotations

from typing import Final, Protocol

RECORDED: Final = "recorded"
LEFT_OUT: Final = "left out: CloudTrail knows no data events of prompts in this Region"


class Recording(Protocol):
    """A trail, by its name."""

    def select(self, trail: str, *, management: bool, renders: bool) -> bool:
        """Make these events, and no others, what it records. False where renders are refused; nothing changes then."""
        ...

    def log(self, trail: str, *, on: bool) -> None: ...

    def exists(self, trail: str) -> bool: ...


def record(trails: Recording, trail: str, *, management: bool) -> str:
    """Record renders beside management events, if these are ours to record; RECORDED or LEFT_OUT.

    A trail that neither is left for stands still: every trail of management events but the account's first is billed.
    """
    recorded = trails.select(trail, management=management, renders=True)
    if not recorded and management:
        trails.select(trail, management=True, renders=False)
    trails.log(trail, on=recorded or management)
    return RECORDED if recorded else LEFT_OUT


def stop(trails: Recording, trail: str, *, management: bool) -> str:
    """Record management events alone; nothing to do where the trail is gone or has none."""
    if management and trails.exists(trail):
        trails.select(trail, management=True, renders=False)
    return "not recorded"
