"""`promptlane import`: a promptfoo configuration becomes a suite, in part where only part of it carries over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlane.domain.text import visible
from promptlane.project.importing import LIST_FILE, import_suite

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

Json = Any
_SHOWN = 12


def import_file(
    session: Session, file: Path, *, to: Path | None, root: Path | None, force: bool, as_json: bool
) -> None:
    """Write the suite, and say what it has, what was left, and what is to be finished."""
    written = import_suite(file, to, root=root, force=force)
    found = written.found
    document: dict[str, Json] = {
        "suite": str(written.folder / "suite.yaml"),
        "files": [str(written.folder / name) for name in written.files],
        "cases": found.cases,
        "left": [one.to_dict() for one in found.left],
        "checks": [stub.to_dict() for stub in found.stubs],
        "policy": {"tests": dict(found.policy)} if found.policy else {},
    }

    def show(console: Console) -> None:
        from .terminal import bold

        console.print(bold(f"{{}}: {found.cases:,} case{'' if found.cases == 1 else 's'}.", document["suite"]))
        for one in found.left[:_SHOWN]:
            more = f" and {len(one.places) - 1:,} more" if len(one.places) > 1 else ""
            console.print(f"left: {visible(one.what)}, {visible(one.places[0])}{more}: {visible(one.why)}")
        if len(found.left) > _SHOWN:
            console.print(f"and {len(found.left) - _SHOWN:,} more")
        for stub in found.stubs:
            console.print(f"write the check {visible(stub.name)}: no run begins without it")
        for setting, model in found.policy.items():
            console.print(f"release.yaml: set tests.{setting} to {visible(model)}, which graded there")
        if LIST_FILE in written.files:
            console.print(f"All of it: {written.folder / LIST_FILE}")

    session.emit(document, as_json=as_json, show=show)
