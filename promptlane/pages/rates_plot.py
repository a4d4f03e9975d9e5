"""Rates of bad events over time by version, as an SVG of our own: no script, no font, no file from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from promptlane.domain.findings import Happening, percent
from promptlane.domain.inquiry import Cell, Window
from promptlane.domain.timeline import iso

from .markup import Html, join, tag

Scale = Callable[[float], float]
_WIDTH, _HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 34, 44
COLOURS: Final = ("#0b57b0", "#c2410c", "#11632c", "#7c3aed", "#a3161a", "#525a66", "#0e7490", "#854d0e")
DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4", "4 4", "12 3 3 3")
_MOST_MARKS: Final = 12


def rates_plot(cells: Sequence[Cell], *, metric: str, window: Window, changes: Sequence[Happening]) -> Html | None:
    """The plot; None without counts of this metric. `changes` are marked as numbered lines."""
    mine = [c for c in cells if c.metric == metric and c.requests]
    if not mine or window.seconds <= 0:
        return None
    high = _ceiling(max(c.bad / c.requests for c in mine))

    def x(at: float) -> float:
        share = (at - window.since) / window.seconds
        return round(_LEFT + min(1.0, max(0.0, share)) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(rate: float) -> float:
        return round(_HEIGHT - _BOTTOM - rate / high * (_HEIGHT - _TOP - _BOTTOM), 1)

    versions = sorted({c.version for c in mine})
    lines = [_line([c for c in mine if c.version == v], k, x, y) for k, v in enumerate(versions)]
    return tag(
        "svg",
        tag("title", f"{metric}: share of bad requests over time, by version"),
        *_grid(high, y),
        *_times(window, x),
        *_marks([c for c in changes if window.holds(c.at)], x),
        *lines,
        *_legend(versions),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        class_="plot",
    )


def _ceiling(rate: float) -> float:
    return next((c for c in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75) if rate <= c * 0.95), 1.0)


def _line(cells: Sequence[Cell], index: int, x: Scale, y: Scale) -> Html:
    """Points of one version; a period without requests breaks the line: nothing is drawn where nothing is known."""
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
            tag(
                "circle",
                tag("title", f"version {cell.version}, {iso(cell.at)}: {cell.bad} of {cell.requests} bad"),
                cx=str(x(middle)),
                cy=str(y(cell.bad / cell.requests)),
                r="2.4",
                fill=colour,
            )
        )
        last = cell.at
    parts.append(_polyline(run, colour, dash))
    return tag("g", *parts)


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
        at = str(y(rate))
        yield tag("line", x1=str(_LEFT), x2=str(_WIDTH - _RIGHT), y1=at, y2=at, stroke="currentColor", opacity="0.15")
        yield tag("text", percent(rate), x=str(_LEFT - 6), y=str(y(rate) + 4), text_anchor="end", font_size="12",
                  fill="currentColor")  # fmt: skip


def _times(window: Window, x: Scale) -> Iterator[Html]:
    for k in range(5):
        at = window.since + window.seconds * k / 4
        label = iso(at)[5:16].replace("T", " ") if window.seconds > 86_400 else iso(at)[11:19]
        anchor = "start" if k == 0 else "end" if k == 4 else "middle"
        yield tag("text", label, x=str(x(at)), y=str(_HEIGHT - _BOTTOM + 18), text_anchor=anchor, font_size="12",
                  fill="currentColor")  # fmt: skip


def _marks(changes: Sequence[Happening], x: Scale) -> Iterator[Html]:
    for number, change in enumerate(changes[:_MOST_MARKS], 1):
        at = str(x(change.at))
        yield tag(
            "g",
            tag("title", f"{number}. {iso(change.at)} {change.what}"),
            tag("line", x1=at, x2=at, y1=str(_TOP - 6), y2=str(_HEIGHT - _BOTTOM), stroke="currentColor",
                stroke_dasharray="3 3", opacity="0.6"),
            tag("text", str(number), x=at, y=str(_TOP - 10), text_anchor="middle", font_size="12", fill="currentColor"),
        )  # fmt: skip


def _legend(versions: Sequence[int]) -> Iterator[Html]:
    for k, version in enumerate(versions):
        left = _LEFT + k * 110
        line = tag(
            "line", x1=str(left), x2=str(left + 24), y1=str(_HEIGHT - 8), y2=str(_HEIGHT - 8),
            stroke=COLOURS[k % len(COLOURS)], stroke_width="2.5", stroke_dasharray=DASHES[k % len(DASHES)] or None,
        )  # fmt: skip
        words = tag(
            "text", f"version {version}", x=str(left + 30), y=str(_HEIGHT - 4), font_size="12", fill="currentColor"
        )
        yield join([line, words])
