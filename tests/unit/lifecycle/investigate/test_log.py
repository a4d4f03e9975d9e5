"""What the invocation log adds to an investigation: calls, conversations, and when nothing was logged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.investigation.queries import MOST_ROWS
from promptlane.domain.investigation.sources import CallGroup, LoggingState, Missing, Sampled
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event
from promptlane.domain.trail import TrailEvent, Window
from promptlane.fakes import InMemoryReleases, InMemoryRoutes
from tests.support.investigation_case import (
    ASKED,
    EDITOR,
    MODEL,
    NAME,
    NOW,
    SORRY,
    T0,
    Asked,
    Case,
    counts,
    entry,
    few_counts,
    found_by,
    of,
    record,
    two_pm,
)
from tests.support.prompt import ID

LOG = "invocation log"
GROUP = "/promptlane/invocations"
BLIND = (
    "what was sent and answered cannot be known, and calls past the split only as far as CloudTrail names the prompt "
    "or its model"
)
OFF, ON = "DeleteModelInvocationLoggingConfiguration", "PutModelInvocationLoggingConfiguration"
READ = Window(T0 - 15_200, NOW)


@pytest.fixture
def case() -> Case:
    """With little more than it takes to find the cause."""
    case = two_pm()
    case.cells = counts({2: (0.02, T0 - 1800, T0), 3: (0.3, T0, T0 + 1800)})
    return case


def told(case: Case, asked: Asked | None = None) -> list[Missing]:
    """The gaps of the log."""
    return [m for m in found_by(case, asked=asked).missing if m.source == LOG]


def changed(name: str, at: float, arn: str = EDITOR) -> TrailEvent:
    return TrailEvent(name, at, arn, "IAMUser")


# How it is set up


@pytest.mark.parametrize(
    ("state", "what", "therefore", "remedy", "read"),
    [
        (
            LoggingState(False),
            "model invocation logging is off",
            BLIND,
            "deploy the Audit stack with promptlane:invocation_logging=on; it logs from then on, never backwards",
            False,
        ),
        (
            LoggingState(False, GROUP),
            "model invocation logging is off",
            BLIND,
            "deploy the Audit stack with promptlane:invocation_logging=on; it logs from then on, never backwards",
            True,
        ),
        (
            LoggingState(True, "", True, "theirs"),
            "calls are logged to s3://theirs only, by somebody else's configuration",
            BLIND,
            "query the bucket (Athena), or add a log group to that configuration",
            False,
        ),
        (
            LoggingState(True, "", False, "theirs"),
            "calls are logged to s3://theirs only, by somebody else's configuration",
            BLIND,
            "query the bucket (Athena), or add a log group to that configuration",
            False,
        ),
        (
            LoggingState(True, GROUP, False),
            "texts are not logged (textDataDeliveryEnabled is false)",
            "what was sent and answered cannot be shown",
            "switch text delivery on",
            True,
        ),
    ],
)
def test_how_logging_is_set_up_decides_what_can_be_known(
    case: Case, state: LoggingState, what: str, therefore: str, remedy: str, read: bool
) -> None:
    case.logging, asked = state, Asked()

    assert told(case, asked) == [Missing(LOG, what, therefore, remedy)]
    assert bool(of(asked, "log.calls")) is read


def test_a_setup_that_cannot_be_read_is_a_gap_and_the_rest_is_concluded(case: Case) -> None:
    case.down = {LOG}
    found = found_by(case)

    assert [m for m in found.missing if m.source == LOG] == [Missing(LOG, "invocation log does not answer", BLIND, "")]
    assert (found.after, found.facts.calls) == (3, ())


# When it was off


@pytest.mark.parametrize(
    ("state", "events", "gaps"),
    [
        (
            LoggingState(True, GROUP),
            [changed(OFF, T0 + 600), changed(ON, T0 + 1200)],
            [("was off from 2025-10-09T07:10:00.000Z to 2025-10-09T07:20:00.000Z (switched off by {})", True)],
        ),
        (
            LoggingState(True, GROUP),
            [changed(OFF, T0 + 600)],
            [
                (
                    "was off from 2025-10-09T07:10:00.000Z on (switched off by {}); it is on again, since when is not "
                    "known",
                    True,
                )
            ],
        ),
        (
            LoggingState(False, GROUP),
            [changed(OFF, T0 + 60), changed(ON, T0 + 120), changed(OFF, T0 + 600)],
            [
                ("is off, from 2025-10-09T07:10:00.000Z on (switched off by {})", True),
                ("was off from 2025-10-09T07:01:00.000Z to 2025-10-09T07:02:00.000Z (switched off by {})", True),
            ],
        ),
        (
            LoggingState(False),
            [changed(OFF, T0 + 600)],
            [("is off, from 2025-10-09T07:10:00.000Z on (switched off by {})", False)],
        ),
        (LoggingState(False, GROUP), [], [("is off", False)]),
    ],
)
def test_when_logging_was_off_nothing_of_that_time_is_known(
    case: Case, state: LoggingState, events: list[TrailEvent], gaps: list[tuple[str, bool]]
) -> None:
    case.logging = state
    case.trail += events

    assert [(m.what, m.therefore) for m in told(case)] == [
        (f"model invocation logging {what.format(EDITOR)}", f"of that time, {BLIND}" if of_that_time else BLIND)
        for what, of_that_time in gaps
    ]


@pytest.mark.parametrize("arn", [EDITOR, ""])
def test_every_change_of_the_setup_within_the_time_is_named(case: Case, arn: str) -> None:
    case.trail += [changed(ON, T0 - 9000), changed(ON, T0 + 60, arn), changed(ON, T0 + 120)]

    by = [arn or "somebody unknown", EDITOR]
    assert told(case) == [
        Missing(
            LOG,
            f"model invocation logging was set up or changed at 2025-10-09T07:0{n + 1}:00.000Z by {who}",
            "whether earlier calls of this time were logged, and where to, is not known",
            "",
        )
        for n, who in enumerate(by)
    ]


# Calls


def test_calls_inside_and_outside_of_the_split_are_gathered(case: Case) -> None:
    case.outside = [CallGroup("", "", EDITOR, MODEL, "Converse", n, first=T0 + 5) for n in (1200, 34)]

    found = found_by(case)

    assert (found.facts.calls, found.facts.outside) == (tuple(case.calls), tuple(case.outside))
    assert [m for m in found.missing if m.source == LOG] == [
        Missing(
            LOG,
            "1,234 record(s) have no requestMetadata of the client",
            "to which prompt, version and release they belong is not known",
            "call models through promptlane.client or the gateway",
        )
    ]


@pytest.mark.parametrize("where", ["calls", "outside"])
@pytest.mark.parametrize(("count", "cut"), [(MOST_ROWS - 1, False), (MOST_ROWS, True)])
def test_as_many_kinds_of_calls_as_can_be_read_are_not_all(case: Case, where: str, count: int, cut: bool) -> None:
    setattr(case, where, [replace(case.calls[0], calls=1)] * count)

    assert [m for m in told(few_counts(case)) if "kinds of calls" in m.what] == [
        Missing(
            LOG,
            "it has more than 10,000 kinds of calls (version, caller, model)",
            "those with the fewest calls were left out",
            "choose a shorter time",
        )
    ] * cut


def test_a_log_without_a_call_of_the_prompt_says_so_and_shows_no_conversation(case: Case) -> None:
    case.calls, asked = [], Asked()

    assert told(case, asked) == [
        Missing(
            LOG,
            "it holds no call of this prompt in this time",
            "conversations cannot be shown",
            "was logging on then? did callers use the client library?",
        )
    ]
    assert of(asked, "log.sample") == []


def test_queries_that_fail_are_gaps_each_with_what_is_not_known(case: Case) -> None:
    case.down = {"log queries"}

    assert told(case) == [
        Missing(LOG, "log queries does not answer", therefore, "")
        for therefore in (
            "calls by version and caller are not known",
            "conversations of version 3 cannot be shown",
            "conversations of version 2 cannot be shown",
        )
    ]


def test_a_query_for_calls_outside_that_fails_is_a_gap(case: Case) -> None:
    sources = case.sources()

    def unreadable(*_: Any) -> None:
        raise KeyError("results")

    sources.log.outside = unreadable  # type: ignore[method-assign, assignment]
    case.sources = lambda: sources  # type: ignore[method-assign]

    assert [m.therefore for m in told(case)] == ["calls that name no prompt are not known"]


# Conversations


def test_bad_answers_are_shown_beside_good_ones_of_the_version_before(case: Case) -> None:
    asked = Asked()

    found = found_by(case, asked=asked)

    assert [(p.bad.answer, p.good.answer if p.good else "") for p in found.pairs] == [(SORRY, "Here is how.")] * 3
    assert of(asked, "log.sample") == [((NAME, number, READ), {"suspicious": False}) for number in (3, 2)]


def test_of_a_first_version_there_is_none_before_to_look_at(case: Case) -> None:
    record_of_three = case.releases.get(f"{ID}-3-1")
    case.routes, case.releases, case.cells = InMemoryRoutes(), InMemoryReleases(), []
    case.routes.put(Route(NAME, ID, case.prompts.version(ID, 1).ref, release_id=f"{ID}-1-1"), expected=None)
    case.releases.record_ended(
        replace(record_of_three, release_id=f"{ID}-1-1"),
        entry(1, "route/1", T0, Event.PROMOTED, version=1, first=True),
    )
    case.records[1] = [record(1, T0 + 900, ASKED[0], SORRY)]
    asked = Asked()

    found = found_by(case, asked=asked)

    assert (found.before, found.after) == (0, 1)
    assert [args[1] for args, _ in of(asked, "log.sample")] == [1]
    assert [(p.bad.answer, p.good) for p in found.pairs] == [(SORRY, None)]


def test_without_any_version_nothing_is_looked_at(case: Case) -> None:
    case.routes, case.releases, case.cells = InMemoryRoutes(), InMemoryReleases(), []
    case.prompts._versions[ID].clear()
    asked = Asked()

    found = found_by(case, asked=asked)

    assert (found.after, of(asked, "log.sample")) == (0, [])


def rare(case: Case) -> Case:
    """The newest records of version 3 are all good; a closer look finds others."""
    case.records[3] = [record(3, T0 + 900 + k, q, "Here you are.") for k, q in enumerate(ASKED)]
    return case


def test_rare_bad_answers_are_looked_for_among_suspicious_records(case: Case) -> None:
    rare(case).rare[3] = [record(3, T0 + 950, ASKED[0], SORRY)]
    asked = Asked()

    found = found_by(case, asked=asked)

    assert [p.bad.answer for p in found.pairs] == [SORRY]
    assert of(asked, "log.sample")[2] == ((NAME, 3, READ), {"suspicious": True})
    assert not [m for m in found.missing if m.source == LOG]


def test_where_a_closer_look_finds_none_either_that_is_said_with_how_many_were_read(case: Case) -> None:
    newest = rare(case).records[3]
    case.rare[3] = [newest[0], record(3, T0 + 950, ASKED[0], "Fine.")]

    assert told(case) == [
        Missing(
            LOG,
            "none among the newest 4 records of version 3 shows refusals",
            "no conversation can show what went wrong",
            "choose a shorter time, around the rise",
        )
    ]


@pytest.mark.parametrize("why", ["no record", "no cause", "a cause that no record shows"])
def test_a_closer_look_is_taken_only_where_it_could_show_the_cause(case: Case, why: str) -> None:
    rare(case)
    change: dict[str, Callable[[], Any]] = {
        "no record": lambda: case.records.update({3: []}),
        "no cause": lambda: few_counts(case),
        "a cause that no record shows": lambda: setattr(
            case, "cells", [replace(c, metric="Slow" if c.metric == "Refusal" else c.metric) for c in case.cells]
        ),
    }
    change[why]()
    asked = Asked()

    assert told(case, asked) == []
    assert [more["suspicious"] for _, more in of(asked, "log.sample")] == [False, False]


def test_records_that_are_cut_short_and_bodies_that_were_lost_are_counted_by_version(case: Case) -> None:
    case.lost = Sampled((), unreadable=4, offloaded_lost=7)

    assert told(case) == [
        Missing(LOG, what.format(version), therefore, remedy)
        for version in (3, 2)
        for what, therefore, remedy in (
            ("4 record(s) of version {} are cut short", "they were left out of the examples", ""),
            (
                "7 large bodies of version {} could not be read from S3",
                "those conversations have no text",
                "ask for read access to the bucket",
            ),
        )
    ]


def test_what_is_missing_in_the_end_begins_with_what_was_missing_before(case: Case) -> None:
    case.down, case.lost = {"alarms"}, Sampled((), unreadable=4)

    found = found_by(case)

    assert [m.source for m in found.missing][-3:] == ["alarms", LOG, LOG]
