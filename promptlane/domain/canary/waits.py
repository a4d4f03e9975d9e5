"""How long the release workflow waits between two looks at something that may stay as it is for weeks.

Step Functions ends an execution after 25,000 history events; a wait, a question and a choice are 9 of them, a promotion
that waits for an alarm 18. At a fixed minute that is 23 hours, so waits grow with the time since the waiting began.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

HISTORY_EVENTS: Final = 25_000
"""Of one execution; Step Functions fails it at the next."""
_GROWTH: Final = 60
"""A wait is 1/60 of the time that passed since the beginning: a year takes about 610 looks."""
_SOONER: Final = 120
"""Of a look that nothing else stands in for: a year takes about 1,130."""


def next_wait(since: float, now: float, *, least: float, deadlines: Iterable[float] = (), sooner: bool = False) -> int:
    """Whole seconds until the next look: longer the longer it lasts, at least `least`, but never past a deadline.

    `since`: when the waiting began, `deadlines`: when something falls due; epoch seconds. `sooner`: twice as often.
    """
    wait = max(least, (now - since) / (_SOONER if sooner else _GROWTH))
    return math.ceil(min([wait, *(due - now for due in deadlines if due > now)]))
