"""Every explanation that the facts suggest, with its sentences, the best first."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from promptlane.domain.investigation.causes import (
    Contrast,
    contrast,
    rise,
    rise_within_versions,
    version_contrast,
)
from promptlane.domain.investigation.findings import Cause
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.investigation.suspects import ranked
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.trail import TrailEvent
from tests.support.investigation_case import EDITOR, T0, entry
from tests.support.known_facts import READ, WINDOW, cell, facts, series
from tests.support.prompt import ARN

SERVED = "(served since 2025-10-09 07:00:00 UTC)"
TINY = "chance explains that with a probability < 1e-6."
ALONE = (
    "No period had requests of this version and of another one, so a change outside of Promptlane at the same time "
    "cannot be told apart."
)
RIVALLED = "A rise of everything over time explains these counts as well: it is not shown that the version did it."
LOOK = "got requests. Look at the model's provider, at what the application sends, and at who sends it."
errors = partial(series, metric="Error")


def shifted(number: int = 3, at: float = T0) -> TimelineEntry:
    return entry(number, f"s{at}", at, Event.CANARY_SHIFTED, version=number, weight=1_000, stable=2)


def causes(
    cells: tuple[Cell, ...], *trail: TrailEvent, entries: tuple[TimelineEntry, ...] = (shifted(),)
) -> list[Cause]:
    return ranked(facts(cells=cells, entries=entries, trail=trail))


def of_version(cells: tuple[Cell, ...], number: int, metric: str, tried: int) -> Contrast:
    found = version_contrast(cells, number, metric=metric, tried=tried)
    assert found is not None
    return found


def since(cells: tuple[Cell, ...], at: float, metric: str, tried: int) -> Contrast:
    found = contrast(cells, lambda c: c.at >= at, metric=metric, tried=tried)
    assert found is not None
    return found


def lesser(at: float, found: Contrast, what: str, number: int = 3) -> Cause:
    title = f"Something outside of the prompt explains the same rise less well: {what} UTC."
    because = (f"Version {number} explains that rise: within the same version, nothing rose at any one moment.",)
    return Cause("outside", title, because, at, 0, replace(found, rivalled=True))


def test_without_counts_there_is_nothing_to_explain() -> None:
    assert causes(()) == []
    assert causes((cell(T0, 3, 0, 0), cell(T0 + 60, 2, 0, 0))) == []


def test_a_version_that_took_over_alone_is_told_with_every_metric_that_it_made_worse() -> None:
    """Five metrics, two versions and what is outside are tried; what had no request is none of them."""
    worse = {"Truncation": 5, "Error": 6, "Refusal": 15, "Guardrail": 4}
    cells = tuple(c for m, bad in worse.items() for c in series((2, -3_000, 0, 1), (3, 0, 3_000, bad), metric=m))
    cells += series((2, -3_000, 0, 3), (3, 0, 3_000, 3), metric="Slow")
    cells += (cell(T0 - 3_060, 9, 0, 0), cell(T0, 8, 0, 0, "Odd"))

    assert causes(cells) == [
        Cause(
            "version",
            f"Version 3 has 30% refusals; the other versions had 2% {SERVED}.",
            (f"750 of 2,500 requests against 50 of 2,500; {TINY}", ALONE),
            T0,
            3,
            of_version(cells, 3, "Refusal", 15),
            tuple(of_version(cells, 3, m, 15) for m in ("Error", "Guardrail", "Truncation")),
        ),
        lesser(
            T0,
            since(cells, T0, "Refusal", 15),
            "refusals of all versions together went from 2% to 30% at 2025-10-09 07:00:00",
        ),
    ]


def test_a_version_that_was_served_side_by_side_is_told_by_those_periods() -> None:
    cells = series((2, -3_000, 600, 1), (3, 0, 3_000, 15)) + errors((2, -3_000, 600, 1), (3, 0, 3_000, 1))
    cells += (cell(T0, 3, 50, 1, "Slow"),)  # of no other version

    first, second = causes(cells)

    assert first == Cause(
        "version",
        f"Version 3 has 30% refusals; the other versions had 2% in the same periods {SERVED}.",
        (
            f"Served side by side, in the same periods: 150 of 500 requests against 10 of 500; {TINY}",
            "In all of the time that was read: 750 of 2,500 against 60 of 3,000.",
        ),
        T0,
        3,
        of_version(cells, 3, "Refusal", 9),
    )
    assert first.contrast is not None
    assert first.contrast.basis == "shared"
    assert second == lesser(
        T0,
        since(cells, T0, "Refusal", 9),
        "refusals of all versions together went from 2% to 25.3% at 2025-10-09 07:00:00",
    )


def test_a_version_that_was_hardly_served_side_by_side_says_so_and_what_rivals_it() -> None:
    """50 requests in a shared period show nothing; one moment later explains the counts better."""
    cells = (*series((2, -3_000, 60, 1), (3, 0, 60, 4), (3, 60, 3_000, 15)), cell(T0, 3, 50, 1, "Odd"))
    cells = (*cells, cell(T0, 2, 50, 1, "Odd"))
    at, best = rise(cells, "Refusal", tried=6) or (0.0, None)

    assert at == T0 + 60
    assert causes(cells) == [
        Cause(
            "outside",
            "Something outside of the prompt: refusals of all versions together went from 2.1% to 30% at 2025-10-09 "
            "07:01:00 UTC.",
            (
                f"735 of 2,450 requests after it against 55 of 2,600 before; {TINY}",
                f"After that moment version 3 {LOOK}",
            ),
            at,
            0,
            best,
        ),
        Cause(
            "version",
            f"Version 3 has 29.6% refusals; the other versions had 2% {SERVED}.",
            (
                f"739 of 2,500 requests against 51 of 2,550; {TINY}",
                "50 requests of it were served in the same periods as another version; they alone show no difference, "
                "so a change outside of Promptlane at the same time cannot be told apart.",
                RIVALLED,
            ),
            T0,
            3,
            of_version(cells, 3, "Refusal", 6),
        ),
    ]


def test_a_metric_that_has_no_word_is_called_by_its_name() -> None:
    cells = series((2, -3_000, 0, 1), (3, 0, 3_000, 15), metric="Odd")
    later = series((2, -600, 600, 1), (3, -600, 600, 1), (2, 600, 1_800, 20), (3, 600, 1_800, 20), metric="Odd")

    assert [c.title for c in causes(cells)] == [
        f"Version 3 has 30% Odd; the other versions had 2% {SERVED}.",
        "Something outside of the prompt explains the same rise less well: Odd of all versions together went from 2% "
        "to 30% at 2025-10-09 07:00:00 UTC.",
    ]
    assert causes(later, entries=())[0].title == (
        "Something outside of the prompt: Odd of all versions together went from 2% to 40% at 2025-10-09 07:10:00 UTC."
    )


def test_what_is_outside_of_versions_that_are_blamed_is_what_changed_within_them() -> None:
    """Version 3 is worse than 2 throughout; at 07:20 both get worse, in one metric more than in the other."""
    cells = series((2, -3_000, 1_200, 1), (2, 1_200, 3_000, 8), (3, 0, 1_200, 9), (3, 1_200, 3_000, 25))
    cells += errors((2, -3_000, 1_200, 0), (2, 1_200, 3_000, 2), (3, 0, 1_200, 0), (3, 1_200, 3_000, 2))
    cells += (cell(T0 - 3_000, 8, 50, 1), cell(T0 - 3_000, 8, 50, 0, "Error"))
    within = rise_within_versions(cells, "Refusal", tried=8)
    errors_rose = rise(cells, "Error", tried=8)
    assert within is not None
    assert errors_rose is not None

    outside, version = causes(cells)

    assert outside == Cause(
        "outside",
        "Something outside of the prompt: refusals of the same versions went from 5.6% to 33% at "
        "2025-10-09 07:20:00 UTC.",
        (
            f"990 of 3,000 requests after it against 250 of 4,500 before; {TINY}",
            f"After that moment versions 2, 3 {LOOK}",
        ),
        T0 + 1_200,
        0,
        within[1],
        (errors_rose[1],),
    )
    assert (version.kind, version.version, version.shown) == ("version", 3, True)


def test_versions_after_a_moment_are_told_in_order() -> None:
    cells = series(*((n, -600, 600, 1) for n in (16, 8, 3)), *((n, 600, 1_800, 20) for n in (16, 8, 3)))

    outside = causes((*cells, cell(T0 - 600, 1, 50, 1)), entries=())[0]

    assert outside.because[1] == f"After that moment versions 3, 8, 16 {LOOK}"


def test_without_any_version_to_blame_what_is_outside_is_told_although_it_is_not_shown() -> None:
    cells = series((2, -1_200, 0, 1), (3, 0, 1_200, 1))

    version, outside = causes(cells)

    assert [(c.kind, c.shown, c.version) for c in (version, outside)] == [("version", False, 3), ("outside", False, 0)]
    assert outside.title.startswith("Something outside of the prompt: refusals of ")


def test_a_version_that_nothing_can_be_compared_with_is_no_suspect() -> None:
    assert [c.kind for c in causes(series((3, 0, 600, 1), (3, 600, 1_200, 20)))] == ["outside"]


def test_the_metric_that_shows_a_version_is_told_before_one_that_has_a_better_rival() -> None:
    """Errors rise late in the time of version 3, by more than its refusals, which are worse from its beginning."""
    cells = series((2, -3_000, 0, 1), (3, 0, 3_000, 3)) + errors((2, -3_000, 0, 0), (3, 0, 900, 0), (3, 900, 3_000, 40))

    found = {c.kind: c for c in causes(cells)}

    assert of_version(cells, 3, "Error", 6).ratio > of_version(cells, 3, "Refusal", 6).ratio
    assert (found["version"].contrast, found["version"].also) == (of_version(cells, 3, "Refusal", 6), ())


def handicapped(old: int, new: int, bad: int) -> tuple[Cell, ...]:
    """Version 3 refuses more from T0 on (`old`, then `new` requests a period); errors rise four minutes later."""
    refused = tuple(cell(T0 + 60 * k, 3, old if k < 4 else new, bad) for k in range(8))
    rising = tuple(cell(T0 + 240 + 60 * k, 3, 50, 8, "Error") for k in range(4))
    return (*series((2, -300, 0, 1)), *refused, *errors((2, -300, 0, 0), (3, 0, 240, 0)), *rising)


@pytest.mark.parametrize(
    ("cells", "order"),
    [(handicapped(40, 48, 11), ["version", "outside"]), (handicapped(60, 69, 15), ["outside", "version"])],
)
def test_what_is_outside_must_be_three_nats_better_than_a_version(cells: tuple[Cell, ...], order: list[str]) -> None:
    """By 2.97 and by 3.18."""
    found = causes(cells)

    assert [c.kind for c in found if c.shown] == order


def test_shown_causes_come_first_then_what_no_count_can_test_the_latest_first_then_what_is_not_shown() -> None:
    cells = series((2, -1_200, 600, 1), (3, 0, 1_200, 25), (4, 300, 1_200, 1), (5, 300, 1_200, 2))
    entries = (shifted(), shifted(4, T0 + 300), shifted(5, T0 + 300), shifted(2, T0 - 9_000))
    called = tuple(
        TrailEvent("Converse", T0 + at, "a", target=ARN + of, version=v)
        for at, of, v in ((20, "", 0), (40, ":9", 9), (30, ":8", 8))
    )

    found = causes(cells, *called, entries=entries)

    assert [(c.kind, c.version, c.shown) for c in found][:1] == [("version", 3, True)]
    assert [(c.kind, c.at - T0) for c in found[1:4]] == [("bypass", 40), ("bypass", 30), ("bypass", 20)]
    rest = found[4:]
    assert {c.kind for c in rest} == {"version", "outside"}
    assert not any(c.shown for c in rest)
    scores = [c.contrast.ratio - (3.0 if c.kind == "outside" else 0.0) for c in rest if c.contrast]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(rest) == 4


def test_causes_that_are_equally_good_are_told_the_latest_first_then_the_lower_number() -> None:
    """Versions alike in everything but when they began, and none of them worse."""
    cells = series((2, -1_200, 1_200, 5), (4, 300, 1_200, 1), (5, 600, 1_200, 1))
    entries = (shifted(4, T0 + 300), shifted(5, T0 + 600))

    versions = [(c.version, c.at) for c in causes(cells, entries=entries) if c.kind == "version"]

    assert versions == [(5, T0 + 600), (4, T0 + 300)]
    alike = series((2, -1_200, 1_200, 5), (8, 300, 1_200, 1), (3, 300, 1_200, 1))
    assert [c.version for c in causes(alike, entries=()) if c.kind == "version"] == [3, 8]


@pytest.mark.parametrize(
    ("first", "entries", "suspected"),
    [
        (120, (), False),
        (180, (), True),
        (0, (shifted(3, READ.since),), True),
        (0, (shifted(3, READ.since - 1),), False),
        (0, (shifted(4, T0),), False),
        (0, (shifted(3, WINDOW.until),), False),
    ],
)
def test_a_version_that_was_served_all_the_while_is_no_suspect(
    first: int, entries: tuple[TimelineEntry, ...], suspected: bool
) -> None:
    """From a tenth of the time on at the latest, and given no more traffic since."""
    cells = series((2, 0, 1_260, 1), (3, first, 1_260, 9))

    assert [c.version for c in causes(cells, entries=entries) if c.kind == "version"] == ([3] if suspected else [])


def test_a_version_whose_beginning_is_not_known_is_told_without_it() -> None:
    cells = series((2, -3_000, 0, 1), (3, 0, 3_000, 15))

    assert [(c.title, c.at) for c in causes(cells, entries=()) if c.kind == "version"] == [
        ("Version 3 has 30% refusals; the other versions had 2%.", 0.0)
    ]


def test_a_version_that_a_rollback_put_back_is_served_again() -> None:
    back = entry(4, "r", T0, Event.ROLLED_BACK, version=4, restored=3, phase="watch")
    earlier = entry(3, "p", T0 - 90_000, Event.PROMOTED, version=3)

    [version] = [c for c in causes(series((4, -3_000, 0, 1), (3, 0, 3_000, 15)), entries=(earlier, back)) if c.version]

    assert version.title == (
        "Version 3 has 30% refusals; the other versions had 2% (served again since 2025-10-09 07:00:00 UTC)."
    )


def test_the_version_and_the_metric_that_are_explained_best_are_the_ones_that_are_said_to_be() -> None:
    """Version 4 explains the refusals better than 3 does, and than it explains its errors."""
    cells = series((2, -3_000, 2_400, 1), (3, 0, 1_200, 5), (4, 1_200, 3_600, 20))
    cells += errors((2, -3_000, 2_400, 0), (3, 0, 1_200, 0), (4, 1_200, 3_600, 4))

    found = causes(cells, entries=(shifted(3, T0), shifted(4, T0 + 1_200)))

    assert [c.version for c in found if c.shown] == [4, 3]
    (outside,) = (c for c in found if c.kind == "outside")
    assert outside.title.startswith(
        "Something outside of the prompt explains the same rise less well: refusals of all versions together went from "
    )
    assert outside.because[0].startswith("Version 4 explains that rise")
    assert outside.at == T0 + 1_200


def deleted(at: float, number: int, by: str = EDITOR, **changes: Any) -> TrailEvent:
    return TrailEvent("DeletePrompt", T0 + at, by, version=number, **changes)


def test_deletions_are_told_with_whom_and_when_and_by_the_errors_after_them() -> None:
    """Of version 3 in the middle of a period, of the whole prompt between two; one failed, one is out of the window."""
    cells = errors((2, -3_000, 3_000, 1), (3, -3_000, 1_200, 1), (3, 1_200, 1_260, 20), (3, 1_260, 3_000, 50))
    trail = (
        deleted(1_230, 3),
        deleted(1_260, 0, by=""),
        deleted(900, 2, error="AccessDenied"),
        replace(deleted(0, 2), at=WINDOW.until),
        TrailEvent("UpdatePrompt", T0 + 5, EDITOR, version=3),
    )

    found = [c for c in causes(cells, *trail, entries=()) if c.kind == "deleted"]

    whole = tuple(c for c in cells if c.at != T0 + 1_200)
    of_three = contrast(whole, lambda c: c.version == 3 and c.at > T0 + 1_200, metric="Error", tried=3)
    of_all = contrast(cells, lambda c: c.at >= T0 + 1_260, metric="Error", tried=3)
    assert found == [
        Cause(
            "deleted",
            "Version 3 was deleted at 2025-10-09 07:20:30 UTC.",
            (f"DeletePrompt by {EDITOR}; calls of what is gone fail.",),
            T0 + 1_230,
            3,
            of_three,
        ),
        Cause(
            "deleted",
            "The prompt was deleted at 2025-10-09 07:21:00 UTC.",
            ("DeletePrompt by an unknown principal; calls of what is gone fail.",),
            T0 + 1_260,
            0,
            of_all,
        ),
    ]
    assert all(c.shown for c in found)


def test_a_deletion_in_the_last_period_is_counted_by_that_period() -> None:
    cells = errors((2, -600, 600, 1), (3, -600, 540, 1), (3, 540, 600, 40))

    [found] = [c for c in causes(cells, deleted(541, 3), entries=()) if c.kind == "deleted"]

    assert found.contrast == contrast(cells, lambda c: c.bad == 40, metric="Error", tried=3)
    assert found.shown
    [late] = [c for c in causes(cells, deleted(600, 3), entries=()) if c.kind == "deleted"]
    assert late.contrast is None


def test_errors_that_rise_where_a_deletion_shows_them_have_no_second_explanation() -> None:
    """Up to one period apart, the longest there is; other metrics have their own."""
    cells = errors((2, -3_000, 3_000, 1), (3, -3_000, 1_200, 1), (3, 1_200, 3_000, 50))
    rough = cell(T0 + 3_000, 2, 50, 1, "Error", 120.0)
    slow = series((2, -3_000, 1_200, 1), (2, 1_200, 3_000, 20), metric="Slow")

    def outside(*trail: TrailEvent, more: tuple[Cell, ...] = ()) -> list[tuple[str | None, float]]:
        told = causes((*cells, *more), *trail, entries=())
        return [(c.contrast.metric, c.at - T0) for c in told if c.kind == "outside" and c.contrast]

    assert outside() == [("Error", 1_200)]
    assert outside(deleted(1_199, 3)) == []
    assert outside(deleted(1_260, 3)) == []
    assert outside(deleted(1_140, 3)) == []
    assert outside(deleted(1_320, 3)) == [("Error", 1_200)]
    assert outside(deleted(1_320, 3), more=(rough,)) == []
    assert outside(deleted(1_199, 2)) == [("Error", 1_200)]
    assert outside(deleted(-600, 3), deleted(1_199, 3)) == []
    assert outside(deleted(1_199, 3), more=slow) == [("Slow", 1_200)]
