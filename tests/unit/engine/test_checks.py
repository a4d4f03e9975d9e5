"""Registered Python checks: found by name, also in the deployed package, and never two of one name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from promptlane.domain.errors import InvalidInput
from promptlane.engine import checks


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, checks.Check]:
    """Nothing but what a test registers."""
    mine: dict[str, checks.Check] = {}
    monkeypatch.setattr(checks, "_REGISTERED", mine)
    monkeypatch.delitem(sys.modules, "promptlane_checks", raising=False)
    return mine


def short(output: str, variables: Mapping[str, str]) -> bool:
    return len(output) < 10


def kind(output: str, variables: Mapping[str, str]) -> float:
    return 0.5


def test_a_check_is_registered_once_under_its_name() -> None:
    assert checks.check("short")(short) is short
    assert checks.check("short")(short) is short
    with pytest.raises(InvalidInput) as caught:
        checks.check("short")(kind)
    assert str(caught.value) == "two checks are called 'short'; names are unique"
    assert checks.load() == {"short": short}


def test_what_is_loaded_is_a_copy(registered: dict[str, checks.Check]) -> None:
    checks.load()["mine"] = short
    assert registered == {}


def package(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "promptlane_checks.py").write_text(body)
    monkeypatch.syspath_prepend(folder)


def test_the_deployed_package_registers_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "from promptlane.engine.checks import check\n\n@check('deployed')\ndef deployed(output, variables):\n    ...\n"
    )
    package(tmp_path, body, monkeypatch)
    checks.check("short")(short)
    assert checks.load().keys() == {"deployed", "short"}
    assert checks.unknown({"deployed", "zz", "short", "aa"}) == [
        f"python check {name!r} is not registered (registered: deployed, short); "
        "add it to the package promptlane_checks and deploy, suites themselves hold no code"
        for name in ("aa", "zz")
    ]


def test_without_any_check_that_is_said() -> None:
    assert checks.unknown({"aa"})[0].startswith("python check 'aa' is not registered (registered: none);")
    assert checks.unknown(set()) == []


def test_a_package_that_cannot_be_imported_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "import a_module_that_is_nowhere\n", monkeypatch)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_nowhere"):
        checks.load()
