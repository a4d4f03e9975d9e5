"""A conversation as text, for judges and for people; and how it goes on after an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from promptlane.domain.errors import Unavailable
from promptlane.domain.suite.answers import Answer, CallRefused, ModelRequest

from . import templates
from .suite import Case, Message, Turn

Json = Any
OPENING: Final = 1
"""The number of the turn that the version's own template and `messages` make; those of `turns` follow."""


def shown(messages: Sequence[Message]) -> str:
    """Messages as text."""
    return "\n\n".join(f"{message['role']}:\n{text_of(message['content'])}" for message in messages)


def text_of(blocks: Sequence[Mapping[str, Json]]) -> str:
    """Blocks as text: what is said as it is, tools by name and as JSON."""
    return "\n".join(part for block in blocks if (part := _shown(block)))


def _shown(block: Mapping[str, Json]) -> str:
    if "toolUse" in block:
        return f"[calls {block['toolUse']['name']}: {_as_json(block['toolUse'].get('input'))}]"
    if "toolResult" in block:
        held = block["toolResult"]["content"]
        return f"[result: {' '.join(str(b['text']) if 'text' in b else _as_json(b.get('json')) for b in held)}]"
    return str(block.get("text", ""))


def _as_json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def messages_of(case: Case, variables: frozenset[str]) -> list[Json]:
    """What is sent behind the template of a version that takes these variables. CallRefused for what grows too long."""
    history = case.history(variables)
    return _filled(list(history), case) if history else []


def asked_in(turn: Turn, case: Case) -> str:
    """What the user says in a turn, as text, with its variables filled in where that can be done."""
    results = [{"toolResult": {"content": held}} for held in turn.tool_results.values()]
    said: list[Json] = [*results, *turn.user]
    with suppress(ValueError):
        said = templates.filled(said, case.vars)
    return text_of(said)


def conversation(ask: Callable[[ModelRequest], Answer], request: ModelRequest, case: Case) -> Answer:
    """The answer to the opening, with those to the turns after it in `later`: as many as could be asked.

    Where a call fails, the answers before it come with its reason in `broken`; where the first does, it raises.
    """
    said = ask(request)
    if not case.turns:
        return said
    first, later = said, list[Answer]()
    for number, turn in enumerate(case.turns, start=OPENING + 1):
        if halted(turn, said):
            break
        try:
            request = _continued(request, said, turn, case)
            said = ask(request)
        except (CallRefused, Unavailable) as error:
            return replace(first, later=tuple(later), broken=f"turn {number}: {error}")
        later.append(said)
    return replace(first, later=tuple(later))


def halted(turn: Turn, said: Answer) -> str:
    """Why a turn cannot follow an answer: what the answer asks for and what the turn gives do not fit; else "".

    That is the version's doing, not the service's: the run has failed, it is not missing.
    """
    if not said.text.strip() and not said.tool_calls:
        return "the answer before was empty, so the conversation could not go on"
    called = {call.name for call in said.tool_calls}
    for name in sorted(called - turn.tool_results.keys()):
        return f"the answer before called the tool {name!r}, for which this turn has no result"
    for name in sorted(turn.tool_results.keys() - called):
        return f"the answer before did not call the tool {name!r}, whose result this turn gives"
    return ""


def answers_of(answer: Answer) -> tuple[Answer, ...]:
    """All answers of a run, by turn."""
    return (answer, *answer.later)


def so_far(case: Case, answers: Sequence[Answer]) -> str:
    """Everything that was said until the last of these answers, from the first of them on."""
    parts = []
    for turn, answer in zip((None, *case.turns), answers, strict=False):
        if turn is not None:
            parts.append(f"user:\n{asked_in(turn, case)}")
        parts.append(f"assistant:\n{said_by(answer)}")
    return "\n\n".join(parts)


def said_by(answer: Answer) -> str:
    """An answer as text, with the tools that it calls."""
    calls = [{"toolUse": {"name": call.name, "input": call.input}} for call in answer.tool_calls]
    return text_of([{"text": answer.text}, *calls])


def before(case: Case, answers: Sequence[Answer]) -> tuple[Message, ...]:
    """What was said between the template and the answer after these: the messages of the case, filled in, and the run.

    Raises CallRefused for what grows too long.
    """
    found = _filled(list(case.messages), case)
    for turn, answer in zip(case.turns, answers, strict=False):
        found.append({"role": "assistant", "content": [{"text": said_by(answer)}]})
        found.append({"role": "user", "content": [{"text": asked_in(turn, case)}]})
    return tuple(found)


def _continued(request: ModelRequest, said: Answer, turn: Turn, case: Case) -> ModelRequest:
    content = [b for b in said.content if "text" not in b or str(b["text"]).strip()]
    if not content:  # of a model that gives no blocks: made of what it said
        named = [(call.id or f"call-{i}", call) for i, call in enumerate(said.tool_calls)]
        content = [{"text": said.text}] if said.text.strip() else []
        content += [{"toolUse": {"toolUseId": i, "name": call.name, "input": call.input}} for i, call in named]
    results = [
        {
            "toolResult": {
                "toolUseId": b["toolUse"]["toolUseId"],
                "content": list(turn.tool_results[b["toolUse"]["name"]]),
            }
        }
        for b in content
        if "toolUse" in b
    ]
    user = [*_filled(results, case), *_filled(list(turn.user), case)]
    added = [{"role": "assistant", "content": content}, {"role": "user", "content": user}]
    return ModelRequest(request.model_id, {**request.body, "messages": [*request.body.get("messages", ()), *added]})


def _filled(value: list[Json], case: Case) -> list[Json]:
    try:
        found: list[Json] = templates.filled(value, case.vars)
    except ValueError as error:
        raise CallRefused(f"what case {case.id!r} sends {error}") from None
    return found
