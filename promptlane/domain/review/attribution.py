"""Who wrote what a version changes: everyone who edited the draft, or published it, since what stable holds.

CreatePromptVersion snapshots whatever the draft holds, so the publisher alone is not the author; and what is reviewed
is the whole difference from stable, so the version before it is no bound. Between the publication of stable's content
and that of the candidate the draft went from the one to the other: whoever edited it then may have written any of it.

No version says when it was published (Bedrock's `createdAt` is the prompt's): events tell it, and our own records tell
by when a version was seen. CloudTrail tells late and for 90 days; what it cannot tell is said in sentences that the
policy's `unattributed` rule answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from promptlane.domain.policy import Reviewer
from promptlane.domain.trail import CREATE, EDITS, PUBLISH, TRAIL_LATE, TrailEvent

from .edits import Edit, Known
from .review import Authors, acts_as

_SKEW: Final = 1.0
"""Seconds by which two clocks of AWS may differ, beside CloudTrail's whole seconds."""
_PATIENCE: Final = 3600.0
"""How long a history that does not answer is asked again: after the last event must have arrived, and after it was
asked first, which is later for a version that lay about before its release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose authors are looked for.

    version: the candidate. bound: the lowest version that holds what stable holds, or 0 where the candidate is a first
    or an older one: then everything since the prompt's creation counts. seen_at: by when the candidate was there.
    late: how late an event may arrive, seconds. begun: when this review asked first.
    """

    version: int
    bound: int
    seen_at: float
    now: float
    late: float = TRAIL_LATE
    begun: float = 0.0


def attribute(known: Known, reviewers: Sequence[Reviewer], asked: Question) -> Authors:
    """The authors of everything between the bound and the candidate's publication, and what cannot be told of them.

    They are complete once every event has had its time to arrive; until then the answer may grow, and is asked again.
    """
    published = [e for e in known.edits if e.event.name == PUBLISH]
    since = _since(known, published, asked)
    until, own = _until(known, published, asked)
    # Who published what stable holds, or a version before it, published nothing of what is reviewed.
    counted = [e for e in known.edits if not 0 < e.number <= asked.bound]
    inside = _within(counted, since, until)
    since, inside = _with_older_content(counted, published, inside, since, until)
    doubts = [*known.gaps, *_doubts_about(inside, reviewers)]
    early = asked.now < until + asked.late
    if not own:
        doubts.append(f"CloudTrail has no event of the publication of version {asked.version}{' yet' if early else ''}")
    if not any(e.event.name in EDITS for e in inside):
        doubts.append("CloudTrail has no event of an edit of the draft since what stable holds was published")
    if known.complete_since is not None:
        created = min((e.event.at for e in known.edits if e.event.name == CREATE), default=-math.inf)
        doubts += _older(since or created, known.complete_since, asked.bound)
    unasked = not known.answered and asked.now < max(until + asked.late, asked.begun) + _PATIENCE
    return Authors(
        _principals(inside), tuple(dict.fromkeys(doubts)), complete=not (early or unasked), since=since, until=until
    )


def with_recorded(authors: Authors, recorded: Sequence[Edit], reviewers: Sequence[Reviewer]) -> Authors:
    """The same authors, and those whom events name that arrived since: more than there were, never fewer."""
    if not authors.until:
        return authors  # asked for by a release that did not record its window
    after = [e for e in recorded if e.event.name != PUBLISH or int(e.event.at) > authors.since]
    inside = _within(after, authors.since, authors.until)
    principals = tuple(sorted({*authors.principals, *_principals(inside)}))
    doubts = tuple(dict.fromkeys([*authors.unattributed, *_doubts_about(inside, reviewers)]))
    return replace(authors, principals=principals, unattributed=doubts)


def _since(known: Known, published: Sequence[Edit], asked: Question) -> float:
    """From when on edits count; 0 where all do.

    A publication whose number is not above the bound was not after it, so the latest of them is a safe beginning. Of
    several that claim one number the earliest counts, and one that nobody vouches for limits nothing.
    """
    earliest: dict[int, float] = {}
    for edit in published:
        if 0 < edit.number <= asked.bound and edit.id not in known.unsure:
            earliest[edit.number] = min(edit.event.at, earliest.get(edit.number, math.inf))
    return max(earliest.values(), default=0.0)


def _until(known: Known, published: Sequence[Edit], asked: Question) -> tuple[float, bool]:
    """(until when edits count, whether that is the candidate's publication itself).

    Else the candidate was there when it was first seen, and before any later version was published.
    """
    sure = [e for e in published if e.id not in known.unsure]
    own = [e.event.at for e in sure if e.event.version == asked.version]
    if own:
        return max(own), True
    return min([asked.seen_at, *(e.event.at for e in sure if e.event.version > asked.version)]), False


