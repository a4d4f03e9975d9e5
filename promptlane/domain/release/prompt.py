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

from . import guardrail as guardrails
from .content import OWN, fingerprint, rounded_fingerprint
from .guardrail import Guardrail, Named
from .models import is_allowed
from .schemas import field_problems, tool_problems, version_schema_problems
from .tools import CACHE_POINT, choice_problem, form_problems

VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_-]+)\s*\}\}")
_NAME: Final = re.compile(r"^([0-9a-zA-Z][_-]?){1,100}\Z")
_NAMED: Final = "may hold letters, digits, '-' and '_' only, at most 100, and no two marks in a row"
MAX_VARIABLES: Final = 20
MAX_TEMPLATE_CHARS: Final = 200_000

Json = Any


@dataclass(frozen=True, slots=True)
class VersionRef:
    """What a route names: one version of a prompt, bound to its content.

    `version` is the Bedrock version number, `fingerprint` 64 hex digits, `arn` the version ARN that Converse takes.
    `variables`, when known, are those that it takes, so that a client can refuse a wrong call before it is made.
    `guardrail` is the one that every call of it is made with, bound by the fingerprint.
    `rounded` is the fingerprint of the first schema; a reference without it was stored with that one (`content.py`).
    """

    version: int
    fingerprint: str
    arn: str
    variables: tuple[str, ...] | None = field(default=None, compare=False)
    rounded: str = field(default="", compare=False)
    guardrail: Guardrail | None = field(default=None, compare=False)

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
        known |= {"guardrail": self.guardrail.to_item()} if self.guardrail else {}
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
            guardrail=Guardrail.from_item(item.get("guardrail")),
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
            variables=tuple(sorted(self.variables)),
            rounded=rounded_fingerprint(self.variants),
            guardrail=self.guardrail,
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
    def guardrail(self) -> Guardrail | None:
        return guardrails.of_variant(self.variant)

    @property
    def texts(self) -> list[str]:
        """Every text that may hold variables, in order."""
        return template_texts(self.variant)

    @property
    def asks(self) -> bool:
        """Whether it can be called as it is: a TEXT prompt can, a CHAT prompt with a message to answer."""
        config = self.variant.get("templateConfiguration") or {}
        return "chat" not in config or bool((config["chat"] or {}).get("messages"))

    @property
    def declared_variables(self) -> frozenset[str]:
        config = self.variant.get("templateConfiguration") or {}
        body = config.get("text") or config.get("chat") or {}
        return frozenset(str(v["name"]) for v in body.get("inputVariables") or [])

    @property
    def used_variables(self) -> frozenset[str]:
        return frozenset(name for text in self.texts for name in VARIABLE.findall(text))

    @property
    def variables(self) -> frozenset[str]:
        """What a call must give: the declared ones; where none is, as the API allows, those of the template."""
        return self.declared_variables or self.used_variables


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
    undeclared = version.used_variables - version.variables
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
    if len(version.variables) > MAX_VARIABLES:
        problems.append(f"{len(version.variables)} variables; Bedrock allows {MAX_VARIABLES}")
    length = sum(len(text) for text in version.texts)
    if length > MAX_TEMPLATE_CHARS:
        problems.append(f"the template has {length:,} characters; at most {MAX_TEMPLATE_CHARS:,} are allowed")
    if not any(text.strip() for text in version.texts):
        problems.append("the template is empty; write one and publish again")
    elif not version.asks:
        problems.append(
            "the prompt has no message of a user, so neither a test nor a call without messages of its own can ask it "
            "anything; add one, such as {{question}}"
        )
    problems += version_schema_problems(version.variants)
    if problem := guardrails.problem_of(version.variant):
        problems.append(f"the guardrail of version {version.version}: {problem}")
    if not version.model:
        problems.append("the version names no model (an agent resource is not supported); choose a modelId")
    elif allowed_models and not is_allowed(version.model, allowed_models):
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


