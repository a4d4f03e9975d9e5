"""`python -m local.access`: deploy everything with IAM enforced, prove the matrix, write what was found.

Writes `.local/access.json` and, with `--write`, the table in docs/access.md. Exit code 1 when a call was let through
that should not be, or the other way round.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from local import deploy
from local.access.proof import Finding, prepare, prove, table
from local.running import EmbeddedAws
from local.server import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "access.md"
BEGIN, END = "<!-- access matrix: begin (make access-matrix writes it) -->", "<!-- access matrix: end -->"
SETTINGS = {"promptlane:lambda_target": "host", "promptlane:trial": "true", "promptlane:budget_usd_per_prompt": "100"}


def resources_of(aws: EmbeddedAws, deployment: str = "promptlane") -> dict[str, object]:
    """Names of the deployment's resources, as the CLI reads them."""
    found: dict[str, object] = {}
    for page in aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/{deployment}/resources"):
        for parameter in page["Parameters"]:
            found |= json.loads(parameter["Value"])
    return found


def with_table(document: str, matrix: str) -> str:
    """The document with the matrix between its marks."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{matrix}\n{END}{tail}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.access", description=__doc__)
    parser.add_argument("--write", action="store_true", help="also write the table into docs/access.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="promptlane-access-") as home:
        print("Deploying every stack to an embedded AWS that enforces IAM ...", flush=True)
        with EmbeddedAws(home=Path(home), auth=True) as aws:
            deploy.deploy(aws.env(), SETTINGS, outputs=Path(home) / "outputs.json")
            findings = list(prove(aws, prepare(aws, resources_of(aws))))
    return report(findings, write=options.write)


def report(findings: list[Finding], *, write: bool) -> int:
    found = [f.to_dict() for f in findings]
    target = REPOSITORY / ".local" / "access.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(found, indent=2) + "\n")
    wrong = [f for f in found if f["expected"] != f["observed"]]
    if write:
        DOCUMENT.write_text(with_table(DOCUMENT.read_text(), table(findings)))
    for one in wrong:
        print(f"{one['role']}: {one['action']} is {one['observed']}, expected {one['expected']}", file=sys.stderr)
    print(f"{len(found) - len(wrong)} of {len(found)} calls came out as they should; {target.relative_to(REPOSITORY)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
