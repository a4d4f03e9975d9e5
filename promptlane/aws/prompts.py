"""Bedrock Prompt Management: reading versions, and writing drafts and versions for authors."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from promptlane.domain.errors import AmbiguousName, InvalidInput, KeyDenied, NotApplicable, NotFound, Unauthorized
from promptlane.domain.incoming import version_number
from promptlane.domain.ports import PromptSummary
from promptlane.domain.release.prompt import PromptDraft, PromptVersion

from .errors import code_of, translated

Json = Any
_QUOTA: Final = "max-number-versions-per-prompt"
"""What Bedrock calls the quota, in the message of a ValidationException."""
_FULL: Final = (
    "prompt {0} has as many versions as Bedrock allows; nothing was published. Finish or roll back what is in flight: "
    "`housekeep` makes room when a release starts, and once a day, but deletes no version that is in use or was never "
    "released. To make room at once, delete one that nobody uses (aws bedrock-agent delete-prompt --prompt-identifier "
    "{0} --prompt-version NUMBER), or ask AWS for a higher quota (Service Quotas, Amazon Bedrock) and set "
    "promptlane:version_quota to it"
)
_KEY: Final = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[0-9A-Za-z-]+")
_ACTION: Final = re.compile(r"perform: bedrock:")
"""How a refusal begins to name what was denied, where it is no key."""
_METADATA: Final = "METADATA_ONLY"
"""What GetPrompt is asked for where the content does not matter: that need not be decrypted."""
_PAGE: Final = 1_000
"""Prompts of a page: the most that ListPrompts takes."""
_UPDATABLE: Final = ("name", "description", "variants", "defaultVariant", "customerEncryptionKeyArn")


class BedrockPrompts:
    """`PromptReader`, and what `promptlane publish` needs. `agent` is the boto3 client `bedrock-agent`."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def version(self, prompt_id: str, version: int) -> PromptVersion:
        with self._deciphered(f"reading version {version} of prompt {prompt_id}", prompt_id):
            try:
                answer = self._agent.get_prompt(promptIdentifier=prompt_id, promptVersion=str(version))
            except self._agent.exceptions.ResourceNotFoundException:
                raise NotFound(
                    f"prompt {prompt_id} has no version {version}; `promptlane status <prompt>` shows what exists"
                ) from None
        return _snapshot(answer)

    def versions(self, prompt_id: str) -> list[int]:
        if not prompt_id:  # it would list the prompts of the account
            raise InvalidInput("a prompt's id is text of at least one character")
        found: list[int] = []
        with translated(f"listing the versions of prompt {prompt_id}"):
            for page in self._agent.get_paginator("list_prompts").paginate(promptIdentifier=prompt_id):
                for summary in page["promptSummaries"]:
                    if number := version_number(str(summary["version"])):
                        found.append(number)
        return sorted(found)

    def listed(self) -> list[PromptSummary]:
        with translated("listing prompts"):
            pages = self._agent.get_paginator("list_prompts").paginate(PaginationConfig={"PageSize": _PAGE})
            return [
                PromptSummary(str(summary["id"]), str(summary["name"]), _epoch(summary.get("updatedAt")))
                for page in pages
                for summary in page["promptSummaries"]
            ]

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        wanted = name_or_id.rsplit("prompt/", 1)[-1].split(":")[0]
        named: set[str] = set()
        with translated("listing prompts"):
            for page in self._agent.get_paginator("list_prompts").paginate(PaginationConfig={"PageSize": _PAGE}):
                for summary in page["promptSummaries"]:
                    found = str(summary["id"]), str(summary["name"])
                    if wanted == found[0]:
                        return found
                    if wanted == found[1]:
                        named.add(found[0])  # others may have that name, or it is another's id
        if len(named) > 1:
            raise AmbiguousName(wanted, named)
        return (named.pop(), wanted) if named else None

    def name_of(self, prompt_id: str) -> str | None:
        try:
            with self._deciphered(f"reading the name of prompt {prompt_id}", prompt_id):
                answer = self._metadata(prompt_id)
        except KeyDenied:  # nothing documents that metadata needs no key; lists hold no content at all
            found = self.find(prompt_id)
            return found[1] if found and found[0] == prompt_id else None
        return str(answer["name"]) if answer else None

    def created_at(self, prompt_id: str) -> float | None:
        try:
            with self._deciphered(f"reading when prompt {prompt_id} was created", prompt_id):
                created = (self._metadata(prompt_id) or {}).get("createdAt")
        except KeyDenied:
            return None
        return float(created.timestamp()) if isinstance(created, datetime) else None

    def draft_variants(self, prompt_id: str) -> list[Mapping[str, Json]]:
        """The variants that DRAFT holds now."""
        with self._deciphered(f"reading the draft of prompt {prompt_id}", prompt_id):
            return list(self._agent.get_prompt(promptIdentifier=prompt_id).get("variants", []))

    def write_draft(self, draft: PromptDraft, prompt_id: str | None = None) -> str:
        """Replace the draft of this prompt, else of the one with its name, else create one; returns the prompt id.

        Its other fields are kept, and its variant's name.
        """
        described = {"description": draft.description} if draft.description else {}
        found = self.find(draft.name) if prompt_id is None else None
        if found is not None and found[1] == draft.name:
            prompt_id = found[0]
        if prompt_id is None:
            new = {"name": draft.name, "variants": draft.variants(), "defaultVariant": "default", **described}
            with translated(f"writing the draft of {draft.name}"):
                return str(self._agent.create_prompt(clientToken=str(uuid.uuid4()), **new)["id"])
        body = self.draft_body(prompt_id)
        present: Sequence[Mapping[str, Json]] = body.get("variants") or ()
        variants = draft.variants(like=present[0] if present else None)
        self.write_body(
            prompt_id,
            body | {"name": draft.name, "variants": variants, "defaultVariant": variants[0]["name"], **described},
        )
        return prompt_id

    def publish(self, prompt_id: str, *, description: str) -> PromptVersion:
        """Snapshot the draft as the next version. `description` (at most 200 characters) says why."""
        if len(description) > 200:
            raise InvalidInput(f"the description has {len(description)} characters; Bedrock allows 200; shorten it")
        with self._deciphered(f"publishing a version of {prompt_id}", prompt_id):
            arguments = {"description": description} if description else {}
            try:
                answer = self._agent.create_prompt_version(
                    promptIdentifier=prompt_id, clientToken=str(uuid.uuid4()), **arguments
                )
            except ClientError as error:
                if not _is_full(error):
                    raise
                raise NotApplicable(_FULL.format(prompt_id)) from error
        return _snapshot(answer)

    def draft_body(self, prompt_id: str) -> dict[str, Json]:
        """The draft's fields as UpdatePrompt takes them, for putting it back."""
        with self._deciphered(f"reading the draft of prompt {prompt_id}", prompt_id):
            answer = self._agent.get_prompt(promptIdentifier=prompt_id)
        return {key: answer[key] for key in _UPDATABLE if answer.get(key)}

    def write_variants(self, prompt_id: str, variants: Sequence[Mapping[str, Json]], default: str) -> None:
        """Replace the draft's variants; its other fields are kept."""
        body = self.draft_body(prompt_id) | {"variants": [dict(v) for v in variants]}
        if default:
            body["defaultVariant"] = default
        self.write_body(prompt_id, body)

    def write_body(self, prompt_id: str, body: Mapping[str, Json]) -> None:
        """Replace the draft by `body`, which `draft_body` gave."""
        with self._deciphered(f"writing the draft of prompt {prompt_id}", prompt_id):
            self._agent.update_prompt(promptIdentifier=prompt_id, **body)

    def delete(self, prompt_id: str, version: int) -> None:
        """Delete one numbered version; one that is gone already is fine. The prompt itself is never deleted."""
        if version < 1:
            raise InvalidInput(f"{version} is not a version number; the prompt itself is never deleted")
        with translated(f"deleting version {version} of prompt {prompt_id}"):
            try:
                self._agent.delete_prompt(promptIdentifier=prompt_id, promptVersion=str(version))
            except self._agent.exceptions.ResourceNotFoundException:
                return

    @contextmanager
    def _deciphered(self, doing: str, prompt_id: str) -> Iterator[None]:
        """Raise domain errors instead of botocore's; KeyDenied where it is the prompt's key that is denied."""
        try:
            with translated(doing):
                yield
        except Unauthorized as error:
            if (key := self._key_denied(prompt_id, str(error))) is None:
                raise
            raise KeyDenied(doing, prompt_id, key) from error

    def _key_denied(self, prompt_id: str, said: str) -> str | None:
        """The key that a refusal is about, "" where only that it is a key is known; None where it is about no key."""
        if found := _KEY.search(said):
            return found[0]
        if _ACTION.search(said):
            return None
        try:
            key = str((self._metadata(prompt_id) or {}).get("customerEncryptionKeyArn") or "")
        except ClientError:
            key = ""
        return key or ("" if "kms" in said.lower() else None)

    def _metadata(self, prompt_id: str) -> Mapping[str, Json] | None:
        """What is no content of a prompt's draft; None when the prompt is gone."""
        try:
            answer: Mapping[str, Json] = self._agent.get_prompt(promptIdentifier=prompt_id, includedData=_METADATA)
        except self._agent.exceptions.ResourceNotFoundException:
            return None
        return answer


