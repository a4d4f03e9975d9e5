"""Lambda: how many executions an account has at once in a Region, and what it may reserve of them.

MiniStack counts all accounts together, up to what the machine bears, and lets anybody reserve anything. Here each
account has ten in each Region, as fresh accounts do (PROMPTLANE_LAMBDA_CONCURRENCY says another number). What a
function reserves is its own: nobody else's executions take it, and it takes no others. As many as AWS wants to stay
unreserved stay so: 100, or all of a smaller quota. CloudFormation calls functions of custom resources asynchronously,
so one that was throttled is called again.

Sources: "Reserved concurrency" and "Asynchronous invocation" in the AWS Lambda guide; the message of the refusal is
from public reports.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local import seams
from local.gaps import lambda_functions

FRESH = 10
LEAST_UNRESERVED = 100
REFUSED = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
    "minimum value of [{least}]."
)
Props = dict[str, Any]
_OF_STACKS = {"RequestType", "ResponseURL", "StackId"}


def quota() -> int:
    return int(os.environ.get("PROMPTLANE_LAMBDA_CONCURRENCY") or FRESH)


def install() -> None:
    seams.require(lambda_svc, "_inflight", "_inflight_lock", "_inflight_key", "_release_execution_slot", "_functions")
    seams.require(lambda_svc, "_reserved_concurrency", "_inflight_total")
    seams.put(lambda_svc, "_ACCOUNT_CONCURRENCY_CAP", quota())

    @seams.replace(lambda_svc, "_acquire_execution_slot")
    def acquire(original: Any, function: Props, config: Props) -> tuple[str | None, str | None]:
        key = lambda_svc._inflight_key(config)
        own = lambda_svc._reserved_concurrency(function, config)
        with lambda_svc._inflight_lock:
            running = lambda_svc._inflight
            if own is not None and running.get(key, 0) >= own:
                return None, "function"
            if own is None and _unreserved_running(key) >= quota() - sum(_reserved().values()):
                return None, "account"
            running[key] = running.get(key, 0) + 1
            lambda_svc._inflight_total += 1
        return key, None

    @seams.replace(lambda_svc, "_put_function_concurrency")
    def put(original: Callable[[str, Props], Any], name: str, data: Props) -> Any:
        if refused := refusal(name, data.get("ReservedConcurrentExecutions")):
            return seams.error_reply("InvalidParameterValueException", refused)
        return original(name, data)

    _refuse_in_stacks()
    _call_custom_resources_again()


def _reserved() -> dict[str, int]:
    """What each function of this account and Region has reserved."""
    found = {name: lambda_svc._functions[name].get("concurrency") for name in list(lambda_svc._functions.keys())}
    return {name: int(reserved) for name, reserved in found.items() if reserved is not None}


def _unreserved_running(key: str) -> int:
    place, reserving = key.rpartition(":")[0], _reserved()
    names = ((one.rpartition(":"), n) for one, n in lambda_svc._inflight.items())
    return sum(n for (where, _, name), n in names if where == place and name not in reserving)


def refusal(name: str, wanted: Any) -> str:
    """Why a function may not reserve so many; "" if it may."""
    others = sum(n for other, n in _reserved().items() if other != name)
    least = min(LEAST_UNRESERVED, quota())
    if not wanted or quota() - others - int(wanted) >= least:
        return ""
    return REFUSED.format(least=least)


def _refuse_in_stacks() -> None:
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = handlers["create"], handlers["update"]

    def check(name: str, props: Props) -> None:
        if refused := refusal(name, props.get("ReservedConcurrentExecutions")):
            raise ValueError(refused)

    def created(logical_id: str, props: Props, stack: str) -> Any:
        check(str(props.get("FunctionName", "")), props)
        return create(logical_id, props, stack)

    def updated(name: str, old: Props, new: Props, *rest: Any, **named: Any) -> Any:
        check(name, new)
        return update(name, old, new, *rest, **named)

    updated.__wrapped__ = update  # type: ignore[attr-defined]  # MiniStack looks at the signature
    handlers |= {"create": created, "update": updated}


def _call_custom_resources_again() -> None:
    @seams.replace(lambda_svc, "_execute_function_with_config_scope")
    def execute(original: Callable[[Props, Any], Props], function: Props, event: Any) -> Props:
        result = original(function, event)
        pause = 1.0
        while result.get("throttle") and isinstance(event, dict) and event.keys() >= _OF_STACKS:
            time.sleep(pause)
            pause, result = min(2 * pause, lambda_functions.MOST_THROTTLED_SECONDS), original(function, event)
        return result
