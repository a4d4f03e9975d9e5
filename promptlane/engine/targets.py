"""What is tested: a version as something that can be asked, by its ARN or rendered here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlane.domain.release.content import fingerprint
from promptlane.domain.release.guardrail import Guardrail, of_variant
from promptlane.domain.release.prompt import VARIABLE, PromptVersion, template_texts
from promptlane.domain.suite.answers import ModelRequest

from .caching import has_cache_point
from .messages import chat_problems
from .suite import Case
from .transcript import messages_of, shown

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
    def guardrail(self) -> Guardrail | None:
        """The one that every call of it is made with."""
        return of_variant(self.variant)

    @property
    def max_tokens(self) -> int | None:
        """The longest answer that the version allows, if it says."""
        value = ((self.variant.get("inferenceConfiguration") or {}).get("text") or {}).get("maxTokens")
        return None if value is None else int(value)

    @property
    def is_cached(self) -> bool:
        """Whether it asks for prompt caching."""
        return has_cache_point(self.variant)

    @property
    def last_role(self) -> str:
        """Whose message stands last in the template: what an application sends goes behind it."""
        config = self.variant.get("templateConfiguration") or {}
        if "chat" not in config:
            return "user"
        messages = (config["chat"] or {}).get("messages") or [{}]
        return str(messages[-1].get("role", ""))

    def unfit(self, cases: Iterable[Case]) -> list[str]:
        """Where conversations of a suite cannot be sent to this version; each sentence names case and remedy."""
        variables, tools = self.variables, self.tools
        return [f"case {c.id!r}: {problem}" for c in cases for problem in self._unfit(c, variables, tools)]

    def _unfit(self, case: Case, variables: frozenset[str], tools: Mapping[str, Json]) -> Iterator[str]:
        history = case.history(variables)
        for name in case.vars.keys() - variables - {case.chat}:
            yield from (f"variable {name!r} as a chat: {problem}" for problem in chat_problems(case.vars[name]))
        where = f"the chat of variable {case.chat!r}" if case.chat else "`messages`"
        if history and history[0]["role"] == self.last_role:
            role = self.last_role
            yield (
                f"{where} begins with a message of the {role}, as the template of {self.label} ends, and Bedrock takes "
                f"no two in a row; begin with the {'assistant' if role == 'user' else 'user'}'s, or change the template"
            )
        if case.turns and not history and self.last_role != "user":
            yield (
                f"`turns` go on from an answer of its own, and the template of {self.label} ends with a beginning of "
                "the assistant's; take it out of the template, or the turns out of the case"
            )
        acts = any("toolUse" in block or "toolResult" in block for m in history for block in m["content"])
        if (acts or any(turn.tool_results for turn in case.turns)) and not tools:
            yield f"holds tool calls, and {self.label} declares no tools, without which Bedrock takes none; add them"
        elif undeclared := sorted({name for turn in case.turns for name in turn.tool_results} - tools.keys()):
            yield f"gives a result of the tool {undeclared[0]!r}, which {self.label} does not declare; correct the name"

    def prompt_chars(self, case: Case) -> int:
        """Characters of the rendered prompt with its messages, for estimating what a case costs."""
        rendered = sum(len(_render(text, case.vars)) for text in template_texts(self.variant))
        return rendered + len(shown(messages_of(case, self.variables)))

    def request(self, case: Case) -> ModelRequest:
        """The Converse request of a case's first turn. Inference settings, tools and guardrail are the version's own.

        Raises CallRefused where what the case sends grows too long.
        """
        variables = self.variables
        inputs, behind = case.inputs(variables), messages_of(case, variables)
        guarded = {"guardrailConfig": self.guardrail.config} if self.guardrail else {}
        if self.arn:
            given = {"promptVariables": {k: {"text": v} for k, v in inputs.items()}, **guarded}
            return ModelRequest(self.arn, given | ({"messages": behind} if behind else {}))
        body = self._rendered(inputs) | guarded
        return ModelRequest(self.model, body | ({"messages": [*body["messages"], *behind]} if behind else {}))

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
