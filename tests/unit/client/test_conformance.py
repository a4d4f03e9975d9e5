"""docs/route-vectors.json: what a client makes of routes of neighbouring releases, and of what a table shows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from promptlane.client import UnsupportedRoute, errors
from promptlane.client.order import BELIEVED_AFTER
from promptlane.client.routes import Reading, Routes
from promptlane.client.testing import StaticRoutes, fake_client
from promptlane.domain import errors as domain_errors
from promptlane.domain.release.route import SCHEMA, Route
from tests.support.client import Clock, Threads

FILE = Path(__file__).resolve().parents[3] / "docs" / "route-vectors.json"
DOCUMENT = json.loads(FILE.read_text())
PROMPT = DOCUMENT["prompt"]
by_name = pytest.mark.parametrize("case", DOCUMENT["routes"], ids=lambda case: case["name"])


class Table(StaticRoutes):
    """Shows one item to reads that may lag, and another to consistent ones."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        super().__init__()
        self.items[PROMPT] = dict(item)
        self.again: Mapping[str, Any] | None = None
        self.asked_again = 0

    def read_again(self, prompts: Iterable[str]) -> Mapping[str, Any]:
        assert list(prompts) == [PROMPT]
        self.asked_again += 1
        return {} if self.again is None else {PROMPT: self.again}


def units(routes: StaticRoutes, names: Iterable[str]) -> dict[str, list[Any]]:
    client = fake_client(routes)
    return {unit: [(found := client.route(PROMPT, unit)).track, found.version] for unit in names}


@by_name
def test_a_client_gives_the_published_answer(case: dict[str, Any]) -> None:
    table = Table(case["item"])
    if "error" in case:
        kind = getattr(errors, case["error"], None) or getattr(domain_errors, case["error"])
        with pytest.raises(kind):
            fake_client(table).route(PROMPT, "u0")
        return
    answer, client = case["answer"], fake_client(table)
    assert units(table, DOCUMENT["units"]) == answer["units"]
    for unit in DOCUMENT["units"]:
        found = client.route(PROMPT, unit)
        version = answer["versions"][str(found.version)]
        assert (found.version_arn, found.fingerprint) == (version["version_arn"], version["fingerprint"])
        assert (None if found.variables is None else sorted(found.variables)) == version["variables"]
        assert found.guardrail == version["guardrail"]
        assert {name: list(price) for name, price in found.per_token.items()} == version["per_token"]
        assert (found.release_id, found.revision, found.phase) == tuple(
            answer[name] for name in ("release_id", "revision", "phase")
        )
    live = client._live[PROMPT]
    assert (live.epoch, live.schema) == (answer["epoch"], answer["schema"])


@pytest.mark.parametrize("case", DOCUMENT["sequences"], ids=lambda case: case["name"])
def test_a_client_follows_what_its_table_shows(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, _ = Clock(monkeypatch), Threads(monkeypatch)
    begun, stale = clock.ticks, list[str]()
    table = Table(case["items"][case["steps"][0]["read"]])
    found = Routes(table, on_stale=lambda prompt, age: stale.append(prompt))
    for step in case["steps"]:
        clock.ticks = begun + step["at"]
        table.items[PROMPT] = case["items"][step["read"]]
        table.again = case["items"][step["again"]] if "again" in step else None
        table.asked_again = 0
        stale.clear()
        if PROMPT in found.live:
            found.live[PROMPT].due = 0.0
        found.current(PROMPT)
        live = found.live[PROMPT]
        assert table.asked_again == ("again" in step), step
        assert (live.epoch, live.revision) == (step["epoch"], step["revision"]), step
        assert bool(stale) is step["stale"], step
        client = fake_client(StaticRoutes())
        client._live[PROMPT] = live
        live.due = clock.ticks + 1e9
        got = {unit: [(at := client.route(PROMPT, unit)).track, at.version] for unit in DOCUMENT["units"]}
        assert got == step["units"], step


def test_the_file_is_current() -> None:
    """A field that routes come to have, or a schema that they come to be of, is in the file with its answer."""
    assert (DOCUMENT["schema"], DOCUMENT["believed_after"]) == (SCHEMA, BELIEVED_AFTER)
    today = [case["item"] for case in DOCUMENT["routes"] if case["written_by"] == "today"]
    for item in today:
        assert Route.from_item(item).to_item() == item
    assert {item["phase"] for item in today} == {"steady", "canary", "watch"}
    full = next(item for item in today if item["phase"] == "canary")
    assert full.keys() == {*Route.from_item(full).to_item(), "canary"}
    assert "per_token" in full
    for item in (case["item"] for case in DOCUMENT["routes"] if case["written_by"] == "previous"):
        assert Route.from_item(item).epoch == 0


def test_a_client_says_once_which_schemas_it_met(caplog: pytest.LogCaptureFixture) -> None:
    newer = next(case["item"] for case in DOCUMENT["routes"] if "readable_by" in case["item"] and "answer" in case)
    table = Table(newer)
    client = fake_client(table, refresh=0.001)
    with caplog.at_level(logging.WARNING, "promptlane.client"):
        for _ in range(3):
            client._live.clear()
            client.route(PROMPT, "u0")
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"the route of {PROMPT} has schema 2 and phase canary; this client knows schema {SCHEMA}")
    assert client.schemas == (SCHEMA, (2,))


def test_a_client_that_holds_a_route_goes_on_with_it_where_a_newer_schema_is_not_for_it() -> None:
    refused = next(case["item"] for case in DOCUMENT["routes"] if case.get("error") == "UnsupportedRoute")
    table = Table({**refused, "schema": SCHEMA, "revision": 1})
    told: list[str] = []
    found = Routes(table, refresh=0.001, on_stale=lambda prompt, age: told.append(prompt))
    held = found.current(PROMPT)
    table.items[PROMPT] = dict(refused)
    found._read({PROMPT: Reading()})
    assert (found.live[PROMPT], told) == (held, [PROMPT])
    with pytest.raises(UnsupportedRoute, match="upgrade promptlane here"):
        Routes(table).current(PROMPT)
