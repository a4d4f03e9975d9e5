"""What enrolling needs from the outside world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .enrolment import Enrolment, Mark, Part


class Register(Protocol):
    """Enrolments in the release table, with the marks of the requests that changed them. All reads are consistent."""

    def get(self, name: str) -> Enrolment | None:
        """Who enrolled this prompt, and with what; None for one that is not enrolled."""

    def done(self, name: str, request: str) -> bool:
        """Whether a request was carried out already."""

    def put(self, enrolment: Enrolment, mark: Mark) -> Enrolment:
        """Write the enrolment with the next revision, list the prompt, set the mark, all or nothing.

        `enrolment.revision` must be the stored one, 0 where none is stored; else, or with the mark there, Conflict.
        """

    def drop(self, enrolment: Enrolment, mark: Mark) -> None:
        """Delete the enrolment and its place in the list, set the mark; Conflict as `put`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource as CloudFormation shows it; `physical` is empty while it is being created."""

    kind: str
    status: str
    physical: str


class Stacks(Protocol):
    """CloudFormation, which alone knows what a stack really does. Raises Unavailable where it does not answer."""

    def status(self, stack: str) -> str | None:
        """The status of a stack by its ARN, such as UPDATE_IN_PROGRESS; None where there is none (any more)."""

    def resource(self, stack: str, logical_id: str) -> Shown | None:
        """A resource of a stack; None where the stack has none of that name (any more)."""


class ConfigStore(Protocol):
    """Deployed policies and suites, and the copies that releases read."""

    def fetch(self, part: Part, most: int) -> bytes:
        """The deployed bytes. InvalidInput where there are more than `most`, or their SHA-256 is another one."""

    def keep(self, sha256: str, body: bytes) -> None:
        """Put a copy under its hash, where no deployment changes it."""
