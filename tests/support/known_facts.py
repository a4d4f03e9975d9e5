"""What `investigate` hands over about one prompt, without asking anybody: a test names the facts that matter to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptlane.domain.investigation.sources import Cell, Gathered
from promptlane.domain.names import Outcome
from promptlane.domain.release.prompt import PromptDraft, PromptVersion
from promptlane.domain.release.release import Release, State
from promptlane.domain.release.route import Route
from promptlane.domain.trail import Window
from tests.support.investigation_case import AUTHOR, NAME, NOW, T0
from tests.support.prompt import ARN, ID, ref

WINDOW = Window(T0 - 4000, NOW)
READ = Window(T0 - 15_200, NOW)
LEAD = "support-lead@example.com"
SECOND = "second@example.com"


def facts(**known: Any) -> Gathered:
    """Nothing is known but the prompt, its window, and what is named."""
    return replace(Gathered(NAME, ID, WINDOW, READ, NOW), **known)


def version(
    number: int, template: str = "Hi {{question}}", *, description: str = "", prompt_id: str = ID
) -> PromptVersion:
    variants = PromptDraft(NAME, "amazon.nova-lite-v1:0", ("question",), template=template).variants()
    return PromptVersion(prompt_id, NAME, number, f"{ARN}:{number}", variants, description)


def route(stable: int, *, previous: int = 0, canary: int = 0, **changes: Any) -> Route:
    return Route(
        NAME,
        ID,
        ref(stable),
        previous=ref(previous) if previous else None,
        canary=ref(canary) if canary else None,
        **changes,
    )


def release(
    number: int,
    at: float = T0,
    *,
    attempt: int = 1,
    by: str = AUTHOR,
    state: State = "ended",
    outcome: Outcome | None = Outcome.PROMOTED,
    ended_at: float = 0.0,
    description: str = "",
    verdict: Mapping[str, Any] | None = None,
) -> Release:
    return Release(
        f"{ID}-{number}-{attempt}",
        NAME,
        at,
        by,
        state=state,
        outcome=outcome,
        ended_at=ended_at,
        description=description,
        verdict=verdict or {},
    )


def cell(at: float, number: int, requests: int, bad: int, metric: str = "Refusal", seconds: float = 60.0) -> Cell:
    return Cell(at, seconds, number, metric, requests, bad)


def series(*rows: tuple[int, float, float, int], metric: str = "Refusal") -> tuple[Cell, ...]:
    """Cells of a minute with 50 requests: (version, from, until, bad)."""
    return tuple(
        cell(T0 + at, number, 50, bad, metric)
        for number, since, until, bad in rows
        for at in range(int(since), int(until), 60)
    )
