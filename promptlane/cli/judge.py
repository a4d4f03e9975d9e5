"""`promptlane judge --replay`, and the evidence curve of `promptlane status --watch`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from promptlane.domain.canary.curve import points, sparkline
from promptlane.domain.canary.plan import estimate
from promptlane.domain.errors import InvalidInput, NotFound, PromptlaneError
from promptlane.domain.release.timeline import Event, TimelineEntry, iso
from promptlane.domain.text import percent, traffic

from .session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from promptlane.domain.canary.blocks import Chunk
    from promptlane.domain.policy import Policy
    from promptlane.domain.release.release import Release
    from promptlane.domain.release.route import Route

    from .deployment import Deployment

Json = Any
HISTORY = 24 * 3600.0
_TOLD = ("phase", "step", "weight", "judgement", "cause", "harm", "reason")


class ReplayDiffers(InvalidInput):
    """A judgement of the past does not follow from the counts that are stored for it."""


def replay_release(session: Session, release_id: str, *, as_json: bool) -> None:
    """Judge every look of a past release again from its stored counts; ReplayDiffers when one comes out otherwise."""
    from promptlane.aws.blocks import DynamoBlocks
    from promptlane.aws.clients import resource

    deployment = session.deployment
    record = deployment.releases.find(release_id)
    if record is None:
        raise NotFound(f"there is no release {release_id}; `promptlane history <prompt>` lists those of a prompt")
    store = DynamoBlocks(resource("dynamodb").Table(deployment.resource("release_table")))
    chunks = [chunk for phase in ("canary", "watch") for chunk in store.load(release_id, phase)]
    policy = deployment.enrolments.policy(record.policy_sha256)
    looks = replayed(deployment.releases.timeline(release_id), chunks, policy)
    document = {"release_id": release_id, "prompt": record.prompt, "looks": looks}
    session.emit(document, as_json=as_json, show=lambda console: _show(console, document))
    if wrong := [look["at"] for look in looks if not look["same"]]:
        raise ReplayDiffers(
            f"{len(wrong)} of {len(looks)} looks of {release_id} come out otherwise, the first at {wrong[0]}: "
            f"counts or timeline were changed; `promptlane history {release_id} --verify` checks the timeline"
        )


def replayed(entries: Iterable[TimelineEntry], chunks: Iterable[Chunk], policy: Policy) -> list[dict[str, Json]]:
    """Each look as recorded and as judged again. Looks that an alarm decided used no counts and are only listed."""
    from promptlane.lifecycle.judge_step import replay

    stored, looks = list(chunks), []
    for entry in entries:
        if entry.event is not Event.CANARY_JUDGED:
            continue
        detail = entry.detail
        row = {"at": iso(entry.at), **{name: detail[name] for name in _TOLD}, "same": True}
        if detail["cause"] != "alarm":
            again = replay(detail, stored, policy)
            metrics = {m.name: m.to_dict() for m in again.metrics}
            found = {"judgement": again.judgement, "harm": again.harm, "metrics": metrics}
            row["same"] = all(detail[name] == value for name, value in found.items())
            row["again"] = again.judgement
        looks.append(row)
    return looks


def expected(deployment: Deployment, route: Route | None, release: Release, now: float) -> list[str]:
    """How long a good release takes at the traffic of the last full hours, while one is on its way; else nothing."""
    if route is None or release.ended or release.state == "watch" or not release.policy_sha256:
        return []
    try:
        policy = deployment.enrolments.policy(release.policy_sha256)
        metrics = [g.name for g in policy.canary.guard_metrics]
        past = deployment.counts.history(
            route.prompt, version=route.stable.version, metrics=metrics, start=now - HISTORY, end=now
        )
    except PromptlaneError as error:
        return [f"how long this takes cannot be said, the metrics were not readable: {error}"]
    if not past:
        return ["how long this takes cannot be said: stable has no metrics of the last 24 hours"]
    traffic = max(n for n, _ in past.values()) / (HISTORY / 60)
    rates = {name: bad / n for name, (n, bad) in past.items()}
    plan = estimate(policy, traffic, rates)
    return [plan.sentence()] if plan.finishes else [plan.sentence(), *plan.warnings[1:]]


def curve_lines(entries: Iterable[TimelineEntry]) -> list[str]:
    """The evidence curve as lines of text; empty before the first look."""
    looks = points(entries)
    if not looks:
        return []
    last = looks[-1]
    lines = [f"harm     {sparkline([p.harm for p in looks])} {percent(max(last.harm, 0.0))} of what rolls back"]
    if last.advance is not None:
        lines.append(
            f"harmless {sparkline([p.advance for p in looks])} {percent(max(last.advance, 0.0))} of what advances"
        )
    return [*lines, f"judge: {last.judgement}. {last.reason}"]


def guarded_by_judge(entries: Iterable[TimelineEntry]) -> list[str]:
    """That the fuse sleeps, where the judge found it asleep at its last look."""
    looks = [entry.detail for entry in entries if entry.event is Event.CANARY_JUDGED]
    said = looks[-1].get("fuse_sleeps") if looks else None
    return [f"{said} and looks twice as often"] if isinstance(said, str) and said else []


def _show(console: Console, document: Mapping[str, Json]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{document['prompt']} {document['release_id']}")
    for column in ("look", "where", "judgement", "evidence of harm", "again", "reason"):
        table.add_column(column)
    for look in document["looks"]:
        where = f"{look['phase']} {traffic(look['weight'])}" if look["phase"] == "canary" else look["phase"]
        again = Text("alarm" if look["cause"] == "alarm" else "same")
        if look["cause"] != "alarm" and not look["same"]:
            again = Text(look["again"], style="red")
        table.add_row(look["at"], where, look["judgement"], f"{look['harm']:.3g}", again, look["reason"])
    console.print(table)
