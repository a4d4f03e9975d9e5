"""In-memory stores for `promptlane.domain.ports`; one suite tests that they keep the promises of the AWS adapters."""

from .stores import InMemoryReleases, InMemoryRoutes
from .world import FakeAlarms, FakeEnrolments, FakeNotices, FakePrompts, FakeQueue, FakeWorkflow

__all__ = [
    "FakeAlarms",
    "FakeEnrolments",
    "FakeNotices",
    "FakePrompts",
    "FakeQueue",
    "FakeWorkflow",
    "InMemoryReleases",
    "InMemoryRoutes",
]
