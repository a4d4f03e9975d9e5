"""The evidence curve: what the judge's entries become."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.canary.curve import Point, points, sparkline
from promptlane.domain.release.timeline import Event, TimelineEntry
from tests.support.near import near

DETAIL: dict[str, Any] = {
    "phase": "canary",
    "step": 1,
    "weight": 2500,
    "judgement": "hold",
    "reason": "Not yet.",
    "harm": 4.0,
    "harm_needed": 16.0,
    "advance_needed": 25.0,
    "metrics": {"Error": {"advance": 125.0}, "Refusal": {"advance": 0.2}, "Slow": {"advance": None}, "Truncation": {}},
}


def entry(at: float = 1000.0, **detail: Any) -> TimelineEntry:
    return TimelineEntry(f"r/{at}", "R-1-1", at, Event.CANARY_JUDGED, detail={**DETAIL, **detail}, seq=1)


def test_a_look_becomes_a_point_with_its_weakest_metric() -> None:
    [point] = points([entry()])
    assert point == Point(
        at=1000.0,
        phase="canary",
        step=1,
        weight=2500,
        judgement="hold",
        harm=near(0.5),
        advance=near(-0.5),
        reason="Not yet.",
    )


def test_where_nothing_can_advance_there_is_no_proof_to_draw() -> None:
    [point] = points([entry(metrics={"Error": {"advance": None}})])
    assert point.advance is None


def test_a_look_that_cannot_be_read_is_left_out_and_the_next_is_not() -> None:
    unread = [
        entry(1.0, metrics={"Error": {"advance": "much"}}),
        entry(2.0, metrics=None, step=None),
        replace(entry(3.0), detail={"phase": "canary"}),
        entry(4.0, step=None),
        replace(entry(5.0), event=Event.CANARY_SHIFTED),
    ]
    assert [p.at for p in points([entry(0.5), *unread[:3], entry(3.5), *unread[3:], entry(6.0)])] == [0.5, 3.5, 6.0]


@pytest.mark.parametrize(
    ("evidence", "needed", "part"),
    [
        (1.0, 20.0, 0.0),
        (20.0, 20.0, 1.0),
        (1e9, 20.0, 1.0),
        (0.5, 20.0, math.log(0.5) / math.log(20)),
        (0.001, 20.0, -1.0),
        (0.0, 20.0, -1.0),
        (1.2, 1.5, math.log(1.2) / math.log(1.5)),
        (5.0, 1.0, 0.0),
        (5.0, 0.5, 0.0),
        (5.0, math.inf, 0.0),
        (5.0, math.nan, 0.0),
        (1e-29, 1e30, -29 / 30),
        (0.0, 1e60, -0.5),
    ],
)
def test_evidence_is_drawn_as_a_share_of_what_decides(evidence: float, needed: float, part: float) -> None:
    [point] = points([entry(harm=evidence, harm_needed=needed)])
    assert point.harm == near(part)


def test_a_sparkline_is_full_at_one_empty_below_zero_and_a_dot_where_nothing_is_known() -> None:
    assert sparkline([-1, 0, 0.06, 0.07, 0.5, 0.8, 1, None]) == "   ▁▄▆█·"
    assert sparkline([1, 0, 1, None], width=2) == "█·"


def test_a_sparkline_has_room_for_48_looks() -> None:
    assert sparkline([1.0] * 10 + [0.0] * 48) == " " * 48
