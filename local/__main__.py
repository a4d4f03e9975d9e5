"""`python -m local serve|up|down`: the embedded AWS in the foreground, or in the background and deployed to."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from local import server

DEFAULT_PORT = 4566


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve in the foreground")
    up = commands.add_parser("up", help="serve in the background and deploy every stack")
    for command in (serve, up):
        command.add_argument("--port", type=int, default=int(os.environ.get("PROMPTLANE_PORT") or DEFAULT_PORT))
        command.add_argument("--auth", action="store_true", help="enforce IAM (also AUTH=true)")
    serve.add_argument("--home", type=Path, default=server.HOME, help="where state and mail go (default .local)")
    commands.add_parser("down", help="stop what `up` started")
    options = parser.parse_args(arguments)
    if options.command == "serve":
        return server.main(options.port, options.home, options.auth)
    from local import up as background

    return background.down() if options.command == "down" else background.up(options.port, auth=options.auth)


if __name__ == "__main__":
    sys.exit(main())
