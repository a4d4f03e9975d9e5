"""`promptlane history --verify`: the hash chains, and the locked copies of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.timeline import TimelineEntry, chain_problems, copy_problems

from .deployment import Deployment

Json = Any


class TimelineBroken(PromptlaneError):
    """A timeline was altered, or entries of it are missing."""


class Copies(Protocol):
    """The Object-Locked bucket."""

    def timeline(self, release_id: str) -> list[TimelineEntry]:
        """The copied entries of a release, in order."""


def verified(deployment: Deployment, timelines: Mapping[str, Sequence[TimelineEntry]]) -> dict[str, Json]:
    """What was proved of these timelines; TimelineBroken names what does not hold.

    `locked_copy` counts entries that agree with their copy and those that are not copied (yet); None where the
    deployment has no audit bucket: then only the chain itself was checked, which whoever can write the table can forge.
    """
    copies = deployment.audit_copies
    agreed = behind = 0
    for release_id, entries in timelines.items():
        problems = chain_problems(entries)
        if copies is not None:
            there = copies.timeline(release_id)
            problems += copy_problems(entries, there)
            agreed += min(len(there), len(entries))
            behind += max(0, len(entries) - len(there))
        if problems:
            raise TimelineBroken(
                f"the timeline of release {release_id} was tampered with: {'; '.join(problems)}. Compare it with the "
                "copy in the audit bucket, and find out who can write the release table"
            )
    locked = None if copies is None else {"agree": agreed, "not_copied_yet": behind}
    return {"verified": True, "locked_copy": locked}


def how_verified(document: Mapping[str, Json], subject: str) -> str:
    """One sentence on what was proved."""
    locked = document.get("locked_copy")
    if locked is None:
        return f"{subject}: no entry was altered or left out. There is no audit bucket, so no locked copy was compared."
    late = f"; {locked['not_copied_yet']} not copied yet" if locked["not_copied_yet"] else ""
    return f"{subject}: no entry was altered or left out; {locked['agree']} agree with their locked copy{late}."
