"""An enrolment: which policy and suite count for a prompt, and which CloudFormation stack says so.

A name belongs to the stack that enrolled it first. Within that stack several resources may claim it for a while (a
resource that gets another logical id is created before the old one is deleted): the last claim counts, and when it is
given up, the one before it counts again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from promptlane.domain.errors import InvalidInput

Json = Any
Kind = Literal["Create", "Update", "Delete"]
RESOURCE_TYPE: Final = "Custom::PromptlaneEnrolment"
"""The custom resource by which a stack enrols a prompt."""
MOST_POLICY: Final = 262_144
MOST_SUITE: Final = 32_000_000
"""Bytes of the objects that an enrolment may point at."""
MOST_CLAIMS: Final = 8
_NAME: Final = re.compile(r"([0-9a-zA-Z][_-]?){1,100}")
_PHYSICAL: Final = "enrolled:"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_URI: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[!-~]{1,1000}")


@dataclass(frozen=True, slots=True)
class Part:
    """A policy or a suite as it was deployed: an object of S3 and the SHA-256 of its bytes."""

    uri: str
    sha256: str

    def to_dict(self) -> dict[str, Json]:
        return {"uri": self.uri, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, data: Json, where: str) -> Part:
        """InvalidInput names what of it cannot be used."""
        given = data if isinstance(data, Mapping) else {}
        uri, sha256 = given.get("uri"), given.get("sha256")
        if not isinstance(uri, str) or not _URI.fullmatch(uri):
            raise InvalidInput(f"{where}.uri is {uri!r:.120}; it must be s3://<bucket>/<key> of a deployed object")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise InvalidInput(f"{where}.sha256 is {sha256!r:.120}; it must be the SHA-256 of its bytes in hex")
        return cls(uri, sha256)

    @property
    def place(self) -> tuple[str, str]:
        """(bucket, key)."""
        bucket, _, key = self.uri.removeprefix("s3://").partition("/")
        return bucket, key


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an enrolment says of a prompt."""

    policy: Part
    suite: Part

    def to_dict(self) -> dict[str, Json]:
        return {"policy": self.policy.to_dict(), "suite": self.suite.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json], where: str = "") -> Configuration:
        dot = f"{where}." if where else ""
        return cls(Part.from_dict(data.get("policy"), f"{dot}policy"), Part.from_dict(data.get("suite"), f"{dot}suite"))

    def same_content(self, other: Configuration | None) -> bool:
        """Whether both name the same bytes, wherever they lie."""
        return other is not None and self.hashes == other.hashes

    @property
    def hashes(self) -> tuple[str, str]:
        return self.policy.sha256, self.suite.sha256


@dataclass(frozen=True, slots=True)
class Claim:
    """What one resource of the owner says. `resource`: its logical id. `before`: what it said before that.

    `prompt_id` and its reason are the policy's, so that whoever asks for them need not read it.
    """

    resource: str
    says: Configuration
    before: Configuration | None = None
    prompt_id: str | None = None
    prompt_id_reason: str | None = None

    def to_dict(self) -> dict[str, Json]:
        told: dict[str, Json] = {
            "before": self.before.to_dict() if self.before else None,
            "prompt_id": self.prompt_id,
            "prompt_id_reason": self.prompt_id_reason,
        }
        there = {key: value for key, value in told.items() if value is not None}
        return {"resource": self.resource, **self.says.to_dict(), **there}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Claim:
        before = data.get("before")
        return cls(
            str(data["resource"]),
            Configuration.from_dict(data),
            Configuration.from_dict(before) if before else None,
            data.get("prompt_id"),
            data.get("prompt_id_reason"),
        )


@dataclass(frozen=True, slots=True)
class Enrolment:
    """`owner`: the stack's ARN. `claims`: at least one; the last one counts. `revision`: counts the writes."""

    name: str
    owner: str
    claims: tuple[Claim, ...]
    revision: int = 1

    @property
    def counts(self) -> Claim:
        return self.claims[-1]

    def claim_of(self, resource: str) -> Claim | None:
        return next((c for c in self.claims if c.resource == resource), None)

    def claimed(self, claim: Claim) -> Enrolment:
        """With a resource's claim as the one that counts."""
        others = tuple(c for c in self.claims if c.resource != claim.resource)
        if len(others) >= MOST_CLAIMS:
            raise InvalidInput(
                f"{len(others)} resources of {self.owner} enrol {self.name!r} already; remove those that are not needed"
            )
        return replace(self, claims=(*others, claim))

    def without(self, resource: str) -> Enrolment | None:
        """Without a resource's claim; None when nothing is left of the enrolment."""
        left = tuple(c for c in self.claims if c.resource != resource)
        return replace(self, claims=left) if left else None

    def to_item(self) -> dict[str, Json]:
        claims = [c.to_dict() for c in self.claims]
        return {"name": self.name, "owner": self.owner, "claims": claims, "revision": self.revision}

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> Enrolment:
        return cls(
            str(item["name"]),
            str(item["owner"]),
            tuple(Claim.from_dict(c) for c in item["claims"]),
            int(item["revision"]),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of CloudFormation about an enrolment.

    `stack`: the stack's ARN; `resource`: the logical id there; `request`: names the request, also when it is delivered
    again. `old`: what the resource said before, of an Update whose name stayed.
    """

    kind: Kind
    stack: str
    resource: str
    request: str
    name: str
    says: Configuration | None
    old: Configuration | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A request that was carried out, for good: who changed what of an enrolment, and when."""

    asked: Asked
    at: float

    def to_item(self) -> dict[str, Json]:
        asked = self.asked
        told: dict[str, Json] = {"kind": asked.kind, "owner": asked.stack, "resource": asked.resource, "at": self.at}
        return {**told, **asked.says.to_dict()} if asked.says else told


def prompt_name(value: Json) -> str:
    """A prompt's name as Bedrock allows it."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInput(
            f"Name is {value!r:.120}; it must be the prompt's name as Bedrock has it: letters and digits, with "
            "single - or _ between them"
        )
    return value


def physical_id(name: str) -> str:
    """The custom resource's physical id: another name is another resource, so CloudFormation deletes the old one."""
    return f"{_PHYSICAL}{name}"


def name_of(physical: str) -> str:
    """The prompt of a physical id; empty where none was enrolled under it."""
    return physical.removeprefix(_PHYSICAL) if physical.startswith(_PHYSICAL) else ""
