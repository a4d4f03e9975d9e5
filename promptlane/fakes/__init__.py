"""In-memory stores for `promptlane.domain.ports`; one suite tests that they keep the promises of the AWS adapters."""

from .counts import FakeCounts, InMemoryBlocks
from .stores import (
    InMemoryCursors,
    InMemoryIdentities,
    InMemoryQuarantine,
    InMemoryReleases,
    InMemoryRoutes,
    InMemoryTurns,
)
from .world import FakeAlarms, FakeEnrolments, FakeEnrolmentTags, FakeNotices, FakePrompts, FakeQueue, FakeWorkflow

__all__ = [
    "FakeAlarms",
    "FakeCounts",
    "FakeEnrolmentTags",
    "FakeEnrolments",
    "FakeNotices",
    "FakePrompts",
    "FakeQueue",
    "FakeWorkflow",
    "InMemoryBlocks",
    "InMemoryCursors",
    "InMemoryIdentities",
    "InMemoryQuarantine",
    "InMemoryReleases",
    "InMemoryRoutes",
    "InMemoryTurns",
]
