"""What `investigate` says where sources fail, are empty, cut off, or were off for a while: each differs."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import MagicMock

import pytest

from promptlane.aws.trail_files import TrailFiles
from promptlane.cli.deployment import Deployment
from promptlane.domain.errors import NotFound
from promptlane.domain.investigation.observed import logging_gaps, trail_gaps
from promptlane.domain.investigation.relevance import MOST_RELEASES, MOST_VERSIONS, nearest_releases, nearest_versions
from promptlane.domain.investigation.sources import CallGroup, LoggingState
from promptlane.domain.names import Outcome
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event
from promptlane.domain.trail import TrailAnswer, TrailEvent, Window
from promptlane.fakes import FakePrompts, InMemoryReleases, InMemoryRoutes
from promptlane.lifecycle.investigate.run import investigate
from tests.support.investigation_case import (
    ASKED,
    AUTHOR,
    EDITOR,
    MODEL,
    NAME,
    NOW,
    SORRY,
    T0,
    Case,
    counts,
    entry,
    found_by,
    gaps,
    record,
    two_pm,
)
from tests.support.prompt import ARN, ID


@pytest.fixture
def case() -> Case:
    return two_pm()


# Where the command line looks


def test_our_trails_files_are_found_without_asking_for_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    s3, other = MagicMock(), MagicMock()
    s3.get_paginator.return_value.paginate.return_value = []
    monkeypatch.setattr("promptlane.aws.clients.client", lambda service: s3 if service == "s3" else other)
    monkeypatch.setattr("promptlane.aws.clients.resource", lambda service: other)
    resources = {
        "trail": "promptlane",
        "audit_bucket": "audit",
        "route_table": "routes",
        "release_table": "releases",
        "report_bucket": "reports",
        "state_machine_arn": "arn:aws:states:eu-west-1:111122223333:stateMachine:release",
    }

    archive = Deployment("promptlane", resources).sources.archive
    without = Deployment("promptlane", {**resources, "trail": ""}).sources.archive

    assert without is None
    assert isinstance(archive, TrailFiles)
    archive.events(ID, Window(T0, T0 + 60))
    asked_for = s3.get_paginator.return_value.paginate.call_args.kwargs
    assert (asked_for["Bucket"], asked_for["Prefix"]) == (
        "audit",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2025/10/09/111122223333_CloudTrail_eu-west-1_",
    )


# Renderings and calls


def test_renderings_come_from_the_log_files_and_every_event_once(case: Case) -> None:
    call = TrailEvent("Converse", T0 + 60, AUTHOR, "IAMUser", ARN, event_id="e1")
    case.trail += [call, TrailEvent("RenderPrompt", T0 + 60, AUTHOR, "IAMUser", ARN, event_id="e2")]
    case.files = TrailAnswer((call,), files=2)

    trail = found_by(case).facts.trail

    assert sorted(e.name for e in trail if e.at == T0 + 60) == ["Converse", "RenderPrompt"]


def test_without_a_trail_it_says_that_renderings_are_not_recorded(case: Case) -> None:
    case.files = None

    found = found_by(case)

    [gap] = [m for m in found.missing if m.source == "CloudTrail log files"]
    assert "renderings are not recorded" in gap.what
    assert "promptlane:render_events" in gap.remedy


def test_calls_without_any_rendering_say_that_those_are_not_recorded(case: Case) -> None:
    case.trail.append(TrailEvent("Converse", T0 + 60, AUTHOR, "IAMUser", f"{ARN}:3", 3))
    assert "they hold no rendering of this prompt" in gaps(found_by(case))

    case.trail.append(TrailEvent("RenderPrompt", T0 + 60, AUTHOR, "IAMUser", f"{ARN}:3", 3))
    assert "they hold no rendering" not in gaps(found_by(case))


def test_log_files_that_are_cut_off_lost_or_odd_are_said(case: Case) -> None:
    case.files = TrailAnswer((), ("RenderPrompt",), unreadable=2, files=400, lost=3, complete_since=T0)

    said = gaps(found_by(case))

    assert "nothing is left out since 2025-10-09T07:00:00" in said
    assert "3 of 400 could not be read" in said
    assert "2 record(s) could not be read" in said


def test_log_files_that_cannot_be_read_leave_the_event_history(case: Case) -> None:
    case.down = {"CloudTrail log files"}

    found = found_by(case)

    assert "CloudTrail log files: CloudTrail log files does not answer" in gaps(found)
    assert found.facts.trail


def test_direct_calls_of_the_prompts_model_are_gathered_with_logging_off(case: Case) -> None:
    case.logging = LoggingState(False)
    case.trail += [
        TrailEvent("InvokeModel", T0 + 60, EDITOR, "IAMUser", f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"),
        TrailEvent("Converse", T0 + 61, EDITOR, "IAMUser", "amazon.nova-pro-v1:0"),
    ]

    found = found_by(case)

    assert [e.at for e in found.facts.trail if e.name in ("InvokeModel", "Converse")] == [T0 + 60]
    assert "only as far as CloudTrail names the prompt or its model" in gaps(found)


@pytest.mark.parametrize(
    ("name", "follows"),
    [
        ("UpdatePrompt", "who edited the prompt, and when, is not fully known"),
        ("CreatePromptVersion", "who published is not fully known"),
        ("DeletePrompt", "whether something was deleted"),
        ("StopLogging", "whether logging was on, and a trail running"),
        ("Converse", "calls outside of the split may be missing"),
    ],
)
def test_what_is_cut_off_or_failed_has_the_consequence_of_its_kind(case: Case, name: str, follows: str) -> None:
    case.truncated = (name,)
    assert f"more {name} events than were read (the newest); {follows}" in gaps(found_by(case))

    case.truncated, case.failed = (), (name,)
    assert f"{name} events could not be read: throttled; {follows}" in gaps(found_by(case))


def test_log_files_with_every_call_make_up_for_a_history_that_is_cut_off(case: Case) -> None:
    case.truncated = ("Converse",)
    case.files = TrailAnswer((TrailEvent("Converse", T0 + 60, AUTHOR, "IAMUser", f"{ARN}:3", 3),), files=9)
    assert "more Converse events" not in gaps(found_by(case))

    case.trail.append(TrailEvent("StopLogging", T0 + 10, EDITOR, target="promptlane"))
    assert "more Converse events" in gaps(found_by(case))


def test_masked_events_are_counted(case: Case) -> None:
    case.unreadable = 4

    assert "4 event(s) could not be read, or are masked" in gaps(found_by(case))


def test_ten_thousand_calls_and_events_give_one_answer(case: Case) -> None:
    case.trail += [TrailEvent("RenderPrompt", T0 + k / 5, AUTHOR, "IAMUser", f"{ARN}:3", 3) for k in range(10_000)]
    case.calls = [replace(case.calls[0], caller=f"arn:aws:sts::1:assumed-role/App/{k}") for k in range(10_000)]

    found = found_by(case)

    assert len(found.facts.calls) == 10_000
    assert "more than 10,000 kinds of calls" in gaps(found)


# Times when nothing was recorded


def observed(name: str, at: float, target: str = "") -> TrailEvent:
    return TrailEvent(name, at, EDITOR, "IAMUser", target)


def test_logging_that_was_off_for_a_part_of_the_time_is_said(case: Case) -> None:
    case.trail += [
        observed("DeleteModelInvocationLoggingConfiguration", T0 + 600),
        observed("PutModelInvocationLoggingConfiguration", T0 + 1200),
    ]

    said = gaps(found_by(case))

    assert (
        f"logging was off from 2025-10-09T07:10:00.000Z to 2025-10-09T07:20:00.000Z (switched off by {EDITOR})" in said
    )
    assert "set up or changed" not in said


def test_logging_that_was_set_up_within_the_time_is_said(case: Case) -> None:
    case.trail.append(observed("PutModelInvocationLoggingConfiguration", T0 + 1200))

    assert f"logging was set up or changed at 2025-10-09T07:20:00.000Z by {EDITOR}" in gaps(found_by(case))


def test_logging_that_is_off_now_still_shows_what_was_logged_before(case: Case) -> None:
    case.logging = LoggingState(False, "/promptlane/invocations")
    case.trail.append(observed("DeleteModelInvocationLoggingConfiguration", T0 + 1800))

    found = found_by(case)

    assert "logging is off, from 2025-10-09T07:30:00.000Z on" in gaps(found)
    assert len(found.pairs) == 3
    assert found.facts.calls


def test_logging_that_came_back_unseen_is_not_said_to_be_off(case: Case) -> None:
    case.trail.append(observed("DeleteModelInvocationLoggingConfiguration", T0 + 600))

    said = gaps(found_by(case))

    assert "it is on again, since when is not known" in said
    assert "logging is off" not in said


def test_a_trail_that_stood_still_is_named_with_its_time(case: Case) -> None:
    case.trail += [
        observed("StopLogging", T0 - 50_000, "arn:aws:cloudtrail:us-east-1:111122223333:trail/promptlane"),
        observed("StartLogging", T0 + 300, "promptlane"),
        observed("StopLogging", T0 + 400, "other"),
    ]

    said = gaps(found_by(case))

    assert "trail promptlane did not log from 2025-10-08T17:06:40.000Z to 2025-10-09T07:05:00.000Z" in said
    assert "trail other did not log from 2025-10-09T07:06:40.000Z on" in said


def test_attempts_that_failed_and_times_outside_are_no_gaps() -> None:
    window = Window(1000, 2000)
    off, on = "DeleteModelInvocationLoggingConfiguration", "PutModelInvocationLoggingConfiguration"

    assert logging_gaps([replace(observed(off, 1500), error="AccessDenied")], window) == []
    assert logging_gaps([observed(off, 100), observed(on, 900)], window) == []
    assert logging_gaps([observed(off, 2100)], window) == []
    assert trail_gaps([observed("StartLogging", 1500, "t")], window) == {}
    [dark] = logging_gaps([observed(on, 1600), observed(off, 100), observed(off, 200)], window)
    assert (dark.since, dark.until) == (100, 1600)


# Failed is not empty


def test_bedrock_that_does_not_answer_is_not_a_prompt_that_is_gone(case: Case) -> None:
    case.down = {"Bedrock"}

    found = found_by(case)

    assert "(any more)" not in gaps(found)
    assert "Bedrock does not answer" in gaps(found)
    assert found.leading is not None


@pytest.mark.parametrize("given", [ID, ARN, f"{ARN}:3"])
def test_a_prompt_given_by_id_is_known_to_its_releases_while_bedrock_is_down(case: Case, given: str) -> None:
    case.down = {"Bedrock"}

    found = found_by(case, prompt=given)

    assert (found.facts.prompt, found.facts.prompt_id) == (NAME, ID)
    assert found.leading is not None
    assert found.leading.version == 3
    assert found.facts.route is not None


def test_a_deleted_prompt_given_by_its_arn_is_known_to_its_releases(case: Case) -> None:
    case.prompts = FakePrompts()

    found = found_by(case, prompt=ARN)

    assert found.facts.prompt == NAME
    assert f"it has no prompt '{ARN}' (any more)" in gaps(found)


def test_a_deleted_prompt_that_was_never_released_is_known_to_the_trail(case: Case) -> None:
    case.prompts, case.routes, case.releases = FakePrompts(), InMemoryRoutes(), InMemoryReleases()
    case.trail = [TrailEvent("DeletePrompt", T0, EDITOR, "IAMUser", ID)]

    found = found_by(case, prompt=ID)

    assert [(h.what, h.by) for h in found.timeline] == [("DeletePrompt", EDITOR)]


@pytest.mark.parametrize("given", ["no-such-prompt", "AAAAAAAAAA", ARN.replace("0001", "0009")])
def test_what_no_source_knows_is_not_found(case: Case, given: str) -> None:
    with pytest.raises(NotFound, match="promptlane status"):
        found_by(case, prompt=given)


@pytest.mark.parametrize("down", [{"Bedrock"}, {"routes"}, {"Bedrock", "routes", "releases", "CloudTrail"}])
def test_an_unknown_prompt_is_not_refused_while_a_source_that_may_know_it_is_down(case: Case, down: set[str]) -> None:
    case.down = down

    found = found_by(case, prompt="no-such-prompt")

    assert "no source that answered knows 'no-such-prompt'" in gaps(found)
    assert not found.facts.releases_known


def test_metrics_that_fail_are_not_said_to_be_empty(case: Case) -> None:
    case.down = {"metrics"}
    assert "no request of any version was counted" not in gaps(found_by(case))

    case.down, case.cells = set(), []
    assert "no request of any version was counted" in gaps(found_by(case))


def test_a_log_query_that_fails_is_not_said_to_have_found_nothing(case: Case) -> None:
    case.down = {"log queries"}

    found = found_by(case)

    assert "log queries does not answer; calls by version and caller are not known" in gaps(found)
    assert "holds no call" not in gaps(found)
    assert found.leading is not None


def test_releases_that_cannot_be_read_are_not_said_to_be_none(case: Case) -> None:
    assert found_by(case).facts.releases_known
    case.down = {"releases"}

    found = found_by(case)

    assert not found.facts.releases_known
    assert "who released and approved what is not known" in gaps(found)


def test_with_routes_and_releases_down_the_newest_versions_are_compared(case: Case) -> None:
    case.down = {"routes", "releases"}

    assert {c.version for c in found_by(case).facts.cells} == {2, 3}


class _Masked:
    """A trail whose answer has lost a part."""

    def events(self, *args: object, **more: object) -> TrailAnswer:
        raise AttributeError("'str' object has no attribute 'get'")

    def logging(self) -> list[str]:
        raise KeyError("trailList")


def test_an_answer_of_an_unknown_form_is_a_gap(case: Case) -> None:
    found = investigate(replace(case.sources(), trail=_Masked()), NAME, T0 - 4000, NOW)

    assert "CloudTrail: its answer is of an unknown form (AttributeError" in gaps(found)
    assert found.leading is not None


# Time


def test_of_a_time_in_the_future_nothing_past_is_analysed(case: Case) -> None:
    found = found_by(case, NOW + 3600, NOW + 7200)

    assert (found.facts.cells, found.causes, found.timeline, found.diff) == ((), (), (), ())
    assert (found.facts.trail, found.facts.calls) == ((), ())
    assert found.remedy.command == ""
    assert "nothing has happened yet" in gaps(found)


def test_cells_that_are_ahead_of_the_route_speak_of_clocks(case: Case) -> None:
    case.cells = counts({2: (0.02, T0 - 7000, T0 + 1200), 3: (0.2, T0 - 240, T0 + 6900)})

    assert "before the route gave it any" in gaps(found_by(case))


# Many versions and releases


def promoted_daily(count: int) -> Case:
    """`count` versions, each promoted a day after the one before; the last one yesterday."""
    case = two_pm()
    case.prompts, case.releases = FakePrompts(), InMemoryReleases()
    for number in range(1, count + 1):
        at = T0 - 86_400 * (count - number + 1)
        case.prompts.publish(PromptDraft(NAME, MODEL, (), template=f"{number}"), prompt_id=ID)
        release = Release(
            f"{ID}-{number}-1", NAME, at, AUTHOR, outcome=Outcome.PROMOTED, state="ended", ended_at=at + 3600
        )
        shift = entry(number, "route/1", at + 600, Event.CANARY_SHIFTED, version=number, weight=1000, stable=number - 1)
        case.releases.record_ended(release, shift, entry(number, "route/2", at + 1200, Event.PROMOTED, version=number))
    return case


def test_what_the_route_names_is_always_compared_and_what_is_left_out_is_said() -> None:
    case = promoted_daily(30)  # the route of the case still names versions 3 and 2

    found = found_by(case)

    compared = set(found.facts.snapshots)
    assert {2, 3, 30, 29} <= compared
    assert f"{MOST_VERSIONS} at most are compared" in gaps(found)
    assert "versions: 1, 4, 5" in gaps(found)
    assert f"the timelines of {30 - MOST_RELEASES} of 30 releases were not read" in gaps(found)
    assert len(found.facts.releases) == 30


def test_the_versions_of_the_time_are_chosen_and_not_the_newest() -> None:
    case = promoted_daily(30)
    day = T0 - 86_400 * 20
    releases = case.releases.of_prompt(ID)
    window = Window(day, day + 3600)

    kept, _ = nearest_releases(releases, None, window)
    entries = [e for r in kept for e in case.releases.timeline(r.release_id)]
    versions, left_out = nearest_versions(None, releases, entries, window)

    serving = [r.version for r in releases if r.started_at <= day][-1]
    assert {serving - 1, serving, serving + 1} <= set(versions)
    assert 30 in left_out
    assert {serving - 1, serving} <= {r.version for r in kept}


def test_few_versions_leave_nothing_out(case: Case) -> None:
    assert "were left out: " not in gaps(found_by(case))


# Examples


def test_rare_bad_answers_are_looked_for_before_there_is_said_to_be_none(case: Case) -> None:
    case.records[3] = [record(3, T0 + 900 + k, q, "Here you are.") for k, q in enumerate(ASKED)]
    found = found_by(case)
    assert "none among the newest 3 records of version 3 shows refusals" in gaps(found)
    assert found.pairs == ()

    case.rare[3] = [record(3, T0 + 950, ASKED[0], SORRY)]
    found = found_by(case)
    assert "none among the newest" not in gaps(found)
    assert [p.bad.answer for p in found.pairs] == [SORRY]


def test_calls_that_name_no_prompt_are_counted(case: Case) -> None:
    case.outside = [CallGroup("", "", EDITOR, MODEL, "Converse", 17, first=T0 + 5)]

    assert "17 record(s) have no requestMetadata" in gaps(found_by(case))
