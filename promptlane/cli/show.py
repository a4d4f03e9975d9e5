"""How documents look on a terminal. Texts that people wrote are never read as markup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from promptlane.domain.release.gist import gist
from promptlane.domain.release.timeline import from_iso
from promptlane.domain.text import one_line, span

from .verify import how_verified

Json = Any

_COLOURS = {
    "promoted": "green",
    "rolled_back": "red",
    "rejected": "yellow",
    "failed": "red",
    "expired": "yellow",
    "superseded": "dim",
}


def status_table(document: Mapping[str, Json], now: float) -> RenderableType:
    """Prompts, who gets what, and the latest entries of the release in flight."""
    return Group(*(_standing(prompt, now) for prompt in document["prompts"]))


def _standing(prompt: Mapping[str, Json], now: float) -> RenderableType:
    lines: list[RenderableType] = [Text(str(prompt["prompt"]), style="bold")]
    route, release = prompt["route"], prompt["release"]
    if route is None:
        lines.append(Text("  no version is stable yet: nobody gets an answer"))
    else:
        lines.append(_shares(route))
        since = span(now - from_iso(route["since"]))
        text = f"  phase {route['phase']} for {since}"
        if route["watch_until"] and route["phase"] == "watch":
            text += f", {span(from_iso(route['watch_until']) - now)} to go"
        if route["quarantined"]:
            text += f"; quarantined: version {', '.join(str(v) for v in route['quarantined'])}"
        lines.append(Text(text, style="dim"))
    if release:
        lines.append(_release_line(release, now))
        lines += [_entry_line(entry) for entry in release["latest"]]
        lines += [Text(f"  {one_line(line, 300)}") for line in release["evidence"]]
    for waiting in prompt["waiting"]:
        lines.append(
            Text(f"  version {waiting['version']} waits, asked for by {one_line(waiting['requested_by'], 80)}")
        )
    lines += [Text(f"  note: {one_line(note, 300)}", style="yellow") for note in prompt["notes"]]
    return Group(*lines, Text(""))


def _shares(route: Mapping[str, Json]) -> Text:
    """A bar of 40 cells, one colour for each version that gets traffic."""
    text = Text("  ")
    colours = ("green", "magenta")
    for (version, percent), colour in zip(route["shares"].items(), colours, strict=False):
        cells = max(1, round(percent * 0.4)) if percent else 0
        text.append("█" * cells, style=colour)
        text.append(f" version {version}: {percent:g}% ", style=colour)
    return text


def _release_line(release: Mapping[str, Json], now: float) -> Text:
    text = Text(f"  release {release['release_id']}: ")
    if release["ended"]:
        outcome = str(release["outcome"])
        text.append(outcome.replace("_", " "), style=_COLOURS.get(outcome, ""))
        text.append(f", {span(now - from_iso(release['ended_at']))} ago" if release["ended_at"] else "")
    else:
        text.append(str(release["state"]), style="cyan")
        text.append(f", started {span(now - from_iso(release['started_at']))} ago")
    if release["reason"]:
        text.append(f" ({one_line(str(release['reason']), 160)})", style="dim")
    return text


def _entry_line(entry: Mapping[str, Json]) -> Text:
    text = Text(f"    {str(entry['at'])[11:19]}  ", style="dim")
    text.append(str(entry["event"]))
    text.append(f"  {gist(entry['detail'])}", style="dim")
    return text


def show_releases(console: Console, document: Mapping[str, Json]) -> None:
    """One line for each release."""
    if not document["releases"]:
        console.print(f"{document['prompt']} has no release yet.")
        return
    table = Table(title=f"Releases of {document['prompt']}", title_justify="left", box=None, pad_edge=False)
    for column in ("release", "version", "state", "started (UTC)", "asked for by", "why it ended so"):
        table.add_column(column, overflow="fold")
    for release in document["releases"]:
        outcome = release["outcome"] or release["state"]
        table.add_row(
            release["release_id"],
            str(release["version"]),
            Text(outcome.replace("_", " "), style=_COLOURS.get(outcome, "cyan")),
            str(release["started_at"])[:19].replace("T", " "),
            Text(one_line(str(release["requested_by"]), 80)),
            Text(one_line(str(release["reason"]), 200)),
        )
    console.print(table)
    if "verified" in document:
        console.print(how_verified(document, "All timelines hold"))


def show_timeline(console: Console, document: Mapping[str, Json]) -> None:
    """Every entry of a release."""
    outcome = str(document["outcome"] or document["state"])
    head = Text(f"{document['release_id']}  {document['prompt']} version {document['version']}  ", style="bold")
    head.append(outcome.replace("_", " "), style=_COLOURS.get(outcome, "cyan"))
    console.print(head)
    console.print(timeline_table(document["timeline"]))
    if "verified" in document:
        console.print(how_verified(document, "The timeline holds"))


def timeline_table(entries: list[Mapping[str, Json]]) -> Table:
    """When, what, who, and the gist of the detail."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    for entry in entries:
        table.add_row(
            Text(str(entry["at"])[:23].replace("T", " "), style="dim"),
            Text(str(entry["event"])),
            Text(one_line(str(entry["by"]), 60), style="dim"),
            Text(gist(entry["detail"])),
        )
    return table
