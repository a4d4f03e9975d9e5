"""CloudFormation: DescribeStackResource shows a resource while it is being made, changed or deleted, as AWS does.

MiniStack notes a resource when it is done, and until then shows what it was before, or nothing. Its events tell.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ministack.services import cloudformation
from ministack.services.cloudformation import handlers

from local import seams

_asked: ContextVar[str] = ContextVar("the logical id that is asked for", default="")


def install() -> None:
    seams.require(cloudformation, "_stack_events")
    seams.require(handlers, "_describe_stack_resource", "_resolve_stack", "_ACTION_HANDLERS", "_p")
    original = handlers._describe_stack_resource

    def describe(params: dict[str, Any]) -> Any:
        token = _asked.set(handlers._p(params, "LogicalResourceId"))
        try:
            return original(params)
        finally:
            _asked.reset(token)

    handlers._ACTION_HANDLERS["DescribeStackResource"] = describe

    @seams.replace(handlers, "_resolve_stack")
    def resolve(inner: Any, name: str) -> Any:
        stack, logical_id = inner(name), _asked.get()
        return at_work(stack, logical_id) if stack and logical_id else stack


def at_work(stack: dict[str, Any], logical_id: str) -> dict[str, Any]:
    """The stack with the resource as its last event has it, where that says that CloudFormation works on it."""
    events = cloudformation._stack_events.get(stack["StackId"]) or []
    last = next((e for e in reversed(events) if e["LogicalResourceId"] == logical_id), None)
    if last is None or not last["ResourceStatus"].endswith("_IN_PROGRESS"):
        return stack
    known = stack.get("_resources", {})
    before = known.get(logical_id) or {"PhysicalResourceId": last["PhysicalResourceId"]}
    changed = {key: last[key] for key in ("LogicalResourceId", "ResourceType", "ResourceStatus", "Timestamp")}
    return {**stack, "_resources": {**known, logical_id: {**before, **changed}}}
