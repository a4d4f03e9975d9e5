"""The plot: what is marked, what the axis shows, and what is told apart."""

from __future__ import annotations

import itertools
import re
from typing import Literal

from promptlane.domain.investigation.findings import Happening
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.trail import Window
from promptlane.pages.rates_plot import marked, rates_plot

READ = Window(0.0, 7200.0)
ASKED = Window(3600.0, 7200.0)


def cells(bad: int, requests: int = 60) -> list[Cell]:
    return [Cell(120.0 * k, 120, 2, "Refusal", requests, bad) for k in range(60)]


def change(at: float, source: Literal["cloudtrail", "release"] = "cloudtrail") -> Happening:
    return Happening(at, source, "what", change=True)


def plot(counted: list[Cell], *marks: Happening) -> str:
    drawn = rates_plot(counted, metric="Refusal", window=READ, asked=ASKED, marks=marks)
    assert drawn is not None
    return drawn


def test_routing_changes_are_marked_before_many_edits() -> None:
    edits = [change(10.0 * k) for k in range(40)]
    shift = change(5000.0, "release")

    chosen = marked([*edits, shift, change(9000.0, "release")], READ)

    assert len(chosen) == 12
    assert chosen[-1] is shift
    assert [c.at for c in chosen] == sorted(c.at for c in chosen)


def test_one_request_does_not_choose_the_axis() -> None:
    drawn = plot([*cells(1), Cell(1000.0, 120, 3, "Refusal", 1, 1)])

    assert ">2%<" in drawn
    assert ">100%<" not in drawn
    assert "hollow: above the axis" in drawn


def test_a_version_of_few_requests_a_period_still_shows() -> None:
    """A canary of three requests a period that all go wrong."""
    drawn = plot([*cells(1), *(Cell(120.0 * k, 120, 3, "Refusal", 3, 3) for k in range(30, 60))])

    assert ">100%<" in drawn
    assert "hollow" not in drawn


def test_only_few_requests_are_shown_as_they_are() -> None:
    assert ">50%<" in plot([Cell(0.0, 120, 2, "Refusal", 3, 1)])


def test_numbers_of_close_changes_do_not_overprint() -> None:
    drawn = plot(cells(1), *(change(7190.0 + k) for k in range(5)))

    places = [float(at) for at in re.findall(r'<text x="([\d.]+)" y="28"', drawn)]
    assert len(places) == 5
    assert all(right - left >= 14 for left, right in itertools.pairwise(places))
    assert max(places) <= 960


def test_the_time_before_is_shaded_and_titles_are_words() -> None:
    drawn = plot(cells(1))

    assert "before, to compare" in drawn
    assert "<title>refusals: share of requests" in drawn
    assert re.search(r'<rect x="56" y="\d+" width="444.0"', drawn)
