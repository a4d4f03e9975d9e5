"""What the audience sees: a live panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from promptlane.domain.names import FULL, Phase
from promptlane.domain.release.gist import gist
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import TimelineEntry, iso

Json = Any
_BAR = 50


@dataclass
class Scene:
    """Everything that is on the screen."""

    steps: list[tuple[str, str, float]] = field(default_factory=list)
    """(state, what, seconds): state is doing, done or failed."""
    route: Route | None = None
    traffic: Mapping[str, Json] = field(default_factory=dict)
    rate: float = 0.0
    entries: list[tuple[int, TimelineEntry]] = field(default_factory=list)


class Screen:
    """Shows the scene; `with Screen() as screen:` restores the terminal at the end."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self.scene = Scene()
        self._live: Live | None = None
        self._began = self._said = time.monotonic()
        self._step_began = self._began

    def __enter__(self) -> Screen:
        if self.console.is_terminal:
            self._live = Live(self.draw(), console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            for state, what, seconds in self.scene.steps:
                self._line(state, what, seconds)

    def begin(self, what: str) -> None:
        """The next step of the play; the one before is done."""
        self._finish("done")
        self.scene.steps.append(("doing", what, 0.0))
        self._step_began = time.monotonic()
        if self._live is None:
            self.console.print(f"{self._clock()}  {what} ...")
        self.refresh()

    def end(self, *, failed: bool = False) -> None:
        """The last step is over."""
        self._finish("failed" if failed else "done")
        self.refresh()

    def _finish(self, state: str) -> None:
        if self.scene.steps and self.scene.steps[-1][0] == "doing":
            what = self.scene.steps[-1][1]
            self.scene.steps[-1] = (state, what, time.monotonic() - self._step_began)

    def entry(self, version: int, entry: TimelineEntry) -> None:
        """A new entry of a timeline."""
        self.scene.entries.append((version, entry))
        if self._live is None:
            self.console.print(Text.assemble(f"{self._clock()}    ", _entry(version, entry)))
        self.refresh()

    def look(self, route: Route | None, traffic: Mapping[str, Json], rate: float) -> None:
        """The latest route and traffic totals."""
        self.scene.route, self.scene.traffic, self.scene.rate = route, traffic, rate
        if self._live is None and traffic and time.monotonic() - self._said >= 10:
            self._said = time.monotonic()
            self.console.print(Text.assemble(f"{self._clock()}    ", _shares(route), "  ", _counts(traffic, rate)))
        self.refresh()

    def refresh(self) -> None:
        if self._live is not None:
            self._live.update(self.draw())

    def draw(self) -> RenderableType:
        """The panel."""
        now = time.monotonic()
        steps = Table.grid(padding=(0, 1))
        for state, what, seconds in self.scene.steps[-8:]:
            steps.add_row(*_step(state, what, seconds if state != "doing" else now - self._step_began))
        parts: list[RenderableType] = [steps]
        if self.scene.route is not None:
            parts += [Text(""), _shares(self.scene.route)]
        if self.scene.traffic:
            parts.append(_counts(self.scene.traffic, self.scene.rate))
        if self.scene.entries:
            parts += [Text(""), *(_entry(v, e) for v, e in self.scene.entries[-10:])]
        return Panel(Group(*parts), title=f"Promptlane demo, {now - self._began:.0f} s", border_style="cyan")

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"

    def _line(self, state: str, what: str, seconds: float) -> None:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(*_step(state, what, seconds))
        self.console.print(grid)


def _step(state: str, what: str, seconds: float) -> tuple[Text, Text, Text]:
    mark, style = {"doing": ("…", "cyan"), "done": ("✓", "green"), "failed": ("✗", "red")}[state]
    return (
        Text(mark, style=style),
        Text(what, style="" if state == "doing" else style),
        Text(f"{seconds:.1f} s", style="dim"),
    )


def _entry(version: int, entry: TimelineEntry) -> Text:
    text = Text(f"{iso(entry.at)[11:19]}  v{version}  ", style="dim")
    marks = entry.event.marks
    style = "bold green" if "good" in marks else "bold red" if "bad" in marks else "default"
    text.append(str(entry.event), style=style)
    text.append(f"  {gist(entry.detail)}", style="dim")
    return text


def _shares(route: Route | None) -> Text:
    """Who gets what, as a bar."""
    if route is None:
        return Text("nobody is served yet", style="dim")
    share, other = 0, None
    if route.phase is Phase.CANARY and route.canary is not None:
        share, other = route.weight, route.canary.version
    elif route.phase is Phase.WATCH and route.previous is not None:
        share, other = route.holdback, route.previous.version
    cells = round(_BAR * share / FULL) if share else 0
    text = Text()
    text.append("█" * (_BAR - cells), style="green")
    text.append("█" * cells, style="magenta")
    text.append(f"  v{route.stable.version} {100 - share / 100:g}%", style="green")
    if other is not None and share:
        text.append(f"  v{other} {share / 100:g}%", style="magenta")
    text.append(f"  {route.phase}", style="dim")
    return text


def _counts(traffic: Mapping[str, Json], rate: float) -> Text:
    versions = ", ".join(f"v{v}: {n:,}" for v, n in sorted(traffic.get("by_version", {}).items()))
    text = Text(f"{traffic.get('total', 0):,} questions, {rate:.0f}/s  ({versions})", style="dim")
    if failed := traffic.get("failed"):
        text.append(f"  {failed:,} failed", style="red")
    return text
