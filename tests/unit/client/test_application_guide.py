"""The code of docs/application.md, run as it stands there, and that it names all that an application may use."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import promptlane.client
from benchmarks.route import read_cost
from promptlane.client import Answer, AsyncPromptClient, Decision, PromptClient, Session, StreamedAnswer, VersionData
from promptlane.client.aio import AsyncStreamedAnswer
from promptlane.client.observation import Observation
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client, response_of

GUIDE = (Path(__file__).parents[3] / "docs" / "application.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
PRINTED = [
    "Yes, within 30 days.\n3 stable\n",
    "It is in Lyon.\n",
    "Yes, within 30 days.",
    "Yes, within 30 days.",
    "Yes, within 30 days.",
    "end_turn Be kind.\n",
    "",
    "Yes, within 30 days. 3\n",
]


def reply(request: Any) -> Any:
    """A call of a tool for the question that the guide's application has one for."""
    *_, last = request.get("messages") or [{"content": [{}]}]
    if "toolResult" in last["content"][0]:
        return "It is in Lyon."
    if "parcel" not in last["content"][0].get("text", ""):
        return "Yes, within 30 days."
    called = {"toolUse": {"toolUseId": "t1", "name": "track", "input": {"parcel": 17}}}
    response = response_of("", stop_reason="tool_use")
    response["output"]["message"]["content"] = [called]
    return response


def test_a_newcomer_can_follow_the_guide(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    routes = StaticRoutes()
    said = {"messages": [{"role": "user", "content": [{"text": "{{question}}"}]}], "system": [{"text": "Be kind."}]}
    held = {"modelId": "amazon.nova-lite-v1:0", "templateConfiguration": {"chat": said}}
    variables = ["customer_name", "question", "retrieved_context"]
    routes.put("support-assistant", stable=3, variables=variables, holds={3: held})
    bedrock = FakeBedrock(reply)
    monkeypatch.setattr(promptlane.client, "PromptClient", lambda: fake_client(routes, bedrock))
    made = lambda: AsyncPromptClient(fake_client(routes, bedrock))  # noqa: E731
    monkeypatch.setattr(promptlane.client, "AsyncPromptClient", made, raising=False)
    names: dict[str, Any] = {"bedrock": bedrock}
    names["variables"] = {"customer_name": "Anna", "question": "Can I?", "retrieved_context": "Returns: 30 days."}
    names["use_tool"] = lambda use: {"toolUseId": use["toolUseId"], "content": [{"text": "Lyon"}]}
    printed = []
    for block in BLOCKS:
        client = names.get("client")
        exec(compile(block, "docs/application.md", "exec"), names)
        printed.append(capsys.readouterr().out)
        if "fake_client(" in block:  # what the reader's tests do is not the application
            names["client"] = client
    assert printed == PRINTED
    assert bedrock.calls[1]["requestMetadata"]["tenant"] == "t-17"


PUBLIC = (
    PromptClient,
    AsyncPromptClient,
    Answer,
    StreamedAnswer,
    AsyncStreamedAnswer,
    Observation,
    VersionData,
    Session,
)
IN_EVERY_EXAMPLE = {"self", "prompt", "client", "settings"}


def arguments(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - IN_EVERY_EXAMPLE


@pytest.mark.parametrize("kind", PUBLIC)
def test_the_guide_names_all_that_an_application_may_use(kind: type) -> None:
    public = {name: found for name, found in vars(kind).items() if not name.startswith("_")}
    assert public
    wanted = {argument for found in public.values() if inspect.isroutine(found) for argument in arguments(found)}
    if kind is PromptClient:
        wanted |= arguments(PromptClient) | arguments(Decision.request)
    assert [name for name in public if not re.search(rf"[`.]{name}\b", GUIDE)] == []
    assert [name for name in wanted if not re.search(rf"`{name}[`=]|\b{name}=|\({name}[,)]", GUIDE)] == []


def test_the_guides_cost_table_is_what_the_formula_gives() -> None:
    for rps, processes in ((10, 1), (1000, 10), (100_000, 1000)):
        cost = read_cost(rps)
        row = (
            f"| {rps:,} requests/s | {processes:,} | {cost['reads_per_s']:g} | {cost['usd_per_million_requests']:.4f} |"
        )
        assert row in GUIDE
