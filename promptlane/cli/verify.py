"""`promptlane history --verify`: the hash chains, their heads, the records, and the locked copies of every entry."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.ports import LockedCopies
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import (
    TimelineEntry,
    chain_problems,
    compare_copies,
    head_problems,
    record_problems,
)

from .deployment import Deployment

Json = Any


class TimelineBroken(PromptlaneError):
    """A timeline was altered, or entries of it or of its locked copy are missing."""


def verified(
    deployment: Deployment, releases: Sequence[Release], *, now: float, prompt_id: str | None = None
) -> dict[str, Json]:
    """What was proved of these releases' records and timelines; TimelineBroken names everything that does not hold.

    `prompt_id`: they are all releases of this prompt, so that any other one in the audit bucket is missing. The
    document's `verified` is true only if locked copies agree: whoever can write the table can forge a chain.
    `locked_copy` counts the entries by how they stand to their copies, and names those whose copy is `late`; None where
    there is no audit bucket.
    """
    copies = deployment.audit_copies
    problems: list[str] = []
    if copies is not None and prompt_id is not None:
        problems += _lost(deployment, copies, prompt_id, known={r.release_id for r in releases})
    counts: Counter[str] = Counter()
    late: list[str] = []
    for release in releases:
        name = release.release_id
        there = copies.timeline(name) if copies is not None else []
        entries, found = _entries(deployment, release)
        if copies is not None:
            compared = compare_copies(entries, there, now=now, kept_for=_kept_for(deployment))
            found += compared.problems
            late += [f"release {name}: {entry}" for entry in compared.late]
            counts.update(
                agree=compared.agree,
                not_copied_yet=compared.not_copied_yet,
                no_longer_kept=compared.no_longer_kept,
            )
        problems += [f"release {name}: {problem}" for problem in found]
    if problems:
        raise TimelineBroken(
            f"timelines do not hold: {'; '.join(problems)}. Compare the table with the audit bucket, and find out who "
            "can write either"
        )
    if copies is None:
        return {"verified": False, "locked_copy": None}
    locked = {name: counts[name] for name in ("agree", "not_copied_yet", "no_longer_kept")}
    proved = locked["agree"] > 0 or not any(locked.values())
    return {"verified": proved, "locked_copy": {**locked, "late": late}}


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


def _entries(deployment: Deployment, release: Release) -> tuple[list[TimelineEntry], list[str]]:
    """A timeline, and what does not hold in it. Read in this order, so that what is appended meanwhile is no problem:
    copies (before this is called), head, entries, head and record; `release` was read before all."""
    store, name = deployment.releases, release.release_id
    before, entries, after = store.head(name), store.timeline(name), store.head(name)
    record = store.find(name) or release
    return entries, [
        *chain_problems(entries),
        *head_problems(entries, before, after),
        *record_problems(release, entries, record),
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
    return f"{subject}: no entry was altered or left out; {locked['agree']} agree with their locked copy{rest}.{look}"
