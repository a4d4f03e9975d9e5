"""Inputs that AWS refuses and MiniStack takes: subjects and bodies of emails, long keys, execution names, tokens.

Sources: "Publish" in the Amazon SNS API reference; "Creating object key names" in the Amazon S3 guide; "StartExecution"
and "SendTaskSuccess" in the AWS Step Functions API reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from ministack.core.responses import error_response_json
from ministack.services import sns, stepfunctions

from local import seams

_SUBJECT = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,99}")
_EXECUTION = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_MESSAGE_BYTES = 256 * 1024
_TOKEN_CHARACTERS = 2048
_KEY_BYTES = 1024

Original = Callable[[dict[str, Any]], Any]


def install() -> None:
    seams.require(sns, "_p", "_error")

    @seams.replace(sns, "_publish")
    def publish(original: Original, params: dict[str, Any]) -> Any:
        subject, message = sns._p(params, "Subject"), str(sns._p(params, "Message"))
        if subject and not _SUBJECT.fullmatch(str(subject)):
            return sns._error("InvalidParameter", "Invalid parameter: Subject", 400)
        if not message:
            return sns._error("InvalidParameter", "Invalid parameter: Empty message", 400)
        if len(message.encode()) > _MESSAGE_BYTES:
            return sns._error("InvalidParameter", "Invalid parameter: Message too long", 400)
        return original(params)

    @seams.replace(stepfunctions, "_start_execution")
    def start_execution(original: Original, data: dict[str, Any]) -> Any:
        name = data.get("name")
        if name is not None and not _EXECUTION.fullmatch(str(name)):
            return error_response_json("InvalidName", f"Invalid Name: '{name}'", 400)
        return original(data)

    async def short_keys(
        inner: seams.Handler, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> seams.Response:
        key = unquote(path.lstrip("/").partition("/")[2])
        if len(key.encode()) > _KEY_BYTES:
            text = "<Error><Code>KeyTooLongError</Code><Message>Your key is too long</Message></Error>"
            return 400, {"Content-Type": "application/xml"}, text.encode()
        return await inner(method, path, headers, body, query)

    seams.wrap("s3", short_keys)

    def with_token(original: Original, data: dict[str, Any]) -> Any:
        token = str(data.get("taskToken") or "")
        if not 1 <= len(token) <= _TOKEN_CHARACTERS:
            message = f"Value at 'taskToken' failed to satisfy constraint: length between 1 and {_TOKEN_CHARACTERS}"
            return error_response_json("ValidationException", message, 400)
        return original(data)

    for call in ("_send_task_success", "_send_task_failure", "_send_task_heartbeat"):
        seams.replace(stepfunctions, call)(with_token)
