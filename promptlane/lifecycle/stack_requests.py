"""CloudFormation as the only witness of who asks: whether a stack really is at work on a resource.

A request counts while the stack that it names is being created, updated or deleted, and says about one of its resources
what CloudFormation shows of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from promptlane.domain.enrolment.enrolment import Kind
from promptlane.domain.enrolment.ports import Stacks
from promptlane.domain.errors import Conflict, Unauthorized, Unavailable

T = TypeVar("T")
ATTEMPTS: Final = 5
_PAUSE: Final = 2.0
"""Seconds. CloudFormation's answers lag a little behind what it does, and it throttles stacks of many resources."""


class StackRequest(Protocol):
    """A request of CloudFormation about a custom resource."""

    @property
    def kind(self) -> Kind: ...

    @property
    def stack(self) -> str: ...

    @property
    def resource(self) -> str: ...


@dataclass(frozen=True)
class Witness:
    """Asks CloudFormation, again where its answers lag."""

    stacks: Stacks
    sleep: Callable[[float], None]

    def confirmed(self, asked: StackRequest, resource_type: str) -> str:
        """The status of the stack, which is really at work on this resource. Unauthorized."""
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self.sleep(_PAUSE)
            try:
                status, said = self._shown(asked, resource_type)
            except Unavailable as error:
                status, said = "", str(error)
            if not said:
                return status
        raise Unauthorized(f"nothing was done, since CloudFormation does not confirm this request: {said}")

    def _shown(self, asked: StackRequest, resource_type: str) -> tuple[str, str]:
        """(status, why the request is not to be believed)."""
        status = self.stacks.status(asked.stack)
        if status is None or not status.endswith("_IN_PROGRESS") or status == "REVIEW_IN_PROGRESS":
            return "", f"the stack {asked.stack} is {status or 'not there'}; it is not being deployed"
        if asked.kind == "Delete":
            # CloudFormation may show the resource no longer, or already with another physical id.
            return status, ""
        shown = self.stacks.resource(asked.stack, asked.resource)
        if shown is None:
            return "", f"the stack {asked.stack} has no resource {asked.resource}"
        if shown.kind != resource_type or not shown.status.endswith("_IN_PROGRESS"):
            return "", f"{asked.resource} of the stack {asked.stack} is a {shown.kind} in {shown.status}"
        return status, ""

    def asked_again(self, question: Callable[[], T]) -> T:
        for _ in range(ATTEMPTS - 1):
            try:
                return question()
            except Unavailable:
                self.sleep(_PAUSE)
        return question()


def settled(act: Callable[[], str]) -> str:
    """Again, from reading on, where somebody else wrote meanwhile."""
    for _ in range(ATTEMPTS - 1):
        try:
            return act()
        except Conflict:
            continue
    return act()