_CONTENT: Final = ("template", "cache_point", "system", "messages", "variables", "inference", "tools", "tool_choice")
_KEYS: Final = ("name", "description", "model", *_CONTENT, "additional_fields", "guardrail")
_LISTS: Final = ("messages", "variables", "tools")
_MAPPINGS: Final = ("inference", "additional_fields")
_INFERENCE: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxTokens",
    "stop_sequences": "stopSequences",
}
Blocks = str | tuple[Mapping[str, Json], ...]
"""A text, or Bedrock's blocks: `{text: …}` and cache points."""


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """prompt.yaml: what `promptlane publish` writes to Bedrock's DRAFT.

    `messages` are pairs of a role and its blocks; `cache_point`: one stands behind the text of a TEXT prompt.
    """

    name: str
    model: str
    variables: tuple[str, ...] = ()
    description: str = ""
    template: str | None = None
    cache_point: bool = False
    system: Blocks | None = None
    messages: tuple[tuple[str, Blocks], ...] = ()
    inference: Mapping[str, Json] = field(default_factory=dict)
    tools: tuple[Mapping[str, Json], ...] = ()
    tool_choice: str = "auto"
    additional_fields: Mapping[str, Json] = field(default_factory=dict)
    guardrail: Guardrail | Named | None = None

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
            cache_point=bool(data.get("cache_point")),
            system=_kept(data.get("system")),
            messages=tuple((m["role"], _kept(m.get("text", m.get("content")))) for m in data.get("messages") or ()),
            inference=dict(data.get("inference") or {}),
            tools=tuple(data.get("tools") or ()),
            tool_choice=data.get("tool_choice") or "auto",
            additional_fields=dict(data.get("additional_fields") or {}),
            guardrail=guardrails.written(data.get("guardrail"))[0],
        )

    def called_in(self, region: str, group: str) -> PromptDraft:
        """The same with its model as it is called there: by the group's inference profile, where one is needed."""
        return replace(self, model=profiled(self.model, group, region))

    def variants(self, like: Mapping[str, Json] | None = None) -> list[dict[str, Json]]:
        """Bedrock's `variants` for CreatePrompt and UpdatePrompt.

        `like`: the variant that is replaced. Its name stays, and so do the labels that people gave it, which are no
        content. Lists are left out where they are empty, since Bedrock may drop them.
        """
        variant: dict[str, Json] = {"name": str((like or {}).get("name") or "default"), "modelId": self.model}
        variables = {"inputVariables": [{"name": v} for v in self.variables]} if self.variables else {}
        if self.template is not None:
            variant["templateType"] = "TEXT"
            point = CACHE_POINT if self.cache_point else {}
            variant["templateConfiguration"] = {"text": {"text": self.template, **point, **variables}}
        else:
            variant["templateType"] = "CHAT"
            variant["templateConfiguration"] = {"chat": {**self._chat(), **variables}}
        if self.inference:
            text = {_INFERENCE[k]: v for k, v in self.inference.items()}
            variant["inferenceConfiguration"] = {"text": text}
        if self.additional_fields:
            variant["additionalModelRequestFields"] = dict(self.additional_fields)
        labels = [dict(e) for e in (like or {}).get("metadata") or () if not str(e.get("key")).startswith(OWN)]
        if metadata := [*labels, *([self.guardrail.entry] if self.guardrail else [])]:
            variant["metadata"] = metadata
        return [variant]

    def _chat(self) -> dict[str, Json]:
        chat: dict[str, Json] = {"messages": [{"role": role, "content": _blocks(said)} for role, said in self.messages]}
        if self.system:
            chat["system"] = _blocks(self.system)
        if self.tools:
            free = self.tool_choice in ("auto", "any")
            choice = {self.tool_choice: {}} if free else {"tool": {"name": self.tool_choice}}
            chat["toolConfiguration"] = {"tools": [dict(t) for t in self.tools], "toolChoice": choice}
        return chat

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.variants())


def _kept(said: Json) -> Json:
    return tuple(dict(block) for block in said) if isinstance(said, list) else said


def _blocks(said: Blocks) -> list[Json]:
    return [{"text": said}] if isinstance(said, str) else [dict(block) for block in said]


