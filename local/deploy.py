"""Deploy every stack with the pinned CDK CLI, on the embedded AWS or, with real credentials, anywhere else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
HOME = REPOSITORY / ".local"
CDK = REPOSITORY / "node_modules" / ".bin" / "cdk"
OLDEST_NODE, OLDEST_MAINTAINED_NODE = 20, 22
SAID = "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"
"""Set where somebody else has said that Node is past its end, as make does."""


class CannotDeploy(RuntimeError):
    """Something that the CDK CLI needs is missing, or a deployment failed; the message names the remedy."""


def check_node(say: Callable[[str], None] | None = None) -> None:
    """Raise CannotDeploy unless Node 20 or newer and the pinned CDK CLI are there.

    `say` gets a line about a Node that still works but is past its end."""
    node = shutil.which("node")
    if node is None:
        raise CannotDeploy(
            f"Node.js is not installed: the AWS CDK needs Node {OLDEST_MAINTAINED_NODE} or newer "
            "(https://nodejs.org), then run this again"
        )
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = re.match(r"v(\d+)\.", shown)
    if version is None or int(version[1]) < OLDEST_NODE:
        raise CannotDeploy(
            f"{node} is version {shown or 'unknown'}: the AWS CDK needs Node {OLDEST_MAINTAINED_NODE} or newer "
            "(https://nodejs.org), then run this again"
        )
    if say and int(version[1]) < OLDEST_MAINTAINED_NODE and SAID not in os.environ:
        newer = f"install {OLDEST_MAINTAINED_NODE} or newer"
        say(f"Node.js {shown} is past its end of life: it still works here, but {newer}.")
    if not CDK.exists():
        raise CannotDeploy(f"{CDK.relative_to(REPOSITORY)} is missing: run `npm ci` to install the pinned AWS CDK CLI")


def deploy(
    env: dict[str, str],
    context: dict[str, Any] | None = None,
    *,
    outputs: Path = HOME / "outputs.json",
    say: Callable[[str], None] | None = None,
    bootstrap: bool = True,
    assembly: Path | None = None,
    stacks: Sequence[str] = ("--all",),
) -> dict[str, dict[str, str]]:
    """Bootstrap, deploy all stacks, and return `{stack: {output: value}}` (also written to `outputs`).

    `env` holds the credentials and endpoint (`local.running.env(port)`); `context` is CDK context. `say` gets each
    line of progress. `assembly` is what `synth` made before, `stacks` the names of those to deploy of it. Raises
    CannotDeploy with the end of the CLI's output."""
    check_node()
    outputs.parent.mkdir(parents=True, exist_ok=True)
    outputs.unlink(missing_ok=True)
    account = env.get("AWS_ACCESS_KEY_ID", "")
    target = f"aws://{account if re.fullmatch(r'[0-9]{12}', account) else '0' * 12}/{env['AWS_REGION']}"
    app = str(assembly or synth(env, context, assembly=outputs.parent / "cdk.out", say=say))
    if bootstrap:
        _run(["bootstrap", target, "--app", app], env, say)
    chosen = ["deploy", *stacks, "--app", app, "--require-approval", "never", "--outputs-file", str(outputs)]
    _run([*chosen, "--concurrency", "16"], env, say)
    found: dict[str, dict[str, str]] = json.loads(outputs.read_text()) if outputs.exists() else {}
    outputs.write_text(json.dumps(found, indent=2) + "\n")
    return found


def synth(
    env: dict[str, str],
    context: dict[str, Any] | None = None,
    *,
    assembly: Path,
    say: Callable[[str], None] | None = None,
) -> Path:
    """`cdk synth` into the folder `assembly`, which is returned. Raises CannotDeploy."""
    check_node()
    given = [part for name, value in (context or {}).items() for part in ("-c", f"{name}={_text(value)}")]
    _run(["synth", "--quiet", "--output", str(assembly), *given], env, say)
    return assembly


def destroy(
    env: dict[str, str],
    context: dict[str, Any] | None = None,
    *,
    assembly: Path,
    say: Callable[[str], None] | None = None,
) -> None:
    """`cdk destroy --all` of what `deploy` would deploy, synthesized to `assembly`. Raises CannotDeploy."""
    synth(env, context, assembly=assembly, say=say)
    _run(["destroy", "--all", "--force", "--app", str(assembly)], env, say)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _run(arguments: list[str], env: dict[str, str], say: Callable[[str], None] | None) -> None:
    command = [str(CDK), *arguments, "--progress", "events", "--no-color"]
    command += ["--no-notices", "--no-version-reporting", "--no-asset-metadata", "--no-path-metadata"]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | env
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables.get('PATH', '')}"
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if say and line.strip():
                say(line.rstrip())
    if process.returncode:
        end = "\n".join(lines[-25:])
        raise CannotDeploy(
            f"`cdk {arguments[0]}` failed with exit code {process.returncode}; its output ends with:\n{end}"
        )
