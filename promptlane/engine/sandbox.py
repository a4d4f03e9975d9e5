"""Evaluates patterns and schemas of others where they can do no harm: in a process of its own, within limits.

A regular expression that is being matched cannot be interrupted, a schema can be looked through for longer than the
world lasts, and both can eat all memory while they are only read. So they are handed, with the text or value, to a
child process without AWS credentials in its environment. The kernel ends it when its processor time is up, and refuses
it memory; then another one is started for the next. Schemas are evaluated there with a registry that retrieves nothing.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from promptlane.domain import limits
from promptlane.domain.release.content import canonical_json

from .kinds import Ungradable

Json = Any
STRIKES: Final = 2
"""How often one pattern or schema may run out of its limits in this process before it is not tried any more."""
_SLOW_START: Final = 60.0
_CHUNK: Final = 1 << 16


class OutOfLimits(Ungradable):
    """Evaluating it took more time or memory than data of others may take. Never a pass, never a fail."""


class Invalid(Ungradable):
    """It is no regular expression, or no schema that could be evaluated."""


def search(pattern: str, text: str) -> bool:
    """Whether the text matches anywhere. Raises OutOfLimits, Invalid."""
    if problem := limits.pattern_problem(pattern):
        raise OutOfLimits(problem)
    return bool(_asked(("search", pattern), {"text": text}, limits.EVALUATION_SECONDS))


def misfit(schema: Json, value: Json) -> str:
    """Why a value does not fit a schema; empty when it does. Raises OutOfLimits, Invalid."""
    text = _admitted(schema)
    return str(_asked(("misfit", text), {"value": value}, limits.EVALUATION_SECONDS))


@lru_cache(maxsize=1_000)
def pattern_error(pattern: str) -> str:
    """Why a text is no regular expression; empty when it is one. Raises OutOfLimits."""
    if problem := limits.pattern_problem(pattern):
        raise OutOfLimits(problem)
    return str(_asked(("pattern_error", pattern), {}, limits.COMPILE_SECONDS))


def schema_error(schema: Json) -> str:
    """Why a value is no JSON Schema; empty when it is one. Raises OutOfLimits, Invalid."""
    return _schema_error(_admitted(schema))


@lru_cache(maxsize=200)
def _schema_error(text: str) -> str:
    return str(_asked(("schema_error", text), {}, limits.COMPILE_SECONDS))


def _admitted(schema: Json) -> str:
    """The schema as text; OutOfLimits when it must not be evaluated, whoever wrote it."""
    for place, problem in limits.schema_problems(schema):
        raise OutOfLimits(f"the schema{f' at {place}' if place else ''} {problem}")
    try:
        return canonical_json(schema)
    except (TypeError, ValueError) as error:
        raise Invalid(f"the schema is not JSON: {error}") from None


_strikes: Final[dict[tuple[str, str], tuple[int, str]]] = {}
"""How often what was asked about a pattern or schema ran out of limits, and which."""


def _asked(subject: tuple[str, str], more: dict[str, Json], seconds: float) -> Json:
    strikes, why = _strikes.get(subject, (0, ""))
    if strikes >= STRIKES:
        raise OutOfLimits(why)
    work, source = subject
    try:
        answer = _child.ask({"work": work, "source": source, "seconds": seconds, **more}, seconds)
    except _Ended as error:
        if len(_strikes) >= 10_000:
            _strikes.clear()
        _strikes[subject] = strikes + 1, str(error)
        raise OutOfLimits(str(error)) from None
    if "invalid" in answer:
        raise Invalid(str(answer["invalid"]))
    return answer["result"]


class _Ended(Exception):
    """The child gave no answer; the message says what it ran out of."""


class _Child:
    """The child process, started when it is first needed and again after it was ended. One evaluation at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: dict[str, Json], seconds: float) -> dict[str, Json]:
        line = json.dumps(request, default=str).encode() + b"\n"
        with self._lock:
            process = self._started()
            try:
                said = _exchange(process, line, time.monotonic() + max(1.0, limits.WALL_FACTOR * seconds))
                answer: dict[str, Json] = json.loads(said)
            except TimeoutError:
                self.end()
                raise _Ended(f"took longer than {seconds:g} s") from None
            except (OSError, ValueError):
                timed = process.wait() == -signal.SIGPROF
                self.end()
                ran_out = f"longer than {seconds:g} s" if timed else f"more memory than {limits.EVALUATION_MIB} MiB"
                raise _Ended(f"took {ran_out}") from None
        if "ended" in answer:
            raise _Ended(str(answer["ended"]))
        return answer

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self.end()
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            # -P: no module is taken from the folder that somebody stands in.
            [sys.executable, "-P", "-m", "promptlane.engine.sandboxed", str(limits.EVALUATION_MIB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            bufsize=0,
        )
        try:
            _exchange(self._process, b"", time.monotonic() + _SLOW_START)
        except (OSError, TimeoutError, ValueError):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)
            code = self._process.returncode
            self.end()
            raise Ungradable(f"the process for patterns and schemas does not start (exit code {code})") from None
        return self._process

    def end(self) -> None:
        """End the child; one that belongs to the process before a fork is left to it."""
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        if self._owner == os.getpid():
            process.kill()
            process.wait()
        else:
            process.returncode = 0  # not ours to wait for, nor to be warned about
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT") if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path), "PYTHONUTF8": "1"}


def _exchange(process: subprocess.Popen[bytes], line: bytes, until: float) -> bytes:
    """Write a line, read a line. TimeoutError when it takes too long, OSError when the child ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    said = bytearray()
    with selectors.DefaultSelector() as ready:
        writing = memoryview(line)
        os.set_blocking(process.stdin.fileno(), False)
        if writing:
            ready.register(process.stdin, selectors.EVENT_WRITE)
        ready.register(process.stdout, selectors.EVENT_READ)
        while not said.endswith(b"\n"):
            events = ready.select(max(0.0, until - time.monotonic()))
            if not events:
                raise TimeoutError
            for key, _ in events:
                if key.fileobj is process.stdin:
                    writing = writing[os.write(key.fd, writing[:_CHUNK]) :]
                    if not writing:
                        ready.unregister(process.stdin)
                else:
                    if not (read := os.read(key.fd, _CHUNK)):
                        raise BrokenPipeError
                    said += read
    return bytes(said)


_child: Final = _Child()
atexit.register(_child.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: setattr(_child, "_lock", threading.Lock()))
