"""A visit to the review page: which door a link opens, who stands in it, and what became of a form."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from promptlane.domain.policy import Reviewer
from promptlane.domain.text import one_line

from .link import Link
from .review import ReviewDecision, ReviewRequest
from .rules import Tally


class Door(StrEnum):
    """What a link opens."""

    OPEN = "open"
    USED = "used"  # this reviewer has decided
    CLOSED = "closed"  # the review, or the whole release, is over
    EXPIRED = "expired"
    LEFT = "left"  # this person is declared as a reviewer no longer, or under another address
    STALE = "stale"  # of an earlier round: the stable version changed and the release was tested again
    FOREIGN = "foreign"  # signed, but for another release
    INVALID = "invalid"  # not signed by us


class Fault(StrEnum):
    """Why a form was not taken. Nothing was decided; the reviewer may correct it."""

    CODE = "code"
    OLD_CODE = "old_code"  # the review was asked for before each reviewer had a code of their own
    REASON = "reason"
    CHOICE = "choice"
    AUTHOR = "author"
    TOO_MANY = "too_many"
    UNREAD = "unread"  # a part of the page was not opened


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody with a link. Only with an OPEN door are request, reviewer and tally all there."""

    door: Door
    link: Link | None = None
    request: ReviewRequest | None = None
    reviewer: Reviewer | None = None
    state: Tally | None = None
    decisions: tuple[ReviewDecision, ...] = ()

    @property
    def own(self) -> ReviewDecision | None:
        """The decision that this reviewer made before."""
        return next((d for d in self.decisions if self.link and d.reviewer == self.link.reviewer), None)


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of a decision. `fault` says why it was not taken; `fresh` is False when it was there before."""

    visit: Visit
    fault: Fault | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from. `agent` is what the browser says it is."""

    address: str = ""
    agent: str = ""

    @property
    def detail(self) -> dict[str, str]:
        return {"address": known_address(self.address), "agent": one_line(self.agent, 200)}


def known_address(text: str) -> str:
    """The IP address in its usual spelling; `unknown` for anything else."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return "unknown"
