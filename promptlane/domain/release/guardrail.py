"""The guardrail of a version: which one Bedrock applies to every call of it, in tests and to users alike.

Bedrock's prompts know none, so it is kept in the variant's metadata, which is immutable with the version, under a key
that is part of its fingerprint (`content.py`). Metadata holds neither quotes nor braces, hence `<id or ARN>:<version>`.
Only numbered versions: a guardrail's DRAFT can change under a release.

prompt.yaml may call a guardrail by a name, which publishing and testing look up (`Named`). A version never does: what
it is called with must not change under it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptlane.domain.text import shortened

from .content import OWN

Json = Any
KEY: Final = f"{OWN}guardrail"
_ID: Final = re.compile(
    r"(?:[a-z0-9]{1,64}|arn:aws[a-z-]*:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]{1,64})\Z"
)
_VERSION: Final = re.compile(r"[1-9][0-9]{0,7}\Z")
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")
_NAMED: Final = "named/"
_SHAPE: Final = (
    "must be {id: ..., version: ...}: a guardrail's id or ARN, and the number of one of its versions; or {name: ...}, "
    "by which the deployment knows it"
)
_DRAFT: Final = (
    "is DRAFT, which can change under a release; create a version of the guardrail (aws bedrock "
    "create-guardrail-version) and write its number"
)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """`id`: as Converse takes it, an id or an ARN. `version`: digits."""

    id: str
    version: str

    @property
    def config(self) -> dict[str, str]:
        """Converse's guardrailConfig."""
        return {"guardrailIdentifier": self.id, "guardrailVersion": self.version}

    @property
    def entry(self) -> dict[str, str]:
        """The entry of a variant's metadata."""
        return {"key": KEY, "value": f"{self.id}:{self.version}"}

    def to_item(self) -> dict[str, str]:
        return {"id": self.id, "version": self.version}

    @classmethod
    def from_item(cls, item: Mapping[str, Json] | None) -> Guardrail | None:
        return cls(str(item["id"]), str(item["version"])) if item else None


@dataclass(frozen=True, slots=True)
class Named:
    """A guardrail by the name that the deployment gives it."""

    name: str

    @property
    def entry(self) -> dict[str, str]:
        """In a variant's metadata it is no guardrail that could be released: whoever forgets to look is refused."""
        return {"key": KEY, "value": f"{_NAMED}{self.name}"}


def written(data: Json) -> tuple[Guardrail | Named | None, str]:
    """What `guardrail` of prompt.yaml says, and what is wrong with it; (None, "") where there is none."""
    if data is None:
        return None, ""
    if isinstance(data, Mapping) and set(data) == {"name"}:
        name = data["name"]
        if not isinstance(name, str) or not _NAME.match(name):
            return None, f"has the name {shortened(str(name), 80)!r}; write a-z, 0-9 and -, at most 64 characters"
        return Named(name), ""
    if not isinstance(data, Mapping) or set(data) != {"id", "version"}:
        return None, _SHAPE
    version = data["version"]
    number = str(version) if isinstance(version, int) and not isinstance(version, bool) else version
    if not isinstance(data["id"], str) or not isinstance(number, str):
        return None, f"{_SHAPE}; put an id that is nothing but digits in quotes"
    problem = _problem(data["id"], number)
    return (None, problem) if problem else (Guardrail(data["id"], number), "")


def parsed(value: str) -> tuple[Guardrail | None, str]:
    """The guardrail that `<id or ARN>:<version>` names, and what is wrong with it."""
    if value.startswith(_NAMED):
        return None, f"calls the guardrail {value.removeprefix(_NAMED)!r} by name; `promptlane publish` looks it up"
    id, _, version = value.rpartition(":")
    problem = _problem(id, version)
    return (None, problem) if problem else (Guardrail(id, version), "")


def of_variant(variant: Mapping[str, Json]) -> Guardrail | None:
    """The guardrail that a variant names; None where it names none, or nothing that is one (`problem_of` says why)."""
    found, _ = _read(variant)
    return found


def problem_of(variant: Mapping[str, Json]) -> str:
    """Why what a variant has under the reserved key names no guardrail that could be released; else ""."""
    _, problem = _read(variant)
    return problem


def _read(variant: Mapping[str, Json]) -> tuple[Guardrail | None, str]:
    entries = variant.get("metadata")
    named = [e for e in entries if isinstance(e, Mapping) and e.get("key") == KEY] if entries else []
    if not named:
        return None, ""
    if len(named) > 1:
        return None, f"its metadata has {KEY} {len(named)} times; leave one and publish again"
    found, problem = parsed(str(named[0].get("value", "")))
    return found, f"its metadata {KEY} {problem}" if problem else ""


def _problem(id: str, version: str) -> str:
    if version == "DRAFT":
        return _DRAFT
    if not _ID.match(id):
        return f"has the id {shortened(id, 80)!r}; write a guardrail's id (a-z, 0-9) or its ARN"
    if not _VERSION.match(version):
        return f"has the version {shortened(version, 80)!r}; write the number of a version of the guardrail, from 1"
    return ""
