"""Standard output as it may be: a pipe that nobody reads any more, a terminal that knows few characters."""

from __future__ import annotations

import io
import os
import sys


def nobody_reads() -> None:
    """Let what is still printed go nowhere, also what Python flushes in the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_anything() -> None:
    """Whatever the terminal's encoding cannot say is spelled out (`\\u2192`), instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
