"""A pytest plugin (`-p tests.mutants.covering`): which test runs which line, and how long each takes.

Writes coverage data with the test's id as context to the folder of $PROMPTLANE_COVERING, and `durations-*.json` beside.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

FOLDER = Path(os.environ["PROMPTLANE_COVERING"])
SOURCES = ["promptlane", "functions", "infra"]

_coverage = coverage.Coverage(
    data_file=str(FOLDER / "coverage"), data_suffix=True, source=SOURCES, config_file=False, messages=False
)
_coverage.start()
_seconds: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _coverage.switch_context(item.nodeid)
    started = time.perf_counter()
    try:
        return (yield)
    finally:
        _seconds[item.nodeid] = time.perf_counter() - started
        _coverage.switch_context("")


def pytest_sessionfinish() -> None:
    _coverage.stop()
    _coverage.save()
    (FOLDER / f"durations-{os.getpid()}.json").write_text(json.dumps(_seconds))