def _within(edits: Iterable[Edit], since: float, until: float) -> list[Edit]:
    """CloudTrail's times are whole seconds: an edit in the second of the bound may have come after it."""
    return [e for e in edits if int(since) <= e.event.at <= until + _SKEW and not e.event.error]


def _with_older_content(
    edits: Sequence[Edit], published: Sequence[Edit], inside: list[Edit], since: float, until: float
) -> tuple[float, list[Edit]]:
    """Where an edit put back what the draft had held before, whoever wrote that then is an author too.

    The window grows to the publication before it: `promptlane restore` puts the draft back, and so may anybody.
    """
    while since:
        held = {e.draft for e in inside if e.draft}
        before = [e for e in edits if e.event.at < since and e.event.name in EDITS and e.draft in held]
        if not before:
            break
        first = min(e.event.at for e in before)
        since = max((e.event.at for e in published if e.event.at < first), default=0.0)
        inside = _within(edits, since, until)
    return since, inside


def _principals(edits: Iterable[Edit]) -> tuple[str, ...]:
    return tuple(sorted({arn for e in edits for arn in _arns(e.event)}))


def _arns(event: TrailEvent) -> tuple[str, ...]:
    """Whom an event names: the caller; of a federated user, whose name is free to choose, also who asked for it."""
    issuer = event.issuer if event.kind == "FederatedUser" and event.issuer.startswith("arn:") else ""
    return tuple(filter(None, (event.principal, issuer)))


def _doubts_about(edits: Sequence[Edit], reviewers: Sequence[Reviewer]) -> list[str]:
    """Who of these may be others than they seem, a sentence each."""
    events = [e.event for e in edits]
    doubts = []
    for arn in sorted({e.principal for e in events if e.principal}):
        if why := _uncertain(arn, [e for e in events if e.arn == arn], reviewers):
            doubts.append(f"{arn} {why}")
    services = sorted({e.invoked_by for e in events if e.principal and e.invoked_by})
    doubts += [
        f"{service} called for somebody: it writes what it was given, whoever wrote that" for service in services
    ]
    nameless = sorted({e.arn or e.kind or "somebody" for e in events if not e.principal})
    return [*doubts, *(f"{who} wrote to it, and CloudTrail names no principal" for who in nameless)]


def _uncertain(arn: str, events: Sequence[TrailEvent], reviewers: Sequence[Reviewer]) -> str:
    """Why nobody can tell from the ARN which person it is; empty where it tells.

    It tells where the policy maps it to a reviewer, or where it is an IAM user or a session of IAM Identity Center;
    where some reviewer is mapped to no principal, only ARNs of mapped reviewers do. The name of any other session is
    chosen by whoever begins it, so a policy that maps such a name, and not the whole role, tells nothing.
    """
    several = "may stand for several people"
    kinds = {e.kind for e in events}
    session = arn.split(":")[2:3] == ["sts"]
    personal = kinds <= {"IAMUser"} if not session else all(_identity_center(e) for e in events)
    mapped = [pattern for r in reviewers for pattern in r.principals if acts_as(pattern, arn)]
    if mapped:
        if not session or personal or any(acts_as(pattern, _any_session(arn)) for pattern in mapped):
            return ""
        return f"{several}: whoever begins the session chooses its name"
    return "" if personal and all(r.principals for r in reviewers) else several


def _any_session(arn: str) -> str:
    """An ARN that only patterns for every session of this role, or every name of this kind, fit."""
    return f"{arn.rpartition('/')[0]}/\x00"


def _identity_center(event: TrailEvent) -> bool:
    """IAM reserves the path, not the beginning of the name, for roles of Identity Center."""
    name = event.arn.partition(":assumed-role/")[2].partition("/")[0]
    role = event.issuer.partition(":role/aws-reserved/sso.amazonaws.com/")[2].rpartition("/")[2]
    return event.kind == "AssumedRole" and name.startswith("AWSReservedSSO_") and role == name


def _older(begun: float, complete_since: float, bound: int) -> list[str]:
    """What may be missing because it is older than all that is known."""
    if begun >= complete_since:
        return []
    if begun == -math.inf:
        what = f"the publication of version {bound}, nor of one before it" if bound else "the prompt's creation"
        return [f"CloudTrail has no event of {what}, so edits may be missing"]
    return [
        "what stable holds is older than what CloudTrail tells and was recorded, so edits may be missing"
        if bound
        else "the prompt is older than what CloudTrail tells and was recorded, so edits may be missing"
    ]
