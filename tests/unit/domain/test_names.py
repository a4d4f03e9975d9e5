"""Names that stored items, metrics, alarms, templates and other programs agree on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain import names
from promptlane.domain.errors import AdmissionRefused, DraftInvalid, InvalidInput, PolicyInvalid, SuiteInvalid
from promptlane.domain.metrics import GUARD_METRICS
from promptlane.domain.names import Outcome, Phase, Track, alarm_name, parse_alarm_arn, parse_release_id, release_id
from promptlane.domain.release.timeline import Event

words = st.text("abcXYZ019-_", min_size=1, max_size=8)


def test_names_of_tables_tags_metrics_and_alarms_stay_what_they_are() -> None:
    assert (names.NAMESPACE, names.ROUTES_BY_ID, names.CONSOLE, names.ENROLLED_TAG) == (
        "Promptlane",
        "by_id",
        "console",
        "promptlane:enrolled",
    )
    assert (names.FULL, names.UNIT_GROUPS) == (10_000, 16)
    assert (names.ASSIGNED, names.GROUP, names.SHIELDED, names.OUTAGE) == ("Assigned", "Group", "Shielded", "Outage")
    assert (names.HARM_EVIDENCE, names.ADVANCE_EVIDENCE, names.SPLIT_EVIDENCE, names.WEIGHT) == (
        "HarmEvidence",
        "AdvanceEvidence",
        "SplitEvidence",
        "Weight",
    )


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Track, "stable canary holdback"),
        (Phase, "steady canary watch"),
        (GUARD_METRICS, "Error Refusal Empty Guardrail Truncation Slow NegativeFeedback CostShare OutputTokensShare"),
        (Outcome, "promoted rolled_back rejected failed expired superseded"),
    ],
)
def test_words_of_a_kind_stay_what_they_are(kind: Any, values: str) -> None:
    assert [str(value) for value in kind] == values.split()


def test_events_are_named_as_the_event_bus_and_old_timelines_know_them() -> None:
    assert [str(event) for event in Event] == [
        "Release Started",
        "Prompt Replaced",
        "Admitted",
        "Tests Planned",
        "Tests Finished",
        "Review Requested",
        "Review Viewed",
        "Authors Found",
        "Review Link Refused",
        "Reviewer Decided",
        "Review Reminded",
        "Review Hindered",
        "Review Decided",
        "Review Reopened",
        "Canary Waiting",
        "Canary Shifted",
        "Canary Judged",
        "Decision Needed",
        "Canary Paused",
        "Canary Resumed",
        "Canary Advanced",
        "Release Promoted",
        "Release Rolled Back",
        "Rollback Impossible",
        "Route Restored",
        "Release Ended",
    ]


def test_a_release_is_the_first_attempt_unless_it_says_otherwise() -> None:
    assert release_id("PROMPT0001", 4) == "PROMPT0001-4-1"
    assert release_id("PROMPT0001", 4, 7) == "PROMPT0001-4-7"


@given(st.text(max_size=60))
def test_what_is_no_release_id_is_refused_with_the_remedy(text: str) -> None:
    if re.fullmatch(r"[0-9A-Za-z]{10}-[1-9][0-9]{0,4}-[1-9][0-9]{0,2}", text):
        return
    with pytest.raises(InvalidInput, match="promptlane history"):
        parse_release_id(text)


@given(st.integers(1, 99_999), st.integers(1, 999))
def test_a_release_id_is_read_back_as_it_was_made(version: int, attempt: int) -> None:
    assert parse_release_id(release_id("PROMPT0001", version, attempt)) == ("PROMPT0001", version, attempt)


def arn(name: str, *, account: str = "111122223333", region: str = "eu-west-1", partition: str = "aws") -> str:
    return f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"


def parsed(text: str) -> tuple[str, Track, str]:
    return parse_alarm_arn(text, deployment="live", account="111122223333", region="eu-west-1")


@given(words, st.sampled_from(Track), words, st.sampled_from(["aws", "aws-us-gov", "aws-cn"]))
def test_an_alarms_name_says_what_it_watches(prompt: str, track: Track, metric: str, partition: str) -> None:
    assert parsed(arn(alarm_name("live", prompt, track, metric), partition=partition)) == (prompt, track, metric)


def test_an_alarm_is_named_by_deployment_prompt_track_and_metric() -> None:
    assert alarm_name("live", "support", Track.CANARY, "Error") == "live/support/canary/Error"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("garbage", "^'garbage' is not a fuse alarm of deployment 'live'; ignored"),
        (arn("test/support/canary/Error"), "is not a fuse alarm of deployment 'live'; ignored"),
        (arn("live/support/canary/Error", account="999988887777"), "other account or Region than 111122223333/eu-west"),
        (arn("live/support/canary/Error", region="eu-west-2"), "another account or Region than 111122223333/eu-west-1"),
        (arn("live/support/nowhere/Error"), "/nowhere/Error' names no track of Promptlane; ignored"),
    ],
)
def test_an_alarm_that_is_none_of_ours_is_named_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parsed(text)


@pytest.mark.parametrize("kind", [AdmissionRefused, DraftInvalid, PolicyInvalid, SuiteInvalid])
def test_several_problems_are_kept_apart_and_read_as_lines(kind: Any) -> None:
    error = kind(problem for problem in [("a.b", "is missing"), ("", "must be a mapping")])

    assert error.problems == [("a.b", "is missing"), ("", "must be a mapping")]
    assert str(error) == "a.b: is missing\nmust be a mapping"
    assert isinstance(error, InvalidInput)