def _is_full(error: ClientError) -> bool:
    """Whether a version was refused because there are too many; documented with either code."""
    said = str(error.response.get("Error", {}).get("Message", ""))
    return code_of(error) == "ServiceQuotaExceededException" or _QUOTA in said


def _snapshot(answer: Mapping[str, Json]) -> PromptVersion:
    version = str(answer["version"])
    number = version_number(version)
    if number is None:
        raise NotFound(f"prompt {answer.get('name')!r} answered with {version}, which is not a numbered version")
    return PromptVersion(
        prompt_id=str(answer["id"]),
        name=str(answer["name"]),
        version=number,
        arn=_versioned(str(answer["arn"]), version),
        variants=tuple(answer.get("variants") or ()),
        description=str(answer.get("description") or ""),
        default_variant=str(answer.get("defaultVariant") or ""),
    )


def _epoch(moment: object) -> float:
    """Epoch seconds; what is no time counts as just now, so that somebody looks."""
    return moment.timestamp() if isinstance(moment, datetime) else math.inf


def _versioned(arn: str, version: str) -> str:
    """The ARN with its version, whether the service wrote it or not: never an ARN that would mean DRAFT."""
    return arn if arn.endswith(f":{version}") and "prompt/" in arn.rsplit(":", 1)[0] else f"{arn}:{version}"
