"""The services around Promptlane, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptlane.domain.errors import AmbiguousName, InvalidInput, NotFound, Unavailable
from promptlane.domain.policy import Policy
from promptlane.domain.ports import PromptSummary, RedAlarm
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.prompt import PromptDraft, PromptVersion
from promptlane.domain.text import subject_line

from .limits import check_execution, check_message

Json = Any


class FakePrompts:
    """`DraftReader` in memory; `publish` is what an author does. The draft holds what was published last."""

    def __init__(self) -> None:
        self._versions: dict[str, list[PromptVersion]] = {}
        self._names: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self.updated: dict[str, float] = {}
        """When drafts were written, where a test says so."""
        self.created: dict[str, float] = {}
        """When prompts were created, where a test says so."""

    def publish(self, draft: PromptDraft, *, prompt_id: str, description: str = "") -> PromptVersion:
        """Make the next version of a prompt out of a draft."""
        self._names[prompt_id] = draft.name
        versions = self._versions.setdefault(prompt_id, [])
        number = self._numbers[prompt_id] = self._numbers.get(prompt_id, 0) + 1
        version = PromptVersion(
            prompt_id=prompt_id,
            name=draft.name,
            version=number,
            arn=f"arn:aws:bedrock:us-east-1:111122223333:prompt/{prompt_id}:{number}",
            variants=draft.variants(),
            description=description,
        )
        versions.append(version)
        return version

    def alter(self, prompt_id: str, version: int, draft: PromptDraft | None) -> None:
        """What must never happen to a numbered version: its content changes, or (None) it is deleted."""
        kept = self._versions.get(prompt_id, [])
        if draft is None:
            self._versions[prompt_id] = [v for v in kept if v.version != version]
        else:
            self._versions[prompt_id] = [
                replace(v, variants=draft.variants()) if v.version == version else v for v in kept
            ]

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        if not prompt_id:
            raise InvalidInput("a prompt's id is text of at least one character")
        for found in self._versions.get(prompt_id, []):
            if found.version == version:
                return found
        raise NotFound(f"prompt {prompt_id} has no version {version}")

    def versions(self, prompt_id: str) -> list[int]:
        if not prompt_id:
            raise InvalidInput("a prompt's id is text of at least one character")
        if prompt_id not in self._versions:
            raise NotFound(f"there is no prompt {prompt_id}")
        return [v.version for v in self._versions[prompt_id]]

    def draft_variants(self, prompt_id: str) -> Sequence[Mapping[str, Json]]:
        return self.version(prompt_id, max(self.versions(prompt_id), default=0)).variants

    def listed(self) -> list[PromptSummary]:
        return [PromptSummary(i, name, self.updated.get(i, 0.0)) for i, name in sorted(self._names.items())]

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        wanted = name_or_id.rsplit("prompt/", 1)[-1].split(":")[0]
        if wanted in self._names:
            return wanted, self._names[wanted]
        named = [i for i, n in self._names.items() if wanted == n]
        if len(named) > 1:
            raise AmbiguousName(wanted, named)
        return (named[0], wanted) if named else None

    def name_of(self, prompt_id: str) -> str | None:
        return self._names.get(prompt_id)

    def created_at(self, prompt_id: str) -> float | None:
        return self.created.get(prompt_id) if prompt_id in self._names else None

    def rename(self, prompt_id: str, name: str) -> None:
        """What UpdatePrompt does: nothing documents that a name must be free."""
        self._names[prompt_id] = name

    def remove(self, prompt_id: str) -> None:
        """What DeletePrompt does without a version."""
        del self._names[prompt_id], self._versions[prompt_id]


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

    def deployed_id(self, prompt: str) -> str:
        return self.deployed[prompt].prompt_id if prompt in self.deployed else ""

    def deployed_ids(self, prompts: Sequence[str]) -> dict[str, str]:
        return {prompt: found for prompt in prompts if (found := self.deployed_id(prompt))}

    def deployed_hashes(self, prompt: str) -> tuple[str, str] | None:
        return self.capture(prompt) if prompt in self.deployed else None

    def capture(self, prompt: str) -> tuple[str, str]:
        if prompt not in self.deployed:
            raise NotFound(f"prompt {prompt!r} is not enrolled")
        return self._capture(self.deployed[prompt].to_dict()), self._capture(self.deployed_suite)

    def _capture(self, value: Json) -> str:
        sha256 = hashlib.sha256(canonical_json(value).encode()).hexdigest()
        self._captured[sha256] = value
        return sha256

    def policy(self, sha256: str) -> Policy:
        return Policy.from_dict(self._read(sha256))

    def pin(self, policy: Policy) -> str:
        return self._capture(policy.to_dict())

    def suite(self, sha256: str) -> dict[str, object]:
        return dict(self._read(sha256))

    def _read(self, sha256: str) -> Json:
        if sha256 not in self._captured:
            raise NotFound(f"nothing was captured under {sha256!r}")
        return self._captured[sha256]


class FakeEnrolmentTags:
    """`EnrolmentTags` in memory; with `prompts` it knows which versions there are, as AWS does."""

    def __init__(self, prompts: FakePrompts | None = None) -> None:
        self._prompts = prompts
        self.versions: set[str] = set()
        self.other = ""
        """The other deployment that all prompts are tagged with, where a test says so."""

    def tag(self, version_arn: str) -> None:
        self._check(version_arn)
        self.versions.add(version_arn)

    def tagged(self, version_arn: str) -> bool:
        self._check(version_arn)
        return version_arn in self.versions

    def elsewhere(self, version_arn: str) -> str:
        self._check(version_arn)
        return self.other

    def _check(self, version_arn: str) -> None:
        if self._prompts is not None:
            prompt_id, _, number = version_arn.rpartition("prompt/")[2].partition(":")
            self._prompts.version(prompt_id, int(number))


class FakeAlarms:
    """`FuseAlarms` in memory; `down` makes every read fail."""

    def __init__(self) -> None:
        self.standing: dict[str, list[RedAlarm]] = {}
        self.down = False

    def red(self, prompt: str) -> list[RedAlarm]:
        if self.down:
            raise Unavailable("CloudWatch does not answer")
        return list(self.standing.get(prompt, []))


class FakeWorkflow:
    """`Workflow` in memory; a test moves the executions on by hand."""

    def __init__(self) -> None:
        self.executions: dict[str, str] = {}
        self.payloads: dict[str, dict[str, object]] = {}

    def start(self, release_id: str, payload: dict[str, object]) -> str:
        check_execution(release_id, payload)
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
    """`Notices` that keeps what was sent, and in which order."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.ids: list[str] = []

    def publish(self, subject: str, body: str, *, id: str = "") -> None:
        check_message(subject_line(subject), body)
        self.sent.append((subject, body))
        self.ids.append(id)
