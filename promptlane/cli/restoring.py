"""`promptlane restore`: an archived version comes back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from promptlane.domain.errors import NotFound, Unauthorized, Unavailable
from promptlane.domain.release.housekeeping import archive_key
from promptlane.lifecycle.restore import restore as restored

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console


def restore(session: Session, prompt: str, version: int, *, as_json: bool) -> None:
    """Publish the archived content again, unless a version holds it already."""
    deployment = session.deployment
    prompt_id, name = deployment.prompt_to_change(prompt)
    present = set(deployment.prompts.versions(prompt_id))

    def make_room() -> None:
        # Whoever may not ask for it, as the duties may not, finds the room that `housekeep` keeps anyway.
        with suppress(Unauthorized, Unavailable, NotFound):
            deployment.invoke("housekeep_function", {"prompt": name})

    published = restored(deployment.prompts, deployment.objects, prompt_id, version, make_room=make_room)
    document = {
        "prompt": name,
        "prompt_id": prompt_id,
        "restored": version,
        "version": published.version,
        "published": published.version not in present,
        "fingerprint": published.fingerprint,
        "archive": archive_key(prompt_id, version),
    }

    def show(console: Console) -> None:
        if document["published"]:
            console.print(f"Published version {published.version} of {name}: what version {version} held.")
        else:
            console.print(
                f"Version {published.version} of {name} holds what version {version} held; nothing was published."
            )
        console.print(f"  fingerprint {published.fingerprint}")
        console.print(f"  promptlane release {name} {published.version}   asks for its release")

    session.emit(document, as_json=as_json, show=show)
