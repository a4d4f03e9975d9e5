"""Step Functions: what MiniStack leaves out of the state machine itself.

Lacking in MiniStack: JSONata on Succeed, Parallel and timeouts; task heartbeats; TIMED_OUT executions; a failing Lambda
under waitForTaskToken (it waits for the timeout); an abort that reaches running tasks and stays one; a new token for
each attempt; idempotent StartExecution; the 256 KiB limit. Here: all of it. SendTask* answers TaskTimedOut on the token
of a task that is over, and InvalidToken on one that never was."""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections import OrderedDict
from typing import Any

from ministack.services import stepfunctions as sfn

from local import seams

MAX_STATE_BYTES = 262_144
POLL_SECONDS = 0.1

root: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("root_execution", default=None)
"""The top-level execution that the current thread works for."""

resumed: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("resumed_wait", default=None)
"""The wait (`token`, `deadline` in epoch seconds) that the current thread takes up again after a restart."""

_spent: OrderedDict[str, None] = OrderedDict()
_json_response = seams.replies(sfn, "json_response")
_error = seams.replies(sfn, "error_response_json")


def failure(error: str, cause: str) -> Exception:
    raised: Exception = sfn._ExecutionError(error, cause)
    return raised


def is_jsonata(state: dict[str, Any], context: dict[str, Any] | None) -> bool:
    return bool(sfn._state_query_language(state, context) == "JSONata")


def evaluate(template: Any, raw: Any, context: dict[str, Any]) -> Any:
    return sfn._apply_jsonata_template(template, raw, context)


def install() -> None:
    seams.require(sfn, "_ExecutionError", "_executions", "_state_machines", "_task_tokens", "_apply_jsonata_template")
    seams.require(sfn, "_apply_jsonata_output", "_apply_state_assign", "_state_query_language", "_resolve_path_or_ctx")
    seams.require(sfn, "_emit_execution_status_event", "_resolve_state_machine_arn", "_invoke_resource")
    _jsonata()
    _tasks()
    _executions()
    _tokens()
    seams.keep("spent-tokens", _spent)


def _jsonata() -> None:
    @seams.replace(sfn, "_apply_output_path")
    def output_path(original: Any, state: dict[str, Any], data: Any, context: Any = None) -> Any:
        """The end of a Succeed state: JSONata `Output`."""
        if state.get("Type") == "Succeed" and is_jsonata(state, context):
            return sfn._apply_jsonata_output(state, data, context, default=data)
        return original(state, data, context)

    @seams.replace(sfn, "_run_parallel_branches")
    def parallel(
        original: Any, state: dict[str, Any], raw: Any, execution: dict[str, Any], context: dict[str, Any]
    ) -> Any:
        if not is_jsonata(state, context):
            return original(state, raw, execution, context)
        given = evaluate(state["Arguments"], raw, context) if "Arguments" in state else raw
        plain = {name: state[name] for name in ("Branches", "Next", "End") if name in state}
        result, following = original(plain, given, execution, context)
        output = sfn._apply_jsonata_output(state, raw, context, result=result, default=result)
        sfn._apply_state_assign(state, raw, context, result=result)
        return output, following


def _tasks() -> None:
    @seams.replace(sfn, "_execute_task")
    def task(original: Any, state: dict[str, Any], raw: Any, execution: dict[str, Any], context: dict[str, Any]) -> Any:
        stop_if_over()
        state = {**state, "_execution": execution, "_context": context, "_raw": raw}
        for name in ("TimeoutSeconds", "HeartbeatSeconds"):
            if name in state and is_jsonata(state, context):
                state[name] = evaluate(state[name], raw, context)
            if f"{name}Path" in state:
                state[name] = sfn._resolve_path_or_ctx(state[f"{name}Path"], raw, context)
        return original(state, raw, execution, context)

    @seams.replace(sfn, "_invoke_with_callback")
    def wait_for_token(original: Any, resource: str, data: Any, token: str, state: dict[str, Any]) -> Any:
        return _wait_for_token(resource, data, token, state)

    @seams.replace(sfn, "_add_event")
    def add_event(original: Any, execution: dict[str, Any], kind: str, details: dict[str, Any] | None = None) -> Any:
        exited = (details or {}).get("stateExitedEventDetails")
        if exited and len(exited["output"].encode()) > MAX_STATE_BYTES:
            limit = "exceeding the maximum number of bytes service limit"
            message = f"The state/task '{exited['name']}' returned a result with a size {limit}."
            raise failure("States.DataLimitExceeded", message)
        return original(execution, kind, details)

    @seams.replace(sfn, "_scaled_sleep")
    def sleep(original: Any, seconds: float) -> None:
        """A Wait (or a pause before a retry) that ends with its execution."""
        until = time.monotonic() + seconds * sfn._SFN_WAIT_SCALE
        while (left := until - time.monotonic()) > 0 and not is_over():
            time.sleep(min(left, POLL_SECONDS))


def is_over() -> bool:
    execution = root.get()
    return bool(execution and execution["status"] != "RUNNING")


def stop_if_over() -> None:
    """Raise in a branch or child whose execution was stopped or timed out, so that no further task starts."""
    if is_over():
        raise failure("States.Aborted", "The execution is no longer running.")


