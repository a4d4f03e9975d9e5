"""What the gateway accepts: events of an HTTP API (payload 2.0) and JSON bodies, checked before anything is done."""

from __future__ import annotations

from urllib.parse import unquote

from promptlane.aws import http_events as http
from promptlane.aws.http_events import Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_BODY_BYTES = 256 * 1024
MAX_MESSAGES = 100
ROUTES = {
    ("prompts", "{prompt}", "converse"): "POST",
    ("prompts", "{prompt}", "route"): "GET",
    ("feedback",): "POST",
    ("openapi.json",): "GET",
}
"""Path and method of each operation; the OpenAPI document lists the same."""


def operation(event: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """(path template, prompt) of an event; Problem 404 or 405."""
    method = http.part(event, "requestContext", "http", "method").upper()
    path = http.part(event, "rawPath") or http.part(event, "requestContext", "http", "path")
    stage = http.part(event, "requestContext", "stage") or "$default"
    parts = tuple(unquote(part) for part in path.strip("/").split("/"))
    if stage != "$default" and parts[:1] == (stage,):
        parts = parts[1:]
    template, prompt = parts, ""
    if len(parts) == 3 and parts[0] == "prompts":
        template, prompt = ("prompts", "{prompt}", parts[2]), parts[1]
    allowed = ROUTES.get(template)
    if allowed is None:
        raise Problem(404, "not-found", f"{path} is not part of this API; GET /openapi.json describes it")
    if method != allowed:
        raise Problem(405, "method-not-allowed", f"{path} takes {allowed}, not {method}", allow=allowed)
    return template, prompt


def body(event: Mapping[str, Any], known: Mapping[str, type], required: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of an event, its keys and their types checked."""
    found = http.json_object(event, f"an object with {', '.join(known)}", MAX_BODY_BYTES)
    unknown = sorted(set(found) - set(known))
    missing = [name for name in required if name not in found]
    wrong = [n for n, t in known.items() if n in found and not isinstance(found[n], t)]
    if unknown or missing or wrong:
        parts = [f"unknown: {', '.join(unknown)}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
        parts += [f"{name} must be {_NAMES[known[name]]}" for name in wrong]
        raise Problem(422, "invalid-request", f"{'; '.join(parts)}; known are {', '.join(known)}")
    return found


_NAMES: dict[type, str] = {str: "text", dict: "an object", list: "a list", bool: "true or false"}


def messages(found: list[Any]) -> list[dict[str, Any]]:
    """Messages to append to the prompt's: text only, since JSON carries no bytes."""
    if len(found) > MAX_MESSAGES:
        raise Problem(422, "invalid-request", f"{len(found)} messages; at most {MAX_MESSAGES}")
    for i, message in enumerate(found):
        if not _is_message(message):
            wanted = '{"role": "user" or "assistant", "content": [{"text": "..."}]}'
            raise Problem(422, "invalid-request", f"messages[{i}] must be {wanted}")
    return found


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or set(message) != {"role", "content"}:
        return False
    blocks = message["content"]
    if message["role"] not in ("user", "assistant") or not isinstance(blocks, list) or not blocks:
        return False
    return all(isinstance(b, dict) and set(b) == {"text"} and isinstance(b["text"], str) for b in blocks)
