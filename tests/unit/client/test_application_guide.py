"""The code of docs/application.md, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import promptlane.client
from benchmarks.route import read_cost
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client

GUIDE = (Path(__file__).parents[3] / "docs" / "application.md").read_text("utf-8")


def test_a_newcomer_can_follow_the_guide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    routes = StaticRoutes()
    routes.put("support-assistant", stable=3, variables=["customer_name", "question", "retrieved_context"])
    bedrock = FakeBedrock("Yes, within 30 days.")
    monkeypatch.setattr(promptlane.client, "PromptClient", lambda: fake_client(routes, bedrock))
    names: dict[str, Any] = {"bedrock": bedrock}
    names["variables"] = {"customer_name": "Anna", "question": "Can I?", "retrieved_context": "Returns: 30 days."}
    blocks = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, "docs/application.md", "exec"), names)
    assert capsys.readouterr().out == "Yes, within 30 days.\n3 stable\nYes, within 30 days."
    assert len(bedrock.calls) == 3


def test_the_guides_cost_table_is_what_the_formula_gives() -> None:
    for rps, processes in ((10, 1), (1000, 10), (100_000, 1000)):
        cost = read_cost(rps)
        row = (
            f"| {rps:,} requests/s | {processes:,} | {cost['reads_per_s']:g} | {cost['usd_per_million_requests']:.4f} |"
        )
        assert row in GUIDE
