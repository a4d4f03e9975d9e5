"""Rates of bad events over time by version, as an SVG of our own: no script, no font, no file from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from promptlane.domain.investigation.causes import totals
from promptlane.domain.investigation.findings import Happening
from promptlane.domain.investigation.sources import Cell
from promptlane.domain.metrics import noun_of
from promptlane.domain.release.timeline import iso
from promptlane.domain.text import percent
from promptlane.domain.trail import Window

from .markup import Html, join, tag

Scale = Callable[[float], float]
_WIDTH, _HEIGHT = 960, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 52, 48
COLOURS: Final = ("#2f7de1", "#d9541e", "#1e9a4a", "#9a5cf0", "#d8455f", "#7d8794", "#1391ab", "#a8710f")
"""On white and on the dark card alike: a contrast of 3:1 or better."""
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 4", "12 3 3 3")
_MOST_MARKS: Final = 12
_MARK_GAP: Final = 18.0
_FEW: Final = 10
"""Requests below which a period's rate is too coarse to choose the axis by."""
_SMALL: Final = {"font_size": "12", "fill": "currentColor"}


def rates_plot(
    cells: Sequence[Cell], *, metric: str, window: Window, asked: Window, marks: Sequence[Happening]
) -> Html | None:
    """The plot over `window`; None without counts of this metric. `marks` become numbered lines, see `marked`.

    `asked` is the part that the investigation is about; what comes before is shaded.
    """
    mine = [c for c in cells if c.metric == metric and c.requests]
    if not mine or window.seconds <= 0:
        return None
    high = _ceiling(_highest(mine))

    def x(at: float) -> float:
        share = (at - window.since) / window.seconds
        return round(_LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(rate: float) -> float:
        return round(_HEIGHT - _BOTTOM - min(rate, high) / high * (_HEIGHT - _TOP - _BOTTOM), 1)

    versions = sorted({c.version for c in mine})
    lines = [_line([c for c in mine if c.version == v], k, x, y, high) for k, v in enumerate(versions)]
    return tag(
        "svg",
        tag("title", f"{noun_of(metric)}: share of requests over time, by version"),
        *_before(asked, window, x),
        *_grid(high, y),
        *_times(window, x),
        *_marks(marks, x),
        *lines,
        *_legend(versions, any(c.bad / c.requests > high for c in mine)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        class_="plot",
    )


def marked(changes: Sequence[Happening], window: Window) -> list[Happening]:
    """The changes that plots mark, oldest first: those of the route before any others, since they move traffic."""
    inside = [c for c in changes if window.holds(c.at)]
    first = sorted(inside, key=lambda c: c.source != "release")[:_MOST_MARKS]
    return sorted(first, key=lambda c: c.at)


def _highest(cells: Sequence[Cell]) -> float:
    """The rate that the axis must show: of periods with requests enough, and of each version over all."""
    rates = [c.bad / c.requests for c in cells if c.requests >= _FEW]
    for version in {c.version for c in cells}:
        n, bad = totals(c for c in cells if c.version == version)
        if n >= _FEW:
            rates.append(bad / n)
    return max(rates or [c.bad / c.requests for c in cells])


def _ceiling(rate: float) -> float:
    return next((c for c in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75) if rate <= c * 0.95), 1.0)


def _before(asked: Window, window: Window, x: Scale) -> Iterator[Html]:
    """Shades what was read before the time that was asked for, to compare with."""
    width = round(x(asked.since) - x(window.since), 1)
    if width < 1:
        return
    size = {"x": _LEFT, "y": _TOP, "width": width, "height": _HEIGHT - _TOP - _BOTTOM}
    yield tag("rect", **size, fill="currentColor", opacity="0.07")
    if width > 90:
        yield tag("text", "before, to compare", x=_LEFT + 6, y=_TOP + 14, **_SMALL, opacity="0.8")


def _line(cells: Sequence[Cell], index: int, x: Scale, y: Scale, high: float) -> Html:
    """Points of one version; a period without requests breaks the line: nothing is drawn where nothing is known.

    A point above the axis is hollow, at its upper end.
    """
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    parts: list[Html] = []
    run: list[str] = []
    last = None
    for cell in sorted(cells, key=lambda c: c.at):
        middle = cell.at + cell.seconds / 2
        if last is not None and cell.at - last > cell.seconds * 1.5:
            parts.append(_polyline(run, colour, dash))
            run = []
        run.append(f"{x(middle)},{y(cell.bad / cell.requests)}")
        parts.append(
            _point(cell, x(middle), y(cell.bad / cell.requests), colour, hollow=cell.bad > high * cell.requests)
        )
        last = cell.at
    parts.append(_polyline(run, colour, dash))
    return tag("g", *parts)


def _point(cell: Cell, x: float, y: float, colour: str, *, hollow: bool) -> Html:
    return tag(
        "circle",
        tag("title", f"version {cell.version}, {iso(cell.at)}: {cell.bad:g} of {cell.requests} bad"),
        cx=x,
        cy=y,
        r="3.2" if hollow else "2.4",
        fill="none" if hollow else colour,
        stroke=colour,
    )


def _polyline(points: Sequence[str], colour: str, dash: str) -> Html:
    return tag(
        "polyline",
        points=" ".join(points),
        fill="none",
        stroke=colour,
        stroke_width="1.8",
        stroke_dasharray=dash or None,
    )


def _grid(high: float, y: Scale) -> Iterator[Html]:
    for k in range(5):
        rate = high * k / 4
        at = y(rate)
        yield tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=at, y2=at, stroke="currentColor", opacity="0.15")
        yield tag("text", percent(rate), x=_LEFT - 6, y=at + 4, text_anchor="end", **_SMALL)


