"""`python -m local serve|up|down|deploy`: the embedded AWS in the foreground, or in the background and deployed to."""

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
    serve.add_argument("--keep", action="store_true", help="go on with the state under --home, and save it there")
    up.add_argument("--fresh", action="store_true", help="forget what was deployed and done before")
    serve.add_argument("--home", type=Path, default=server.HOME, help="where state and mail go (default .local)")
    commands.add_parser("down", help="stop what `up` started")
    deploy = commands.add_parser("deploy", help="deploy to the AWS of the environment, or to the one that is up")
    deploy.add_argument("--prompt", default="", help="this prompt's stack alone")
    deploy.add_argument("cdk", nargs="*", help="arguments for `cdk deploy`, after --")
    options = parser.parse_args(arguments)
    if options.command == "deploy":
        from local import target

        return target.run(options.cdk, prompt=options.prompt)
    if options.command == "serve":
        return server.main(options.port, options.home, options.auth, options.keep)
    from local import up as background

    if options.command == "down":
        return background.down()
    return background.up(options.port, auth=options.auth, fresh=options.fresh)


if __name__ == "__main__":
    sys.exit(main())
