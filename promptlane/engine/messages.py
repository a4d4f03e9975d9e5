"""Messages of a conversation as suites write them, made into those of Converse.

Read are Converse's own blocks, plain texts, and what promptfoo's users have: the role as a key (`- user: Hello`),
OpenAI's tool calls and Anthropic's blocks. What a test cannot send (images, documents, a system text of its own) is
refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from promptlane.domain.text import shortened

from . import templates
from .dataset import DatasetInvalid, parsed_json, parsed_yaml
from .kinds import did_you_mean
from .suite import Message

Json = Any
MAX_MESSAGES: Final = 200
_FORM: Final = "a message is {role: user | assistant, content: text or blocks}, or `user: text`"
_ROLES: Final = ("user", "assistant")
_SYSTEM: Final = ("system", "developer")
_KEYS: Final = ("role", "content", "tool_calls", "tool_call_id", "name")
_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CHAT_YAML: Final = re.compile(r"\s*-\s+[\"']?(?:role|user|assistant|system)[\"']?\s*:")
_POINT: Final = {"type": "default"}


class _Odd(ValueError):
    """What is wrong with one message, at `path`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


TURN_KEYS: Final = ("user", "tool_results", "assert")


def said_in(
    turn: Mapping[str, Json], path: str, problem: Callable[[str, str], None]
) -> tuple[tuple[Json, ...], dict[str, tuple[Json, ...]]]:
    """(blocks, results of tools by name) of what the user says in a turn."""
    for key in turn:
        if key not in TURN_KEYS:
            problem(
                f"{path}.{key}", f"unknown key{did_you_mean(str(key), TURN_KEYS)}; known are {', '.join(TURN_KEYS)}"
            )
    given = turn.get("tool_results") or {}
    if not isinstance(given, Mapping):
        problem(f"{path}.tool_results", "must be a mapping of a tool's name to what it gave")
        given = {}
    if not given and turn.get("user") is None:
        problem(path, "says nothing; give `user`, a text, or `tool_results` for the tools that the answer before calls")
    results: dict[str, tuple[Json, ...]] = {}
    user: tuple[Json, ...] = ()
    try:
        for name, held in given.items():
            results[str(name)] = tuple(result_content(held, f"{path}.tool_results.{name}"))
        user = tuple(blocks_of(turn["user"], f"{path}.user")) if turn.get("user") is not None else ()
        if odd := next((k for block in user for k in block if k in ("toolUse", "toolResult")), ""):
            raise _Odd(f"{path}.user", f"holds a {odd}; results of this run's calls are given by `tool_results`")
    except _Odd as error:
        problem(error.path, str(error))
    return user, results


def read(value: Json, path: str, problem: Callable[[str, str], None]) -> tuple[Message, ...]:
    """The messages of a list; `problem` takes (path, message) of each that is none, and of their order."""
    before = [0]

    def noted(at: str, message: str) -> None:
        before[0] += 1
        problem(at, message)

    if not isinstance(value, list | tuple) or not value:
        noted(path, f"must be a list of messages; {_FORM}")
        return ()
    if len(value) > MAX_MESSAGES:
        noted(path, f"holds {len(value)} messages; at most {MAX_MESSAGES} are sent before a turn")
        return ()
    found: list[dict[str, Json]] = []
    places: list[str] = []
    results = False
    for i, one in enumerate(value):
        at = f"{path}[{i}]"
        try:
            role, content = _message(one, at)
        except _Odd as error:
            noted(error.path, str(error))
            continue
        if results and role == "user":  # of one answer all results stand in one message, with what is said to them
            found[-1]["content"] += content
        else:
            found.append({"role": role, "content": content})
            places.append(at)
        results = isinstance(one, Mapping) and one.get("role") == "tool"
    if not before[0]:
        for number, message in order_problems(found):
            noted(places[number], message)
    return () if before[0] else tuple(found)


