"""How facts are joined into one answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.investigation.findings import Investigation
from promptlane.domain.investigation.investigation import conclude
from promptlane.domain.investigation.provenance import stories_of, timeline_of
from promptlane.domain.investigation.remedies import remedy_of
from promptlane.domain.investigation.sources import CallGroup, Gathered, Missing
from promptlane.domain.investigation.suspects import ranked
from promptlane.domain.release.timeline import Event
from promptlane.domain.trail import TrailEvent
from tests.support.investigation_case import EDITOR, NAME, T0, entry
from tests.support.known_facts import READ, WINDOW, cell, facts, release, route, series, version
from tests.support.prompt import ID

GAP = Missing("alarms", "they failed", "unknown")


def shifted(number: int, at: float, stable: int = 0, of: int = 0) -> Any:
    return entry(of or number, f"s{at}", at, Event.CANARY_SHIFTED, version=number, weight=1_000, stable=stable)


def one_only() -> Missing:
    return Missing(
        "metrics",
        "only one version had requests in the time that was read",
        "versions cannot be compared; only changes over time can",
        "choose an earlier --since",
    )


def ahead(seconds: int) -> Missing:
    return Missing(
        "clocks",
        f"requests of a version are dated up to {seconds} s before the route gave it any",
        "events of different sources that are closer than that may be in the wrong order",
        "synchronise the clocks of the application's hosts (chrony, Amazon Time Sync)",
    )


WORSE = series((2, -3_000, 600, 1), (3, 0, 3_000, 15))


def known(**changes: Any) -> Gathered:
    """Version 3 takes over from 2 and refuses a third; versions 1, 2, 3 and 4 have texts."""
    texts = {n: version(n, f"Text {n} {{{{question}}}}\n") for n in (1, 2, 3, 4)}
    return facts(
        **{
            "cells": WORSE,
            "entries": (shifted(3, T0, stable=2),),
            "releases": (release(3),),
            "snapshots": texts,
            "route": route(3, previous=1),
            "missing": (GAP,),
            **changes,
        }
    )


def test_everything_that_was_gathered_is_joined_into_one_answer() -> None:
    told = known(trail=(TrailEvent("RenderPrompt", T0 + 5, EDITOR, target=f"prompt/{ID}:3", version=3),))

    found = conclude(told)

    causes = tuple(ranked(told))
    assert found == Investigation(
        facts=told,
        timeline=tuple(timeline_of(told)),
        causes=causes,
        stories=tuple(stories_of(told)),
        before=2,
        after=3,
        diff=found.diff,
        remedy=remedy_of(told, causes, 2),
        missing=(GAP,),
        rendered=found.rendered,
        subject=causes[0],
    )
    assert [line for line in found.diff if line.startswith(("-", "+"))] == [
        "-Text 2 {{question}}",
        "+Text 3 {{question}}",
    ]
    assert [(r.version, r.caller) for r in found.rendered] == [(3, EDITOR)]
    assert (found.pairs, causes[0].version, causes[0].shown) == ((), 3, True)
    assert found.remedy.command


def test_the_subject_is_what_can_be_ended_else_the_first_version_that_is_shown() -> None:
    cells = series((2, -3_000, 3_000, 1), (3, 0, 1_200, 25), (4, 1_800, 3_000, 15))
    entries = (shifted(3, T0, stable=2), shifted(4, T0 + 1_800, stable=2))
    both = known(cells=cells, entries=entries)

    for stable, subject, before in ((4, 4, 2), (3, 3, 2), (2, 3, 2)):
        found = conclude(replace(both, route=route(stable)))
        assert [(c.kind, c.version) for c in found.causes if c.shown] == [("version", 3), ("version", 4)]
        assert found.subject is not None
        assert (found.subject.version, found.after, found.before) == (subject, subject, before)


def test_a_shown_cause_that_is_no_version_is_not_the_subject() -> None:
    later = series((2, -3_000, 0, 1), (3, -3_000, 0, 1), (2, 0, 3_000, 20), (3, 0, 3_000, 20))

    found = conclude(known(cells=later, entries=(shifted(3, T0 - 3_100, stable=2),)))

    assert found.leading is not None
    assert (found.leading.kind, found.subject, found.after) == ("outside", None, 3)


@pytest.mark.parametrize(
    ("entries", "after", "before"),
    [
        ((), 0, 0),
        ((shifted(4, T0 + 9, stable=2), shifted(3, T0, stable=1)), 4, 2),
        ((shifted(4, T0 + 9), shifted(3, T0, stable=1)), 4, 3),
        ((shifted(4, WINDOW.until, stable=2), shifted(3, T0, stable=1)), 3, 1),
        ((shifted(3, READ.since - 9, stable=1), shifted(3, READ.since, stable=2, of=13)), 3, 2),
        ((shifted(3, READ.since, stable=1), shifted(3, WINDOW.until, stable=2, of=13)), 3, 1),
        ((shifted(1, T0),), 1, 0),
    ],
)
def test_without_a_cause_the_newest_change_is_compared_with_what_was_served_before_it(
    entries: tuple[Any, ...], after: int, before: int
) -> None:
    """By the route's entry, else by the next lower number that served or has a text."""
    found = conclude(known(cells=(), entries=entries))

    assert (found.after, found.before) == (after, before)
    assert bool(found.diff) is bool(before)


