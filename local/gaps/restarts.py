"""What outlives the process, where PERSIST_STATE=1 asks for it (`make up` does).

Lacking in MiniStack: it saves when it is shut down, and not when it is killed; it knows nothing of our stores; of the
executions that ran it makes failed ones, and tells nobody. Here: what changed is saved all the time, each file whole or
not at all. An execution that waits for a task token goes on waiting for the same token. Any other was at work when the
process ended, and nobody knows how far it came: it fails, and EventBridge is told, as of every failure.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ministack.app as host
from ministack.core import persistence
from ministack.services import lambda_svc
from ministack.services import stepfunctions as sfn

from local import seams
from local.gaps import stepfunctions

SAVE_SECONDS = 1.0
SHARE = 20
"""A save is followed by a pause of at least so many times what it took."""
TELL_SECONDS = 3.0
OWN, WAITS, SAVED = "promptlane.pickle", "waits", "saved"
"""Our own stores; the key of the waits among the executions; a file as old as the last save."""
CAUSE = "The embedded AWS was stopped while this execution was in its state {state}."

LARGE = 65_536
"""Bytes from which on a value lies in a file of its own, named by its contents and written once: code, layers."""
BLOB = "__promptlane_blob__"

_saved: dict[str, str] = {}
_saving = threading.Lock()
_blobs: dict[int, tuple[bytes, str]] = {}
"""By identity: what is large is hashed once."""
_seen: set[int] = set()


def install() -> None:
    if os.environ.get("PERSIST_STATE") != "1":
        return
    seams.require(persistence, "_state_format_version", "_json_default", "_json_object_hook", "STATE_DIR")
    seams.require(sfn, "get_state", "load_persisted_state", "_execute_task", "_fail_execution")
    seams.require(host, "_build_persistence_save_dict", "_load_persisted_state", "save_all")
    seams.require(lambda_svc, "_externalize_code_zip", "_internalize_code_zip", "_prune_orphan_code_blobs")
    _load_own()
    lambda_svc._externalize_code_zip = lambda record, referenced: None
    lambda_svc._internalize_code_zip = lambda record, blobs: None
    lambda_svc._prune_orphan_code_blobs = lambda referenced: None
    seams.put(host, "save_all", lambda services: save())

    @seams.replace(persistence, "_json_object_hook")
    def read(original: Any, value: dict[str, Any]) -> Any:
        return (_folder() / "blobs" / value[BLOB]).read_bytes() if BLOB in value else original(value)

    @seams.replace(sfn, "get_state")
    def state(original: Any) -> Any:
        return {**original(), WAITS: list(_waits())}

    @seams.replace(sfn, "load_persisted_state")
    def load(original: Any, data: Any) -> None:
        running = [key for key, one in _executions_in(data) if one["status"] == "RUNNING"]
        original(data)
        for key in running:
            execution = sfn._executions._data[key]
            execution |= {"status": "RUNNING", "stopDate": None}
            for name in ("error", "cause"):
                execution.pop(name, None)
        waits = (data or {}).get(WAITS, ())
        for wait in waits:
            with seams.scope(wait["account"], wait["region"]):
                seams.in_thread(_go_on, sfn._executions.get(wait["execution"]), wait)
        seams.in_thread(_tell, sorted(set(running) - {_key(wait) for wait in waits}))

    @seams.replace(host, "_load_persisted_state")
    def load_all(original: Any) -> None:
        """Nothing is saved over what was not read yet."""
        original()
        threading.Thread(target=_save_always, daemon=True, name="state").start()


def _executions_in(data: Any) -> list[tuple[tuple[str, str, str], dict[str, Any]]]:
    found = (data or {}).get("executions")
    return list(found.all_items()) if found else []


def _key(wait: dict[str, Any]) -> tuple[str, str, str]:
    return wait["account"], wait["region"], wait["execution"]


def _save_always() -> None:
    while True:
        began = time.monotonic()
        seams.logged(save)
        time.sleep(max(SAVE_SECONDS, SHARE * (time.monotonic() - began)))


def save() -> None:
    """Write what changed since the last time: first everything is read, then everything written."""
    with _saving:
        texts: dict[str, bytes] = {}
        _seen.clear()
        for service, get_state in host._build_persistence_save_dict().items():
            if (state := _steady(get_state)) is not None:
                form = {"__ministack_format__": persistence._state_format_version(service), "payload": state}
                texts[f"{service}.json"] = json.dumps(form, default=_written).encode()
        texts[OWN] = pickle.dumps({name: _steady(lambda s=store: _plain(s)) for name, store in seams.kept.items()})
        for name, text in texts.items():
            digest = hashlib.sha256(text).hexdigest()
            if _saved.get(name) != digest:
                _write(_folder() / name, text)
                _saved[name] = digest
        _forget_blobs()
        (_folder() / SAVED).touch()


def _folder() -> Path:
    return Path(persistence.STATE_DIR)


def _written(value: Any) -> Any:
    """What stands in JSON for what JSON has not."""
    if not isinstance(value, bytes) or len(value) < LARGE:
        return persistence._json_default(value)
    if id(value) not in _blobs:
        name = hashlib.sha256(value).hexdigest()
        if not (_folder() / "blobs" / name).exists():
            _write(_folder() / "blobs" / name, value)
        _blobs[id(value)] = (value, name)
    _seen.add(id(value))
    return {BLOB: _blobs[id(value)][1]}


def _forget_blobs() -> None:
    """Of functions that are no more."""
    for key in _blobs.keys() - _seen:
        del _blobs[key]
    used = {name for _, name in _blobs.values()}
    for path in (_folder() / "blobs").glob("*"):
        if path.name not in used:
            path.unlink()


def _steady(read: Any) -> Any:
    """What `read` makes of a store that others change meanwhile. Raises RuntimeError where that never ends."""
    for _ in range(20):
        with contextlib.suppress(RuntimeError):  # changed size during iteration
            return read()
    return read()


def _plain(store: Any) -> Any:
    return pickle.loads(pickle.dumps(getattr(store, "_data", store)))


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    beside.write_bytes(text)
    beside.replace(path)


def _load_own() -> None:
    path = _folder() / OWN
    if not path.exists():
        return
    for name, found in pickle.loads(path.read_bytes()).items():
        if name in seams.kept:
            store = seams.kept[name]
            getattr(store, "_data", store).update(found)


def _waits() -> Iterator[dict[str, Any]]:
    """Of the top level of executions; a wait in a branch or a child has no place to go on from."""
    for (account, region, token), waiting in _steady(lambda: list(sfn._task_tokens._data.items())):
        execution, context = waiting.get("root"), waiting.get("context") or {}
        state = (context.get("State") or {}).get("Name")
        with seams.scope(account, region):
            if execution is None or waiting["event"].is_set() or state not in _states(execution):
                continue
        where = {"account": account, "region": region, "token": token, "execution": execution["executionArn"]}
        yield where | {"raw": waiting["raw"], "deadline": waiting["until"], "context": context}


def _states(execution: dict[str, Any]) -> dict[str, Any]:
    machine = sfn._state_machines.get(execution["stateMachineArn"])
    states: dict[str, Any] = json.loads(machine["definition"])["States"] if machine else {}
    return states


def _go_on(execution: dict[str, Any], wait: dict[str, Any]) -> None:
    """The rest of an execution, from the state in which it waited; what MiniStack does from the first state on."""
    stepfunctions.root.set(execution)
    stepfunctions.resumed.set(wait)
    states, context, given = _states(execution), wait["context"], wait["raw"]
    name: str | None = context["State"]["Name"]
    waits = True
    try:
        while name and execution["status"] == "RUNNING":
            state = states[name]
            kind = state["Type"]
            if not waits:
                context["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
                _event(execution, kind, "Entered", name, {"input": json.dumps(given)})
            waits = False
            if kind == "Fail":
                raise sfn._ExecutionError(*sfn._fail_state_error(state, given, context))
            if kind == "Succeed":
                given, following = sfn._apply_output_path(state, given, context), None
            elif kind in ("Task", "Parallel", "Map"):
                given, following = getattr(sfn, f"_execute_{kind.lower()}")(state, given, execution, context)
            else:
                given, following = getattr(sfn, f"_execute_{kind.lower()}")(state, given, context)
            _event(execution, kind, "Exited", name, {"output": json.dumps(given)})
            name = following
        if execution["status"] == "RUNNING":
            execution.update(status="SUCCEEDED", output=json.dumps(given), stopDate=sfn.now_iso())
            details = {"executionSucceededEventDetails": {"output": execution["output"]}}
            sfn._add_event(execution, "ExecutionSucceeded", details)
            sfn._emit_execution_status_event(execution)
    except sfn._ExecutionError as error:
        sfn._fail_execution(execution, error.error, error.cause)
    except Exception as error:
        seams.log.exception("execution %s", execution["executionArn"])
        sfn._fail_execution(execution, "States.Runtime", str(error))


def _event(execution: dict[str, Any], kind: str, what: str, name: str, details: dict[str, Any]) -> None:
    sfn._add_event(execution, f"{kind}State{what}", {f"state{what}EventDetails": {"name": name, **details}})


def _tell(ran: list[tuple[str, str, str]]) -> None:
    """Of executions that ran, and wait for no token, once everybody who listens is there again."""
    time.sleep(TELL_SECONDS)
    for account, region, arn in ran:
        with seams.scope(account, region):
            execution = sfn._executions.get(arn)
            if execution is None or execution["status"] != "RUNNING":
                continue
            entered = [e for e in execution["events"] if e["type"].endswith("StateEntered")]
            state = entered[-1]["stateEnteredEventDetails"]["name"] if entered else "of the beginning"
            sfn._fail_execution(execution, "States.ServiceRestart", CAUSE.format(state=state))
