"""What `promptlane test` prints: rates, the cases that fail with their reasons and answers, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from promptlane.domain.text import one_line, percent, shortened, visible

if TYPE_CHECKING:
    from rich.console import Console

Json = Any
TOLD: Final = 5
"""Failing cases that are told with their reasons and answers; all are in the report."""
_CAUSES: Final = 3
_REASONS: Final = 4
_LINES: Final = 8
_ANSWER: Final = 600
_NAMED: Final = 12


def summary(console: Console, report: Mapping[str, Json], folder: Path) -> None:
    """The whole of it. Fits 80 columns as far as names do."""
    from .terminal import bold

    _rates(console, report)
    if (every := report["pass_k"]) is not None:
        shares = [f"{side} {percent(every[side][-1])}" for side in ("stable", "candidate") if side in every]
        console.print(f"pass^{every['k']} (cases that pass in all of {every['k']} runs): {', '.join(shares)}")
    for change in ("newly failing", "missing", "flaky"):
        found = [c["case"] for c in report["cases"] if c["change"] == change]
        if found:
            rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            called = "failing" if report["absolute"] and change == "newly failing" else change
            named = one_line(", ".join(found[:_NAMED]), 2000) + rest
            console.print(bold(f"{{}} ({len(found)}): ", called).append(named))
    for line, style in _failing(report, max(40, console.width)):
        console.print(line, style=style)
    missing = causes(report)
    for cause in missing:
        console.print(f"missing because of {visible(cause)}", style="yellow")
    could_not = not report["overall"]["n"]
    colour = {"pass": "green", "fail": "red", "inconclusive": "yellow"}[report["verdict"]]
    said = "COULD NOT RUN" if could_not else report["verdict"].upper()
    console.print(bold("\n{}", said, style=f"bold {colour}"))
    for reason in report["reasons"][:4]:
        console.print(visible(reason))
    if report["cost_usd"] is not None:
        plan = report["plan"]
        graded = f", with grading at most {plan['cost_usd']:.4f} USD" if plan["judge_calls"] else ""
        console.print(f"answers cost {report['cost_usd']:.4f} USD{graded}")
    console.print(f"report: {folder / 'report.html'}")


def causes(report: Mapping[str, Json]) -> list[str]:
    """Why cases are missing, the commonest first, each with its number of cases."""
    found = Counter(
        case.get("reason") or "no reason was told" for case in report["cases"] if case["change"] == "missing"
    )
    return [f"{reason} ({count} {'case' if count == 1 else 'cases'})" for reason, count in found.most_common(_CAUSES)]


def _rates(console: Console, report: Mapping[str, Json]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("", "cases", "stable", "candidate", "interval", "finding"):
        table.add_column(name, justify="left" if name in ("", "finding") else "right", overflow="fold")
    for c in [report["overall"], *report["slices"]]:
        interval = c["interval"]
        bounds = f"{100 * interval['lower']:+.1f} .. {100 * interval['upper']:+.1f}" if interval else "-"
        finding = "too small to judge" if c["too_small"] and c["finding"] == "inconclusive" else c["finding"]
        rates = [percent(c["stable_rate"]), percent(c["candidate_rate"])]
        table.add_row(one_line(c["name"], 100), str(c["n"]), *rates, bounds, finding)
    console.print(table)


def _failing(report: Mapping[str, Json], width: int) -> Iterator[tuple[str, str]]:
    """(line, style) of the cases that newly fail or are flaky, each with what failed and what was answered."""
    shown = [d for change in ("newly failing", "flaky") for d in report["shown"].get(change, [])]
    told = [d for d in shown if d["candidate"].get("failed")][:TOLD]
    for detail in told:
        side = detail["candidate"]
        head = f"\n{detail['case']}" + (" (critical)" if detail["critical"] else "")
        head += f": {detail['description']}" if detail["description"] else ""
        if side["runs"] > 1 and side["passes"] is not None:
            least = f", at least {detail['at_least']} must" if detail.get("at_least") else ""
            head += f" [passed {side['passes']} of {side['runs']} runs{least}]"
        yield f"\n{one_line(head, 2 * width)}", "bold"
        for failed in side["failed"][:_REASONS]:
            yield from ((line, "red") for line in _wrapped(f"{failed['type']}: {failed['reason']}", width, "  "))
        if len(side["failed"]) > _REASONS:
            yield f"  and {len(side['failed']) - _REASONS} more assertions", "red"
        yield from ((line, "") for line in _answered(side, width))
    left = sum(report["counts"][change] for change in ("newly failing", "flaky")) - len(told)
    if told and left:
        yield f"\n{left} more with their answers are in the report", "dim"


def _answered(side: Mapping[str, Json], width: int) -> Iterator[str]:
    """The answer, indented; what is left out is said."""
    text = side.get("output") or ""
    if not text.strip():
        yield f"  answered nothing ({one_line(str(side.get('stop_reason')), 60)})"
        return
    lines = [
        wrapped
        for line in shortened(text, _ANSWER).splitlines()
        for wrapped in _wrapped(line, width, "  | ") or ["  |"]
    ]
    yield "  answered:"
    yield from lines[:_LINES]
    if len(lines) > _LINES or len(text) > _ANSWER:
        yield f"  ({side['output_chars']:,} characters; the report has more of it)"


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    from textwrap import wrap

    return wrap(visible(text), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
