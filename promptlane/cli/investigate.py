"""`promptlane investigate`: what changed, who did it, what it did to users, and how to end it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from promptlane.domain.errors import InvalidInput
from promptlane.domain.investigation.findings import (
    ConversationPair,
    Investigation,
    Story,
    approvals,
    clock,
    no_conversations,
    summary,
)
from promptlane.domain.investigation.invocation import Invocation
from promptlane.domain.investigation.sources import CallGroup
from promptlane.domain.metrics import noun_of
from promptlane.domain.release.timeline import iso
from promptlane.domain.text import one_line, percent, span, visible
from promptlane.lifecycle.investigate import run

from .session import Session
from .times import moment

_DAY = 86_400.0
_SHOWN_EVENTS = 60
_SHOWN_CALLS = 10


def investigate(session: Session, prompt: str, *, since: str, until: str, html: Path | None, as_json: bool) -> None:
    """Ask every source, and show what they say together."""
    now = session.clock()
    end = moment(until, now) if until else now
    begin = moment(since, now) if since else end - _DAY
    if since and begin > now:
        raise InvalidInput(
            f"--since {since} is in the future, where nothing has happened yet; write 2h for two hours ago, or a time "
            f"before {iso(now)}"
        )
    if begin >= end:
        raise InvalidInput(f"--since {since or iso(begin)} is not before --until {until or 'now'}; swap or widen them")
    if html is not None:
        _check_place(html)  # said before minutes of asking, not after
    found = run.investigate(session.deployment.sources, prompt, begin, end)
    if html is not None:
        from promptlane.pages.investigation_page import investigation_page

        _write(html, investigation_page(found))
    document = found.to_dict() | ({"html": str(html)} if html else {})
    session.emit(document, as_json=as_json, show=lambda console: show(console, found, html))


def _check_place(html: Path) -> None:
    """Raise InvalidInput when no report can be written there; a file that is there stays as it is."""
    there = html.exists()
    _write(html, "", mode="a")
    if not there:
        html.unlink()


def _write(html: Path, text: str, *, mode: str = "w") -> None:
    try:
        with html.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInput(f"the report cannot be written to {html}: {error.strerror}") from None


def show(console: Console, found: Investigation, html: Path | None) -> None:
    """Most important first: conclusion, remedy, examples, what changed, by whom, timeline, what is missing."""
    facts = found.facts
    length = span(facts.window.seconds)
    head = f"{facts.prompt}: {clock(facts.window.since)} to {clock(facts.window.until)} UTC ({length})"
    _say(console, head, "bold", indent=0)
    for sentence in summary(found):
        _say(console, visible(sentence))
    _head(console, "To end it")
    _say(console, visible(found.remedy.says))
    if found.remedy.command:
        # One line whatever the width, with nothing around it, so that it can be copied whole.
        console.print()
        console.print(Text(found.remedy.command, "bold red"), soft_wrap=True)
    _show_causes(console, found)
    _show_pairs(console, found)
    if found.diff:
        _head(console, f"What changed between version {found.before} and version {found.after}")
        for line in found.diff[:60]:
            _say(console, line, {"+": "green", "-": "red"}.get(line[:1], "dim"))
    _show_stories(console, found)
    _show_timeline(console, found)
    _show_calls(console, found)
    _show_missing(console, found)
    if html is not None:
        _head(console, f"Report: {html}")


def _say(console: Console, text: str, style: str = "", *, indent: int = 2) -> None:
    """A paragraph, broken between words at the terminal's width, its further lines indented like the first."""
    margin = " " * indent
    for line in Text(text, style).wrap(console, max(20, console.width - indent), overflow="fold"):
        line.rstrip()
        console.print(Text(margin).append_text(line))


def _head(console: Console, text: str) -> None:
    console.print()
    _say(console, text, "bold", indent=0)


def _show_causes(console: Console, found: Investigation) -> None:
    if len(found.causes) < 2:
        return
    _head(console, "Likely causes, most likely first")
    for number, cause in enumerate(found.causes, 1):
        _say(console, f"{number}. {visible(cause.title)} ({cause.certainty})", "" if cause.shown else "dim")


