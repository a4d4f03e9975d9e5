"""An update of a deployment that an earlier commit made: its templates, then these, by CloudFormation's rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.stack_player import Account, Json, Refused, templates
from tests.support.synthesized import ROOT
from tests.support.transitions import BASE, Assemblies


def upgraded(home: Path, ref: str) -> Json:
    """Whether the samples as `ref` (a commit, a tag) deploys them can be updated by those of today.

    Raises SystemExit where git does not know the ref, or it cannot be synthesized with the packages of today.
    """
    account, why = Account(), ""
    account.deploy(_templates(ref, home / "earlier"))
    try:
        account.deploy(Assemblies(home).of(BASE))
    except Refused as refused:
        why = str(refused)
    print(f"  {'held' if not why else 'REFUSED'}  an upgrade from {ref}{': ' if why else ''}{why}", flush=True)
    return {"name": f"an upgrade from {ref}", "held": not why}


def _templates(ref: str, folder: Path) -> dict[str, Json]:
    _run(["git", "worktree", "add", "--quiet", "--detach", str(folder), ref], ROOT)
    try:
        out = folder / "cdk.out"
        context = json.loads((folder / "cdk.json").read_text())["context"]
        given = {"PYTHONPATH": str(folder), "CDK_OUTDIR": str(out), "CDK_CONTEXT_JSON": json.dumps(context)}
        _run([sys.executable, "app.py"], folder, given)
        return templates(out)
    finally:
        _run(["git", "worktree", "remove", "--force", str(folder)], ROOT)


def _run(command: list[str], where: Path, given: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=where, env={**os.environ, **(given or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
