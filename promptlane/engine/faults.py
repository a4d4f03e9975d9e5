"""What becomes of an error that nobody expected of an answer: one run is missing, with a sentence, and no other."""

from __future__ import annotations

from typing import Final

from .kinds import Ungradable
from .suite import Assertion

_SHOWN: Final = 120
_TOLD: Final = 500


def unevaluated(assertion: Assertion, error: Exception) -> Exception:
    """Of an assertion: whatever an odd answer or value makes of a library."""
    said = f"{type(error).__name__}: {error}"[:_SHOWN]
    return Ungradable(f"{assertion.type} could not be evaluated on this answer ({said})")


def unread(error: Exception) -> str:
    """Of a call or its answer."""
    return f"the call could not be made or read ({type(error).__name__}: {error})"[:_TOLD]
