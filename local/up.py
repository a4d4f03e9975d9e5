"""`python -m local up` and `down`: the embedded AWS in the background with every stack deployed.

Writes `.local/env` (shell exports for any AWS SDK or CLI), `.local/outputs.json` (stack outputs) and `.local/pid`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from local import deploy, inbox, lambda_runtime, running, server

HOME = server.HOME
STREAMS = 10
"""Answers that the streaming gateway of `up` gives at once. A fresh account has no executions to reserve: the account
of `up` has as many more as AWS wants to stay unreserved, unless PROMPTLANE_LAMBDA_CONCURRENCY says another number."""
QUOTA = "PROMPTLANE_LAMBDA_CONCURRENCY"

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Servers that this very process started, so that `down` in the same process can wait for them."""


def start(port: int, *, auth: bool = False, keep: bool = False, home: Path = HOME) -> int:
    """Start the server in the background; returns its process id. Raises server.PortTaken, running.NotStarted."""
    process = running.spawn(port, home, auth=auth, keep=keep, extra={QUOTA: str(_quota())})
    _children[process.pid] = process
    running.wait_healthy(port, process, home)
    (home / "pid").write_text(json.dumps({"pid": process.pid, "port": port}) + "\n")
    (home / "env").unlink(missing_ok=True)
    with open(os.open(home / "env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as env:
        env.write(exports(running.env(port, home) | _own_variables(port, home)))
        env.write(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n")
    return process.pid


def _own_variables(port: int, home: Path) -> dict[str, str]:
    """`PROMPTLANE_SETTINGS` is read by app.py: so `npx cdk deploy` makes packages for this machine, too."""
    settings = {name.removeprefix("promptlane:"): value for name, value in local_context().items()}
    return {
        "PROMPTLANE_MAIL_DIR": str(home / "mail"),
        "PROMPTLANE_OUTPUTS": str(home / "outputs.json"),
        "PROMPTLANE_INBOX": inbox.link(port, home),
        "PROMPTLANE_SETTINGS": json.dumps(settings),
    }


def application_variables(outputs: dict[str, dict[str, str]]) -> dict[str, str]:
    """What `PromptClient()` reads from the environment, from the stacks' outputs."""
    state, runtime = outputs["promptlane-state"], outputs["promptlane-runtime"]
    return {
        "PROMPTLANE_ROUTE_TABLE": state["RouteTable"],
        "PROMPTLANE_FEEDBACK_TABLE": state["FeedbackTable"],
        "PROMPTLANE_VERSION_BUCKET": state["VersionBucket"],
        "PROMPTLANE_RECEIPT_KMS_KEY": state["ReceiptKey"],
        "PROMPTLANE_RESOLUTION": runtime["MetricResolution"],
        "PROMPTLANE_GATEWAY_URL": runtime["GatewayUrl"],
        **({"PROMPTLANE_STREAM_URL": runtime["StreamUrl"]} if "StreamUrl" in runtime else {}),
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


def up(
    port: int, *, auth: bool = False, fresh: bool = False, context: dict[str, Any] | None = None, home: Path = HOME
) -> int:
    """Start and deploy; returns the exit code. What `up` itself left running is replaced, and its state goes on.

    `fresh` forgets what was deployed, released and mailed before."""
    try:
        deploy.check_node(lambda line: print(line, file=sys.stderr))
        down(quiet=True, home=home)
        goes_on = _state(port, fresh, home)
        start(port, auth=auth, keep=True, home=home)
        print(
            f"embedded AWS on {running.env(port, home)['AWS_ENDPOINT_URL']}"
            f"{', going on with what was there (`make up FRESH=1` forgets it)' if goes_on else ''}; "
            f"deploying (log: {_shown(home / 'deploy.log')}) …",
            flush=True,
        )
        with (home / "deploy.log").open("w") as log:
            deploy.deploy(
                running.env(port, home), context or local_context(), outputs=home / "outputs.json", say=_logger(log)
            )
        with (home / "env").open("a") as env:
            env.write(exports(application_variables(json.loads((home / "outputs.json").read_text()))))
    except (
        server.PortTaken,
        running.NotStarted,
        deploy.CannotDeploy,
        lambda_runtime.RuntimeMissing,
        OtherState,
    ) as problem:
        print(f"promptlane: {problem}", file=sys.stderr)
        return 2
    print(_next_steps(port, home))
    return 0


class OtherState(RuntimeError):
    """What is kept was made by something else, and cannot go on here."""


def _state(port: int, fresh: bool, home: Path) -> bool:
    """Whether there is state to go on with. Raises OtherState; `fresh` removes what there is."""
    state, wanted = home / "state", f"ministack {metadata.version('ministack')} on port {port}\n"
    if fresh or not (state / "saved").exists():
        for folder in (state, home / "mail"):
            shutil.rmtree(folder, ignore_errors=True)
        state.mkdir(parents=True)
        (state / "made-by").write_text(wanted)
        return False
    made = (state / "made-by").read_text() if (state / "made-by").exists() else "something else"
    if made != wanted:
        raise OtherState(
            f"{_shown(state)} was written by {made.strip()}, and this would be {wanted.strip()}: addresses in it would "
            "lead nowhere. Take the same port (PORT=…), or start anew with `make up FRESH=1`"
        )
    return True


def _shown(path: Path) -> str:
    return str(path.relative_to(deploy.REPOSITORY)) if path.is_relative_to(deploy.REPOSITORY) else str(path)


def _next_steps(port: int, home: Path) -> str:
    return f"""deployed. In this shell:

  . {_shown(home / "env")}                  points promptlane and every AWS tool here
  promptlane status                  what is released
  promptlane publish prompts/support-assistant --message "why"

The mail of reviewers and of people on call, in the browser (confirm the subscriptions first):

  {inbox.link(port, home)}

`make up` again keeps all of it, `make up FRESH=1` starts anew, `make down` stops it."""


def local_context() -> dict[str, str]:
    """CDK context of a deployment on the embedded AWS: assets for this host instead of arm64."""
    return {
        "promptlane:lambda_target": "host",
        "promptlane:on_call": "on-call@example.com",
        "promptlane:streams": str(STREAMS if _quota() >= 100 + STREAMS else 0),
    }


def _quota() -> int:
    return int(os.environ.get(QUOTA) or 100 + STREAMS)


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
