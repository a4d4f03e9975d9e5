"""The embedded AWS as one process: MiniStack's ASGI app with our gaps closed, served by uvicorn.

Everything it keeps is under one directory (`.local/` for `make up`): `mail/` (SNS email), `state/`, `tmp/`, and the
interpreter that Lambda functions run in, and `key`, the secret that every call must show (local/keys.py). Routes of our
own, beside AWS's: GET /_promptlane/health, and POST /_promptlane/bedrock (knobs, see local/gaps/bedrock_runtime.py)."""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any

from local import browsers, keys, lambda_runtime

REPOSITORY = Path(__file__).resolve().parent.parent
HOME = REPOSITORY / ".local"

# In this order: a gap that builds on another comes after it
GAPS = (
    "access_keys",
    "callers",
    "log_groups",
    "cloudtrail",
    "prompts",
    "metrics",
    "metric_filters",
    "invocation_log",
    "guardrails",
    "bedrock_runtime",
    "lambda_functions",
    "code_archives",
    "alarms",
    "mail",
    "stepfunctions",
    "refusals",
    "distributed_map",
    "sdk_tasks",
    "scheduler",
    "cloudformation",
    "stack_resources",
    "removal",
    "concurrency",
    "exports",
    "stack_limits",
    "http_api",
    "function_urls",
    "service_metrics",
    "iam",
    "principal_arn",
    "kms",
    "insights",
    "restarts",
)
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "SSL_CERT_FILE", "TZ", "AUTH", "SFN_WAIT_SCALE")
KEPT_PREFIXES = ("PROMPTLANE_",)


class PortTaken(RuntimeError):
    """Somebody else listens on the port that was asked for."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is already in use: stop what listens there (`make down` stops an embedded AWS "
            "that `make up` started), or choose another port with --port N or PROMPTLANE_PORT=N"
        )
        self.port = port


def check_port(port: int) -> None:
    """Raise PortTaken unless we could listen on 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise PortTaken(port) from taken


