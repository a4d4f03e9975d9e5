"""What is tested: a version as something that can be asked, by its ARN or rendered here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.prompt import VARIABLE, PromptVersion, template_texts
from promptlane.domain.suite.answers import ModelRequest

from .suite import Case

Json = Any


@dataclass(frozen=True, slots=True)
class Target:
    """One side of the comparison.

    `arn` is the version's ARN, so that Bedrock renders exactly what was published; empty for a draft at the desk, which
    is rendered here to the same request.
    """

    label: str
    fingerprint: str
    variant: Mapping[str, Json]
    arn: str = ""

    @classmethod
    def of_version(cls, version: PromptVersion) -> Target:
        return cls(f"version {version.version}", version.fingerprint, version.variant, version.arn)

    @classmethod
    def of_draft(cls, label: str, variants: Sequence[Mapping[str, Json]]) -> Target:
        return cls(label, fingerprint(variants), variants[0])

    @property
    def model(self) -> str:
        return str(self.variant.get("modelId", ""))

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(name for text in template_texts(self.variant) for name in VARIABLE.findall(text))

    @property
    def tools(self) -> dict[str, Json]:
        """Input schemas by tool name."""
        chat = (self.variant.get("templateConfiguration") or {}).get("chat") or {}
        specs = [t.get("toolSpec") or {} for t in (chat.get("toolConfiguration") or {}).get("tools") or []]
        return {str(s["name"]): (s.get("inputSchema") or {}).get("json", {}) for s in specs if "name" in s}

    @property
    def max_tokens(self) -> int | None:
        """The longest answer that the version allows, if it says."""
        value = ((self.variant.get("inferenceConfiguration") or {}).get("text") or {}).get("maxTokens")
        return None if value is None else int(value)

    def prompt_chars(self, case: Case) -> int:
        """Characters of the rendered prompt, for estimating what a case costs."""
        return sum(len(_render(text, case.vars)) for text in template_texts(self.variant))

    def request(self, case: Case) -> ModelRequest:
        """The Converse request of one case. Inference settings and tools are the version's own."""
        inputs = case.inputs(self.variables)
        if self.arn:
            return ModelRequest(self.arn, {"promptVariables": {k: {"text": v} for k, v in inputs.items()}})
        return ModelRequest(self.model, self._rendered(inputs))

    def _rendered(self, inputs: Mapping[str, str]) -> dict[str, Json]:
        config = self.variant.get("templateConfiguration") or {}
        body: dict[str, Json] = {}
        if "text" in config:
            text = _render(str(config["text"].get("text", "")), inputs)
            point = config["text"].get("cachePoint")
            blocks: list[Json] = [{"text": text}, *([{"cachePoint": point}] if point else [])]
            body["messages"] = [{"role": "user", "content": blocks}]
        else:
            chat = config.get("chat") or {}
            body["messages"] = [
                {"role": m["role"], "content": _blocks(m.get("content") or [], inputs)}
                for m in chat.get("messages") or []
            ]
            if chat.get("system"):
                body["system"] = _blocks(chat["system"], inputs)
            if chat.get("toolConfiguration"):
                body["toolConfig"] = chat["toolConfiguration"]
        settings = (self.variant.get("inferenceConfiguration") or {}).get("text")
        if settings:
            body["inferenceConfig"] = dict(settings)
        if self.variant.get("additionalModelRequestFields"):
            body["additionalModelRequestFields"] = self.variant["additionalModelRequestFields"]
        return body


def _render(text: str, inputs: Mapping[str, str]) -> str:
    return VARIABLE.sub(lambda m: inputs.get(m[1], m[0]), text)


def _blocks(blocks: Sequence[Mapping[str, Json]], inputs: Mapping[str, str]) -> list[Json]:
    return [{**b, "text": _render(str(b["text"]), inputs)} if "text" in b else dict(b) for b in blocks]
