"""The runtime API for what is not Python: converse, route and feedback over HTTP, authorized by IAM."""

from __future__ import annotations

import gc
import os
import threading
import traceback
from contextvars import copy_context
from functools import cache, partial

from promptlane.aws import http_events as http
from promptlane.client import ModelCallFailed, PromptClient
from promptlane.domain.canary.outcome import content_of
from promptlane.domain.errors import PromptlaneError

from . import requests
from .problems import deadline, problem_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEADLINE = 28.0
"""Seconds. API Gateway ends HTTP API requests at 30, without a body that says why."""

_COLLECT_AFTER = 50_000
"""New objects between two garbage collections. At Python's 700 they take a fifth of a cold start: all that is loaded
stays, and is looked through again and again."""


@cache
def wire() -> PromptClient:
    gc.set_threshold(_COLLECT_AFTER)
    env = os.environ.get
    limit = float(env("REQUEST_TIMEOUT_SECONDS") or DEADLINE)
    return PromptClient(
        route_table=os.environ["ROUTE_TABLE"],
        feedback_table=env("FEEDBACK_TABLE"),
        receipt_kms_key=env("RECEIPT_KEY_ID"),
        resolution=int(env("RESOLUTION_SECONDS") or 60),
        slow_after=float(env("SLOW_AFTER_SECONDS") or 10),
        timeout=min(limit, DEADLINE) - 1,
    )


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    def request() -> dict[str, Any]:
        template, prompt = requests.operation(event)
        return _OPERATIONS[template](event, prompt)

    return http.answered(request, _failed, problem=problem_of)


def _failed(error: BaseException) -> None:
    if isinstance(error, ModelCallFailed):
        print(f"{error} AWS says: {error.reason!r}")  # the caller is not told: it may name the version
    elif not isinstance(error, PromptlaneError):
        print("".join(traceback.format_exception(error)))


def _converse(event: dict[str, Any], prompt: str) -> dict[str, Any]:
    known = {"unit": str, "variables": dict, "messages": list}
    given = requests.body(event, known, ("unit",))
    messages = requests.messages(given.get("messages", []))
    variables = given.get("variables", {})
    call = partial(wire().converse, prompt, unit=given["unit"], variables=variables, messages=messages)
    answer = _within(DEADLINE, call)
    return {
        "text": answer.text,
        "content": content_of(answer.response),
        "stop_reason": answer.stop_reason,
        "usage": answer.response.get("usage") or {},
        "prompt": answer.decision.prompt,
        "version": answer.version,
        "track": answer.track,
        "release_id": answer.decision.release_id,
        "shielded": answer.shielded,
        "receipt": answer.receipt,
    }


def _route(event: dict[str, Any], prompt: str) -> dict[str, Any]:
    unit = http.part(event, "queryStringParameters", "unit")
    decision = wire().route(prompt, unit)
    names = ("prompt", "version", "version_arn", "track", "release_id", "revision", "guardrail")
    return {name: getattr(decision, name) for name in names}


def _feedback(event: dict[str, Any], prompt: str) -> dict[str, Any]:
    given = requests.body(event, {"receipt": str, "positive": bool}, ("receipt", "positive"))
    return {"counted": wire().feedback(given["receipt"], positive=given["positive"])}


def _openapi(event: dict[str, Any], prompt: str) -> dict[str, Any]:
    from .openapi import DOCUMENT

    return DOCUMENT


_OPERATIONS: dict[tuple[str, ...], Callable[[dict[str, Any], str], dict[str, Any]]] = {
    ("prompts", "{prompt}", "converse"): _converse,
    ("prompts", "{prompt}", "route"): _route,
    ("feedback",): _feedback,
    ("openapi.json",): _openapi,
}


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The call's result; Problem 504 when it takes longer. The SDK's own timeouts are shorter: this is the backstop.

    A call that nobody waits for any more asks no other version.
    """
    from promptlane.client.request import LISTENER, Listener

    outcome: list[Any] = []
    listener = Listener()

    def run() -> None:
        LISTENER.set(listener)
        try:
            outcome.append((call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again by the waiting thread
            outcome.append((None, error))

    worker = threading.Thread(target=partial(copy_context().run, run), daemon=True)  # so that spans have their parent
    worker.start()
    worker.join(seconds)
    if not outcome:
        listener.gone = True
        raise deadline(seconds)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result
