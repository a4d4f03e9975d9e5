"""What operators type: `promptlane …`. Commands load what they need when they run, so that `--help` is quick."""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    try:
        from .app import run
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] == "promptlane":
            raise
        raise SystemExit(
            f"promptlane: the command line needs packages that are not installed here ({missing.name}): "
            "pip install 'promptlane[cli]', or '.[cli]' in a clone"
        ) from None

    raise SystemExit(run())
