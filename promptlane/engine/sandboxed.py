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
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.errors import HeaderParseError
from email.headerregistry import Address
from functools import lru_cache
from typing import Any, Final

import jsonschema
import referencing
import referencing.exceptions
import regress
from fqdn import FQDN
from jsonschema.validators import extend, validator_for

from promptlane.engine.schemas import FORMATS

Json = Any
_SHOWN: Final = 300
_TOO_DEEP: Final = "goes deeper than can be followed: the schema refers to itself, or the value is nested so far"
# What `referencing`'s map in Rust makes of a RecursionError that meets it while it compares keys: no Exception, and of
# a class that nothing exports. What it printed to stderr nobody reads.
_PANIC: Final = "PanicException"


_FORMATS: Final = jsonschema.FormatChecker(formats=FORMATS)


def _is_email(value: object) -> bool:
    """The library's own asks for no more than an `@`."""
    if not isinstance(value, str):
        return True
    try:
        address = Address(addr_spec=value)
    except (ValueError, HeaderParseError, IndexError):
        return False
    return bool(FQDN(address.domain, min_labels=2).is_valid)


_FORMATS.checks("email")(_is_email)


@lru_cache(maxsize=100)
def _compiled(pattern: str, flags: str = "") -> Any:
    return regress.Regex(pattern, flags)


def _search(source: str, request: Mapping[str, Json]) -> bool:
    return _compiled(source).find(_whole(request["text"])) is not None


def _pattern_error(source: str, _: Mapping[str, Json]) -> str:
    try:
        _compiled(source)
    except regress.RegressError as error:
        return str(error)
    return ""


def _found(pattern: str, text: str) -> bool:
    """Patterns of schemas have the flag u, where they are valid with it (JSON Schema 2020-12, section 6.4)."""
    try:
        compiled = _compiled(pattern, "u")
    except regress.RegressError:
        compiled = _compiled(pattern)
    return compiled.find(_whole(text)) is not None


def _whole(text: str) -> str:
    """Without halves of characters, which the engine does not take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _pattern(validator: Any, pattern: str, instance: Json, _: Json) -> Iterator[jsonschema.ValidationError]:
    if validator.is_type(instance, "string") and not _found(pattern, instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, named: Json, instance: Json, _: Json) -> Iterator[jsonschema.ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, schema in named.items():
            for key, value in instance.items():
                if _found(pattern, key):
                    yield from validator.descend(value, schema, path=key, schema_path=pattern)


def _additional(validator: Any, rest: Json, instance: Json, schema: Json) -> Iterator[jsonschema.ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    patterns = schema.get("patternProperties", {})
    known = schema.get("properties", {})
    extra = [key for key in instance if key not in known and not any(_found(pattern, key) for pattern in patterns)]
    if validator.is_type(rest, "object"):
        for key in extra:
            yield from validator.descend(instance[key], rest, path=key)
    elif not rest and extra:
        yield jsonschema.ValidationError(f"Additional properties are not allowed ({', '.join(map(repr, extra))})")


_ECMA: Final = {"pattern": _pattern, "patternProperties": _pattern_properties, "additionalProperties": _additional}


class _NoSchema(Exception):
    """It is no valid JSON Schema; the message says why."""


@lru_cache(maxsize=100)
def _validator(source: str) -> Any:
    schema = json.loads(source)
    draft = validator_for(schema, jsonschema.Draft202012Validator)
    # A registry of its own: the default one fetches what it does not know.
    return extend(draft, _ECMA)(schema, registry=referencing.Registry(), format_checker=_FORMATS)


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
        # The metaschema's formats are Python's: of patterns, say, which are JavaScript's.
        validator_for(schema, jsonschema.Draft202012Validator).check_schema(schema, format_checker=_FORMATS)
    except jsonschema.SchemaError as error:
        at = "/".join(str(part) for part in error.absolute_path)
        return str(error.message)[:_SHOWN] + (f" (at {at[:_SHOWN]})" if at else "")
    for pattern in _patterns(schema):
        try:
            _found(pattern, "")
        except regress.RegressError as error:
            return f"{pattern[:_SHOWN]!r} is no regular expression: {error}"
    return ""


def _patterns(schema: Json) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        if isinstance(schema.get("patternProperties"), dict):
            yield from schema["patternProperties"]
    if isinstance(schema, dict | list):
        for held in schema.values() if isinstance(schema, dict) else schema:
            yield from _patterns(held)


_WORK: Final[Mapping[str, Callable[[str, Mapping[str, Json]], Json]]] = {
    "search": _search,
    "pattern_error": _pattern_error,
    "misfit": _misfit,
    "schema_error": _schema_error,
}


def _answer(request: Mapping[str, Json]) -> dict[str, Json]:
    try:
        return {"result": _WORK[request["work"]](request["source"], request)}
    except MemoryError:
        return {"ended": f"took more memory than {sys.argv[1]} MiB"}
    except RecursionError:
        return {"ended": _TOO_DEEP}
    except regress.RegressError as error:
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