def test_a_version_that_was_counted_and_has_no_text_may_be_the_one_before() -> None:
    """8 and 5 are known by their counts alone, 1 by its text."""
    counted = (cell(T0, 5, 10, 0), cell(T0, 8, 10, 0), cell(T0, 16, 10, 0))

    found = conclude(known(cells=counted, snapshots={1: version(1)}, entries=(shifted(8, T0 - 60),)))

    assert (found.after, found.before) == (8, 5)


def lost(number: int, prompt_id: str = ID) -> str:
    return (
        f"The text of version {number} is missing: Bedrock did not give it. The report bucket may hold it as "
        f"archive/{prompt_id}/{number}.json; `promptlane restore {NAME} {number}` publishes it again."
    )


def test_texts_that_are_missing_are_named() -> None:
    entries = (shifted(3, T0, stable=2),)

    def diff(*numbers: int, **changes: Any) -> tuple[str, ...]:
        texts = {n: version(n) for n in numbers}
        return conclude(known(cells=(), entries=entries, snapshots=texts, **changes)).diff

    assert diff(3) == (lost(2),)
    assert diff(2) == (lost(3),)
    assert diff() == (lost(2), lost(3))
    assert diff(prompt_id="") == (lost(2, "<prompt id>"), lost(3, "<prompt id>"))


def test_impossible_counts_are_left_out_and_said() -> None:
    """All, none, and one of one are possible; the numbers are in order."""
    fine = (cell(T0, 2, 5, 0), cell(T0, 3, 5, 5), cell(T0, 3, 0, 0, "Error"), cell(T0, 2, 1, 1, "Error"))
    wrong = (cell(T0, 16, 5, 6), cell(T0, 3, 5, -1), cell(T0, 8, 0, 1), cell(T0 + 60, 3, 2, 3))
    told = known(cells=(wrong[0], *fine, *wrong[1:]))

    found = conclude(told)

    assert found.facts == replace(told, cells=fine)
    assert found.missing == (
        GAP,
        Missing(
            "metrics",
            "4 period(s) of version 3, 8, 16 count more bad events than requests, or fewer than none",
            "they were left out",
            "find who else writes metrics of namespace Promptlane (CloudTrail, cloudwatch:PutMetricData)",
        ),
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2, ()), (2.5, (ahead(2),)), (3, (ahead(3),)), (899.5, (ahead(900),)), (900, ()), (-50, ())],
)
def test_requests_before_a_version_was_served_speak_of_clocks_unless_they_are_tests(
    seconds: float, said: tuple[Missing, ...]
) -> None:
    called = CallGroup("3", "", "", "m", "Converse", 9, first=T0 - seconds)

    assert conclude(known(calls=(called,))).missing == (GAP, *said)


def test_a_period_is_ahead_by_its_end_and_the_furthest_is_said() -> None:
    """Of versions 3 and 4, which were served, by counts and by calls; of 2, nobody knows since when."""
    entries = (shifted(3, T0, stable=2), shifted(4, T0 + 600, stable=3))
    releases = (release(3), release(4))
    cells = (
        cell(T0 - 100, 3, 50, 1),
        cell(T0 - 200, 3, 0, 0),
        cell(T0 - 500, 2, 50, 1),
        cell(T0 + 530, 4, 50, 1),
        cell(T0 + 3_000, 4, 50, 1),
    )
    calls = (
        CallGroup("4", "", "", "m", "Converse", 9, first=T0 + 575),
        CallGroup("4", "", "", "m", "Converse", 9),
        CallGroup("2", "", "", "m", "Converse", 9, first=T0 - 600),
        CallGroup("", "", "", "m", "Converse", 9, first=T0 - 650),
    )
    told = known(entries=entries, releases=releases, cells=cells, calls=calls)

    assert conclude(told).missing == (GAP, ahead(40))
    assert conclude(replace(told, cells=cells[2:])).missing == (GAP, ahead(25))
    assert conclude(replace(told, cells=cells[2:], calls=calls[1:])).missing == (GAP, ahead(10))


def test_one_version_alone_cannot_be_compared() -> None:
    alone = (cell(T0 + 60, 3, 50, 1), cell(T0 + 120, 3, 50, 2), cell(T0 + 60, 2, 0, 0))

    assert conclude(known(cells=alone)).missing == (GAP, one_only())
    assert conclude(known(cells=alone[2:])).missing == (GAP,)
    assert conclude(known(cells=())).missing == (GAP,)
