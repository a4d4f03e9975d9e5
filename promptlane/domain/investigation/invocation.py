"""One record of Bedrock's model invocation log (schema ModelInvocationLog 1.0), read defensively.

Which of its optional parts a record has depends on the operation, on the account's settings and on the size of the
bodies; nothing here assumes more than the fields that are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlane.domain.canary.outcome import NO_TEXT, of_answer
from promptlane.domain.metrics import ERROR, logged
from promptlane.domain.release.prompt import VARIABLE
from promptlane.domain.release.timeline import from_iso

Json = Any


@dataclass(frozen=True, slots=True)
class Invocation:
    """One model call. `sent` is the last user message, `answer` the model's text.

    `bad`: which guard metrics the record shows (latency and feedback are not in it). `has_text` is False where the
    account does not log texts or a body is lost.
    """

    at: float
    request_id: str
    operation: str
    model: str
    caller: str
    prompt: str = ""
    version: str = ""
    track: str = ""
    release_id: str = ""
    sent: str = ""
    answer: str = ""
    stop_reason: str = ""
    error: str = ""
    bad: frozenset[str] = frozenset()
    has_text: bool = True
    input_tokens: int = 0
    output_tokens: int = 0


def read_record(record: Mapping[str, Json]) -> Invocation:
    """The call that a record tells of; ValueError when it is no such record. Bodies in S3 must be put back before."""
    if record.get("schemaType") != "ModelInvocationLog" or not isinstance(record.get("timestamp"), str):
        raise ValueError("not a model invocation record")
    sent_part, answered_part = _mapping(record.get("input")), _mapping(record.get("output"))
    metadata = _mapping(record.get("requestMetadata"))
    body = answered_part.get("outputBodyJson")
    answer, stop = answer_of(body)
    error = str(record.get("errorCode") or "")
    return Invocation(
        at=from_iso(record["timestamp"]),
        request_id=str(record.get("requestId") or ""),
        operation=str(record.get("operation") or ""),
        model=str(record.get("modelId") or ""),
        caller=str(_mapping(record.get("identity")).get("arn") or ""),
        prompt=str(metadata.get("prompt") or ""),
        version=str(metadata.get("version") or ""),
        track=str(metadata.get("track") or ""),
        release_id=str(metadata.get("release") or ""),
        sent=sent_of(sent_part.get("inputBodyJson")),
        answer=answer,
        stop_reason=stop,
        error=error,
        bad=_bad(answer, stop, error, other=_holds_other(body)),
        has_text="inputBodyJson" in sent_part and (bool(error) or body is not None),
        input_tokens=_count(sent_part.get("inputTokenCount")),
        output_tokens=_count(answered_part.get("outputTokenCount")),
    )


def sent_of(body: Json) -> str:
    """The text of the last user message of a Converse request; of one that is not rendered, its variables' values."""
    messages = _mapping(body).get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if _mapping(message).get("role") == "user":
            return _text(_mapping(message).get("content"))
    variables = map(_mapping, _mapping(_mapping(body).get("promptVariables")).values())
    return "\n".join(str(variable["text"]) for variable in variables if "text" in variable)


def answer_of(body: Json) -> tuple[str, str]:
    """(text, stop reason) of an answer: a Converse response, or the list of a stream's events."""
    if isinstance(body, list):
        text, stop = "", ""
        for event in map(_mapping, body):
            text += str(_mapping(_mapping(event.get("contentBlockDelta")).get("delta")).get("text") or "")
            stop = str(_mapping(event.get("messageStop")).get("stopReason") or stop)
        return text, stop
    message = _mapping(_mapping(_mapping(body).get("output")).get("message"))
    return _text(message.get("content")), str(_mapping(body).get("stopReason") or "")


def _holds_other(body: Json) -> bool:
    """Whether an answer holds something else than text, or nobody can tell: without a whole list of its content."""
    if isinstance(body, list):
        starts = [_mapping(_mapping(_mapping(event).get("contentBlockStart")).get("start")) for event in body]
        return any(starts) or not any("messageStop" in _mapping(event) for event in body)
    content = _mapping(_mapping(_mapping(body).get("output")).get("message")).get("content")
    return not isinstance(content, list) or any(kind in _mapping(block) for block in content for kind in NO_TEXT)


def _bad(answer: str, stop: str, error: str, *, other: bool) -> frozenset[str]:
    """As the canary counts it, so that what is shown is what was counted."""
    if error:
        return frozenset({ERROR.name})
    unknown = math.nan  # how long the user waited
    outcome = of_answer(text=answer, stop_reason=stop, acts=other, latency_ms=unknown, slow_after_ms=unknown)
    return frozenset(filter(logged, outcome.bad))


def variables_in(template: str, rendered: str) -> dict[str, str]:
    """The values that a rendered template was filled with; empty when the text does not come from this template.

    Literal parts are looked for from left to right, so a value that itself contains the next literal part is cut
    short. Linear in the length of the text.
    """
    values: dict[str, str] = {}
    at, name, literal_from = 0, "", 0
    for match in [*VARIABLE.finditer(template), None]:
        literal = template[literal_from : match.start() if match else len(template)]
        found = _next_literal(rendered, literal, at, last=match is None)
        if found < 0 or (not name and found != 0):
            return {}
        if name:
            values.setdefault(name, rendered[at:found])
        at = found + len(literal)
        if match:
            name, literal_from = match[1], match.end()
    return values


def _next_literal(rendered: str, literal: str, at: int, *, last: bool) -> int:
    if not last:
        return rendered.find(literal, at)
    if not literal:
        return len(rendered)
    # The end of a template is often stripped on its way to the model.
    for ending in (literal, literal.rstrip()):
        if ending and rendered.endswith(ending) and len(rendered) - len(ending) >= at:
            return len(rendered) - len(ending)
        if not ending:
            return len(rendered)
    return -1


def _text(content: Json) -> str:
    blocks: Sequence[Json] = content if isinstance(content, list) else []
    return "\n".join(str(block["text"]) for block in blocks if isinstance(block, Mapping) and "text" in block)


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Json) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
