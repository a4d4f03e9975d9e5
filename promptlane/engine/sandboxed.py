"""What runs in the child process of `sandbox`: one request a line, one answer a line, until the pipe is closed.

The processor time of each request is bounded by an interval timer whose signal ends the process, whatever C code it is
in; memory by the kernel. An answer is {"result"}, {"invalid": why} or {"ended": what it ran out of}.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

import jsonschema
import referencing
import referencing.exceptions
import regex
from jsonschema.validators import validator_for

Json = Any
_SHOWN: Final = 300
_TOO_DEEP: Final = "goes deeper than can be followed: the schema refers to itself, or the value is nested so far"
# What `referencing`'s map in Rust makes of a RecursionError that meets it while it compares keys: no Exception, and of
# a class that nothing exports. What it printed to stderr nobody reads.
_PANIC: Final = "PanicException"


@lru_cache(maxsize=100)
def _compiled(pattern: str) -> Any:
    return regex.compile(pattern)


def _search(source: str, request: Mapping[str, Json]) -> bool:
    found = _compiled(source).search(request["text"], timeout=float(request["seconds"]))
    return found is not None


def _pattern_error(source: str, _: Mapping[str, Json]) -> str:
    try:
        _compiled(source)
    except regex.error as error:
        return str(error)
    return ""


class _NoSchema(Exception):
    """It is no valid JSON Schema; the message says why."""


@lru_cache(maxsize=100)
def _validator(source: str) -> Any:
    schema = json.loads(source)
    # A registry of its own: the default one fetches what it does not know.
    return validator_for(schema, jsonschema.Draft202012Validator)(schema, registry=referencing.Registry())


def _misfit(source: str, request: Mapping[str, Json]) -> str:
    try:
        error = jsonschema.exceptions.best_match(_validator(source).iter_errors(request["value"]))
    except TypeError as wrong:
        # A number or a list where another belongs. The metaschema says what, as no traceback of a library would.
        raise _NoSchema(_schema_error(source, {}) or str(wrong)[:_SHOWN]) from wrong
    return "" if error is None else f"{error.message[:_SHOWN]} (at {error.json_path[:_SHOWN]})"


def _schema_error(source: str, _: Mapping[str, Json]) -> str:
    schema = json.loads(source)
    try:
        validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema)
    except jsonschema.SchemaError as error:
        at = "/".join(str(part) for part in error.absolute_path)
        return str(error.message)[:_SHOWN] + (f" (at {at[:_SHOWN]})" if at else "")
    return ""


_WORK: Final[Mapping[str, Callable[[str, Mapping[str, Json]], Json]]] = {
    "search": _search,
    "pattern_error": _pattern_error,
    "misfit": _misfit,
    "schema_error": _schema_error,
}


def _answer(request: Mapping[str, Json]) -> dict[str, Json]:
    try:
        return {"result": _WORK[request["work"]](request["source"], request)}
    except TimeoutError:
        return {"ended": f"took longer than {request['seconds']:g} s"}
    except MemoryError:
        return {"ended": f"took more memory than {sys.argv[1]} MiB"}
    except RecursionError:
        return {"ended": _TOO_DEEP}
    except regex.error as error:
        return {"invalid": f"is not valid: {error}"}
    except referencing.exceptions.Unresolvable as error:
        return {"invalid": f"refers to {str(error)[:_SHOWN]}, which it does not hold; nothing is fetched"}
    except _NoSchema as error:
        return {"invalid": f"is no valid JSON Schema: {error}"}
    except BaseException as error:  # noqa: BLE001 - whatever a library makes of odd data, the next request is answered
        if type(error).__name__ == _PANIC:
            return {"ended": _TOO_DEEP}
        return {"invalid": f"cannot be evaluated: {type(error).__name__}: {str(error)[:_SHOWN]}"}


def _bound_memory(mib: int) -> None:
    """What is mapped by now, and so much more. Where the kernel does not tell or take it, the time still binds."""
    with suppress(OSError, ValueError):
        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        most = mapped + mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _bound_memory(int(sys.argv[1]))
    out = sys.stdout.buffer
    out.write(b"\n")
    out.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, float(request["seconds"]) * 1.1)
        answer = _answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    _serve()
