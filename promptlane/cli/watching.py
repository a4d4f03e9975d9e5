"""`status` and `history`: where a prompt stands, and how it came there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from promptlane.domain.errors import AmbiguousName, InvalidInput, NotFound, PromptlaneError
from promptlane.domain.names import FULL, Phase, parse_release_id, prompt_id_of
from promptlane.domain.ports import PromptReader
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import iso
from promptlane.lifecycle.listed_prompts import ListedPrompts
from promptlane.lifecycle.restored import written

from .deployment import Deployment
from .judge import curve_lines, expected, guarded_by_judge
from .parallel import in_parallel
from .review import review_notes
from .session import Session
from .verify import not_deleted, verified

Json = Any
_LATELY: Final = 15 * 60
"""Seconds over which stale routes are looked for."""


def status(session: Session, prompt: str, *, watch: bool, every: float, as_json: bool) -> None:
    """Show one prompt or all enrolled ones; with `watch` until no release is in flight."""
    from rich.live import Live

    from .show import status_table
    from .terminal import escaped

    deployment = session.deployment
    names = [deployment.prompt(prompt)[1]] if prompt else list(deployment.enrolments.names())
    if not names:
        raise NotFound(
            f"no prompt is enrolled in deployment {deployment.name!r}: add prompts/<name>/release.yaml and deploy"
        )
    looks = _looks(session, names, every)
    if not watch:
        document = next(looks)
        session.emit(document, as_json=as_json, show=lambda to: to.print(status_table(document, session.clock())))
    elif as_json:
        last = ""
        for document in looks:
            line = escaped(json.dumps(document, ensure_ascii=False, default=str))
            if line != last:
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
                last = line
    else:
        with Live(console=session.console, auto_refresh=False) as live:
            for document in looks:
                live.update(status_table(document, session.clock()), refresh=True)


def _looks(session: Session, names: list[str], every: float) -> Iterator[dict[str, Json]]:
    """Where the prompts stand, again and again until no release of them is in flight."""
    while True:
        listed = ListedPrompts(session.deployment.prompts)
        prompts = in_parallel(partial(standing, session, prompts=listed, closely=len(names) == 1), names)
        yield {"deployment": session.deployment.name, "prompts": prompts}
        if not any(p["release"] and not p["release"]["ended"] for p in prompts):
            return
        session.sleep(every)


def standing(session: Session, name: str, prompts: PromptReader, *, closely: bool = False) -> dict[str, Json]:
    """Where one prompt stands, as plain JSON values. `prompts`: where a name is looked up that nothing has fixed.

    `closely`: also whether applications can be served what the route names, and whether its table was restored.
    """
    deployment = session.deployment
    route = deployment.routes.get(name)
    fixed = deployment.named.fixed(name) or (route.prompt_id if route else "")
    missing = f"not in Bedrock yet: `promptlane publish prompts/{name}` creates it"
    try:
        found = (fixed, name) if fixed else prompts.find(name)
    except AmbiguousName as error:
        found, missing = None, str(error)
    document: dict[str, Json] = {"prompt": name, "prompt_id": found[0] if found else None}
    document["route"] = _route(route) if route else None
    document["release"], document["waiting"], document["notes"] = None, [], []
    if found is None:
        document["notes"].append(missing)
        return document
    releases = deployment.releases
    holder = releases.holder(found[0])
    current = releases.find(holder) if holder else None
    current = current or releases.newest(found[0]) or (releases.newest(route.prompt_id) if route else None)
    if current is not None:
        entries = releases.timeline(current.release_id)
        document["release"] = {
            **_release(current),
            "latest": [e.to_dict() for e in entries if "look" not in e.event.marks][-6:],
            "evidence": curve_lines(entries),
        }
        document["notes"] += expected(deployment, route, current, session.clock())
        document["notes"] += review_notes(deployment, current, session.clock())
        document["notes"] += [] if current.ended else guarded_by_judge(entries)
    document["waiting"] = [
        {"version": w.version, "since": iso(w.since), "requested_by": w.requested_by}
        for w in releases.waiting(found[0])
    ]
    document["notes"] += _notes(route, current, session.clock())
    if route is not None:
        document["notes"] += _gone(route, prompts)
        if closely:
            document["notes"] += _what_applications_meet(deployment, route)
            document["notes"] += _stale(deployment, name, session.clock())
    return document


def _stale(deployment: Deployment, prompt: str, now: float) -> list[str]:
    """Whether processes go on with another route than the table's, by what they count themselves."""
    try:
        times, oldest = deployment.counts.stale_refreshes(prompt, start=now - _LATELY, end=now)
    except PromptlaneError as error:
        return [f"whether applications hold a stale route cannot be said, the metrics were not readable: {error}"]
    return [
        f"{times:,} refreshes of the last {_LATELY // 60} min left a process with a stale route, the oldest for "
        f"{oldest:,.0f} s: it does not reach the route table, or the table was restored (docs/runbook.md)"
    ] * bool(times)


