"""`doctor`: what is wrong with a deployment or its account, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.timeline import iso
from promptlane.domain.text import one_line
from promptlane.lifecycle.doctor.account import Visit
from promptlane.lifecycle.doctor.checks import CHECKS
from promptlane.lifecycle.doctor.report import Check, Status, document, examine, policy

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

Json = Any
_STYLES: Final = {"ok": "green", "wrong": "bold red", "cannot tell": "yellow", "skipped": "dim"}


def doctor(session: Session, *, only: Sequence[str], write: bool, permissions: bool, as_json: bool) -> int:
    """Run the checks; the exit code is 1 where something is wrong, else 0."""
    checks = _chosen(only)
    if permissions:
        allowed = policy(checks, write=write)
        session.emit(allowed, as_json=True, show=lambda console: None)
        return 0
    examined = examine(checks, _visit(session), write=write)
    found = document(examined, deployment=session.deployment.name, at=iso(session.clock()))
    session.emit(found, as_json=as_json, show=lambda console: _show(console, found))
    return 1 if found["counts"][Status.WRONG] else 0


def _chosen(only: Sequence[str]) -> Sequence[Check]:
    known = {check.id: check for check in CHECKS}
    if strange := [name for name in only if name not in known]:
        raise InvalidInput(f"there is no check {strange[0]!r}; the checks are {', '.join(known)}")
    return [known[name] for name in only] or CHECKS


def _visit(session: Session) -> Visit:
    from importlib.metadata import version

    deployment = session.deployment
    return Visit(
        deployment=deployment.name,
        resources=deployment.resources,
        account=deployment.account,
        enrolments=deployment.enrolments,
        fixed=deployment.named.fixed,
        prompts=deployment.prompts,
        routes=deployment.routes,
        releases=deployment.releases,
        reviewers=lambda: [(one.email, one.state) for one in deployment.reviewer_topics.all()],
        now=session.clock(),
        version=version("promptlane"),
    )


def _show(console: Console, found: Json) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in found["checks"]:
        said = Text(one_line(row["said"], 2_000))
        if row["remedy"]:
            said.append(f"\n→ {one_line(row['remedy'], 1_000)}", style="cyan")
        table.add_row(Text(row["status"], style=_STYLES[row["status"]]), Text(row["id"], style="bold"), said)
    console.print(table)
    counts = found["counts"]
    console.print(", ".join(f"{count} {status}" for status, count in counts.items() if count) + ".")
