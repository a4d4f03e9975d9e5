"""What the gateway accepts: events of an HTTP API (payload 2.0) and JSON bodies, checked before anything is done."""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import unquote

from .problems import Problem

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
    http = event["requestContext"]["http"]
    path, stage = str(event.get("rawPath") or http["path"]), str(event["requestContext"].get("stage", "$default"))
    parts = tuple(unquote(part) for part in path.strip("/").split("/"))
    if stage != "$default" and parts[:1] == (stage,):
        parts = parts[1:]
    template, prompt = parts, ""
    if len(parts) == 3 and parts[0] == "prompts":
        template, prompt = ("prompts", "{prompt}", parts[2]), parts[1]
    allowed = ROUTES.get(template)
    if allowed is None:
        raise Problem(404, "not-found", f"{path} is not part of this API; GET /openapi.json describes it")
    if http["method"].upper() != allowed:
        raise Problem(405, "method-not-allowed", f"{path} takes {allowed}, not {http['method']}", allow=allowed)
    return template, prompt


def body(event: Mapping[str, Any], known: Mapping[str, type], required: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of an event, its keys and their types checked."""
    text = event.get("body") or ""
    if event.get("isBase64Encoded"):
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Problem(400, "invalid-request", "the body is not UTF-8 text") from None
    if len(text.encode(errors="replace")) > MAX_BODY_BYTES:
        raise Problem(413, "body-too-large", f"the body has over {MAX_BODY_BYTES:,} bytes; send less context")
    kind = _header(event, "content-type").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise Problem(415, "unsupported-media-type", f"the body is {kind}; send application/json")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "invalid-request", f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Problem(400, "invalid-request", f"the body must be a JSON object with {', '.join(known)}")
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
        blocks = message.get("content") if isinstance(message, dict) else None
        if (
            not isinstance(blocks, list) or not blocks or set(message) != {"role", "content"}
            or message["role"] not in ("user", "assistant")
            or not all(isinstance(b, dict) and set(b) == {"text"} and isinstance(b["text"], str) for b in blocks)
        ):  # fmt: skip
            raise Problem(
                422, "invalid-request",
                f'messages[{i}] must be {{"role": "user" or "assistant", "content": [{{"text": "..."}}]}}',
            )  # fmt: skip
    return found


def _header(event: Mapping[str, Any], name: str) -> str:
    headers: Mapping[str, str] = event.get("headers") or {}
    return next((str(value) for key, value in headers.items() if key.lower() == name), "")