def _wait_for_token(resource: str, data: Any, token: str, state: dict[str, Any]) -> Any:
    """Invoke, then wait for the token: until it is answered, the invocation fails, a deadline passes, or the execution
    ends. A retry gets a new token."""
    execution, context = state.get("_execution") or {}, state.get("_context") or {}
    done, failed = threading.Event(), {}
    again, seconds = resumed.get(), float(state.get("TimeoutSeconds") or 99_999_999)
    if again:
        resumed.set(None)
        token, seconds = again["token"], again["deadline"] - time.time()
    waiting: dict[str, Any] = {"event": done, "result": None, "error": None, "heartbeat": None}
    waiting |= {"state_machine": execution.get("stateMachineArn"), "root": root.get()}
    waiting |= {"context": context, "raw": state.get("_raw"), "until": time.time() + seconds}
    sfn._task_tokens[token] = waiting

    def invoke() -> None:
        try:
            sfn._invoke_resource(resource.replace(".waitForTaskToken", ""), data)
        except sfn._ExecutionError as error:
            failed["error"] = error
            done.set()

    if not again:
        threading.Thread(target=contextvars.copy_context().run, args=(invoke,), daemon=True).start()
    deadline = time.monotonic() + seconds
    heartbeat = float(state["HeartbeatSeconds"]) if state.get("HeartbeatSeconds") else None
    last_beat = time.monotonic()
    try:
        while not done.wait(POLL_SECONDS):
            stop_if_over()
            if waiting["heartbeat"] is not None:
                waiting["heartbeat"], last_beat = None, time.monotonic()
            if time.monotonic() > deadline:
                raise failure("States.Timeout", "")
            if heartbeat and time.monotonic() > last_beat + heartbeat:
                raise failure("States.HeartbeatTimeout", "")
    finally:
        sfn._task_tokens.pop(token, None)
        _spend(token)
        context["Task"] = {"Token": sfn.new_uuid()}
    if waiting["error"]:
        raise failure(waiting["error"]["Error"], waiting["error"]["Cause"])
    if waiting["result"] is None:
        raise failed["error"]
    return json.loads(waiting["result"])


def _spend(token: str) -> None:
    _spent[token] = None
    while len(_spent) > 10_000:
        _spent.popitem(last=False)


def _tokens() -> None:
    """What SendTask* answers for a token nobody waits for, and for output that is not JSON."""

    def refusal(request: dict[str, Any], heartbeat: bool) -> tuple[str, str] | None:
        token = request.get("taskToken")
        waiting = sfn._task_tokens.get(token)
        if waiting is None:
            gone = ("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
            return gone if token in _spent else ("InvalidToken", f"Invalid Token: '{token}'")
        over = (waiting.get("root") or {}).get("status", "RUNNING") != "RUNNING"
        if over or (waiting["event"].is_set() and not heartbeat):
            return "TaskTimedOut", "Task Timed Out: 'The task is over'"
        try:
            json.loads(request.get("output", "{}"))
        except ValueError:
            return "InvalidOutput", "Invalid Output: 'Output is not valid JSON'"
        return None

    for name in ("_send_task_success", "_send_task_failure", "_send_task_heartbeat"):

        @seams.replace(sfn, name)
        def send(original: seams.Replies, request: dict[str, Any]) -> seams.Response:
            if refused := refusal(request, "heartbeat" in original.__name__):
                return _error(*refused, 400)
            return original(request)


def _executions() -> None:
    @seams.replace(sfn, "_run_execution")
    def run(original: Any, arn: str) -> None:
        execution = sfn._executions.get(arn)
        machine = sfn._state_machines.get((execution or {}).get("stateMachineArn"))
        if execution is None or machine is None:
            original(arn)
            return
        root.set(execution)
        if seconds := json.loads(machine["definition"]).get("TimeoutSeconds"):
            _expire_after(float(seconds), execution)
        original(arn)

    @seams.replace(sfn, "_fail_execution")
    def fail(original: Any, execution: dict[str, Any], error: str, cause: str) -> None:
        """An aborted or timed-out execution stays what it is when its last task then fails."""
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    @seams.replace(sfn, "_start_execution")
    def start(original: seams.Replies, request: dict[str, Any]) -> seams.Response:
        """The same name with the same input, while running, is the same execution."""
        given = request.get("input", "{}")
        try:
            json.loads(given)
        except ValueError:
            return _error("InvalidExecutionInput", f"Invalid State Machine Execution Input: {given!r}", 400)
        arn = sfn._resolve_state_machine_arn(request.get("stateMachineArn", "").split("#")[0])
        machine = sfn._state_machines.get(arn) if arn else None
        if machine and request.get("name"):
            prefix = f"arn:aws:states:{seams.region()}:{seams.account()}:execution"
            known = sfn._executions.get(f"{prefix}:{machine['name']}:{request['name']}")
            if known and known["status"] == "RUNNING" and known["input"] == given:
                return _json_response({"executionArn": known["executionArn"], "startDate": known["startDate"]})
        return original(request)


def _expire_after(seconds: float, execution: dict[str, Any]) -> None:
    def expire() -> None:
        if execution["status"] == "RUNNING":
            execution.update(status="TIMED_OUT", stopDate=sfn.now_iso(), error="States.Timeout")
            sfn._add_event(
                execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
            )
            sfn._emit_execution_status_event(execution)

    timer = threading.Timer(seconds, contextvars.copy_context().run, args=(expire,))
    timer.daemon = True
    timer.start()