def order_problems(messages: Sequence[Message]) -> Iterator[tuple[int, str]]:
    """(number of the message, what is wrong) where Bedrock would refuse messages that stand before a turn."""
    wanted: dict[str, str] = {}
    for i, message in enumerate(messages):
        role = message["role"]
        if i and role == messages[i - 1]["role"]:
            yield i, f"is the {role}'s, as the one before it; roles alternate: join them, or write what lies between"
        uses = [b["toolUse"] for b in message["content"] if "toolUse" in b]
        results = [b["toolResult"]["toolUseId"] for b in message["content"] if "toolResult" in b]
        if uses and role == "user":
            yield i, "holds a toolUse, which only the assistant makes; write it into the assistant's message"
        if results and role == "assistant":
            yield i, "holds a toolResult, which only the user sends; write it into the user's message after it"
            continue
        for one in results:
            if one not in wanted:
                yield i, f"holds a toolResult of {one!r}, which no toolUse of the message before asked for; correct it"
        if len(set(results)) < len(results):
            yield i, "holds two toolResults of one toolUse; keep one"
        for one in wanted.keys() - set(results):
            yield i, f"holds no toolResult of {one!r} ({wanted[one]}), which the message before asks for; add it"
        wanted = {str(use["toolUseId"]): str(use["name"]) for use in uses}
        if len(wanted) < len(uses):
            yield i, "holds two toolUses with one toolUseId; give each its own"
    if messages and messages[-1]["role"] != "user":
        yield (
            len(messages) - 1,
            "is the assistant's; the last message is the one that the version answers: take it out, or write the "
            "user's after it",
        )


def is_chat(value: Json) -> bool:
    """Whether a value looks like the messages of promptfoo's chat prompts."""
    return isinstance(value, list) and bool(value) and all(map(_looks_like_one, value))


def _looks_like_one(value: Json) -> bool:
    if not isinstance(value, Mapping):
        return False
    if "role" in value:
        return "content" in value or "tool_calls" in value
    return len(value) == 1 and next(iter(value)) in (*_ROLES, *_SYSTEM)


def may_be_chat(value: Json) -> bool:
    """Whether a variable's text begins as a chat does; for where YAML cannot be read."""
    return isinstance(value, str) and (value.lstrip().startswith("[") or bool(_CHAT_YAML.match(value)))


def chat_of(value: Json) -> list[Json] | None:
    """The messages that a variable holds, as a list or as its JSON or YAML text; None where it holds none."""
    if isinstance(value, str):
        try:
            if value.lstrip().startswith("["):
                value = parsed_json(value)
            elif _CHAT_YAML.match(value):
                value = parsed_yaml("", value)
        except (ValueError, RecursionError, DatasetInvalid):
            return None
    return value if is_chat(value) else None


def chat_problems(value: Json) -> list[str]:
    """Why the chat that a variable holds cannot be sent; empty also where it holds none."""
    held = chat_of(value)
    if held is None:
        return []
    found: list[str] = []
    read(held, "message ", lambda path, message: found.append(f"{path} {message}"))
    return found + list(dict.fromkeys(templates.problems(held)))


def _message(value: Json, path: str) -> tuple[str, list[Json]]:
    """(role, blocks) of one message."""
    if not isinstance(value, Mapping):
        raise _Odd(path, f"is no message; {_FORM}")
    if "role" not in value and len(value) == 1:
        role = next(iter(value))
        value = {"role": role, "content": value[role]}
    role = value.get("role")
    if role in _SYSTEM:
        raise _Odd(path, f"is a {role} message; the version's own system text is what is tested: leave it out")
    for key in value:
        if key not in _KEYS:
            raise _Odd(f"{path}.{key}", f"is unknown in a message; {_FORM}")
    if role == "tool":
        result = {"toolUseId": value.get("tool_call_id"), "content": value.get("content")}
        return "user", [_tool_result(result, path)]
    if role not in _ROLES:
        raise _Odd(f"{path}.role", f"is {shortened(repr(role), 40)}; {_FORM}")
    calls = value.get("tool_calls") or []
    content = value.get("content")
    blocks = [] if content in (None, "") and calls else blocks_of(content, f"{path}.content")
    if calls and (not isinstance(calls, list) or role != "assistant"):
        raise _Odd(f"{path}.tool_calls", "must be a list, in a message of the assistant")
    return str(role), blocks + [_openai_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(calls)]


