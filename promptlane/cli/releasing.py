"""`release`: asks for a release, after the checks that can be made at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptlane.domain.errors import NotApplicable, NotFound
from promptlane.domain.names import release_id
from promptlane.domain.release.prompt import PromptVersion
from promptlane.domain.release.quarantine import Quarantine
from promptlane.domain.release.route import Route
from promptlane.lifecycle.admit import served_already

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from promptlane.domain.release.release import Release

Json = Any


def release(session: Session, prompt: str, version: int, *, again: bool, wait: float, as_json: bool) -> None:
    """Send the request to the intake queue, and wait for the release to start (or to be queued behind another)."""
    deployment = session.deployment
    prompt_id, name = deployment.prompt_to_change(prompt)
    if not deployment.enrolments.enrolled(name):
        raise NotFound(
            f"prompt {name!r} is not enrolled in deployment {deployment.name!r}: add prompts/{name}/release.yaml and "
            "suite.yaml, then deploy"
        )
    wanted = deployment.prompts.version(prompt_id, version)
    records = deployment.releases.of_prompt(prompt_id)
    _check_in_flight(records, name, version)
    route = deployment.routes.get(name)
    if route is not None:
        same = served_already(deployment.prompts, route, wanted)
        _check_route(route, wanted, older=deployment.quarantine.alike(name, wanted.ref), again=again, same=same)
    attempt = max((r.attempt for r in records if r.version == version), default=0) + 1
    expected = release_id(prompt_id, version, attempt)
    holder = deployment.releases.holder(prompt_id)
    deployment.queue.request(name, version, requested_by=deployment.caller, explicit=True)
    state = _settled(session, prompt_id, version, expected, wait)
    document = {"prompt": name, "version": version, "release_id": expected, "state": state}
    if state == "waiting" and holder:
        document["behind"] = holder

    def show(console: Console) -> None:
        from .terminal import bold

        if state == "started":
            console.print(bold(f"Release {{}} started: `promptlane status --watch {name}`.", expected))
        elif state == "waiting":
            console.print(f"Version {version} of {name} waits for the end of release {document.get('behind', '?')}.")
        else:
            console.print(
                f"Asked for release {expected}; it has not started within {wait:g} s. "
                f"`promptlane status {name}` shows it."
            )

    session.emit(document, as_json=as_json, show=show)


def _check_in_flight(records: list[Release], name: str, version: int) -> None:
    running = [r for r in records if r.version == version and not r.ended]
    if running:
        raise NotApplicable(
            f"version {version} of {name} is in flight already as release {running[-1].release_id} "
            f"({running[-1].state}); follow it with `promptlane status --watch {name}`"
        )


def _check_route(route: Route, wanted: PromptVersion, *, older: Quarantine, again: bool, same: bool) -> None:
    if route.stable.version == wanted.version:
        raise NotApplicable(
            f"version {wanted.version} of {route.prompt} is stable already; there is nothing to release. "
            "To go back to the version before it, use `promptlane rollback`"
        )
    if same:
        raise NotApplicable(
            f"version {wanted.version} of {route.prompt} has the same content as stable version "
            f"{route.stable.version}; there is nothing to release"
        )
    bad = route.barred(wanted.ref, older)
    if bad is not None and not again:
        raise NotApplicable(
            f"version {wanted.version} of {route.prompt} has a content that was rolled back in release "
            f"{bad.get('release_id')}; read `promptlane history {bad.get('release_id')}`, and if it shall "
            "be tried again, repeat this command with --again"
        )


def _settled(session: Session, prompt_id: str, version: int, expected: str, wait: float) -> str:
    releases = session.deployment.releases
    deadline = session.clock() + wait
    while True:
        if releases.find(expected) is not None:
            return "started"
        if any(w.version == version for w in releases.waiting(prompt_id)):
            return "waiting"
        if session.clock() >= deadline:
            return "requested"
        session.sleep(0.5)