def environment(port: int, home: Path, auth: bool, keep: bool) -> dict[str, str]:
    """What the server's process may see: functions inherit it, so nothing of the host's but the bare minimum."""
    kept = {k: v for k, v in os.environ.items() if k in KEPT_VARIABLES or k.startswith(KEPT_PREFIXES)}
    return kept | {
        "AUTH": "true" if auth or os.environ.get("AUTH", "").lower() == "true" else "false",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "LOG_LEVEL": os.environ.get("PROMPTLANE_LOG_LEVEL", "WARNING"),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PERSIST_STATE": str(int(keep)),
        "S3_PERSIST": str(int(keep)),
        "STATE_DIR": str(home / "state"),
        "S3_DATA_DIR": str(home / "state" / "s3"),
        "TMPDIR": str(home / "tmp"),
        "AWS_ACCESS_KEY_ID": keys.ROOT,
        "AWS_SECRET_ACCESS_KEY": keys.ROOT,
        "AWS_SESSION_TOKEN": keys.token(home),
        "PROMPTLANE_MAIL_DIR": str(home / "mail"),
        "LAMBDA_PYTHON": str(lambda_runtime.python(HOME)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def serve(port: int, home: Path = HOME, *, auth: bool = False, keep: bool = False) -> None:
    """Serve in the foreground until SIGTERM or SIGINT. Raises PortTaken, seams.EmulatorChanged.

    `keep`: go on with the state under `home`, and save it there (local/gaps/restarts.py)."""
    check_port(port)
    started = time.monotonic()
    variables = environment(port, home, auth, keep)
    os.environ.clear()
    os.environ.update(variables)
    shutil.rmtree(home / "tmp", ignore_errors=True)
    for folder in ("mail", "state/s3", "tmp"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("mail", "state"):
        (home / folder).chmod(0o700)  # links that decide, keys: their owner's alone

    app = load()
    import uvicorn
    from ministack.core import lambda_runtime as workers

    from local import model

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        backlog=4096,
    )
    seconds = time.monotonic() - started
    print(f"embedded AWS on http://127.0.0.1:{port} ({model.source()}; ready in {seconds:.1f} s)", flush=True)
    try:
        uvicorn.Server(config).run()
    finally:
        workers.reset()
        shutil.rmtree(home / "tmp", ignore_errors=True)


def load() -> Any:
    """Install every gap over MiniStack and return the ASGI app. The environment must be set before."""
    from local import seams

    logging.getLogger("kms").setLevel(logging.ERROR)  # it warns that it cannot sign; we only make and verify MACs
    seams.check_version()
    seams.install_resets()
    problems = []
    for name in GAPS:
        try:
            importlib.import_module(f"local.gaps.{name}").install()
        except seams.EmulatorChanged as changed:
            problems.append(f"{name}: {changed}")
    if problems:
        raise seams.EmulatorChanged("\n".join(problems))
    return app


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Our own routes, then MiniStack, for those who may ask (browsers.py) and hold a key (gaps/access_keys.py).

    Our endpoint counts as TLS: policies that deny plain http must not refuse it. No WebSockets: nothing here has any.
    """
    import ministack.app as host

    from local import inbox
    from local.gaps import access_keys

    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    if scope["type"] == "http":
        asked = (scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers_of(scope))
        if why := browsers.refusal(*asked):
            await answer(send, 403, {"message": why})
            return
        send = browsers.unread_by_others(send)
        if scope["path"] == inbox.PATH or scope["path"].startswith(f"{inbox.PATH}/"):
            mail = Path(os.environ["PROMPTLANE_MAIL_DIR"])
            await reply(send, *inbox.answer(*asked, home=mail.parent, mail=mail))
            return
        if refused := access_keys.refusal(*asked):
            await reply(send, *refused)
            return
        if scope["path"].startswith("/_promptlane/"):
            await own_route(scope, receive, send)
            return
        if not any(name == b"x-forwarded-proto" for name, _ in scope["headers"]):
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
    if scope["type"] == "lifespan":
        send = _announced(send)
    await host.app(scope, receive, send)


def _announced(send: Any) -> Any:
    """`send` that lets the tickers begin when the server is about to listen."""
    from local import seams

    async def sending(message: dict[str, Any]) -> None:
        await send(message)
        if message["type"] == "lifespan.startup.complete":
            seams.serving.set()

    return sending


async def own_route(scope: dict[str, Any], receive: Any, send: Any) -> None:
    from local import model
    from local.gaps import bedrock_runtime

    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status, said = 200, {}
    if scope["path"] == "/_promptlane/health":
        said = {"status": "ok", "pid": os.getpid(), "answers": model.source(), "auth": os.environ["AUTH"] == "true"}
    elif scope["path"] == "/_promptlane/bedrock" and scope["method"] == "POST":
        try:
            said = bedrock_runtime.turn(json.loads(body or b"{}"))
        except (ValueError, TypeError) as wrong:
            status, said = 400, {"message": f"{wrong}; knobs are described in local/gaps/bedrock_runtime.py"}
    else:
        status, said = 404, {"message": f"no such route: {scope['path']}"}
    await answer(send, status, said)


def headers_of(scope: dict[str, Any]) -> dict[str, str]:
    """The headers by lower-case names; repeated ones are joined, as MiniStack joins them."""
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


async def answer(send: Any, status: int, said: dict[str, Any]) -> None:
    await reply(send, status, {"content-type": "application/json"}, json.dumps(said).encode())


async def reply(send: Any, status: int, headers: dict[str, str], data: bytes) -> None:
    named = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    named.append((b"content-length", str(len(data)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": data})


def main(port: int, home: Path, auth: bool, keep: bool = False) -> int:
    """`serve` with errors as one clear line; returns the exit code."""
    try:
        serve(port, home, auth=auth, keep=keep)
    except (PortTaken, lambda_runtime.RuntimeMissing) as problem:
        print(f"promptlane: {problem}", file=sys.stderr)
        return 2
    except RuntimeError as changed:
        print(f"promptlane: {changed}", file=sys.stderr)
        return 3
    return 0
