"""What holds of every function: which variables it needs, and that its log says whose it is."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import FunctionType, SimpleNamespace

import pytest

from promptlane.aws import composition
from promptlane.domain.errors import InvalidInput
from tests.support.functions import asked_for, forget, wires

FUNCTIONS = Path(__file__).parents[3] / "functions"
VERBS = sorted(p.parent.name for p in FUNCTIONS.glob("*/handler.py") if p.parent.name != "gateway")
"""Without the gateway, which reads its environment itself."""
LATE = {"TRAIL_LATE_SECONDS"}
OPTIONAL = {
    **dict.fromkeys(("decide", "enrol", "reconcile", "remind", "request_review", "review"), LATE),
    "housekeep": {"AUDIT_BUCKET"},
    "judge": {"RESOLUTION_SECONDS", "ARRIVAL_SECONDS"},
    "promote": {"RESOLUTION_SECONDS"},
    "relay": {"AUDIT_BUCKET"},
    "shift": {"RESOLUTION_SECONDS"},
}
SILENT = {"admit", "grade", "plan_tests", "promote", "run_cases", "shift"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_without_its_environment_names_every_variable_at_once(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = importlib.import_module(f"functions.{verb}.handler")
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "us-east-1")
    needed = asked_for(handler) - OPTIONAL.get(verb, set())
    monkeypatch.setattr(composition, "os", SimpleNamespace(environ={}))

    told = set()
    for wire in wires(handler):
        forget(handler)
        with pytest.raises(InvalidInput) as refused:
            wire()
        said, _, names = str(refused.value).partition(": ")
        assert said == "the function's environment is wrong"
        told |= set(names.split("; "))
    assert told == {f"{name} is not set" for name in needed}
    log = getattr(handler, "log", None)
    log = log() if isinstance(log, FunctionType) else log
    assert (log is None) is (verb in SILENT)
    assert log is None or getattr(log, "service", log.name) == verb, "its log says whose it is"


def test_a_number_that_is_none_is_named_with_what_else_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"KEEP_VERSIONS": "many", "VERSION_QUOTA": "10", "ROUTE_TABLE": "routes"}
    monkeypatch.setattr(composition, "os", SimpleNamespace(environ=known))
    function = composition.Function(known)
    assert (function.number("version_quota", int), function.number("absent", float, 2.5)) == (10, 2.5)
    assert (function.setting("route_table"), function.optional("absent"), function.problems) == ("routes", "", {})
    function.number("keep_versions", int)
    function.number("absent", int)
    assert function.problems == {
        "keep_versions": "KEEP_VERSIONS='many' is not a number",
        "absent": "ABSENT is not set",
    }
