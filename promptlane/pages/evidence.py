"""The evidence curve as an inline SVG, for pages that allow no script and no other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from promptlane.domain.canary.curve import Point

from .markup import Html, escape, join, tag

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

    drawn = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(_summary(points))}" '
        'xmlns="http://www.w3.org/2000/svg" font-size="12" fill="currentColor">'
    ]
    for part, text in ((1.0, "decides"), (0.0, "nothing known"), (-1.0, "against it")):
        dash = ' stroke-dasharray="4 3"' if part == 1 else ""
        drawn.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - 12}" y1="{y(part)}" y2="{y(part)}" stroke="currentColor" '
            f'stroke-opacity="0.35"{dash}/><text x="4" y="{y(part) + 4}" font-size="9">{text}</text>'
        )
    drawn += [_step(before, after, x) for before, after in pairwise(points)]
    for name, (color, _) in _LOOK.items():
        known = [(x(p.at), y(value)) for p in points if (value := getattr(p, name)) is not None]
        if known:
            path = " ".join(f"{a},{b}" for a, b in known)
            drawn.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
            drawn.append(f'<circle cx="{known[-1][0]}" cy="{known[-1][1]}" r="3" fill="{color}"/>')
    for i, (color, label) in enumerate(_LOOK.values()):
        drawn.append(f'<text x="{_LEFT + 180 * i}" y="{_HEIGHT - 4}" fill="{color}">{label}</text>')
    drawn.append(f'<text x="{_WIDTH - 12}" y="{_HEIGHT - 4}" text-anchor="end">{_span(end - start)}</text></svg>')
    return Html("".join(drawn))


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


def _step(before: Point, after: Point, x: Callable[[float], float]) -> str:
    if (before.phase, before.weight) == (after.phase, after.weight):
        return ""
    at, label = x(after.at), "watch" if after.phase == "watch" else f"{after.weight / 100:g} %"
    return (
        f'<line x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" stroke="currentColor" stroke-opacity="0.25"/>'
        f'<text x="{at + 3}" y="{_TOP + 10}" font-size="10">{label}</text>'
    )


def _summary(points: Sequence[Point]) -> str:
    last = points[-1]
    return f"Evidence over {len(points)} looks; the last said {last.judgement}. {last.reason}"


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{max(seconds / 60, 1):.0f} min"
