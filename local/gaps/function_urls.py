"""Function URLs: an address that every resolver knows, both permissions, and responses that stream.

MiniStack answers with the whole response at its end, asks for `lambda:InvokeFunctionUrl` alone, says nothing of the
caller in the event, and its Node worker has no `awslambda`. Here, as on AWS: a URL with InvokeMode RESPONSE_STREAM
hands on what a Node function writes when it writes it; callers need `lambda:InvokeFunction` too, whose condition key
`lambda:InvokedViaFunctionUrl` is true; `requestContext.authorizer.iam` says who calls; requests are bound to 6 MB and
responses to 200 MB; CloudWatch counts requests and their 4xx and 5xx.

What AWS does not document takes the worse case. A caller who hangs up is told to nobody: the function's writes succeed
until it has ended (aws-lambda-nodejs-runtime-interface-client#145 reports just that). A function that fails, or runs
into its time-out, after its first byte leaves a response cut short.

Sources: "Control access to Lambda function URLs" and "Response streaming for Lambda functions" in the AWS Lambda guide;
the global `awslambda` as its runtime interface client for Node.js has it."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import functools
import json
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import ministack.app as host
from ministack.core import concurrency, lambda_runtime
from ministack.core.responses import StreamingResponse
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local import seams
from local.gaps import callers, lambda_functions, metric_store

KIND = "AWS::Lambda::Url"
MOST_REQUEST_BYTES = 6 * 1024 * 1024
MOST_RESPONSE_BYTES = 200 * 1024 * 1024
_INTEGRATION = "application/vnd.awslambda.http-integration-response"
_SEPARATOR = b"\x00" * 8
_WRITE = "const _realStdoutWrite = process.stdout.write.bind(process.stdout);"
_WRITE_NEW = """const _rawStdoutWrite = process.stdout.write.bind(process.stdout);
let _invoked = false;
const _realStdoutWrite = (line) => {
  if (_invoked) _stderrWrite(END_OF_LOG + "\\n");
  return _rawStdoutWrite(line);
};"""
_GLOBALS = "let handlerFn = null;"
_EVENT = "const event = msg.event;"
_CALL = "const result = handlerFn(event, context, callback);"
_CALL_NEW = """const result = handlerFn[STREAMS] ? streamed(handlerFn, event, context)
        : handlerFn(event, context, callback);"""
Frames = Callable[[dict[str, Any]], object]
_frames: contextvars.ContextVar[Frames | None] = contextvars.ContextVar("frames", default=None)
"""Where the invocation under way hands the frames of its response."""
_invoked: contextvars.ContextVar[str] = contextvars.ContextVar("invoked", default="")
"""The ARN by which the invocation under way was asked for, with its alias."""
_running: set[asyncio.Future[Any]] = set()


def install() -> None:
    seams.require(lambda_svc, "resolve_function_url", "lambda_execute_result_to_api_proxy_response", "new_uuid")
    seams.require(lambda_svc, "_function_url_proxy_response", "_get_func_record_for_ref_in_scope", "_function_url_id")
    seams.require(lambda_svc, "_execution_record_for_config", "_execute_function_with_config_scope")
    seams.require(lambda_runtime, "_signal", "_collect", "_REAP_GRACE", "Worker")
    seams.require(host, "_enforce_data_plane", "_function_url_auth_target")
    seams.require(concurrency, "run_reentrant")
    _node_worker()
    _addresses()
    _callers()

    @seams.replace(lambda_svc, "handle_function_url_request")
    async def serve(original: Any, url_id: str, method: str, *rest: Any, **named: Any) -> seams.Response:
        path, headers, body, query = rest
        resolved = named.get("resolved") or lambda_svc.resolve_function_url(url_id)
        if resolved is None:
            answer: seams.Response = await original(url_id, method, *rest, **named)
            return answer
        with seams.scope(resolved[0], resolved[1]):
            if denied := _may_invoke(url_id, headers, query):
                return denied
            if len(body) > MOST_REQUEST_BYTES:
                said = f"Request must be smaller than {MOST_REQUEST_BYTES} bytes for the InvokeFunction operation"
                answer = seams.json_reply({"Message": said}, 413)
            elif _streams(resolved) and (lambda_svc._function_url_is_signed(headers, query) or _public(resolved)):
                answer = await _stream(url_id, resolved, method, path, headers, body, query, named.get("source_ip"))
            else:
                answer = await original(url_id, method, *rest, **named)
            _tell(resolved[2], answer[0])
            return answer


def _node_worker() -> None:
    script = lambda_runtime._NODEJS_WORKER_SCRIPT
    own = (Path(__file__).parents[1] / "node_streams.js").read_text()
    constants = f"const END_OF_LOG = {json.dumps(lambda_functions.END_OF_LOG)};\n"
    constants += f"const HOST_ONLY = {json.dumps(lambda_functions.HOST_ONLY)};\n"
    changes = {
        _WRITE: f"{constants}{_WRITE_NEW}",
        _GLOBALS: f"{own}\n{_GLOBALS}",
        _EVENT: f"_invoked = true;\n    {_EVENT}",
        _CALL: _CALL_NEW,
    }
    for old, new in changes.items():
        if script.count(old) != 1:
            raise seams.EmulatorChanged(f"the Node worker script of ministack no longer holds: {old}")
        script = script.replace(old, new)
    lambda_runtime._NODEJS_WORKER_SCRIPT = script

    @seams.replace(lambda_runtime.Worker, "invoke")
    def invoke(original: Any, worker: Any, event: Any, request_id: str, **named: Any) -> dict[str, Any]:
        if not str(worker.config.get("Runtime", "")).startswith("nodejs"):
            answer: dict[str, Any] = original(worker, event, request_id, **named)
            return answer
        return _invoke(worker, event, request_id, **named)


def _invoke(
    worker: Any, event: Any, request_id: str, *, trace_id: Any, invoked_function_arn: Any, depth: Any, durable: Any
) -> dict[str, Any]:
    """`Worker.invoke` for Node: frames go where `_frames` says, and are the answer where nobody wants them."""
    kept: list[bytes] = []
    hand_on = _frames.get() or (lambda frame: kept.append(base64.b64decode(frame.get("data", ""))))
    timeout = worker.config.get("Timeout", 3)
    with worker._lock:
        cold = worker._proc is None or worker._proc.poll() is not None
        if cold:
            worker._spawn()
            worker._cold = False
        context = {
            "request_id": request_id,
            "invoked_function_arn": _invoked.get() or invoked_function_arn or worker.config.get("FunctionArn", ""),
            "timeout_ms": int(float(timeout) * 1000),
            "trace_id": trace_id,
            "depth": depth,
            "durable": durable or {},
        }
        answers: list[dict[str, Any]] = []
        reading = threading.Thread(
            target=_read, args=(worker._proc, {"event": event, "ctx": context}, hand_on, answers), daemon=True
        )
        reading.start()
        reading.join(timeout)
        if reading.is_alive():
            answer = {"status": "error", "error": f"Task timed out after {timeout}.00 seconds"}
        else:
            answer = answers[0]
        if answer["status"] == "error":
            process, worker._proc = worker._proc, None
            lambda_runtime._signal(process)
            lambda_runtime._collect(process, time.monotonic() + lambda_runtime._REAP_GRACE)
            answer["log"] = worker._drain_stderr()
        else:
            answer["log"] = worker._drain_stderr_bounded()
        if kept and answer["status"] == "ok":
            answer["result"] = b"".join(kept).decode(errors="replace")
        return answer | {"cold_start": cold}


def _read(process: Any, envelope: dict[str, Any], hand_on: Frames, answers: list[dict[str, Any]]) -> None:
    try:
        process.stdin.write(json.dumps(envelope) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if said.get("status") == "stream":
                hand_on(said)
            elif said.get("status") in ("ok", "error"):
                answers.append(said)
                return
        answers.append({"status": "error", "error": "RequestId: Error: Runtime exited"})
    except (OSError, ValueError) as error:
        answers.append({"status": "error", "error": str(error)})


def _addresses() -> None:
    """`http://localhost:<port>/_aws/lambda-url/<id>/`, which MiniStack serves too; not every resolver knows names below
    `localhost`, and nobody those below `on.aws`."""
    handlers = provisioners._RESOURCE_HANDLERS[KIND]
    for operation in ("create", "update"):
        handlers[operation] = _by_path(handlers[operation])


def _by_path(original: Any) -> Any:
    @functools.wraps(original)  # MiniStack looks at the signature
    def made(*arguments: Any, **named: Any) -> Any:
        physical_id, attributes = original(*arguments, **named)
        url_id = lambda_svc._function_url_id(attributes["FunctionUrl"])
        return physical_id, {**attributes, "FunctionUrl": address(url_id)}

    return made


def address(url_id: str) -> str:
    return f"http://localhost:{os.environ.get('GATEWAY_PORT', '4566')}/_aws/lambda-url/{url_id}/"


def _callers() -> None:
    @seams.replace(lambda_svc, "_build_function_url_event")
    def event(original: Any, url_id: str, account: str, region: str, *rest: Any, **named: Any) -> dict[str, Any]:
        made: dict[str, Any] = original(url_id, account, region, *rest, **named)
        if not named.get("anonymous"):
            who = callers.identity(rest[2])
            caller = {
                "accessKey": who.get("accessKeyId", ""),
                "accountId": who["accountId"],
                "callerId": who["principalId"],
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": who["arn"],
                "userId": who["principalId"],
            }
            made["requestContext"]["authorizer"] = {"iam": caller}
        return made


def _may_invoke(url_id: str, headers: dict[str, str], query: dict[str, Any]) -> seams.Response | None:
    """The refusal of a caller who lacks the second permission; MiniStack has asked for the first."""
    arn, _, resolved = host._function_url_auth_target(url_id)
    if resolved is None or _public(resolved) or not lambda_svc._function_url_is_signed(headers, query):
        return None
    via = {"lambda:InvokedViaFunctionUrl": "true"}
    refused: seams.Response | None = host._enforce_data_plane(
        "lambda", "lambda:InvokeFunction", headers, query, "", resource_arn=arn, service_context=via
    )
    return refused


def _public(resolved: Any) -> bool:
    return bool(resolved[4].get("AuthType") == "NONE")


def _streams(resolved: Any) -> bool:
    function = lambda_svc._functions.get(resolved[2]) or {}
    runtime = str((function.get("config") or {}).get("Runtime", ""))
    return resolved[4].get("InvokeMode") == "RESPONSE_STREAM" and runtime.startswith("nodejs")


async def _stream(
    url_id: str,
    resolved: Any,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    query: dict[str, Any],
    source_ip: str | None,
) -> seams.Response:
    account, region, name, qualifier, config = resolved
    reference = f"{name}:{qualifier}" if qualifier else name
    function, settings, _ = lambda_svc._get_func_record_for_ref_in_scope(reference, account_id=account, region=region)
    if function is None or settings is None:
        return seams.error_reply("ResourceNotFoundException", f"Function not found: {reference}", 404)
    event = lambda_svc._build_function_url_event(
        url_id,
        account,
        region,
        method,
        path,
        headers,
        body,
        query,
        source_ip=source_ip or "127.0.0.1",
        anonymous=config.get("AuthType") == "NONE",
    )
    frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    _frames.set(lambda frame: loop.call_soon_threadsafe(frames.put_nowait, frame))
    _invoked.set(str(host._function_url_auth_target(url_id)[0]))
    record = lambda_svc._execution_record_for_config(function, settings)
    running = asyncio.ensure_future(
        concurrency.run_reentrant(lambda_svc._execute_function_with_config_scope, record, event)
    )
    _running.add(running)
    running.add_done_callback(_running.discard)
    running.add_done_callback(lambda done: frames.put_nowait({"result": _result(done)}))
    return await _answer(frames, str(event["requestContext"]["requestId"]))


def _result(done: asyncio.Future[Any]) -> dict[str, Any]:
    if done.cancelled() or done.exception():
        return {"error": True, "body": {"errorMessage": str(done.exception() if not done.cancelled() else "cancelled")}}
    result: dict[str, Any] = done.result()
    return result


async def _answer(frames: asyncio.Queue[dict[str, Any]], request_id: str) -> seams.Response:
    """Status and headers as soon as they are known; a response that streams the rest."""
    said, kind, sent = b"", "", {"x-amzn-RequestId": request_id}
    while True:
        frame = await frames.get()
        if result := frame.get("result"):
            return _unstreamed(result, sent)
        kind = frame.get("type", kind)
        said += base64.b64decode(frame.get("data", ""))
        if kind != _INTEGRATION:
            if said or "end" in frame:
                return 200, {"Content-Type": kind or "application/octet-stream", **sent}, _rest(frames, said, frame)
            continue
        before, separator, after = said.partition(_SEPARATOR)
        if separator:
            metadata = json.loads(before)
            given = {"content-type": "application/octet-stream"}
            given |= {str(k).lower(): str(v) for k, v in (metadata.get("headers") or {}).items()}
            if cookies := metadata.get("cookies"):
                given["set-cookie"] = cookies
            return int(metadata.get("statusCode", 200)), {**given, **sent}, _rest(frames, after, frame)
        if "end" in frame:  # nothing was written: the metadata never went out
            return 200, {"Content-Type": "application/octet-stream", **sent}, _rest(frames, b"", frame)


def _unstreamed(result: dict[str, Any], sent: dict[str, str]) -> seams.Response:
    """The answer of an invocation that failed, or was throttled, before its first byte."""
    if result.get("throttle"):
        proxy, _ = lambda_svc.lambda_execute_result_to_api_proxy_response(result)
        status, headers, body = lambda_svc._function_url_proxy_response(proxy, {})
        return status, {**headers, **sent}, body
    return 502, {"Content-Type": "application/json", **sent}, b'{"Message":"Internal Server Error"}'


def _rest(frames: asyncio.Queue[dict[str, Any]], first: bytes, last: dict[str, Any]) -> StreamingResponse:
    async def run(send: Callable[[dict[str, Any]], Awaitable[None]], receive: Any) -> None:
        size, data, frame = len(first), first, last
        while True:
            over = "end" in frame
            if data or over:
                await send({"type": "http.response.body", "body": data, "more_body": not over})
            if over:
                return
            frame = await frames.get()
            data = base64.b64decode(frame.get("data", ""))
            size += len(data)
            if "result" in frame or size > MOST_RESPONSE_BYTES:
                return  # without a last chunk: what was sent is not all

    return StreamingResponse(run)


def _tell(function: str, status: int) -> None:
    for name, counts in (
        ("UrlRequestCount", True),
        ("Url4xxCount", 400 <= status < 500),
        ("Url5xxCount", status >= 500),
    ):
        metric_store.record("AWS/Lambda", name, float(counts), "Count", {"FunctionName": function})
