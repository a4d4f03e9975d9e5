"""A check, what came of it, and all of them in a row: none stops the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from promptlane.domain.errors import PromptlaneError, Unauthorized

from .account import Visit

Json = Any
SCHEMA: Final = 1


class Status(StrEnum):
    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "cannot tell"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look showed; `remedy` is what people do about it, empty where all is well."""

    status: Status
    said: str
    remedy: str = ""


def ok(said: str) -> Finding:
    return Finding(Status.OK, said)


def wrong(said: str, remedy: str) -> Finding:
    return Finding(Status.WRONG, said, remedy)


def unknown(said: str, remedy: str) -> Finding:
    return Finding(Status.UNKNOWN, said, remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`id` as people name it. `settles`: ids of the rows of docs/live-checks.md that it answers. `asks`: the
    permissions that it takes. `writes`: why it is left out unless asked for, or empty."""

    id: str
    about: str
    look: Callable[[Visit], Finding]
    asks: tuple[str, ...]
    settles: tuple[str, ...] = ()
    writes: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    check: Check
    finding: Finding

    def to_dict(self) -> dict[str, Json]:
        return {
            "id": self.check.id,
            "about": self.check.about,
            "status": str(self.finding.status),
            "said": self.finding.said,
            "remedy": self.finding.remedy,
            "settles": list(self.check.settles),
            "asks": list(self.check.asks),
        }


def examine(checks: Iterable[Check], visit: Visit, *, write: bool = False) -> Iterator[Examined]:
    """Run the checks one after the other; those that write only with `write`."""
    for check in checks:
        if check.writes and not write:
            skipped = Finding(Status.SKIPPED, f"{check.writes}.", f"promptlane doctor --write --only {check.id}")
            yield Examined(check, skipped)
        else:
            yield Examined(check, _looked(check, visit))


def _looked(check: Check, visit: Visit) -> Finding:
    try:
        return check.look(visit)
    except Unauthorized as error:
        return unknown(str(error), f"Allow {', '.join(check.asks)} to whoever runs this.")
    except PromptlaneError as error:
        return unknown(str(error), "Try again; if it stays, look at the service named.")


def document(examined: Iterable[Examined], *, deployment: str, at: str) -> dict[str, Json]:
    """What `--json` prints."""
    rows = [one.to_dict() for one in examined]
    counts = {str(status): sum(row["status"] == status for row in rows) for status in Status}
    return {"schema": SCHEMA, "deployment": deployment, "at": at, "counts": counts, "checks": rows}


def policy(checks: Iterable[Check], *, write: bool = False) -> dict[str, Json]:
    """An IAM policy that allows what the checks ask for, and nothing else."""
    actions = sorted({action for check in checks if write or not check.writes for action in check.asks})
    statement = {"Sid": "PromptlaneDoctor", "Effect": "Allow", "Action": actions, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
