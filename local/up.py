"""`python -m local up` and `down`: the embedded AWS in the background with every stack deployed.

Writes `.local/env` (shell exports for any AWS SDK or CLI), `.local/outputs.json` (stack outputs) and `.local/pid`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local import deploy, lambda_runtime, running, server

HOME = server.HOME

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers that this very process started, so that `down` in the same process can wait for them."""


def start(port: int, *, auth: bool = False, home: Path = HOME) -> int:
    """Start the server in the background; returns its process id. Raises server.PortTaken, running.NotStarted."""
    process = running.spawn(port, home, auth=auth)
    _children[process.pid] = process
    running.wait_healthy(port, process, home)
    (home / "pid").write_text(json.dumps({"pid": process.pid, "port": port}) + "\n")
    (home / "env").unlink(missing_ok=True)
    with open(os.open(home / "env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as env:
        env.write(exports(running.env(port, home) | _own_variables(home)))
    return process.pid


def _own_variables(home: Path) -> dict[str, str]:
    return {"PROMPTLANE_MAIL_DIR": str(home / "mail"), "PROMPTLANE_OUTPUTS": str(home / "outputs.json")}


def application_variables(outputs: dict[str, dict[str, str]]) -> dict[str, str]:
    """What `PromptClient()` reads from the environment, from the stacks' outputs."""
    state, runtime = outputs["promptlane-state"], outputs["promptlane-runtime"]
    return {
        "PROMPTLANE_ROUTE_TABLE": state["RouteTable"],
        "PROMPTLANE_FEEDBACK_TABLE": state["FeedbackTable"],
        "PROMPTLANE_RECEIPT_KMS_KEY": state["ReceiptKey"],
        "PROMPTLANE_RESOLUTION": runtime["MetricResolution"],
        "PROMPTLANE_GATEWAY_URL": runtime["GatewayUrl"],
    }


def exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def recorded(home: Path = HOME) -> dict[str, int] | None:
    """Process id and port of the server that `up` started, if it still answers under that id."""
    try:
        found: dict[str, int] = json.loads((home / "pid").read_text())
        seen = running.health(found["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if seen and seen["pid"] == found["pid"] else None


def up(port: int, *, auth: bool = False, context: dict[str, Any] | None = None, home: Path = HOME) -> int:
    """Start and deploy; returns the exit code. What `up` itself left running is replaced."""
    try:
        deploy.check_node(lambda line: print(line, file=sys.stderr))
        down(quiet=True, home=home)
        start(port, auth=auth, home=home)
        print(
            f"embedded AWS on {running.env(port, home)['AWS_ENDPOINT_URL']}; deploying (log: .local/deploy.log) …",
            flush=True,
        )
        with (home / "deploy.log").open("w") as log:
            deploy.deploy(
                running.env(port, home), context or local_context(), outputs=home / "outputs.json", say=_logger(log)
            )
        with (home / "env").open("a") as env:
            env.write(exports(application_variables(json.loads((home / "outputs.json").read_text()))))
    except (server.PortTaken, running.NotStarted, deploy.CannotDeploy, lambda_runtime.RuntimeMissing) as problem:
        print(f"promptlane: {problem}", file=sys.stderr)
        return 2
    print("deployed: `source .local/env` makes any AWS SDK or CLI talk to it; `make down` stops it")
    return 0


def local_context() -> dict[str, Any]:
    """CDK context of a deployment on the embedded AWS: assets for this host instead of arm64."""
    return {"promptlane:lambda_target": "host", "promptlane:on_call": "on-call@example.com"}


def _logger(log: Any) -> Callable[[str], None]:
    def say(line: str) -> None:
        log.write(line + "\n")
        log.flush()

    return say


def down(*, quiet: bool = False, home: Path = HOME) -> int:
    """Stop the server that `up` started; returns the exit code (0 also where there was none)."""
    found = recorded(home)
    if found:
        running.stop(found["pid"])
        if child := _children.pop(found["pid"], None):
            child.wait()
    (home / "pid").unlink(missing_ok=True)
    if not quiet:
        print("stopped" if found else "nothing to stop: no embedded AWS that `up` started is running")
    return 0
