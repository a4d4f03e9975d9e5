"""What a release knows of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import STATES, Release, State

RELEASE = Release("PROMPT0001-4-7", "support", 5.0, "ada", candidate=VersionRef(4, "c" * 64, "arn:4"), round=2)


def test_a_release_names_prompt_version_and_attempt() -> None:
    assert (RELEASE.prompt_id, RELEASE.version, RELEASE.attempt) == ("PROMPT0001", 4, 7)


def test_a_release_is_a_first_one_without_anything_to_compare_with() -> None:
    assert RELEASE.first is True
    assert replace(RELEASE, stable=VersionRef(3, "s" * 64, "arn:3")).first is False


@pytest.mark.parametrize("state", STATES)
def test_only_the_last_state_is_the_end(state: State) -> None:
    assert replace(RELEASE, state=state).ended is (state == "ended")