def _times(window: Window, x: Scale) -> Iterator[Html]:
    for k in range(5):
        at = window.since + window.seconds * k / 4
        label = iso(at)[5:16].replace("T", " ") if window.seconds > 86_400 else iso(at)[11:19]
        anchor = "start" if k == 0 else "end" if k == 4 else "middle"
        yield tag("text", label, x=x(at), y=_HEIGHT - _BOTTOM + 18, text_anchor=anchor, **_SMALL)


def _marks(changes: Sequence[Happening], x: Scale) -> Iterator[Html]:
    """Numbered lines; numbers of changes that are close together are spread, each led to its line."""
    for number, (change, label) in enumerate(zip(changes, _spread([x(c.at) for c in changes]), strict=True), 1):
        at = x(change.at)
        points = f"{label},{_TOP - 20} {at},{_TOP - 4} {at},{_HEIGHT - _BOTTOM}"
        yield tag(
            "g",
            tag("title", f"{number}. {iso(change.at)} {change.what}"),
            tag("polyline", points=points, fill="none", stroke="currentColor", stroke_dasharray="3 3", opacity="0.6"),
            tag("text", str(number), x=label, y=_TOP - 24, text_anchor="middle", **_SMALL),
        )


def _spread(places: Sequence[float]) -> list[float]:
    """The same places in order, moved apart to a readable gap, none beyond the right edge."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + _MARK_GAP) if moved else place)
    most = float(_WIDTH - _RIGHT)
    for k in reversed(range(len(moved))):
        moved[k] = round(min(moved[k], most), 1)
        most = moved[k] - _MARK_GAP
    return moved


def _legend(versions: Sequence[int], hollow: bool) -> Iterator[Html]:
    for k, version in enumerate(versions):
        left = _LEFT + k * 100
        ends = {"x1": left, "x2": left + 24, "y1": _HEIGHT - 8, "y2": _HEIGHT - 8}
        drawn = {"stroke": COLOURS[k % len(COLOURS)], "stroke_dasharray": DASHES[k % len(DASHES)] or None}
        line = tag("line", **ends, **drawn, stroke_width="2.5")
        yield join([line, _small(f"version {version}", left + 30)])
    if hollow:
        yield _small("hollow: above the axis, of few requests", _LEFT + len(versions) * 100)


def _small(text: str, left: int) -> Html:
    return tag("text", text, x=left, y=_HEIGHT - 4, font_size="12", fill="currentColor")
