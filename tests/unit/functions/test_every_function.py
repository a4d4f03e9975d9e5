"""What holds of every function: which variables it needs, and that its log says whose it is."""

from __future__ import annotations

import importlib
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from promptlane.domain.errors import InvalidInput
from tests.support.functions import forget

FUNCTIONS = Path(__file__).parents[3] / "functions"
VERBS = sorted(p.parent.name for p in FUNCTIONS.glob("*/handler.py") if p.parent.name != "gateway")
"""Without the gateway, which reads its environment itself so that it starts without what Settings needs."""
OPTIONAL: dict[str, dict[str, Any]] = {
    "housekeep": {"audit_bucket": ""},
    "judge": {"resolution_seconds": 60, "arrival_seconds": 0.0},
    "promote": {"resolution_seconds": 60},
    "relay": {"audit_bucket": ""},
    "shift": {"resolution_seconds": 60},
}
SILENT = {"admit", "grade", "plan_tests", "promote", "run_cases", "shift"}


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_without_its_environment_names_every_variable_at_once(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = importlib.import_module(f"functions.{verb}.handler")
    defaults = {f.name: f.default for f in fields(handler.Settings)}
    for name in defaults:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    forget(handler)

    for wire in (getattr(handler, name) for name in ("wire", "wire_aftermath") if hasattr(handler, name)):
        with pytest.raises(InvalidInput) as refused:
            wire()
        said = "; ".join(f"{name.upper()} is not set" for name, value in defaults.items() if value is MISSING)
        assert str(refused.value) == f"the function's environment is wrong: {said}"
    assert {name: value for name, value in defaults.items() if value is not MISSING} == OPTIONAL.get(verb, {})
    log = getattr(handler, "log", None)
    assert (log is None) is (verb in SILENT)
    assert log is None or getattr(log, "service", log.name) == verb, "its log says whose it is"
