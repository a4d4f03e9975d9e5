"""The tag on prompts and versions by which IAM tells an enrolled one (docs/adr/0014)."""

from __future__ import annotations

from typing import Any

from promptlane.domain.names import ENROLLED_TAG

from .errors import translated


class BedrockEnrolmentTags:
    """`EnrolmentTags`. `agent` is the boto3 client `bedrock-agent`; `deployment` is the value of the tag.

    IAM may look at the tags of the version or at those of the prompt, so both carry it.
    """

    def __init__(self, agent: Any, deployment: str) -> None:
        self._agent, self._deployment = agent, deployment

    def tag(self, version_arn: str) -> None:
        for arn in _with_prompt(version_arn):
            with translated(f"tagging {arn} as enrolled"):
                self._agent.tag_resource(resourceArn=arn, tags={ENROLLED_TAG: self._deployment})

    def tagged(self, version_arn: str) -> bool:
        return all(self._deployment_of(arn) == self._deployment for arn in _with_prompt(version_arn))

    def elsewhere(self, version_arn: str) -> str:
        found = self._deployment_of(_with_prompt(version_arn)[1])
        return "" if found == self._deployment else found

    def _deployment_of(self, arn: str) -> str:
        with translated(f"reading the tags of {arn}"):
            return str((self._agent.list_tags_for_resource(resourceArn=arn).get("tags") or {}).get(ENROLLED_TAG, ""))


def _with_prompt(version_arn: str) -> tuple[str, str]:
    """The version's ARN and its prompt's, which is the same without the number."""
    return version_arn, version_arn.rpartition(":")[0]
