"""The guardrail that prompt.yaml calls by name, looked up where a prompt is published or tested."""

from __future__ import annotations

from dataclasses import replace

from promptlane.domain.errors import InvalidInput
from promptlane.domain.release.guardrail import Named
from promptlane.domain.release.prompt import PromptDraft

from .deployment import Deployment


def guarded(draft: PromptDraft, deployment: Deployment | None) -> PromptDraft:
    """The draft with the guardrail that its name stands for now. InvalidInput or NotFound where it stands for none."""
    wanted = draft.guardrail
    if not isinstance(wanted, Named):
        return draft
    if deployment is None:
        raise InvalidInput(
            f"prompt.yaml calls its guardrail {wanted.name!r} by name, and no deployment can be reached that knows it; "
            "sign in to one, or write guardrail: {id: ..., version: ...}"
        )
    return replace(draft, guardrail=deployment.guardrails.find(wanted.name))
