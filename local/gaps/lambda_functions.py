"""Lambda: errors by name, asynchronous invocation, the environment, and an interpreter of its own.

Lacking in MiniStack: every failure is `Runtime.HandlerError` without stack trace and ends the environment; functions
run in the emulator's interpreter, so its packages hide missing ones; they inherit the host's environment; SNS and
EventBridge invoke once, without retries or dead-letter queue; reserved concurrency misses versions and aliases;
what a handler logs may go to the next invocation; AWS_EXECUTION_ENV, _HANDLER, TZ and the log group's name are missing.
Here: all of it. A throttled asynchronous event is tried again until it is too old, as on AWS, and only failures count
as attempts; retries come after 1 s and 2 s, not after minutes."""

from __future__ import annotations

import contextvars
import json
import os
import queue
import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import eventbridge, lambda_svc, sns

from local import seams

RETRY_SECONDS = (1.0, 2.0)
MOST_THROTTLED_SECONDS = 300.0
"""A throttled event is tried again after a second, and after twice as long each time, up to this."""
ERROR_KEY = "__promptlane_function_error__"
HOST_ONLY = (
    *("GATEWAY_PORT", "BIND_HOST", "STATE_DIR", "S3_DATA_DIR", "LOG_LEVEL", "IOT_MTLS_ENABLED", "SFTP_ENABLED", "AUTH"),
    *("SFN_WAIT_SCALE", "LAMBDA_PYTHON", "PROMPTLANE_MAIL_DIR", "PROMPTLANE_CONFIRM", "PROMPTLANE_MODEL_URL"),
    *("PROMPTLANE_MODEL_KEY", "PROMPTLANE_MODEL_THROTTLE", "PYTHONPATH", "PYTHONUNBUFFERED", "VIRTUAL_ENV"),
)

_HANDLER_FAILED = (
    '_real_stdout.write(json.dumps({"status": "error", "error": str(e), "trace": traceback.format_exc()}) + "\\n")'
)
_INIT_FAILED = '_real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")'
_HANDLER_FAILED_NEW = f"""_failure = {{"errorMessage": str(e), "errorType": type(e).__name__,
                "requestId": _ms_ctx.get("request_id"), "stackTrace": traceback.format_tb(e.__traceback__)[1:]}}
            print("[ERROR] %s: %s\\nTraceback (most recent call last):\\n%s"
                  % (_failure["errorType"], e, "".join(_failure["stackTrace"])), file=sys.stderr)
            _real_stdout.write(json.dumps({{"status": "ok", "result": {{"{ERROR_KEY}": _failure}}}}) + "\\n")"""
_INIT_FAILED_NEW = """_failure = {"errorMessage": "Unable to import module '%s': %s" % (module_name, e),
            "errorType": "Runtime.ImportModuleError" if isinstance(e, ImportError) else "Runtime.HandlerNotFound"
            if isinstance(e, AttributeError) else type(e).__name__, "stackTrace": traceback.format_tb(e.__traceback__)}
        _real_stdout.write(json.dumps({"status": "error", "error": json.dumps(_failure)}) + "\\n")"""
_INIT_PREFIX = "Worker init failed: "
_ANSWERED = "        _real_stdout.flush()\n\nrun()"
END_OF_LOG = "--- promptlane: end of invocation ---"
LOG_SECONDS = 2.0


