"""In-memory stores for `promptlane.domain.ports`; one suite tests that they keep the promises of the AWS adapters."""

from .counts import FakeCounts, InMemoryBlocks
from .stores import InMemoryIdentities, InMemoryReleases, InMemoryRoutes, InMemoryTurns
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
    "InMemoryIdentities",
    "InMemoryReleases",
    "InMemoryRoutes",
    "InMemoryTurns",
]
