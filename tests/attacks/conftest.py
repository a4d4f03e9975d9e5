"""`make attacks`: the outcome of every attack in one file, also where several processes make them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.attacks import PROPERTY


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attacks-json", type=Path, help="where to write what became of every attack")


def pytest_configure(config: pytest.Config) -> None:
    if (path := config.getoption("--attacks-json", None)) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Outcomes(path), "attacks")


class _Outcomes:
    """Collects what the tests recorded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made: list[dict[str, object]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._made += [value for name, value in report.user_properties if name == PROPERTY]  # type: ignore[misc]

    def pytest_sessionfinish(self) -> None:
        made = sorted(self._made, key=lambda a: (str(a["kind"]), str(a["attack"])))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(made, indent=1) + "\n")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        held = sum(bool(a["held"] and a["succeeds_unguarded"]) for a in self._made)
        terminalreporter.write_line(f"{held} of {len(self._made)} attacks held; {self._path}")
