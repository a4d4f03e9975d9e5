"""What a command works with: where to print, and the deployment, connected to when it is first needed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.ports import Clock

if TYPE_CHECKING:
    from rich.console import Console

    from .deployment import Deployment

Json = Any


def _connect() -> Deployment:
    from .deployment import connect

    return connect()


@dataclass
class Session:
    """One invocation. Tests pass another `connect` and `clock`."""

    connect: Callable[[], Deployment] = _connect
    clock: Clock = time.time
    sleep: Callable[[float], None] = time.sleep
    settings: dict[str, Json] = field(default_factory=dict)

    @cached_property
    def deployment(self) -> Deployment:
        return self.connect()

    @cached_property
    def reachable(self) -> Deployment | None:
        """The same for commands that do without one; looked for once."""
        try:
            return self.deployment
        except PromptlaneError:
            return None

    @cached_property
    def console(self) -> Console:
        from .terminal import Terminal

        return Terminal(outlives_pipe=bool(self.settings.get("outlives_pipe")))

    def emit(self, document: Mapping[str, Json], *, as_json: bool, show: Callable[[Console], None]) -> None:
        """Print the document as JSON, or let `show` draw it."""
        if as_json:
            from .streams import nobody_reads
            from .terminal import as_json as text_of

            try:
                sys.stdout.write(text_of(document) + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                nobody_reads()
        else:
            show(self.console)
