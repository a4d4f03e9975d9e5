"""What operators type: `promptlane …`. Commands load what they need when they run, so that `--help` is quick."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from .app import run

    raise SystemExit(run())
