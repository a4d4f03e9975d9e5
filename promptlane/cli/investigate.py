"""`promptlane investigate`: what changed, who did it, what it did to users, and how to end it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from promptlane.domain.errors import InvalidInput
from promptlane.domain.findings import Investigation, Pair, percent, summary
from promptlane.domain.invocation import Invocation
from promptlane.domain.text import one_line, visible
from promptlane.domain.timeline import iso
from promptlane.lifecycle.inquire import Sources, inquire

from .session import Session
from .show import duration
from .times import moment

if TYPE_CHECKING:
    from .deployment import Deployment

_DAY = 86_400.0
_SHOWN_EVENTS = 60


def investigate(session: Session, prompt: str, *, since: str, until: str, html: Path | None, as_json: bool) -> None:
    """Ask every source, and show what they say together."""
    now = session.clock()
    end = moment(until, now) if until else now
    begin = moment(since, now) if since else end - _DAY
    if begin >= end:
        raise InvalidInput(f"--since {since or iso(begin)} is not before --until {until or 'now'}; swap or widen them")
    found = inquire(sources(session), prompt, begin, end)
    if html is not None:
        from promptlane.pages.investigation_page import investigation_page

        try:
            html.write_text(investigation_page(found), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"the report cannot be written to {html}: {error.strerror}") from None
    document = found.to_dict() | ({"html": str(html)} if html else {})
    session.emit(document, as_json=as_json, show=lambda console: show(console, found, html))


def sources(session: Session) -> Sources:
    """Adapters on the deployment's services; a test's deployment brings its own."""
    deployment = session.deployment
    made: Sources | None = deployment.made.get("sources")
    return made or _connected(deployment, session)


def _connected(deployment: Deployment, session: Session) -> Sources:
    from promptlane.aws.alarm_history import CloudWatchAlarmHistory
    from promptlane.aws.clients import client
    from promptlane.aws.invocation_log import InsightsLog
    from promptlane.aws.metrics import CloudWatchCounts
    from promptlane.aws.trail import CloudTrailHistory

    return Sources(
        prompts=deployment.prompts,
        routes=deployment.routes,
        releases=deployment.releases,
        trail=CloudTrailHistory(client("cloudtrail")),
        alarms=CloudWatchAlarmHistory(client("cloudwatch"), deployment.name),
        rates=CloudWatchCounts(client("cloudwatch")),
        log=InsightsLog(bedrock=client("bedrock"), logs=client("logs"), s3=client("s3")),
        clock=session.clock,
    )


def show(console: Console, found: Investigation, html: Path | None) -> None:
    """Most important first: conclusion, remedy, examples, what changed, timeline, what is missing."""
    facts = found.facts
    length = duration(facts.window.seconds)
    console.print(Text(f"{facts.prompt}: {iso(facts.window.since)} to {iso(facts.window.until)} ({length})", "bold"))
    for sentence in summary(found):
        console.print(Text(f"  {visible(sentence)}"))
    console.print(Text("\nTo end it", "bold"))
    console.print(Text(f"  {found.remedy.says}"))
    if found.remedy.command:
        console.print(Text(f"  {found.remedy.command}", "bold red"))
    if len(found.causes) > 1:
        console.print(Text("\nLikely causes, most likely first", "bold"))
        for number, cause in enumerate(found.causes, 1):
            chance = f" (chance ≤ {cause.contrast.chance:.2g})" if cause.contrast else " (no count can test it)"
            console.print(
                Text(f"  {number}. {visible(cause.title)}", "" if cause.shown else "dim"), Text(chance, "dim")
            )
    _show_pairs(console, found)
    if found.diff:
        console.print(Text(f"\nWhat changed between version {found.before} and version {found.after}", "bold"))
        for line in found.diff[:60]:
            console.print(Text(f"  {line}", {"+": "green", "-": "red"}.get(line[:1], "dim")))
    _show_timeline(console, found)
    _show_calls(console, found)
    if found.missing:
        console.print(Text("\nWhat is missing", "bold"))
        for gap in found.missing:
            console.print(Text(f"  {gap.source}: {visible(gap.what)}. Therefore {gap.therefore}.", "yellow"))
            if gap.remedy:
                console.print(Text(f"    {gap.remedy}", "dim"))
    if html is not None:
        console.print(Text(f"\nReport: {html}"))


def _show_pairs(console: Console, found: Investigation) -> None:
    if not found.pairs:
        return
    console.print(Text("\nConversations", "bold"))
    for pair in found.pairs:
        console.print(Text(f"  asked: {_asked(pair.bad, pair)}"))
        console.print(Text(f"    version {pair.bad.version} ({', '.join(sorted(pair.bad.bad))}): "
                           f"{one_line(pair.bad.answer or pair.bad.error, 300)}", "red"))  # fmt: skip
        if pair.good is not None:
            if _asked(pair.good, pair) != _asked(pair.bad, pair):
                console.print(Text(f"    a similar one: {_asked(pair.good, pair)}", "dim"))
            console.print(Text(f"    version {pair.good.version}: {one_line(pair.good.answer, 300)}", "green"))


def _asked(one: Invocation, pair: Pair) -> str:
    variables = pair.bad_variables if one is pair.bad else pair.good_variables
    return one_line("; ".join(f"{k}: {v}" for k, v in variables.items()) or one.sent, 300)


def _show_timeline(console: Console, found: Investigation) -> None:
    console.print(Text("\nTimeline (UTC)", "bold"))
    if not found.timeline:
        console.print("  nothing happened in this window")
        return
    left_out = len(found.timeline) - _SHOWN_EVENTS
    if left_out > 0:
        console.print(Text(f"  {left_out} earlier entries left out; --json and --html show all", "dim"))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(overflow="fold")
    for event in found.timeline[-_SHOWN_EVENTS:]:
        table.add_row(
            Text(f"  {iso(event.at)[:19].replace('T', ' ')}", "dim"),
            Text(event.source, "dim"),
            Text(visible(event.what), "bold" if event.change else ""),
            Text(one_line(event.by, 60), "dim"),
        )
    console.print(table)


def _show_calls(console: Console, found: Investigation) -> None:
    if not found.facts.calls:
        return
    console.print(Text("\nCalls in the invocation log", "bold"))
    for group in found.facts.calls[:10]:
        failed = f", {percent(group.errors / group.calls)} failed" if group.errors and group.calls else ""
        console.print(Text(f"  {group.calls:,} of version {group.version} as {group.track} by {group.caller}{failed}"))
