"""A declaration: which reviewers a deployment has, and by which deployed object its own stack says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from promptlane.domain.review.declared import Declared

from .enrolment import Kind, Part

Json = Any
DECLARATION_TYPE: Final = "Custom::PromptlaneReviewers"
"""The custom resource by which the deployment's Pipeline stack declares its reviewers."""
DECLARED_ID: Final = "declared-reviewers"
"""Its physical id."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """`owner`: the stack's ARN; `says`: the object; `before`: what counted before; `revision`: counts the writes."""

    owner: str
    says: Part
    reviewers: Declared
    before: str = ""
    revision: int = 1

    def to_item(self) -> dict[str, Json]:
        told = {"owner": self.owner, "says": self.says.to_dict(), "before": self.before, "revision": self.revision}
        return {**told, "reviewers": self.reviewers.to_dict()}

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Declaration:
        return cls(
            owner=str(item["owner"]),
            says=Part.from_dict(item["says"], "says"),
            reviewers=Declared.from_dict(item["reviewers"]),
            before=str(item["before"]),
            revision=int(item["revision"]),
        )

    def mark(self, at: float) -> dict[str, Json]:
        """What is kept of the request for good: who declared what, and when. Epoch seconds."""
        return {"owner": self.owner, "says": self.says.to_dict(), "revision": self.revision, "at": at}


@dataclass(frozen=True, slots=True)
class DeclarationAsked:
    """One request of CloudFormation. `old`: the SHA-256 of what the resource said before, of an Update."""

    kind: Kind
    stack: str
    resource: str
    request: str
    says: Part
    old: str = ""


class Declarations(Protocol):
    """The declaration that counts, with the marks of the requests that changed it. All reads are consistent."""

    def get(self) -> Declaration | None:
        """None where nobody was ever declared."""

    def done(self, request: str) -> bool:
        """Whether a request was carried out already."""

    def put(self, declaration: Declaration, *, expected: int, request: str, at: float) -> None:
        """Write declaration and mark, all or nothing.

        `expected` is the stored revision, 0 where none is stored; else, or with the mark there, Conflict.
        """
