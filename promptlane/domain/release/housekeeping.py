"""Which published versions may go, so that the account's quota is not reached, and how they are kept in the archive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import prompt_id_of

from .content import canonical_json, is_content_of
from .meant import Identity
from .prompt import PromptVersion, VersionRef
from .release import Release, Waiting
from .route import Route

Json = Any
SCHEMA: Final = 1


def archive_key(prompt_id: str, version: int) -> str:
    """Where a version's snapshot lies in the report bucket."""
    return f"archive/{prompt_id}/{version}.json"


def archived(version: PromptVersion) -> bytes:
    """A version as it is kept: everything that publishing it again takes, and its fingerprint."""
    return canonical_json(
        {
            "schema": SCHEMA,
            "prompt_id": version.prompt_id,
            "name": version.name,
            "version": version.version,
            "arn": version.arn,
            "description": version.description,
            "default_variant": version.default_variant,
            "fingerprint": version.fingerprint,
            "variants": [dict(v) for v in version.variants],
        }
    ).encode()


def from_archive(body: bytes, key: str) -> PromptVersion:
    """The archived version; InvalidInput when the object is damaged: its fingerprint must fit its content."""
    try:
        data: Mapping[str, Json] = json.loads(body)
        version = PromptVersion(
            prompt_id=str(data["prompt_id"]),
            name=str(data["name"]),
            version=int(data["version"]),
            arn=str(data["arn"]),
            variants=tuple(data["variants"]),
            description=str(data["description"]),
            default_variant=str(data["default_variant"]),
        )
        told = str(data["fingerprint"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{key} in the report bucket is no archived version ({error})") from None
    if not is_content_of(told, version.variants):
        raise InvalidInput(
            f"{key} in the report bucket was altered: its content does not fit its fingerprint; look for an earlier "
            "version of the object"
        )
    return version


def protected(
    prompt_id: str,
    versions: Iterable[int],
    *,
    routes: Iterable[Route],
    releases: Iterable[Release],
    waiting: Iterable[Waiting],
) -> dict[int, str]:
    """Versions of a prompt that must stay, with the reason, over all routes and all releases that may name them.

    Names tell nothing: a prompt may be called otherwise than when it was released. ARNs do; one that names no prompt
    may be of this one. A version without a release may still get one, since an event may be late, or somebody may use
    it without a release: it stays. What was rolled back may go: its quarantine is by content, and outlives the version.
    """
    routes, releases = list(routes), list(releases)
    stable = max((r.stable.version for r in routes if _may_be_of(prompt_id, r.stable)), default=0)
    released = {release.version for release in releases if release.prompt_id == prompt_id}
    reasons = {
        v: "newer than stable, and not released yet" if v > stable else "never released: nobody knows who uses it"
        for v in versions
        if v not in released
    }
    for one in waiting:
        if one.prompt_id == prompt_id:
            reasons[one.version] = "waiting for its release"
    for release in releases:
        if release.ended:
            continue
        if release.prompt_id == prompt_id:
            reasons[release.version] = f"release {release.release_id} is in flight"
        if release.stable is not None and _may_be_of(prompt_id, release.stable):
            reasons[release.stable.version] = f"release {release.release_id} compares with it"
    for name in ("canary", "previous", "stable"):
        for route in routes:
            ref: VersionRef | None = getattr(route, name)
            if ref is not None and _may_be_of(prompt_id, ref):
                reasons[ref.version] = name
    return reasons


def related(prompt_id: str, routes: Iterable[Route], identities: Iterable[Identity]) -> set[str]:
    """The ids of prompts that names have meant which also meant this one, or whose routes name a version of it."""
    groups: list[set[str]] = [{identity.prompt_id, identity.before} for identity in identities]
    groups += [{route.prompt_id, *(prompt_id_of(ref.arn) for ref in route.named)} for route in routes]
    return {each for group in groups if prompt_id in group for each in group} - {""}


def _may_be_of(prompt_id: str, ref: VersionRef) -> bool:
    return prompt_id_of(ref.arn) in ("", prompt_id)


def to_delete(versions: Sequence[int], kept: Mapping[int, str], *, keep: int) -> list[int]:
    """The oldest versions beyond `keep`, never a protected one."""
    if keep < 2:
        raise InvalidInput(f"keep_versions is {keep}; at least 2 must stay, or there is nothing to roll back to")
    beyond = len(versions) - keep
    return [v for v in sorted(versions) if v not in kept][: max(0, beyond)]


@dataclass(frozen=True, slots=True)
class VersionQuota:
    """How full a prompt's shelf of versions is."""

    prompt: str
    versions: int
    quota: int
    kept: Mapping[int, str]

    @property
    def nearly_full(self) -> bool:
        """Whether the next publication, or the one after it, would meet the quota."""
        return self.versions >= self.quota - 1

    @property
    def warning(self) -> str:
        why = "\n".join(f"  version {v}: {reason}" for v, reason in sorted(self.kept.items()))
        return (
            f"Prompt {self.prompt} has {self.versions} of {self.quota} versions. Versions that are in use are never "
            f"deleted:\n{why}\n\nFinish or roll back what is in flight, set promptlane:keep_versions lower, or ask AWS "
            "for a higher quota (Service Quotas, Amazon Bedrock) and set promptlane:version_quota to it."
        )
