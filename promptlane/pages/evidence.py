"""The evidence curve as an inline SVG, for pages that allow no script and no other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from promptlane.domain.canary.curve import Point
from promptlane.domain.text import span, traffic

from .markup import Child, Html, join, tag

_STYLE = ".evidence svg{width:100%;height:auto;max-width:60rem}"

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 240, 64, 16, 32
_LOOK = {"harm": ("var(--bad,#a3161a)", "harm"), "advance": ("var(--good,#11632c)", "proof that it is harmless")}


def evidence_plot(points: Sequence[Point]) -> Html:
    """Evidence of harm and of harmlessness over a release's looks; the dashed line decides. Empty without looks."""
    if not points:
        return Html("")
    start, end = points[0].at, max(points[-1].at, points[0].at + 60)

    def x(at: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - 12) * (at - start) / (end - start), 1)

    def y(part: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (part + 1) / 2), 1)

    drawn: list[Child] = []
    for part, text in ((1.0, "decides"), (0.0, "nothing known"), (-1.0, "against it")):
        dash = "4 3" if part == 1 else None
        drawn.append(_line(_LEFT, _WIDTH - 12, y(part), y(part), stroke_opacity="0.35", stroke_dasharray=dash))
        drawn.append(_text(4, y(part) + 4, text, font_size=9))
    drawn += [_step(before, after, x) for before, after in pairwise(points)]
    for name, (color, _) in _LOOK.items():
        known = [(x(p.at), y(value)) for p in points if (value := getattr(p, name)) is not None]
        if known:
            path = " ".join(f"{a},{b}" for a, b in known)
            drawn.append(tag("polyline", points=path, fill="none", stroke=color, stroke_width=2))
            drawn.append(tag("circle", cx=known[-1][0], cy=known[-1][1], r=3, fill=color))
    drawn += [_text(_LEFT + 180 * i, _HEIGHT - 4, said, fill=color) for i, (color, said) in enumerate(_LOOK.values())]
    drawn.append(_text(_WIDTH - 12, _HEIGHT - 4, span(end - start), text_anchor="end"))
    size = {"viewBox": f"0 0 {_WIDTH} {_HEIGHT}", "xmlns": "http://www.w3.org/2000/svg"}
    return tag("svg", drawn, **size, role="img", aria_label=_summary(points), font_size=12, fill="currentColor")


def _line(x1: float, x2: float, y1: float, y2: float, **more: str | None) -> Html:
    return tag("line", x1=x1, x2=x2, y1=y1, y2=y2, stroke="currentColor", **more)


def _text(x: float, y: float, said: str, **more: str | int) -> Html:
    return tag("text", said, x=x, y=y, **more)


def with_evidence(body: str, points: Sequence[Point]) -> str:
    """A stored report with the plot as its last section; the report as it is before the first look."""
    if not points:
        return body
    section = tag(
        "section",
        tag("h2", "In production: what the judge saw"),
        tag("p", f"{points[-1].judgement.replace('_', ' ').capitalize()}. {points[-1].reason}"),
        evidence_plot(points),
        class_="evidence",
    )
    added = join([Html(f"<style>{_STYLE}</style>"), section])
    before, end, after = body.rpartition("</main>")
    return f"{before}{added}{end}{after}" if end else body + added


def _step(before: Point, after: Point, x: Callable[[float], float]) -> Child:
    if (before.phase, before.weight) == (after.phase, after.weight):
        return None
    at, label = x(after.at), "watch" if after.phase == "watch" else traffic(after.weight)
    line = _line(at, at, _TOP, _HEIGHT - _BOTTOM, stroke_opacity="0.25")
    return [line, _text(at + 3, _TOP + 10, label, font_size=10)]


def _summary(points: Sequence[Point]) -> str:
    last = points[-1]
    return f"Evidence over {len(points)} looks; the last said {last.judgement}. {last.reason}"
