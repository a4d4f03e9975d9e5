"""`promptlane drill`: whether an alarm would reach the route."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from promptlane.domain.errors import NotFound, Unavailable
from promptlane.domain.release.timeline import iso
from promptlane.lifecycle.drill import WITHIN, ask, silence

from .deciding import name_without_bedrock
from .session import Session

if TYPE_CHECKING:
    from rich.console import Console


def drill(session: Session, prompt: str, *, last: bool, as_json: bool) -> None:
    """Walk the way back of a prompt, or show when it was last walked. Unavailable where it is broken."""
    deployment = session.deployment
    name = name_without_bedrock(deployment, prompt)
    if last:
        found = deployment.drills.last(name)
        if found is None:
            raise NotFound(f"{name} was never drilled; `promptlane drill {name}` does it")
    else:
        found = ask(
            deployment.alarms,
            deployment.drills,
            name,
            id=uuid.uuid4().hex,
            clock=session.clock,
            sleep=session.sleep,
        )
    if found is None or not found.proved:
        why = found.says if found is not None else silence(WITHIN)
        raise Unavailable(f"the way back of {name} is broken: {why}; until it is mended, roll back by hand")
    document = {**found.to_dict(), "seconds": found.seconds}

    def show(console: Console) -> None:
        from .terminal import bold

        took = f"{found.seconds:.2f}"
        console.print(bold("The way back of {} stands: {} s from the alarm to the route.", name, took))
        console.print(f"At {iso(found.ended_at)}: {found.says}.")

    session.emit(document, as_json=as_json, show=show)
