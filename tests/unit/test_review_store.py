"""The in-memory review store keeps the promises of the DynamoDB one."""

from __future__ import annotations

import pytest

from promptlane.fakes.review import InMemoryReviews
from tests.review_contract import ReviewStoreContract


class TestInMemoryReviews(ReviewStoreContract):
    @pytest.fixture
    def store(self) -> InMemoryReviews:
        return InMemoryReviews()
