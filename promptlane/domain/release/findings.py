"""What is wrong with what is stored about a release: the item, how it differs, and where the original may be found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .timeline import TimelineEntry

TABLE: Final = "the table's point-in-time recovery"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. `original`: where to look for what was there; empty where nobody can say."""

    item: str
    says: str
    original: str = ""

    def __str__(self) -> str:
        return f"{self.item}: {self.says}" + (f" (original: {self.original})" if self.original else "")


@dataclass(slots=True)
class Findings:
    """Collects. `uncovered`: what no entry tells enough about to be compared, with why."""

    problems: list[Finding] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    compared: int = 0

    def add(self, item: str, says: str, original: str = "") -> None:
        self.problems.append(Finding(item, says, original))

    def agree(self, holds: bool, item: str, says: str, original: str = "") -> bool:
        """Count one comparison, and note it where it does not hold."""
        self.compared += 1
        if not holds:
            self.add(item, says, original)
        return holds


def copy_of(entry: TimelineEntry) -> str:
    """Where the original of what an entry says may be found."""
    return f"entry {entry.seq}, locked copy timeline/{entry.release_id}/{entry.seq:06d}.json"


def versions_of(key: str, sha256: str = "") -> str:
    """Where the original of an object of the report bucket may be found."""
    which = f"with SHA-256 {sha256}" if sha256 else "by its time"
    return f"the version {which} among `aws s3api list-object-versions --prefix {key}` of the report bucket"
