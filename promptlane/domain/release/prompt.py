"""Prompts: the draft that authors write, the immutable version that is released, and its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from promptlane.domain.errors import DraftInvalid
from promptlane.domain.incoming import odd_places
from promptlane.domain.model_regions import profiled
from promptlane.domain.names import prompt_id_of

from .content import fingerprint, rounded_fingerprint
from .schemas import field_problems, tool_problems, version_schema_problems

VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_-]+)\s*\}\}")
_NAME: Final = re.compile(r"^([0-9a-zA-Z][_-]?){1,100}\Z")
MAX_VARIABLES: Final = 20
MAX_TEMPLATE_CHARS: Final = 200_000

Json = Any


@dataclass(frozen=True, slots=True)
class VersionRef:
    """What a route names: one version of a prompt, bound to its content.

    `version` is the Bedrock version number, `fingerprint` 64 hex digits, `arn` the version ARN that Converse takes.
    `variables`, when known, are the declared ones, so that a client can refuse a wrong call before it is made.
    `rounded` is the fingerprint of the first schema; a reference without it was stored with that one (`content.py`).
    """

    version: int
    fingerprint: str
    arn: str
    variables: tuple[str, ...] | None = field(default=None, compare=False)
    rounded: str = field(default="", compare=False)

    def is_version(self, prompt_id: str, version: int) -> bool:
        """Whether it is this version of this prompt; of an ARN that names no prompt, the number decides."""
        return self.version == version and prompt_id_of(self.arn) in ("", prompt_id)

    def may_hold(self, other: VersionRef) -> bool:
        """Whether both may hold the same content: exactly, unless one is known by the first schema only."""
        if self.fingerprint == other.fingerprint or (self.rounded and other.rounded):
            return self.fingerprint == other.fingerprint
        return self.at_six_digits == other.at_six_digits

    @property
    def at_six_digits(self) -> str:
        """The fingerprint of the first schema, which is alike for contents that differ only beyond six digits."""
        return self.rounded or self.fingerprint

    def to_item(self) -> dict[str, Json]:
        known: dict[str, Json] = {} if self.variables is None else {"variables": list(self.variables)}
        known |= {"rounded": self.rounded} if self.rounded else {}
        return {"version": self.version, "fingerprint": self.fingerprint, "arn": self.arn, **known}

    @classmethod
    def from_item(cls, item: Mapping[str, Json]) -> VersionRef:
        names = item.get("variables")
        return cls(
            version=int(item["version"]),
            fingerprint=str(item["fingerprint"]),
            arn=str(item["arn"]),
            variables=None if names is None else tuple(str(name) for name in names),
            rounded=str(item.get("rounded", "")),
        )


@dataclass(frozen=True, slots=True)
class PromptVersion:
    """One immutable numbered snapshot, as Bedrock's GetPrompt returns it.

    `variants` is Bedrock's list (today of one); `description` says why it was published. `createdAt` is left out: AWS
    documents it as the time at which the prompt was created, so it says nothing about the version.
    """

    prompt_id: str
    name: str
    version: int
    arn: str
    variants: Sequence[Mapping[str, Json]]
    description: str = ""
    default_variant: str = ""

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.variants)

    @property
    def ref(self) -> VersionRef:
        return VersionRef(
            version=self.version,
            fingerprint=self.fingerprint,
            arn=self.arn,
            variables=tuple(sorted(self.declared_variables)),
            rounded=rounded_fingerprint(self.variants),
        )

    @property
    def variant(self) -> Mapping[str, Json]:
        """The variant that is served: the default one, else the first."""
        named = [v for v in self.variants if self.default_variant and v.get("name") == self.default_variant]
        return (named or list(self.variants) or [{}])[0]

    @property
    def model(self) -> str:
        return str(self.variant.get("modelId", ""))

    @property
    def texts(self) -> list[str]:
        """Every text that may hold variables, in order."""
        return template_texts(self.variant)

    @property
    def declared_variables(self) -> frozenset[str]:
        config = self.variant.get("templateConfiguration") or {}
        body = config.get("text") or config.get("chat") or {}
        return frozenset(str(v["name"]) for v in body.get("inputVariables") or [])

    @property
    def used_variables(self) -> frozenset[str]:
        return frozenset(name for text in self.texts for name in VARIABLE.findall(text))


def template_texts(variant: Mapping[str, Json]) -> list[str]:
    config = variant.get("templateConfiguration") or {}
    if "text" in config:
        return [str(config["text"].get("text", ""))]
    chat = config.get("chat") or {}
    blocks = list(chat.get("system") or [])
    for message in chat.get("messages") or []:
        blocks += message.get("content") or []
    return [str(block["text"]) for block in blocks if "text" in block]


def static_problems(version: PromptVersion, *, allowed_models: Sequence[str] = ()) -> list[str]:
    """What is wrong with a version before any test runs; each sentence names the input and the remedy."""
    problems: list[str] = []
    if not version.variants:
        return [f"version {version.version} has no variant; add one to the draft and publish again"]
    problems += _several(version)
    if unreadable := sorted(set(_unreadable(version.variants))):
        problems.append(
            f"version {version.version} holds {', '.join(unreadable)}, which this deployment's AWS SDK cannot read, so "
            "nobody could be shown it; deploy Promptlane with a newer SDK, or publish without it"
        )
    undeclared = version.used_variables - version.declared_variables
    unused = version.declared_variables - version.used_variables
    if undeclared:
        problems.append(
            f"the template uses {_names(undeclared)} but does not declare them; add them to the prompt's variables"
        )
    if unused:
        problems.append(
            f"the prompt declares {_names(unused)} but its template never uses them; "
            "remove them or write {{name}} where they belong"
        )
    if len(version.declared_variables) > MAX_VARIABLES:
        problems.append(f"{len(version.declared_variables)} variables; Bedrock allows {MAX_VARIABLES}")
    length = sum(len(text) for text in version.texts)
    if length > MAX_TEMPLATE_CHARS:
        problems.append(f"the template has {length:,} characters; at most {MAX_TEMPLATE_CHARS:,} are allowed")
    if not any(text.strip() for text in version.texts):
        problems.append("the template is empty; write one and publish again")
    problems += version_schema_problems(version.variants)
    if not version.model:
        problems.append("the version names no model (an agent resource is not supported); choose a modelId")
    elif allowed_models and version.model not in allowed_models:
        problems.append(
            f"model {version.model!r} is not among the policy's models.allowed ({', '.join(allowed_models)}); "
            "choose one of them, or have the policy changed"
        )
    return problems


def _several(version: PromptVersion) -> list[str]:
    """Which variant is served is no part of any, so the fingerprint would not bind it."""
    count = len(version.variants)
    return [f"version {version.version} has {count} variants; leave one and publish again"] if count > 1 else []


def _unreadable(value: Json) -> Iterator[str]:
    """Members of unions that the SDK does not know: it gives their names in place of what they hold."""
    if isinstance(value, Mapping):
        if "SDK_UNKNOWN_MEMBER" in value:
            member = value["SDK_UNKNOWN_MEMBER"]
            yield str(member.get("name") if isinstance(member, Mapping) else member)
        for inner in value.values():
            yield from _unreadable(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _unreadable(inner)


def _names(names: frozenset[str]) -> str:
    return ", ".join("{{" + n + "}}" for n in sorted(names))


_CONTENT: Final = ("template", "system", "messages", "variables", "inference", "tools", "tool_choice")
_KEYS: Final = ("name", "description", "model", *_CONTENT, "additional_fields")
_INFERENCE: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxTokens",
    "stop_sequences": "stopSequences",
}


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """prompt.yaml: what `promptlane publish` writes to Bedrock's DRAFT."""

    name: str
    model: str
    variables: tuple[str, ...] = ()
    description: str = ""
    template: str | None = None
    system: str | None = None
    messages: tuple[tuple[str, str], ...] = ()
    inference: Mapping[str, Json] = field(default_factory=dict)
    tools: tuple[Mapping[str, Json], ...] = ()
    tool_choice: str = "auto"
    additional_fields: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Json) -> PromptDraft:
        """Read what prompt.yaml holds; DraftInvalid lists every problem with its path."""
        if not isinstance(data, Mapping):
            raise DraftInvalid([("", "prompt.yaml must hold a mapping with `name`, `model` and `template`")])
        problems = list(odd_places(data)) or list(_draft_problems(data))
        if problems:
            raise DraftInvalid(problems)
        return cls(
            name=data["name"],
            model=data["model"],
            variables=tuple(data.get("variables") or ()),
            description=(data.get("description") or "").strip(),
            template=data.get("template"),
            system=data.get("system"),
            messages=tuple((m["role"], m["text"]) for m in data.get("messages") or ()),
            inference=dict(data.get("inference") or {}),
            tools=tuple(data.get("tools") or ()),
            tool_choice=data.get("tool_choice") or "auto",
            additional_fields=dict(data.get("additional_fields") or {}),
        )

    def called_in(self, region: str, group: str) -> PromptDraft:
        """The same with its model as it is called there: by the group's inference profile, where one is needed."""
        return replace(self, model=profiled(self.model, group, region))

    def variants(self) -> list[dict[str, Json]]:
        """Bedrock's `variants` for CreatePrompt and UpdatePrompt."""
        variables = [{"name": v} for v in self.variables]
        variant: dict[str, Json] = {"name": "default", "modelId": self.model}
        if self.template is not None:
            variant["templateType"] = "TEXT"
            variant["templateConfiguration"] = {"text": {"text": self.template, "inputVariables": variables}}
        else:
            chat: dict[str, Json] = {
                "messages": [{"role": role, "content": [{"text": text}]} for role, text in self.messages],
                "inputVariables": variables,
            }
            if self.system:
                chat["system"] = [{"text": self.system}]
            if self.tools:
                free = self.tool_choice in ("auto", "any")
                choice = {self.tool_choice: {}} if free else {"tool": {"name": self.tool_choice}}
                chat["toolConfiguration"] = {"tools": [dict(t) for t in self.tools], "toolChoice": choice}
            variant["templateType"] = "CHAT"
            variant["templateConfiguration"] = {"chat": chat}
        if self.inference:
            text = {_INFERENCE[k]: v for k, v in self.inference.items()}
            variant["inferenceConfiguration"] = {"text": text}
        if self.additional_fields:
            variant["additionalModelRequestFields"] = dict(self.additional_fields)
        return [variant]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.variants())


