"""`promptlane versions`: what there is of a prompt, who gets it, and what became of each version's releases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptlane.domain.review.mail import moment
from promptlane.domain.text import shortened

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from promptlane.domain.release.release import Release
    from promptlane.domain.release.route import Route

Json = Any


def versions(session: Session, prompt: str, *, as_json: bool) -> None:
    """The newest first; versions that were deleted stand there where a release tells of them."""
    deployment = session.deployment
    prompt_id, name = deployment.prompt(prompt)
    route = deployment.routes.get(name)
    present = deployment.prompts.versions(prompt_id)
    releases: dict[int, list[Release]] = {}
    for release in deployment.releases.of_prompt(prompt_id):
        releases.setdefault(release.version, []).append(release)
    rows = [_row(n, route, releases.get(n, []), n in present) for n in sorted({*present, *releases}, reverse=True)]
    document = {"prompt": name, "prompt_id": prompt_id, "versions": rows}

    def show(console: Console) -> None:
        if not rows:
            console.print(f"{name} has no version yet; publish one with `promptlane publish`")
        for row in rows:
            console.print(f"{row['version']:>4}  {row['serves'] or '-':<14} {_said(row)}")

    session.emit(document, as_json=as_json, show=show)


def _row(number: int, route: Route | None, releases: list[Release], there: bool) -> dict[str, Json]:
    last = max(releases, key=lambda release: release.started_at, default=None)
    return {
        "version": number,
        "deleted": not there,
        "serves": _serves(number, route),
        "release": last.release_id if last else None,
        "state": (str(last.outcome) if last.outcome else last.state) if last else None,
        "at": last.started_at if last else None,
        "reason": last.reason if last else "",
    }


def _serves(number: int, route: Route | None) -> str:
    if route is None:
        return ""
    if route.canary and route.canary.version == number:
        return f"canary {route.weight / 100:g}%"
    if route.stable.version == number:
        return "stable"
    if route.previous and route.previous.version == number:
        return "way back"
    return ""


def _said(row: dict[str, Json]) -> str:
    if row["release"] is None:
        return "no release"
    why = f": {shortened(row['reason'], 90)}" if row["reason"] else ""
    gone = "; deleted in Bedrock" if row["deleted"] else ""
    return f"{str(row['state']).replace('_', ' ')} ({moment(row['at'])}, {row['release']}){why}{gone}"
