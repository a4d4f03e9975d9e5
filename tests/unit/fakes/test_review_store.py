"""The in-memory review store keeps the promises of the DynamoDB one."""

from __future__ import annotations

import pytest

from promptlane.fakes import InMemoryReleases
from promptlane.fakes.review import InMemoryReviews
from tests.support.review_contract import ReviewStoreContract


class TestInMemoryReviews(ReviewStoreContract):
    @pytest.fixture
    def releases(self) -> InMemoryReleases:
        return InMemoryReleases()

    @pytest.fixture
    def store(self, releases: InMemoryReleases) -> InMemoryReviews:
        return InMemoryReviews(releases)
