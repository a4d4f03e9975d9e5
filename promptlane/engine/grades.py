"""What grading found: of one assertion, and of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = Any


@dataclass(frozen=True, slots=True)
class Grade:
    """One assertion's result; `score` from 0 to 1."""

    type: str
    passed: bool
    score: float
    reason: str
    metric: str = ""
    turn: int = 0
    """Of a conversation, the turn whose answer it is about, from 1; 0 where there is one answer only."""

    def to_dict(self) -> dict[str, Json]:
        data: dict[str, Json] = {"type": self.type, "passed": self.passed, "score": round(self.score, 4)}
        data |= {"turn": self.turn} if self.turn else {}
        return (
            data | ({"reason": self.reason} if self.reason else {}) | ({"metric": self.metric} if self.metric else {})
        )


@dataclass(frozen=True, slots=True)
class CaseGrade:
    """A run's result: all assertions, or their weighted mean against the case's threshold."""

    passed: bool
    score: float
    grades: tuple[Grade, ...]