def blocks_of(value: Json, path: str) -> list[Json]:
    """Converse's blocks of what a message says. Raises ValueError, with `path` where it is wrong."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list) or not parts:
        raise _Odd(path, "must be text, or a list of blocks such as {text: ...}, not empty")
    blocks = [_block(part, path if isinstance(value, str) else f"{path}[{i}]") for i, part in enumerate(parts)]
    if all("cachePoint" in block for block in blocks):
        raise _Odd(path, "says nothing; Bedrock refuses a message without a text")
    return blocks


def _block(value: Json, path: str) -> dict[str, Json]:
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, Mapping):
        raise _Odd(path, "is no block; write {text: ...}, {toolUse: ...}, {toolResult: ...} or a cache point")
    kind = value.get("type")
    if kind == "tool_use":
        held = {"toolUseId": value.get("id"), "name": value.get("name"), "input": value.get("input")}
        return _tool_use(held, path)
    if kind == "tool_result":
        status = {"status": "error"} if value.get("is_error") else {}
        return _tool_result({"toolUseId": value.get("tool_use_id"), "content": value.get("content"), **status}, path)
    rest = {k: v for k, v in value.items() if not (k == "type" and v == "text")}
    if set(rest) == {"text"}:
        if not isinstance(rest["text"], str) or not rest["text"].strip():
            raise _Odd(path, "is an empty text, which Bedrock refuses; write what is said")
        return {"text": rest["text"]}
    if set(rest) == {"toolUse"}:
        return _tool_use(rest["toolUse"], path)
    if set(rest) == {"toolResult"}:
        return _tool_result(rest["toolResult"], path)
    if rest == {"cachePoint": _POINT}:
        return rest
    what = ", ".join(sorted(map(str, value)))[:80]
    raise _Odd(path, f"holds {what}; a test sends texts, toolUse, toolResult and {{cachePoint: {{type: default}}}}")


def _tool_use(value: Json, path: str) -> dict[str, Json]:
    _only(value, ("toolUseId", "name", "input"), "toolUse", path)
    if not isinstance(value.get("name"), str) or not _NAME.fullmatch(value["name"]):
        raise _Odd(path, "is a toolUse without the `name` of a tool (letters, digits, _ and -, at most 64)")
    if not isinstance(value.get("input"), Mapping):
        raise _Odd(path, f"calls {value['name']} without `input`, a mapping of its arguments ({{}} for none)")
    return {"toolUse": {"toolUseId": _id(value, path), "name": value["name"], "input": value["input"]}}


def _tool_result(value: Json, path: str) -> dict[str, Json]:
    _only(value, ("toolUseId", "content", "status"), "toolResult", path)
    if value.get("status", "success") not in ("success", "error"):
        raise _Odd(path, f"has status {shortened(repr(value['status']), 40)}; it is success or error")
    status = {"status": value["status"]} if "status" in value else {}
    content = result_content(value.get("content"), path)
    return {"toolResult": {"toolUseId": _id(value, path), "content": content, **status}}


def result_content(value: Json, path: str) -> list[Json]:
    """What a tool gave, as Converse's blocks: a text, a mapping, or a list of {text: …} and {json: …}."""
    if isinstance(value, str):
        return [{"text": value}]
    if isinstance(value, Mapping):
        return [{"json": value}]
    if not isinstance(value, list) or not value:
        raise _Odd(path, "is no result of a tool: write text, a mapping, or a list of {text: ...} and {json: ...}")
    made = []
    for one in value:
        rest = {k: v for k, v in one.items() if k != "type"} if isinstance(one, Mapping) else {}
        if set(rest) not in ({"text"}, {"json"}) or ("text" in rest and not isinstance(rest["text"], str)):
            raise _Odd(path, "is a result of a tool in which only {text: ...} and {json: ...} are sent")
        made.append(rest)
    return made


def _openai_call(value: Json, path: str) -> dict[str, Json]:
    function = value.get("function") if isinstance(value, Mapping) else None
    if not isinstance(function, Mapping):
        raise _Odd(path, "must be {id: ..., function: {name: ..., arguments: JSON}}")
    given = function.get("arguments") or {}
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            raise _Odd(f"{path}.function.arguments", "is not JSON; write a mapping of arguments") from None
    return _tool_use({"toolUseId": value.get("id"), "name": function.get("name"), "input": given}, path)


def _only(value: Json, keys: Sequence[str], what: str, path: str) -> None:
    if not isinstance(value, Mapping):
        raise _Odd(path, f"must be a {what}: a mapping of {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise _Odd(f"{path}.{what}.{key}", f"is unknown in a {what}; known are {', '.join(keys)}")


def _id(value: Mapping[str, Json], path: str) -> str:
    found = value.get("toolUseId")
    if not isinstance(found, str) or not _ID.fullmatch(found):
        raise _Odd(path, "needs an id (toolUseId) of letters, digits, _ and -, at most 64, alike in call and result")
    return found
