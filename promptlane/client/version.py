"""A version as data: what an agent framework is made of, for a unit that the split has decided for."""

from __future__ import annotations

import re

from promptlane.domain.errors import InvalidInput

from . import sent
from .errors import InvalidVariables, VersionUnreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .decision import Decision

VARIABLE = re.compile(r"\{\{\s*([A-Za-z0-9_-]+)\s*\}\}")
"""As Bedrock and the rest of the house read it (promptlane.domain.release.prompt)."""


class VersionData:
    """What the version of a unit holds, its variables filled in, in Converse's own shapes. Its lists are yours.

    `model_id`, `system` and `messages` (blocks, cache points among them), `tools`, `tool_choice` (None where the
    version says nothing), `inference` (Converse's inferenceConfig), `additional_fields`
    (additionalModelRequestFields), `guardrail` (guardrailConfig or None), `metadata` (requestMetadata).
    `decision` says whose content it is, `decided` whom the split chose: another one (`shielded`) where that version
    could not be read, or does not take these variables. `fingerprint` is the one that the content was held against.
    """

    def __init__(
        self,
        variant: Mapping[str, Any],
        decision: Decision,
        *,
        decided: Decision,
        unit: str,
        variables: Mapping[str, str],
        wrong: InvalidVariables | None = None,
        sign: Callable[[VersionData], str | None] = lambda data: None,
    ) -> None:
        decision.check(variables)
        self.decision = decision
        self.decided = decided
        self.unit = unit
        self.wrong = wrong
        self._sign = sign
        config = variant.get("templateConfiguration") or {}
        text, chat = config.get("text"), config.get("chat") or {}
        _check_all_given(decision, text or chat, variables)
        self.model_id = str(variant.get("modelId", ""))
        self.system: list[Any] = _filled(chat.get("system"), variables)
        if text is not None:
            point = [{"cachePoint": text["cachePoint"]}] if text.get("cachePoint") else []
            blocks = [*_filled([{"text": str(text.get("text", ""))}], variables), *point]
            self.messages: list[Any] = [{"role": "user", "content": blocks}]
        else:
            said = chat.get("messages") or ()
            self.messages = [{"role": m["role"], "content": _filled(m.get("content"), variables)} for m in said]
        tools = chat.get("toolConfiguration") or {}
        self.tools: list[Any] = list(tools.get("tools") or ())
        self.tool_choice: dict[str, Any] | None = tools.get("toolChoice") or None
        self.inference: dict[str, Any] = dict((variant.get("inferenceConfiguration") or {}).get("text") or {})
        self.additional_fields: dict[str, Any] = dict(variant.get("additionalModelRequestFields") or {})
        self.guardrail: dict[str, Any] | None = dict(decision.guardrail) if decision.guardrail else None
        self.metadata = decision.metadata()

    def __repr__(self) -> str:
        return f"<VersionData {self.prompt} version {self.version} ({self.track})>"

    @property
    def prompt(self) -> str:
        return self.decision.prompt

    @property
    def version(self) -> int:
        return self.decision.version

    @property
    def version_arn(self) -> str:
        return self.decision.version_arn

    @property
    def track(self) -> str:
        return self.decision.track

    @property
    def release_id(self) -> str:
        return self.decision.release_id

    @property
    def fingerprint(self) -> str:
        return self.decision.fingerprint

    @property
    def shielded(self) -> bool:
        return self.decision is not self.decided

    @property
    def receipt(self) -> str | None:
        """What feedback() takes, for what was made of it now; None when no receipt key is configured."""
        return self._sign(self)

    @property
    def system_text(self) -> str:
        """The text of `system`, its blocks joined by empty lines, for frameworks that take a text."""
        return "\n\n".join(block["text"] for block in self.system if "text" in block)

    def request(
        self,
        *,
        messages: Sequence[Mapping[str, Any]] = (),
        system: Sequence[Mapping[str, Any]] = (),
        tools: Sequence[Mapping[str, Any]] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The arguments of Converse or ConverseStream, by the model and not by the prompt's ARN.

        `messages`, blocks of `system` and `tools` of your own follow the version's. A tool that the version declares by
        the same name stays as it was approved. InvalidInput for what Converse would refuse of every version.
        """
        sent.check(messages=messages, metadata=metadata)
        declared = {_name(tool) for tool in self.tools}
        own = [dict(tool) for tool in tools if _name(tool) not in declared]
        request: dict[str, Any] = {
            "modelId": self.model_id,
            "messages": [*self.messages, *messages],
            "requestMetadata": {**(metadata or {}), **self.metadata},
        }
        if blocks := [*self.system, *system]:
            request["system"] = blocks
        if every := [*self.tools, *own]:
            choice = {"toolChoice": self.tool_choice} if self.tool_choice else {}
            request["toolConfig"] = {"tools": every, **choice}
        for name, value in (
            ("inferenceConfig", self.inference),
            ("additionalModelRequestFields", self.additional_fields),
            ("guardrailConfig", self.guardrail),
        ):
            if value:
                request[name] = dict(value)
        if not request["messages"]:
            raise InvalidInput(
                f"{self.prompt} holds no message, so there is nothing to answer; give messages=[{{'role': 'user', …}}]"
            )
        return request


def serve(
    decided: Decision,
    read: Callable[[Decision], Mapping[str, Any]],
    unit: str,
    variables: Mapping[str, str],
    *,
    shield: bool,
    sign: Callable[[VersionData], str | None],
) -> VersionData:
    """What is served to a unit that the split decided for: in place of a version on trial that cannot be read, or does
    not take these variables, and of the version before the one that is watched, stable."""
    instead = decided.second if shield and decided.track != "stable" else None

    def data(decision: Decision, wrong: InvalidVariables | None = None) -> VersionData:
        variant = read(decision)
        return VersionData(variant, decision, decided=decided, unit=unit, variables=variables, wrong=wrong, sign=sign)

    try:
        return data(decided)
    except VersionUnreadable:
        if instead is None:
            raise
        return data(instead)
    except InvalidVariables as error:
        if instead is None:
            raise
        return data(instead, error)


def _filled(blocks: Sequence[Mapping[str, Any]] | None, variables: Mapping[str, str]) -> list[Any]:
    """The blocks with their variables filled in, once: what a variable brings is text, whatever it looks like.

    InvalidVariables for a text that is blank then, which Converse takes from no version.
    """
    filled = [dict(block) for block in blocks or ()]
    for block in filled:
        if "text" not in block:
            continue
        template = str(block["text"])
        block["text"] = VARIABLE.sub(lambda found: variables[found[1]], template)
        if not block["text"].strip() and template.strip():
            names = ", ".join(sorted(set(VARIABLE.findall(template))))
            raise InvalidVariables(
                f"a text of {names} alone is blank, which Bedrock does not take; give one that is not"
            )
    return filled


def _check_all_given(decision: Decision, body: Mapping[str, Any], variables: Mapping[str, str]) -> None:
    """Where the route does not say which variables there are, the template does."""
    blocks = [*(body.get("system") or ()), *(b for m in body.get("messages") or () for b in m.get("content") or ())]
    texts = [body.get("text"), *(block.get("text") for block in blocks)]
    missing = sorted({name for text in texts if text for name in VARIABLE.findall(str(text))} - variables.keys())
    if missing:
        raise InvalidVariables(f"{decision.prompt} needs {', '.join(missing)}", missing=missing)


def _name(tool: Mapping[str, Any]) -> str:
    return str((tool.get("toolSpec") or {}).get("name", ""))
