"""Where an investigation looks, and what it could not learn there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.investigation.sources import AlarmHistory, InvocationLog, Missing, RateReader
from promptlane.domain.ports import Clock, PromptReader, ReleaseStore, RouteStore
from promptlane.domain.review.ports import EditStore
from promptlane.domain.trail import Trail, TrailArchive
from promptlane.lifecycle.identities import NamedPrompts

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where an investigation looks. `archive` is None where the deployment has no trail of its own.

    `edits`: who edited and published enrolled prompts, kept for longer than CloudTrail's history reaches.
    `named`: which prompts enrolled names mean; without it, a name means whichever prompt has it now.
    """

    prompts: PromptReader
    routes: RouteStore
    releases: ReleaseStore
    trail: Trail
    alarms: AlarmHistory
    rates: RateReader
    log: InvocationLog
    clock: Clock
    archive: TrailArchive | None = None
    edits: EditStore | None = None
    named: NamedPrompts | None = None


@dataclass
class Asking:
    """What could not be learnt so far, and which sources failed."""

    missing: list[Missing] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)

    def lacks(self, source: str, what: str, therefore: str, remedy: str = "") -> None:
        self.missing.append(Missing(source, what, therefore, remedy))

    def ask(self, source: str, therefore: str, question: Callable[[], T], remedy: str = "") -> T | None:
        """The answer; None, and a gap that says `therefore`, where the source fails."""
        try:
            return question()
        except PromptlaneError as error:
            self.lacks(source, str(error), therefore, remedy)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # Records of other systems change their form; one that cannot be read must not hide all the others.
            self.lacks(source, f"its answer is of an unknown form ({type(error).__name__}: {error})", therefore, remedy)
        self.failed.add(source)
        return None
