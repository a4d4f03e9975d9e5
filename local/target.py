"""`make deploy`: deploys to the AWS that the environment speaks of, or to the embedded one that is up, and says which.

A deployment to the embedded AWS needs packages for this machine, not for Lambda's processor; that is all that
differs, and nobody should have to know it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from local import deploy, running, up
from local.browsers import OURS

CREDENTIALS = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
)


class NoTarget(RuntimeError):
    """Nobody said where to deploy."""


@dataclass(frozen=True)
class Target:
    """Where a deployment goes: the variables of its AWS, CDK context that it needs, and what people call it."""

    variables: Mapping[str, str]
    context: Mapping[str, str]
    name: str

    @property
    def local(self) -> bool:
        return bool(self.context)


def find(environ: Mapping[str, str], home: Path = up.HOME) -> Target:
    """What the environment says: an endpoint, credentials; where it says nothing, the embedded AWS that is up."""
    endpoint = environ.get("AWS_ENDPOINT_URL", "")
    if endpoint and (urlsplit(endpoint).hostname or "") in OURS:
        return Target({}, up.local_context(), f"the embedded AWS on {endpoint}")
    if any(environ.get(name) for name in CREDENTIALS) or _files(environ):
        profile = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
        who = f"profile {profile}" if profile else "with the credentials of your environment"
        where = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "its default Region"
        return Target({}, {}, f"AWS, {who}, {where}")
    if found := up.recorded(home):
        variables = running.env(found["port"], home)
        name = f"the embedded AWS on {variables['AWS_ENDPOINT_URL']}, which is up"
        return Target(variables, up.local_context(), name)
    raise NoTarget(
        "there are no AWS credentials in the environment, and no embedded AWS is up. Set AWS_PROFILE (or log in), "
        "or run `make up` first"
    )


def _files(environ: Mapping[str, str]) -> bool:
    folder = Path(environ.get("HOME", "/nonexistent")) / ".aws"
    named = {"AWS_SHARED_CREDENTIALS_FILE": folder / "credentials", "AWS_CONFIG_FILE": folder / "config"}
    return any(Path(environ.get(name) or usual).is_file() for name, usual in named.items())


def run(arguments: Sequence[str], *, prompt: str = "", home: Path = up.HOME) -> int:
    """`cdk deploy` of everything, or of one prompt's stack; returns the exit code."""
    try:
        deploy.check_node()
        target = find(os.environ, home)
    except (deploy.CannotDeploy, NoTarget) as problem:
        print(f"promptlane: {problem}", file=sys.stderr)
        return 2
    print(f"deploying {f'the stack of {prompt}' if prompt else 'everything'} to {target.name}", flush=True)
    context = {**target.context, **({"promptlane:only": prompt} if prompt else {})}
    given = [word for name, value in context.items() for word in ("-c", f"{name}={value}")]
    command = [str(deploy.CDK), "deploy", "--all", "--app", f"{sys.executable} app.py", *given]
    command += ["--require-approval", "never", "--concurrency", "16"] if target.local else []
    return subprocess.run(
        [*command, *arguments], cwd=deploy.REPOSITORY, env={**os.environ, **target.variables}, check=False
    ).returncode