def _draft_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    for key in data:
        if key not in _KEYS:
            yield str(key), f"unknown key; known are {', '.join(_KEYS)}"
    yield from _hollow_problems(data)
    for key in ("name", "model"):
        if not isinstance(data.get(key), str) or not data[key].strip():
            yield key, "is required and must be text"
    if isinstance(data.get("name"), str) and not _NAME.match(data["name"]):
        yield "name", _NAMED
    if len(data.get("description") or "") > 200:
        yield "description", "Bedrock allows at most 200 characters"
    yield from _template_problems(data)
    yield from (("variables", problem) for problem in _variable_problems(data.get("variables") or []))
    yield from _schema_problems(data)
    if problem := guardrails.written(data.get("guardrail"))[1]:
        yield "guardrail", problem
    settings = data.get("inference") or {}
    if not isinstance(settings, Mapping):
        yield "inference", f"must be a mapping of {', '.join(_INFERENCE)}"
    else:
        for key in settings:
            if key not in _INFERENCE:
                yield f"inference.{key}", f"unknown key; known are {', '.join(_INFERENCE)}"


def _hollow_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """What holds nothing and is neither a list nor a mapping would be left out in silence."""
    for key, kind, called in (*((k, list, "list") for k in _LISTS), *((k, Mapping, "mapping") for k in _MAPPINGS)):
        value = data.get(key)
        if value is not None and not value and not isinstance(value, kind):
            yield key, f"must be a {called}, not {value!r}"


def _variable_problems(variables: Json) -> Iterator[str]:
    if not isinstance(variables, list) or not all(isinstance(v, str) for v in variables):
        yield "must be a list of names"
    elif len(set(variables)) != len(variables):
        yield "names a variable twice"
    else:
        yield from (f"{v!r}: a name {_NAMED}" for v in variables if not _NAME.match(v))


def _schema_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    tools = data.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(t, Mapping) for t in tools):
        yield "tools", "must be a list of tools, each {toolSpec: {name, description, inputSchema: {json: ...}}}"
        return
    if data.get("template") is None:
        yield from form_problems(tools)
    if data.get("tool_choice") is not None and (problem := choice_problem(data["tool_choice"], tools)):
        yield "tool_choice", problem
    yield from (("tools", problem) for problem in tool_problems(tools))
    more = data.get("additional_fields") or {}
    if not isinstance(more, Mapping):
        yield "additional_fields", "must be a mapping of what the model takes besides"
        return
    yield from (("additional_fields", problem) for problem in field_problems(more, "additional_fields"))


def _template_problems(data: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    template, point = data.get("template"), data.get("cache_point")
    has_chat = bool(data.get("messages")) or data.get("system") is not None
    if (template is not None) == has_chat:
        yield (
            "template",
            "give `template` (a TEXT prompt) or `messages` and perhaps `system` (a CHAT prompt), not both",
        )
    elif template is not None and not isinstance(template, str):
        yield "template", "must be text"
    if template is not None and data.get("tools"):
        yield "tools", "Bedrock takes tools with CHAT prompts only; write `messages` instead of `template`"
    if point is not None and (not isinstance(point, bool) or template is None):
        yield "cache_point", "must be true or false, beside `template`; elsewhere it is a block of its own"
    if data.get("system") is not None and template is None:
        yield from _block_problems(data["system"], "system")
    messages = data.get("messages") or []
    if not isinstance(messages, list):
        yield "messages", "must be a list of {role, text}"
        return
    for i, message in enumerate(messages):
        keys = set(message) if isinstance(message, Mapping) else set()
        plain = keys == {"role", "text"} and isinstance(message["text"], str)
        if not (plain or keys == {"role", "content"}) or message["role"] not in ("user", "assistant"):
            yield f"messages[{i}]", "must be {role: user | assistant, text: ...}, or `content`, a list of blocks"
        elif not plain:
            yield from _block_problems(message["content"], f"messages[{i}].content", texts=False)


def _block_problems(said: Json, path: str, *, texts: bool = True) -> Iterator[tuple[str, str]]:
    """What is wrong with blocks; `texts`: a text may stand for one block."""
    if texts and isinstance(said, str):
        if not said.strip():
            yield path, "is empty, which Bedrock does not keep; write it, or remove it"
        return
    if not isinstance(said, list) or not said:
        yield path, f"must be {'text, or ' if texts else ''}a list of blocks, each {{text: ...}} or a cache point"
        return
    for i, block in enumerate(said):
        is_text = isinstance(block, Mapping) and set(block) == {"text"} and isinstance(block["text"], str)
        if is_text and not block["text"]:
            yield f"{path}[{i}]", "is an empty text, which Bedrock refuses; write it, or remove the block"
        elif not is_text and block != CACHE_POINT:
            yield f"{path}[{i}]", "must be {text: ...} or {cachePoint: {type: default}}"
