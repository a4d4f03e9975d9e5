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


def test_the_short_code_names_release_content_and_round() -> None:
    codes = {
        RELEASE.short_code,
        replace(RELEASE, release_id="PROMPT0001-4-8").short_code,
        replace(RELEASE, candidate=VersionRef(4, "d" * 64, "arn:4")).short_code,
        replace(RELEASE, candidate=None).short_code,
        replace(RELEASE, round=3).short_code,
    }

    assert RELEASE.short_code == "5BL6RQDQ"
    assert len(codes) == 5
