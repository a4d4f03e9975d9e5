"""Which of two routes of a prompt is the later one, and how long a table is not believed that shows an earlier one.

Every write of a route gives it an epoch later than all before, whatever the table held (the moment of the write, in
milliseconds). Code of before wrote none: then the revisions decide. An earlier route than the one held is either an
eventually consistent read that lags, which a consistent one settles, or a table that was put back to an earlier state.
Such a table may name what was rolled back since; what is held goes on, until somebody writes the route, or for
`BELIEVED_AFTER` seconds at most.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .decision import LiveRoute

BELIEVED_AFTER = 1800.0
"""Seconds for which a table must have shown nothing but earlier routes before one is followed: two runs of reconcile,
which notices a restored table and writes its routes anew."""

MOST_BARRED = 1000
"""Fingerprints that are kept of earlier routes and this one; a route itself holds about a hundred."""


def standing(held: LiveRoute, item: Mapping[str, Any], *, consistent: bool) -> int:
    """1 where the item is later than every route that was held, 0 where it is the one held, -1 where it is earlier.

    A table that is put back twice may show what is later than the route held, and was written before one of before.
    Of an item that is read consistently an epoch says that it was written by newer code than what has none.
    """
    epoch, revision = int(item.get("epoch", 0)), int(item["revision"])
    if (epoch, revision) == (held.epoch, held.revision):
        return 0
    latest, latest_revision = held.latest
    if epoch and latest:
        mine, theirs = held.latest, (epoch, revision)
    else:
        mine, theirs = (0, latest_revision), (0, revision)
        if consistent and epoch and theirs <= mine:
            return 1
    if theirs == mine and held.latest != (held.epoch, held.revision):
        return 1  # the latest one is back
    return (theirs > mine) - (theirs < mine)


def still_barred(held: LiveRoute, live: LiveRoute) -> frozenset[str]:
    """What is barred with a later route: also what was before, unless it names that, as an explicit release does."""
    named = {decision.fingerprint for decision in (live.stable, live.low, live.high)}
    both = live.barred | (held.barred - named)
    return both if len(both) <= MOST_BARRED else live.barred


class Behind:
    """Since when the table has shown earlier routes than those held, by prompt; monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def over(self, prompt: str) -> None:
        """The table shows what is held, or a later route."""
        self._since.pop(prompt, None)

    def seconds(self, prompt: str, now: float) -> float:
        """For how long the table has shown nothing but earlier routes, this time included."""
        return now - self._since.setdefault(prompt, now)
