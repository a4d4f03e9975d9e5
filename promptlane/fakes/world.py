"""The services around Promptlane, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from promptlane.domain.errors import NotFound
from promptlane.domain.policy import Policy
from promptlane.domain.ports import RedAlarm
from promptlane.domain.prompt import PromptDraft, PromptVersion, canonical_json

Json = Any


class FakePrompts:
    """`PromptStore` in memory; `publish` is what an author does."""

    def __init__(self) -> None:
        self._versions: dict[str, list[PromptVersion]] = {}
        self._names: dict[str, str] = {}

    def publish(self, draft: PromptDraft, *, prompt_id: str, description: str = "", at: float = 0.0) -> PromptVersion:
        """Make the next version of a prompt out of a draft."""
        self._names[prompt_id] = draft.name
        versions = self._versions.setdefault(prompt_id, [])
        number = len(versions) + 1
        version = PromptVersion(
            prompt_id=prompt_id,
            name=draft.name,
            version=number,
            arn=f"arn:aws:bedrock:us-east-1:111122223333:prompt/{prompt_id}:{number}",
            variants=draft.variants(),
            description=description,
            created_at=at,
        )
        versions.append(version)
        return version

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        for found in self._versions.get(prompt_id, []):
            if found.version == version:
                return found
        raise NotFound(f"prompt {prompt_id} has no version {version}")

    def versions(self, prompt_id: str) -> list[tuple[int, float]]:
        return [(v.version, v.created_at) for v in self._versions.get(prompt_id, [])]

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        wanted = name_or_id.rsplit("prompt/", 1)[-1].split(":")[0]
        return next(((i, n) for i, n in self._names.items() if wanted in (i, n)), None)


class FakeEnrolments:
    """`Enrolments` in memory."""

    def __init__(self, policies: Mapping[str, Policy] | None = None, suite: Mapping[str, Json] | None = None) -> None:
        self.deployed = dict(policies or {})
        self.deployed_suite = dict(suite or {"cases": []})
        self._captured: dict[str, Json] = {}

    def names(self) -> Sequence[str]:
        return sorted(self.deployed)

    def enrolled(self, prompt: str) -> bool:
        return prompt in self.deployed

    def capture(self, prompt: str) -> tuple[str, str]:
        return self._capture(self.deployed[prompt].to_dict()), self._capture(self.deployed_suite)

    def _capture(self, value: Json) -> str:
        sha256 = hashlib.sha256(canonical_json(value).encode()).hexdigest()
        self._captured[sha256] = value
        return sha256

    def policy(self, sha256: str) -> Policy:
        return Policy.from_dict(self._captured[sha256])

    def suite(self, sha256: str) -> dict[str, object]:
        return dict(self._captured[sha256])


class FakeEnrolmentTags:
    """`EnrolmentTags` in memory."""

    def __init__(self) -> None:
        self.versions: set[str] = set()

    def tag(self, version_arn: str) -> None:
        self.versions.add(version_arn)

    def tagged(self, version_arn: str) -> bool:
        return version_arn in self.versions


class FakeAlarms:
    """`FuseAlarms` in memory."""

    def __init__(self) -> None:
        self.standing: dict[str, list[RedAlarm]] = {}

    def red(self, prompt: str) -> list[RedAlarm]:
        return list(self.standing.get(prompt, []))


class FakeWorkflow:
    """`Workflow` in memory; a test moves the executions on by hand."""

    def __init__(self) -> None:
        self.executions: dict[str, str] = {}
        self.payloads: dict[str, dict[str, object]] = {}

    def start(self, release_id: str, payload: dict[str, object]) -> str:
        self.executions.setdefault(release_id, "RUNNING")
        self.payloads.setdefault(release_id, payload)
        return f"arn:aws:states:us-east-1:111122223333:execution:promptlane-release:{release_id}"

    def status(self, release_id: str) -> str | None:
        return self.executions.get(release_id)

    def stop(self, release_id: str, reason: str) -> None:
        if self.executions.get(release_id) == "RUNNING":
            self.executions[release_id] = "ABORTED"


class FakeQueue:
    """`IntakeQueue` that keeps what was asked for."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int, str, bool]] = []

    def request(self, prompt: str, version: int, *, requested_by: str, explicit: bool) -> None:
        self.requests.append((prompt, version, requested_by, explicit))


class FakeNotices:
    """`Notices` that keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def publish(self, subject: str, body: str) -> None:
        self.sent.append((subject, body))
