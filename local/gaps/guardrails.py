"""Guardrails as Converse applies them: found or refused in AWS's words, evaluated on what was sent and what was said.

Lacking in MiniStack: its ids are none that Converse takes, an unknown guardrail is told in other words than AWS's,
half of a guardrailConfig is taken, and CloudFormation makes no versions. The policies are evaluated by MiniStack's
own rules: words and phrases, regular expressions and such personal data as have a pattern; what needs a model
(topics, contents, grounding) is not. Besides, the text `[[guardrail]]` in what the user sent or the model said makes
any call end with stopReason `guardrail_intervened`, as a guardrail of the account would."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.services import bedrock
from ministack.services import bedrock_runtime as stock

from local import seams
from local.gaps import prompts
from local.inference import ModelAnswer

MARKER = "[[guardrail]]"
_ID = re.compile(r"[a-z0-9]+|arn:aws[a-z-]*:bedrock:[a-z0-9-]{1,20}:[0-9]{12}:guardrail/[a-z0-9]+")
_VERSION = re.compile(r"[1-9][0-9]{0,7}|DRAFT")
_TRACED = ("enabled", "enabled_full")


def install() -> None:
    seams.require(bedrock, "_guardrails", "_guardrail_arn", "_tags")
    seams.require(stock, "_resolve_guardrail", "_evaluate_guardrail")
    seams.replace(bedrock, "_create_guardrail")(_created)


def _created(original: Callable[..., Any], body: Any) -> Any:
    """CreateGuardrail with an id of letters and digits, as AWS's are."""
    status, headers, answer = original(body)
    if status >= 300:
        return status, headers, answer
    told = json.loads(answer)
    record = bedrock._guardrails.pop(told["guardrailId"])
    identifier = told["guardrailId"][-12:]
    arn = bedrock._guardrail_arn(identifier)
    bedrock._guardrails[identifier] = record | {"GuardrailId": identifier, "GuardrailArn": arn}
    if (tags := bedrock._tags.pop(told["guardrailArn"], None)) is not None:
        bedrock._tags[arn] = tags
    return status, headers, json.dumps(told | {"guardrailId": identifier, "guardrailArn": arn}).encode()


@dataclass
class Guardrail:
    """One that a call names: its record, and what it found so far."""

    record: dict[str, Any]
    traced: bool
    assessments: dict[str, Any] = field(default_factory=dict)

    def looked_at(self, source: str, text: str) -> tuple[str | None, str]:
        """(the message in place of a text that it blocks, the text with what it masks); source: INPUT or OUTPUT."""
        found = stock._evaluate_guardrail(self.record, source, text)
        name, of = self.record["GuardrailId"], found["assessment"]
        self.assessments |= (
            {"inputAssessment": {name: of}} if source == "INPUT" else {"outputAssessments": {name: [of]}}
        )
        said = "BlockedInputMessaging" if source == "INPUT" else "BlockedOutputsMessaging"
        blocked = str(self.record.get(said) or "Blocked by guardrail.") if found["blocked"] else None
        return blocked, found["masked_text"] if found["anonymized"] else text

    @property
    def trace(self) -> dict[str, Any]:
        """`trace` of the response, where it was asked for."""
        return {"trace": {"guardrail": dict(self.assessments)}} if self.traced else {}


def named(config: dict[str, Any] | None) -> Guardrail | None:
    """The guardrail of a guardrailConfig, or None where there is none. Raises prompts.Refused."""
    if not config:
        return None
    identifier, version = config.get("guardrailIdentifier"), config.get("guardrailVersion")
    if not identifier or not version:
        raise prompts.invalid("guardrailIdentifier and guardrailVersion must be given together.")
    if not _ID.fullmatch(str(identifier)) or not _VERSION.fullmatch(str(version)):
        raise prompts.invalid("The provided guardrail identifier is invalid.")
    record = stock._resolve_guardrail(identifier, version)
    if record is None:
        raise prompts.invalid("The guardrail identifier or version provided in the request does not exist.")
    return Guardrail(record, config.get("trace") in _TRACED)


def guarded(guardrail: Guardrail | None, source: str, text: str) -> tuple[ModelAnswer | None, str]:
    """(what is answered in place of a text that is blocked, the text with what is masked); source: INPUT or OUTPUT."""
    message, masked = guardrail.looked_at(source, text) if guardrail else (None, text)
    if message is None and MARKER in text:
        message = "Sorry, I cannot help with that."
    if message is None:
        return None, masked
    tokens = max(1, len(text) // 4), max(1, len(message) // 4)
    return ModelAnswer(message, "guardrail_intervened", *tokens), masked
