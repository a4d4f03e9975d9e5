"""The ways in which the gaps change MiniStack: wrap a service, replace a private name, tick, call ourselves.

MiniStack is pinned, because the gaps under `local/gaps/` touch names that it never promised to keep. Every name is
checked when a gap is loaded or installed, so an upgrade fails at start-up and says what moved, not amid a release.

Handlers have MiniStack's shape: `async (method, path, headers, body, query) -> (status, headers, body)`. They run
after authentication and inside the caller's account and region. A thread starts without either: `scope` gives it both.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any

import boto3
import botocore.session
import ministack.app as host
from botocore.config import Config
from ministack.core import responses, router

PINNED = "1.5.33"

Response = tuple[int, dict[str, str], Any]
Handler = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Response]]
Wrapper = Callable[[Handler, str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Response]]
Replies = Callable[..., Response]

account: Callable[[], str] = responses.get_account_id
region: Callable[[], str] = responses.get_region
scope: Callable[[str, str], AbstractContextManager[None]] = responses.request_scope
new_uuid: Callable[[], str] = responses.new_uuid
log = logging.getLogger("promptlane.local")

serving = threading.Event()
"""Set once the server answers: until then nothing may ask it."""
_resets: list[Callable[[], None]] = []
kept: dict[str, Any] = {}
"""Our own stores by name, which a reset clears and `local/restarts.py` saves: dicts, sets, MiniStack's scoped dicts."""


class EmulatorChanged(RuntimeError):
    """The installed MiniStack is not the one that the gaps were written for."""


def check_version() -> None:
    """Raise EmulatorChanged unless the pinned MiniStack is installed."""
    found = metadata.version("ministack")
    if found != PINNED:
        raise EmulatorChanged(
            f"ministack {found} is installed, but local/ is written for {PINNED}: "
            "run `make setup`, or upgrade the gaps together with the pin in local/seams.py"
        )


def require(owner: Any, *names: str) -> None:
    """Raise EmulatorChanged naming every one of `names` that `owner` (a module or class) lacks."""
    if missing := [name for name in names if not hasattr(owner, name)]:
        where = getattr(owner, "__name__", repr(owner))
        raise EmulatorChanged(
            f"{where} of ministack {metadata.version('ministack')} has no {', '.join(missing)}, "
            f"which local/gaps replaces: pin ministack=={PINNED} or adapt the gap"
        )


def replace(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate `new(original, *args)` so that it takes the place of `owner.name`."""
    require(owner, name)
    original = getattr(owner, name)

    def decorate(new: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def replaced(*args: Any, **kwargs: Any) -> Any:
            return new(original, *args, **kwargs)

        setattr(owner, name, replaced)
        return new

    return decorate


def replies(owner: Any, name: str) -> Replies:
    """The function `owner.name`, which makes a response; MiniStack has no types."""
    require(owner, name)
    found: Replies = getattr(owner, name)
    return found


def put(owner: Any, name: str, value: Any) -> None:
    """Set a constant of MiniStack that must already exist."""
    require(owner, name)
    setattr(owner, name, value)


def wrap(service: str, wrapper: Wrapper) -> None:
    """Put `wrapper(inner, method, path, headers, body, query)` around a service's handler."""
    if service not in host.SERVICE_HANDLERS:
        raise EmulatorChanged(f"ministack {PINNED} has no service {service!r}")
    inner: Handler = host.SERVICE_HANDLERS[service]

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Response:
        return await wrapper(inner, method, path, headers, body, query)

    host.SERVICE_HANDLERS[service] = handler


def port() -> int:
    return int(host._resolve_port())


@functools.lru_cache(maxsize=256)
def _client(service: str, account_id: str, region_name: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port()}",
        region_name=region_name,
        aws_access_key_id=account_id,
        aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=os.environ["AWS_SESSION_TOKEN"],
        config=Config(retries={"max_attempts": 0}, inject_host_prefix=False, max_pool_connections=50),
    )


def client(service: str) -> Any:
    """A boto3 client on our own endpoint, in the current account and region. Worker threads only: on the event loop a
    call to ourselves waits for itself."""
    return _client(service, account(), region())


def in_thread(function: Callable[..., Any], *args: Any) -> threading.Thread:
    """Run `function` in a daemon thread that keeps the caller's account and region."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(logged, function, *args), daemon=True)
    thread.start()
    return thread


def logged(function: Callable[..., Any], *args: Any) -> None:
    try:
        function(*args)
    except Exception:
        log.exception("%s failed", getattr(function, "__qualname__", function))


def ticker(seconds: float, function: Callable[[], None], name: str) -> None:
    """Call `function` every `seconds` for as long as the server lives; a failure is logged and the next tick comes."""

    def loop() -> None:
        serving.wait()
        while True:
            time.sleep(seconds)
            logged(function)

    threading.Thread(target=loop, daemon=True, name=name).start()


def scopes(*stores: Any) -> Iterator[None]:
    """Enter, one after the other, every account and region that has something in one of MiniStack's scoped stores."""
    for account_id, region_name in sorted({key[:2] for store in stores for key in list(store._data)}):
        with scope(account_id, region_name):
            yield


def on_reset(clear: Callable[[], None]) -> None:
    """Also call `clear` when somebody posts to /_ministack/reset."""
    _resets.append(clear)


def keep(name: str, store: Any) -> None:
    """Clear `store` at a reset, and save it with the rest of the state where that is asked for."""
    kept[name] = store
    on_reset(store.clear)


def install_resets() -> None:
    """Make MiniStack's reset clear our own stores too, and stop it from loading every model of botocore.

    The first call of an unknown service would otherwise load all of them: 4 s on the event loop and 400 MB."""

    @replace(host, "_reset_all_state")
    def reset(original: Callable[[], Any]) -> Any:
        result = original()
        for clear in _resets:
            clear()
        return result

    put(router, "_KNOWN_AWS_SERVICE_NAMES", frozenset(botocore.session.get_session().get_available_services()))


def json_reply(payload: Any, status: int = 200) -> Response:
    return status, {"Content-Type": "application/json"}, json.dumps(payload).encode()


def error_reply(code: str, message: str, status: int = 400) -> Response:
    """An error as the JSON protocols of AWS spell it: header and body both name the type."""
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
    return status, headers, json.dumps({"__type": code, "message": message}).encode()


def one(query: dict[str, Any], name: str) -> str | None:
    """The single value of a query parameter, or None."""
    value = query.get(name)
    if isinstance(value, list):
        value = value[0] if value else None
    return value or None