def _gone(route: Route, prompts: PromptReader) -> list[str]:
    """That a prompt whose versions are served was deleted: whatever shares it has, nobody gets an answer of it."""
    gone = {prompt_id_of(ref.arn) or route.prompt_id for ref in route.named}
    return [
        f"prompt {prompt_id} was deleted, and the route names versions of it: requests to them fail with "
        f"ResourceNotFoundException. Make the prompt anew, say so in prompts/{route.prompt}/release.yaml (prompt_id, "
        "prompt_id_reason), deploy and publish (docs/runbook.md)"
        for prompt_id in sorted(gone)
        if prompts.name_of(prompt_id) is None
    ]


def _what_applications_meet(deployment: Deployment, route: Route) -> list[str]:
    """Where the route says one thing and applications get another."""
    notes: list[str] = []
    if highest := written(deployment.releases, route):
        notes.append(
            f"the route was restored: it has revision {route.revision}, and {highest.revision} was written before. "
            "Processes that know the later one go on with it, new ones get this one, until `reconcile` has mended it, "
            "in 15 minutes at most (docs/runbook.md)"
        )
    for prompt_id in {prompt_id_of(ref.arn) or route.prompt_id for ref in route.named}:
        if deployment.prompts.name_of(prompt_id) is None:
            continue  # all of them: said already
        there = set(deployment.prompts.versions(prompt_id))
        for ref in route.named:
            if (prompt_id_of(ref.arn) or route.prompt_id) == prompt_id and ref.version not in there:
                notes.append(
                    f"version {ref.version} does not exist any more: applications that are sent to it get an error. "
                    f"`promptlane rollback {route.prompt} --reason ...` goes back to another one; `promptlane restore "
                    f"{route.prompt} {ref.version}` publishes its content again"
                )
    return notes


def _route(route: Route) -> dict[str, Json]:
    return {
        "phase": str(route.phase),
        "since": iso(route.phase_since),
        "stable": route.stable.version,
        "previous": route.previous.version if route.previous else None,
        "canary": route.canary.version if route.canary else None,
        "weight": route.weight,
        "holdback": route.holdback,
        "watch_until": iso(route.watch_until) if route.watch_until else None,
        "release_id": route.release_id,
        "revision": route.revision,
        "quarantined": sorted({int(q["version"]) for q in route.quarantined.values()}),
        "shares": _shares(route),
    }


def _shares(route: Route) -> dict[str, float]:
    """Percent of units by version."""
    other, share = None, 0
    if route.phase is Phase.CANARY:
        other, share = route.canary, route.weight
    elif route.phase is Phase.WATCH and route.holdback:
        other, share = route.previous, route.holdback
    if other is None:
        return {str(route.stable.version): 100.0}
    return {str(route.stable.version): (FULL - share) / 100, str(other.version): share / 100}


def _release(release: Release) -> dict[str, Json]:
    return {
        "release_id": release.release_id,
        "version": release.version,
        "attempt": release.attempt,
        "state": release.state,
        "ended": release.ended,
        "outcome": str(release.outcome) if release.outcome else None,
        "reason": release.reason,
        "started_at": iso(release.started_at),
        "ended_at": iso(release.ended_at) if release.ended_at else None,
        "requested_by": release.requested_by,
        "description": release.description,
        "step": release.step,
        "verdict": release.verdict.get("verdict"),
        "paused": dict(release.paused) if release.paused else None,
    }


def _notes(route: Route | None, release: Release | None, now: float) -> list[str]:
    notes = []
    if route and route.phase is Phase.WATCH and not route.holdback:
        notes.append("holdback is 0: the judge has no control group in this watch, the alarms alone guard it")
    if route and route.phase is Phase.WATCH and route.watch_until <= now:
        notes.append("the watch is over; only an operator can still roll back")
    if release and release.paused:
        notes.append(f"paused by {release.paused.get('by')}: {release.paused.get('reason')}")
    return notes


def history(session: Session, subject: str, *, verify: bool, as_json: bool) -> None:
    """The releases of a prompt, or the timeline of a release."""
    deployment = session.deployment
    try:
        parse_release_id(subject)
    except InvalidInput:
        _releases_of(session, deployment, subject, verify=verify, as_json=as_json)
        return
    from .show import show_timeline

    record = deployment.releases.find(subject)
    if record is None:
        if verify:
            not_deleted(deployment, subject)
        raise NotFound(f"there is no release {subject}; `promptlane history <prompt>` lists those of a prompt")
    entries = deployment.releases.timeline(subject)
    document = {**_release(record), "prompt": record.prompt, "timeline": [e.to_dict() for e in entries]}
    if verify:
        document |= verified(deployment, [record], now=session.clock())
    session.emit(document, as_json=as_json, show=lambda console: show_timeline(console, document))


def _releases_of(session: Session, deployment: Deployment, subject: str, *, verify: bool, as_json: bool) -> None:
    from .show import show_releases

    prompt_id, name = deployment.prompt(subject)
    records = deployment.releases.of_prompt(prompt_id)
    document: dict[str, Json] = {"prompt": name, "prompt_id": prompt_id, "releases": [_release(r) for r in records]}
    if verify:
        document |= verified(deployment, records, now=session.clock(), prompt=(prompt_id, name))
    session.emit(document, as_json=as_json, show=lambda console: show_releases(console, document))
