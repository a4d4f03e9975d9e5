"""What matters of a timeline entry, on one line, for terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from promptlane.domain.text import one_line, traffic

Json = Any
_PLAIN: Final = ("judgement", "verdict", "outcome", "decision", "choice")
_NAMED: Final = ("version", "attempt", "calls", "weight", "restored", "previous", "cause")
_WORDS: Final = ("reason", "why", "summary", "description")


def gist(detail: Mapping[str, Json], *, limit: int = 160) -> str:
    """Verdicts and numbers first, then the first sentence of words that the detail holds."""
    parts = [str(detail[key]) for key in _PLAIN if detail.get(key) not in (None, "")]
    for key in _NAMED:
        if detail.get(key) not in (None, ""):
            value = traffic(int(detail[key])) if key == "weight" else detail[key]
            parts.append(f"{key} {value}")
    words = next((detail[k] for k in _WORDS if isinstance(detail.get(k), str) and detail[k].strip()), "")
    return one_line("; ".join([*parts, words] if words else parts), limit)