def _draft_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for key in data:
        if key not in _KEYS:
            yield str(key), f"unknown key; known are {', '.join(_KEYS)}"
    for key in ("name", "model"):
        if not isinstance(data.get(key), str) or not data[key].strip():
            yield key, "is required and must be text"
    if isinstance(data.get("name"), str) and not _NAME.match(data["name"]):
        yield "name", "may hold letters, digits, '-' and '_' only, at most 100, and no two marks in a row"
    if len(data.get("description") or "") > 200:
        yield "description", "Bedrock allows at most 200 characters"
    yield from _template_problems(data)
    variables = data.get("variables") or []
    if not isinstance(variables, list) or not all(isinstance(v, str) for v in variables):
        yield "variables", "must be a list of names"
    elif len(set(variables)) != len(variables):
        yield "variables", "names a variable twice"
    yield from _schema_problems(data)
    settings = data.get("inference") or {}
    if not isinstance(settings, Mapping):
        yield "inference", f"must be a mapping of {', '.join(_INFERENCE)}"
    else:
        for key in settings:
            if key not in _INFERENCE:
                yield f"inference.{key}", f"unknown key; known are {', '.join(_INFERENCE)}"


def _schema_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    tools = data.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(t, Mapping) for t in tools):
        yield "tools", "must be a list of tools, each {toolSpec: {name, description, inputSchema: {json: ...}}}"
        return
    yield from (("tools", problem) for problem in tool_problems(tools))
    more = data.get("additional_fields") or {}
    if not isinstance(more, Mapping):
        yield "additional_fields", "must be a mapping of what the model takes besides"
        return
    yield from (("additional_fields", problem) for problem in field_problems(more, "additional_fields"))


def _template_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    has_chat = bool(data.get("messages")) or data.get("system") is not None
    if (data.get("template") is not None) == has_chat:
        yield (
            "template",
            "give `template` (a TEXT prompt) or `messages` and perhaps `system` (a CHAT prompt), not both",
        )
    elif data.get("template") is not None and not isinstance(data["template"], str):
        yield "template", "must be text"
    if data.get("template") is not None and data.get("tools"):
        yield "tools", "Bedrock takes tools with CHAT prompts only; write `messages` instead of `template`"
    messages = data.get("messages") or []
    if not isinstance(messages, list):
        yield "messages", "must be a list of {role, text}"
        return
    for i, message in enumerate(messages):
        fits = isinstance(message, Mapping) and set(message) == {"role", "text"}
        if not fits or message["role"] not in ("user", "assistant") or not isinstance(message["text"], str):
            yield f"messages[{i}]", "must be {role: user | assistant, text: ...}"
