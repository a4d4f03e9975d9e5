"""`publish` and `diff`: prompts as code, and what changed between versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlane.domain.errors import Conflict, InvalidInput, NotFound
from promptlane.domain.incoming import version_number
from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.diff import compare, unified
from promptlane.domain.text import shortened
from promptlane.project import load_draft

from .deployment import Deployment
from .drift import differences_of
from .guarding import guarded
from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

Json = Any


def publish(session: Session, directory: Path, *, message: str, force: bool = False, as_json: bool) -> None:
    """Create or update the draft; publish a version only when its fingerprint differs from the newest one's.

    A draft that is neither the newest version nor what `directory` holds was edited elsewhere: it is overwritten by
    `force` alone, else refused (Conflict)."""
    draft = guarded(load_draft(directory).called_in(*session.deployment.models), session.deployment)
    prompts = session.deployment.prompts
    found = session.deployment.prompt_to_publish(draft.name)
    newest = _newest(session.deployment, found) if found else None
    present = prompts.draft_variants(found) if found else []
    content = fingerprint(draft.variants(like=present[0] if present else None))
    published = prompts.version(found or "", newest).fingerprint if newest else None
    changed = published != content
    if changed and not message.strip():
        before = f"differs from version {newest}" if newest else "has no version yet"
        raise InvalidInput(
            f"{draft.name} {before}, so a version would be published; say why with --message, reviewers read it"
        )
    drafted = fingerprint(present) if found else None
    if not force and drafted not in (None, content, published):
        since = f"since version {newest} was published" if newest else "and it was never published"
        raise Conflict(
            f"the draft of {draft.name} was edited elsewhere {since}: `promptlane diff {draft.name} "
            f"{newest or 'stable'} draft` shows it. Take over into {directory} what is wanted of it, then publish with "
            "--force, which overwrites the draft"
        )
    if found and drafted == content:
        prompt_id, wrote = found, "unchanged"
    else:
        prompt_id, wrote = prompts.write_draft(draft, found), "updated" if found else "created"
    document: dict[str, Json] = {
        "prompt": draft.name,
        "prompt_id": prompt_id,
        "draft": wrote,
        "fingerprint": content,
    }
    if changed:
        version = prompts.publish(prompt_id, description=message.strip())
        if version.fingerprint != content:
            # Bedrock snapshots whatever the draft holds at that moment: somebody else wrote in between.
            raise Conflict(
                f"version {version.version} of {draft.name} was published, but somebody changed the draft at the same "
                f"moment: it is not what {directory} holds. Reject its release, and publish again"
            )
        document |= {"result": "published", "version": version.version, "arn": version.arn}
    else:
        document |= {"result": "unchanged", "version": newest}
    document["enrolled"] = session.deployment.enrolments.enrolled(draft.name)
    document["warnings"] = differences_of(directory, session.deployment)

    def show(console: Console) -> None:
        from .terminal import bold

        for warning in document["warnings"]:
            console.print(warning, style="yellow")
        if not changed:
            console.print(f"{draft.name}: nothing changed since version {newest}; no version published.")
            return
        console.print(bold(f"{draft.name}: published version {{}} ({content[:12]}).", document["version"]))
        if document["enrolled"]:
            console.print("Its release starts within a few minutes: `promptlane status --watch " + draft.name + "`.")
        else:
            console.print(
                "This prompt is not enrolled in this deployment, so nothing releases it: add release.yaml and "
                "suite.yaml beside prompt.yaml, and deploy."
            )

    session.emit(document, as_json=as_json, show=show)


def diff(session: Session, prompt: str, old: str, new: str, *, as_json: bool) -> None:
    """Unified diff of two versions, section by section."""
    prompt_id, name = session.deployment.prompt(prompt)
    left = _variants(session.deployment, prompt_id, name, old)
    right = _variants(session.deployment, prompt_id, name, new)
    sections = compare(left[1], right[1])
    lines = list(unified(sections))
    document = {
        "prompt": name,
        "old": {"version": left[0], "fingerprint": fingerprint(left[1])},
        "new": {"version": right[0], "fingerprint": fingerprint(right[1])},
        "changed": [s.title for s in sections if s.changed],
        "diff": lines,
    }

    def show(console: Console) -> None:
        from .terminal import bold

        console.print(bold("{}: " + f"{_called(left[0])} → {_called(right[0])}", name))
        if not lines:
            console.print("no difference in anything that the fingerprint covers")
        console.print(f"fingerprint of {_called(right[0])}: {fingerprint(right[1])}")
        colours = {"=": "bold cyan", "+": "green", "-": "red"}
        for text in lines:
            console.print(text, style=colours.get(text[:1], ""))

    session.emit(document, as_json=as_json, show=show)


def _called(version: str) -> str:
    return f"version {version}" if version_number(version) else version


def _newest(deployment: Deployment, prompt_id: str) -> int | None:
    return max(deployment.prompts.versions(prompt_id), default=None)


def _variants(
    deployment: Deployment, prompt_id: str, name: str, which: str
) -> tuple[str, Sequence[Mapping[str, Json]]]:
    """(what it is called, its variants). Without a stable version `stable` is empty: everything is new."""
    if which == "draft":
        return "draft", deployment.prompts.draft_variants(prompt_id)
    if which == "stable":
        route = deployment.routes.get(name)
        if route is None:
            return "nothing (no stable version yet)", []
        number = route.stable.version
    elif which == "newest":
        newest = _newest(deployment, prompt_id)
        if newest is None:
            raise NotFound(f"{name} has no version yet; publish one with `promptlane publish`")
        number = newest
    elif given := version_number(which):
        number = given
    else:
        raise InvalidInput(f"{shortened(which, 60)!r} is not a version; write a number, stable, newest or draft")
    return str(number), deployment.prompts.version(prompt_id, number).variants
