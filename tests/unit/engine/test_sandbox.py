"""The child process that evaluates patterns and schemas of others: what it answers, and how it ends."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from promptlane.domain import limits
from promptlane.engine import sandbox, sandboxed
from promptlane.engine.kinds import Ungradable
from promptlane.engine.sandbox import Invalid, OutOfLimits, misfit, pattern_error, schema_error, search

Json = Any
ENDLESS = ("^(a|aa)+$", "a" * 3_000 + "b")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sandbox._strikes.clear()
    monkeypatch.setattr(limits, "EVALUATION_SECONDS", 0.2)
    yield
    sandbox._strikes.clear()


def child() -> subprocess.Popen[bytes]:
    process = sandbox._child._process
    assert process is not None
    return process


def test_a_pattern_is_found_anywhere_in_a_text_of_any_size() -> None:
    assert search(r"b[A-ZÄ]+$", "x" * 1_000_000 + "\nbÄ")
    assert not search("^b", "ab\ud800")
    assert pattern_error("(a)") == ""
    assert pattern_error("(a") == "Unbalanced parenthesis"
    with pytest.raises(Invalid, match="is not valid: Unbalanced"):
        search("(a", "a")


def test_a_value_fits_a_schema_or_it_is_said_where_not() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"maximum": 3}}}}
    assert misfit(schema, {"a": [1, 2]}) == ""
    assert misfit(schema, {"a": [1, 4]}) == "4 is greater than the maximum of 3 (at $.a[1])"
    assert misfit({"const": "y" * 400}, 1) == f"'{'y' * 299} (at $)"
    assert schema_error({"type": "text"}).startswith("'text' is not valid under any of the given schemas")
    assert schema_error(True) == ""
    with pytest.raises(Invalid, match="which it does not hold; nothing is fetched"):
        misfit({"$ref": "#/nowhere"}, 1)
    with pytest.raises(Invalid, match="cannot be evaluated: OverflowError"):
        misfit({"multipleOf": 0.1}, 10**4_000)


def test_a_schema_that_goes_deeper_than_can_be_followed_is_out_of_limits() -> None:
    deep: Json = {}
    for _ in range(400):
        deep = {"a": deep}
    with pytest.raises(OutOfLimits, match="goes deeper than can be followed"):
        misfit({"properties": {"a": {"$ref": "#"}}}, deep)


def test_a_panic_of_a_library_in_rust_is_the_recursion_that_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """What pyo3 raises; it exports the class nowhere."""

    def panics(source: str, _: Mapping[str, Any]) -> None:
        raise PanicException("__eq__ failed!: PyErr { type: RecursionError }")

    monkeypatch.setitem(sandboxed._WORK, "misfit", panics)
    answer = sandboxed._answer({"work": "misfit", "source": "{}", "value": {}})
    assert "deeper than can be followed" in answer["ended"]


def test_the_next_evaluation_gets_a_new_child_and_two_strikes_are_enough() -> None:
    search("a", "a")
    first = child()
    for _ in range(sandbox.STRIKES):
        with pytest.raises(OutOfLimits, match=r"took longer than 0.2 s"):
            search(*ENDLESS)
    assert search("a", "a")
    last = child()
    with pytest.raises(OutOfLimits, match=r"took longer than 0.2 s"):
        search(*ENDLESS)
    assert child() is last
    assert last.poll() is None
    assert first.poll() is None or first is not last


def test_a_schema_that_takes_too_long_ends_the_child_alone() -> None:
    with pytest.raises(OutOfLimits, match=r"took longer than 0.2 s"):
        misfit({"pattern": ENDLESS[0]}, "a" * 200 + "b")
    assert search("a", "a")


def test_memory_is_bounded_by_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "EVALUATION_SECONDS", 5.0)
    search("a", "a")
    child().kill()  # what an earlier test had it take and give back is room that the bound does not see
    child().wait()
    with pytest.raises(OutOfLimits, match="took more memory than 96 MiB"):
        search("b", "a" * 80_000_000)
    assert search("a", "a")


def test_a_child_that_was_killed_is_replaced() -> None:
    search("a", "a")
    before = child()
    before.kill()
    before.wait()
    assert search("a", "a")
    assert child() is not before


def test_a_child_that_does_not_start_makes_what_is_asked_ungradable(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox._child.end()
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Ungradable, match=r"does not start \(exit code 1\)"):
        search("a", "a")


def test_the_child_knows_no_credentials_and_takes_no_module_from_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sandbox._child.end()
    (tmp_path / "json.py").write_text("raise SystemExit('taken from here')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert search("a", "a")
    environment = Path(f"/proc/{child().pid}/environ").read_bytes()
    assert b"AWS_" not in environment
    sandbox._child.end()


def test_threads_take_turns() -> None:
    found: list[bool] = []
    threads = [threading.Thread(target=lambda i=i: found.append(search(f"^{i}$", str(i)))) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20


def test_a_forked_child_has_a_sandbox_of_its_own() -> None:
    search("a", "a")
    mine = child().pid
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = search("b", "b")
        os.write(write, str(child().pid if found else 0).encode())
        child().kill()
        os._exit(0)
    os.waitpid(pid, 0)
    theirs = int(os.read(read, 100))
    os.close(read)
    os.close(write)
    assert theirs not in (0, mine)
    assert search("c", "c")
    assert child().pid == mine
