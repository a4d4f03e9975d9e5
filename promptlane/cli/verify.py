"""`promptlane history --verify`: hash chains and heads, locked copies, and all that an auditor reads beside them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.ports import LockedCopies
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import LockedCopy, compare_copies
from promptlane.domain.review.proof import Evidence, Proof, prove
from promptlane.lifecycle.proof import Reader, route_proof

from .deployment import Deployment
from .parallel import in_parallel

Json = Any


class TimelineBroken(PromptlaneError):
    """A timeline was altered, or entries of it or of its locked copy are missing."""


def verified(
    deployment: Deployment,
    releases: Sequence[Release],
    *,
    now: float,
    prompt: tuple[str, str] | None = None,
) -> dict[str, Json]:
    """What was proved of these releases; TimelineBroken names everything that does not hold.

    `prompt`: (id, name) of the prompt whose releases they all are, so that any other one in the audit bucket is
    missing, and the route is compared with them. The document's `verified` is true only if locked copies agree: whoever
    can write the table can forge a chain. `locked_copy` counts the entries by how they stand to their copies, and names
    those whose copy is `late`; None where there is no audit bucket. `compared` counts comparisons with the timelines,
    `not_covered` names what old entries do not tell enough about.
    """
    copies = deployment.audit_copies
    problems: list[str] = []
    not_covered: list[str] = []
    names = [release.release_id for release in releases]
    if copies is not None and prompt is not None:
        problems += _lost(deployment, copies, prompt[0], known=set(names))
    counts: Counter[str] = Counter()
    late: list[str] = []
    for name, one in zip(names, in_parallel(lambda name: _found(check(deployment, name, now=now)), names), strict=True):
        counts.update(one.counts)
        late += [f"release {name}: {entry}" for entry in one.late]
        problems += [f"release {name}: {problem}" for problem in one.problems]
        not_covered += [f"release {name}: {what}" for what in one.uncovered]
    if prompt is not None:
        found = route_proof(
            prompt[1],
            names,
            routes=deployment.routes,
            releases=deployment.releases,
            quarantine=deployment.quarantine,
            each=in_parallel,
        )
        counts.update(compared=found.compared)
        problems += map(str, found.problems)
        not_covered += found.uncovered
    if problems:
        raise TimelineBroken(
            f"timelines do not hold: {'; '.join(problems)}. Compare the table with the audit bucket, and find out who "
            "can write either"
        )
    proof: dict[str, Json] = {"compared": counts["compared"], "not_covered": not_covered}
    if copies is None:
        return {"verified": False, "locked_copy": None, **proof}
    locked = {name: counts[name] for name in ("agree", "not_copied_yet", "no_longer_kept")}
    proved = locked["agree"] > 0 or not any(locked.values())
    return {"verified": proved, "locked_copy": {**locked, "late": late}, **proof}


@dataclass(frozen=True)
class Checked:
    """One release: what does not hold, how its entries stand to their copies, and what was compared with them."""

    evidence: Evidence
    proof: Proof
    copies: Sequence[LockedCopy]
    problems: tuple[str, ...]
    late: tuple[str, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class _Found:
    """What is said of a release: nothing of what was read for it stays in memory."""

    problems: tuple[str, ...]
    late: tuple[str, ...]
    uncovered: tuple[str, ...]
    counts: Mapping[str, int]


def _found(checked: Checked) -> _Found:
    return _Found(checked.problems, checked.late, tuple(checked.proof.uncovered), checked.counts)


def check(deployment: Deployment, release_id: str, *, now: float) -> Checked:
    """Read everything of a release, copies first, so that no entry that is appended meanwhile is missed there."""
    bucket = deployment.audit_copies
    there = bucket.timeline(release_id) if bucket is not None else []
    reader = Reader(
        releases=deployment.releases, reviews=deployment.reviews, objects=deployment.objects, clock=lambda: now
    )
    read = reader.read(release_id)
    proof = prove(read.evidence)
    problems = [*read.head_problems, *map(str, proof.problems)]
    counts: dict[str, int] = {"compared": proof.compared}
    late: tuple[str, ...] = ()
    if bucket is not None:
        compared = compare_copies(read.evidence.entries, there, now=now, kept_for=_kept_for(deployment))
        problems += compared.problems
        late = compared.late
        counts |= {name: getattr(compared, name) for name in ("agree", "not_copied_yet", "no_longer_kept")}
    return Checked(read.evidence, proof, there, tuple(problems), late, counts)


def not_deleted(deployment: Deployment, release_id: str) -> None:
    """Raise TimelineBroken when a release that the table lacks has locked copies: then it was there once."""
    copies = deployment.audit_copies
    if copies is not None and (there := copies.timeline(release_id)):
        raise TimelineBroken(
            f"the table has no release {release_id}, the audit bucket has {len(there)} entries of it: it was deleted. "
            "Find out who can write the release table"
        )


def _lost(deployment: Deployment, copies: LockedCopies, prompt_id: str, *, known: set[str]) -> list[str]:
    """Releases with locked copies of which the table knows nothing; one may have begun since `known` was read."""
    return [
        f"release {release_id}: the audit bucket has {len(numbers)} entries of it, the table has no such release"
        for release_id, numbers in sorted(copies.kept(prompt_id).items())
        if release_id not in known and deployment.releases.find(release_id) is None
    ]


def _kept_for(deployment: Deployment) -> float:
    """For how many seconds the audit bucket surely keeps a copy."""
    days = deployment.resources.get("audit_retention_days")
    return float(days) * 86_400 if days else math.inf


def how_verified(document: Mapping[str, Json], subject: str) -> str:
    """One sentence on what was proved, and what was not."""
    locked = document.get("locked_copy")
    if locked is None:
        return (
            f"Not verified against a locked copy: there is no audit bucket. {subject} by its hashes alone, which "
            "whoever can write the table can forge."
        )
    open_ = [
        f"{locked[name]} {says}"
        for name, says in (
            ("not_copied_yet", "not copied yet"),
            ("no_longer_kept", "older than copies are kept"),
        )
        if locked[name]
    ]
    if not document["verified"]:
        return (
            f"Not verified: no entry has a locked copy to compare with ({'; '.join(open_)}). Ask again in 15 minutes."
        )
    rest = f"; {'; '.join(open_)}" if open_ else ""
    late = locked["late"]
    look = (
        f" Dated otherwise than they were copied (moved there later from the route, copied later by housekeep, or "
        f"written under a false date): {'; '.join(late)}."
        if late
        else ""
    )
    proved = (
        f"{subject}: no entry was altered or left out; {locked['agree']} agree with their locked copy{rest}; records, "
        f"reviews and reports agree with them ({document['compared']:,} comparisons)."
    )
    uncovered = document["not_covered"]
    return proved + look + (f" Not covered: {'; '.join(uncovered)}." if uncovered else "")