def install() -> None:
    seams.require(lambda_runtime, "_PYTHON_WORKER_SCRIPT", "_detect_runtime_binary", "Worker")
    seams.require(lambda_runtime.Worker, "_spawn", "_drain_stderr_bounded")
    seams.require(
        lambda_svc, "_get_func_record_for_ref", "_execution_record_for_config", "_execute_function", "_functions"
    )
    seams.require(lambda_svc, "_account_region_from_function_config", "_route_async_failure")
    _rewrite_worker_script()
    _own_interpreter()
    _own_environment()
    lambda_runtime.Worker._drain_stderr_bounded = _all_lines
    seams.put(lambda_svc, "invoke_async_with_retry", _invoke_later)

    @seams.replace(lambda_svc, "_execute_function_warm")
    def execute(original: Any, function: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        result: dict[str, Any] = original(function, event, request_id)
        body = result.get("body")
        if isinstance(body, dict) and ERROR_KEY in body:
            result |= {"body": body[ERROR_KEY], "error": True}
        elif isinstance(body, dict) and str(body.get("errorMessage", "")).startswith(_INIT_PREFIX):
            failure = json.loads(body["errorMessage"].removeprefix(_INIT_PREFIX))
            trace = "".join(failure["stackTrace"])
            result |= {"body": failure, "log": f"[ERROR] {failure['errorType']}: {failure['errorMessage']}\n{trace}"}
        return result

    @seams.replace(lambda_svc, "_reserved_concurrency")
    def reserved(original: Any, function: dict[str, Any], config: dict[str, Any]) -> Any:
        return original(lambda_svc._functions.get(config.get("FunctionName")) or function, config)

    @seams.replace(eventbridge, "_dispatch_to_lambda")
    def from_rule(original: Any, arn: str, payload: str) -> None:
        try:
            event = json.loads(payload)
        except (ValueError, TypeError):
            event = payload
        invoke_later(arn, event)

    @seams.replace(sns, "_deliver_to_lambda")
    def from_topic(
        original: Any, endpoint: str, envelope: str, topic_arn: str, subscription_arn: str, *rest: Any
    ) -> None:
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        invoke_later(endpoint, {"Records": [record]})


def _rewrite_worker_script() -> None:
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    for old, new in ((_HANDLER_FAILED, _HANDLER_FAILED_NEW), (_INIT_FAILED, _INIT_FAILED_NEW)):
        if script.count(old) != 1:
            raise seams.EmulatorChanged(f"the Python worker script of ministack no longer holds: {old}")
        script = script.replace(old, new)
    if script.count(_ANSWERED) != 1:
        raise seams.EmulatorChanged(f"the Python worker script of ministack no longer ends with: {_ANSWERED}")
    script = script.replace(_ANSWERED, f"        print({END_OF_LOG!r}, file=sys.stderr, flush=True)\n{_ANSWERED}")
    scrub = f"import os\nfor _name in {HOST_ONLY!r}:\n    os.environ.pop(_name, None)\n"
    lambda_runtime._PYTHON_WORKER_SCRIPT = scrub + script


def _all_lines(worker: Any, *_: float, **__: float) -> str:
    """Everything that an invocation logged, up to the line that the worker writes after it.

    The emulator guesses by how long nothing came, and under load gives a line to the next invocation."""
    lines: list[str] = []
    deadline = time.monotonic() + LOG_SECONDS
    while time.monotonic() < deadline:
        try:
            line = worker._stderr_queue.get(timeout=0.02)
        except queue.Empty:
            if worker._proc is None or worker._proc.poll() is not None:
                break
            continue
        if line.rstrip() == END_OF_LOG:
            break
        lines.append(line)
    return "\n".join(lines)


def _own_interpreter() -> None:
    python = os.environ.get("LAMBDA_PYTHON")
    if not python:
        return

    @seams.replace(lambda_runtime, "_detect_runtime_binary")
    def binary(original: Any, runtime: str) -> tuple[str, str]:
        found, script = original(runtime)
        return (python if runtime.startswith("python") else found), script


def _own_environment() -> None:
    spawn = lambda_runtime.Worker._spawn

    def with_environment(worker: Any) -> None:
        config = worker.config
        name = config.get("FunctionName", "")
        provided = {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', '')}",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}",
            "_HANDLER": config.get("Handler", ""),
            "TZ": ":UTC",
        }
        own = (config.get("Environment") or {}).get("Variables") or {}
        worker.config = {**config, "Environment": {"Variables": {**provided, **own}}}
        try:
            spawn(worker)
        finally:
            worker.config = config

    lambda_runtime.Worker._spawn = with_environment


def invoke_later(arn: str, event: Any) -> None:
    """Invoke a function asynchronously, with Lambda's retries, event age and dead-letter queue."""
    function, config, name = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        seams.log.warning("asynchronous invocation: there is no function %s", name)
        return
    _invoke_later(lambda_svc._execution_record_for_config(function, config), event)


def _invoke_later(function: dict[str, Any], event: Any) -> None:
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(seams.logged, attempts, function, event), daemon=True).start()


def attempts(function: dict[str, Any], event: Any) -> None:
    """Invoke until it succeeded, its retries are used up or the event is too old. Blocks meanwhile."""
    config = function.get("config") or function
    account, region = lambda_svc._account_region_from_function_config(config)
    with seams.scope(account, region):
        settings = (
            function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST") or {}
        )
        retries = settings.get("MaximumRetryAttempts")
        left = 2 if retries is None else int(retries)
        deadline = time.time() + int(settings.get("MaximumEventAgeInSeconds") or 21_600)
        attempt = throttled = 0
        while True:
            result = lambda_svc._execute_function(function, event)
            if not result.get("error"):
                return
            if result.get("throttle"):
                pause, throttled = min(MOST_THROTTLED_SECONDS, 2.0**throttled), throttled + 1
            elif left:
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                left, attempt = left - 1, attempt + 1
            else:
                break
            if time.time() + pause > deadline:
                break
            time.sleep(pause)
        destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        destination = destination or (config.get("DeadLetterConfig") or {}).get("TargetArn")
        if destination:
            lambda_svc._route_async_failure(destination, config.get("FunctionName", "unknown"), event, result)