def _show_pairs(console: Console, found: Investigation) -> None:
    why = no_conversations(found)
    if why or found.pairs:
        _head(console, "Conversations")
    if why:
        _say(console, why)
    for pair in found.pairs:
        what = ", ".join(noun_of(name) for name in sorted(pair.bad.bad))
        _say(console, f"asked: {_asked(pair.bad, pair)}")
        said = one_line(pair.bad.answer or pair.bad.error, 300)
        _say(console, f"version {pair.bad.version} ({what}): {said}", "red", indent=4)
        if pair.good is not None:
            if _asked(pair.good, pair) != _asked(pair.bad, pair):
                _say(console, f"a similar one: {_asked(pair.good, pair)}", "dim", indent=4)
            _say(console, f"version {pair.good.version}: {one_line(pair.good.answer, 300)}", "green", indent=4)


def _asked(one: Invocation, pair: ConversationPair) -> str:
    variables = pair.bad_variables if one is pair.bad else pair.good_variables
    return one_line("; ".join(f"{k}: {v}" for k, v in variables.items()) or one.sent, 300)


def _show_stories(console: Console, found: Investigation) -> None:
    if not found.stories:
        return
    _head(console, "Versions")
    for story in found.stories:
        _say(console, f"{story.version}  {_story(story, found)}")


def _story(story: Story, found: Investigation) -> str:
    """Who published, edited and approved a version, and when it was served, in short."""
    when = f" {clock(story.published_at)}" if story.published_at else ""
    parts = [f"published{when} by {_name(story.published_by)}"]
    if story.edited_by:
        parts.append(f"edited by {', '.join(map(_name, story.edited_by))}")
    parts.append(approvals(story, known=found.facts.releases_known))
    parts += [f"{word} {clock(at)}" for word, at in story.traffic] or ["no traffic on record"]
    return visible("; ".join(parts))


def _name(arn: str) -> str:
    """The part of an ARN that people know: `user/editor`, `assumed-role/App/i-1`."""
    return one_line(arn.split(":", 5)[-1] if arn.startswith("arn:") else arn or "unknown", 80)


def _show_timeline(console: Console, found: Investigation) -> None:
    _head(console, "Timeline (UTC)")
    if not found.timeline:
        _say(console, "nothing happened in this window")
        return
    left_out = len(found.timeline) - _SHOWN_EVENTS
    if left_out > 0:
        _say(console, f"{left_out:,} earlier entries left out; --json and --html show all", "dim")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    for column in ("at", "source", "what", "by"):
        whole = column in ("at", "source")
        table.add_column(no_wrap=whole, overflow="fold", ratio=None if whole else 3 if column == "what" else 2)
    for event in found.timeline[-_SHOWN_EVENTS:]:
        table.add_row(
            Text(clock(event.at)[5:], "dim"),
            Text(event.source, "dim"),
            Text(visible(event.what), "bold" if event.change else ""),
            Text(_name(event.by) if event.by else "", "dim"),
        )
    console.print(Padding(table, (0, 0, 0, 2)), soft_wrap=False)


def _show_calls(console: Console, found: Investigation) -> None:
    facts = found.facts
    calls = [f"{g.calls:,} of version {g.version} as {g.track} by {_name(g.caller)}{_failed(g)}" for g in facts.calls]
    outside = [f"{g.calls:,} of {g.model} ({g.operation}) by {_name(g.caller)}{_failed(g)}" for g in facts.outside]
    shown = [
        f"{r.calls:,} of {r.name} by {_name(r.caller)}, {clock(r.first)} to {clock(r.last)}" for r in found.rendered
    ]
    _list(console, "Calls in the invocation log", calls)
    _list(console, "Calls outside of the split", outside)
    _list(console, "Who rendered which version", shown)


def _failed(group: CallGroup) -> str:
    return f", {percent(group.errors / group.calls)} failed" if group.errors and group.calls else ""


def _list(console: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    _head(console, title)
    for line in lines[:_SHOWN_CALLS]:
        _say(console, visible(line))
    if len(lines) > _SHOWN_CALLS:
        _say(console, f"{len(lines) - _SHOWN_CALLS:,} more; --json and --html show all", "dim")


def _show_missing(console: Console, found: Investigation) -> None:
    if not found.missing:
        return
    _head(console, "What is missing")
    for gap in found.missing:
        _say(console, f"{gap.source}: {visible(gap.what)}. Therefore {gap.therefore}.", "yellow")
        if gap.remedy:
            _say(console, gap.remedy, "dim", indent=4)
