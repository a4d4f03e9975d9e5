"""The fakes that applications test with: they say what the real ones say, and refuse what AWS refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promptlane.client import InvalidReceipt, PromptClient
from promptlane.client.aws import RouteTable
from promptlane.client.metrics import Directive, Document
from promptlane.client.testing import (
    FORBIDDEN,
    FakeBedrock,
    ListSink,
    StaticRoutes,
    fake_client,
    response_of,
    version_arn,
)
from promptlane.domain.canary.outcome import text_of
from promptlane.domain.release.route import Route
from tests.support.client import Dynamo

ID = "GREETER000"
ARN = f"arn:aws:bedrock:eu-west-1:111122223333:prompt/{ID}"


def ref(version: int, **more: Any) -> dict[str, Any]:
    return {"version": version, "fingerprint": f"{version:064x}", "arn": f"{ARN}:{version}", **more}


def base(newest: int, **more: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "prompt": "greeter",
        "prompt_id": ID,
        "weight": 0,
        "holdback": 0,
        "revision": 1,
        "release_id": f"{ID}-{newest}-1",
        "salt": f"test {ID}-{newest}-1",
        **more,
    }


@pytest.mark.parametrize(
    ("given", "item"),
    [
        ({"stable": 4}, base(4, phase="steady", stable=ref(4))),
        (
            {"stable": 4, "canary": 6, "weight": 250, "previous": 3},
            base(6, phase="canary", stable=ref(4), canary=ref(6), weight=250),
        ),
        (
            {"stable": 4, "previous": 3, "holdback": 700},
            base(4, phase="watch", stable=ref(4), previous=ref(3), holdback=700),
        ),
        (
            {"stable": 4, "canary": 6, "variables": ("b", "a"), "salt": "pepper"},
            base(
                6,
                phase="canary",
                stable=ref(4, variables=["b", "a"]),
                canary=ref(6, variables=["b", "a"]),
                salt="pepper",
            ),
        ),
    ],
)
def test_a_route_is_put_as_the_pipeline_writes_it(given: dict[str, Any], item: dict[str, Any]) -> None:
    routes = StaticRoutes()
    routes.put("greeter", **given)
    assert routes.items == {"greeter": item}
    route = Route.from_item(item)
    assert (route.stable.version, str(route.phase), route.weight, route.holdback) == (
        4,
        item["phase"],
        item["weight"],
        item["holdback"],
    )
    routes.put("other", stable=1)
    routes.put("greeter", stable=9)
    routes.put("greeter", **given)
    assert routes.items["greeter"] == {**item, "revision": 3}
    assert routes.items["other"]["revision"] == 1


def test_ids_in_arns_have_ten_characters() -> None:
    assert version_arn("greeter", 12) == f"{ARN}:12"
    assert version_arn("a-long-prompts-name", 3).endswith(":prompt/ALONGPROMP:3")


@pytest.fixture(params=["fake", "real"])
def reader(request: pytest.FixtureRequest) -> Callable[[StaticRoutes], Any]:
    """The fake route table, and the real one over a fake DynamoDB with the same items."""
    return lambda routes: routes if request.param == "fake" else RouteTable(Dynamo(routes), "routes")


@pytest.fixture
def routes() -> StaticRoutes:
    found = StaticRoutes()
    found.put("greeter", stable=1)
    found.put("second", stable=5, canary=6, weight=2500, variables=["a"])
    return found


def test_both_tables_read_what_there_is(reader: Callable[[StaticRoutes], Any], routes: StaticRoutes) -> None:
    table = reader(routes)
    assert table.read(["second"]) == {"second": routes.items["second"]}
    assert table.read(["greeter", "nobody", "second"]) == routes.items
    assert table.read(["nobody"]) == table.read(["nobody", "none"]) == {}


@pytest.mark.parametrize(
    ("given", "name"),
    [(ID, "greeter"), (ARN, "greeter"), (f"{ARN}:7", "greeter"), ("SECOND0000", "second"), ("NONE000000", None)],
)
def test_both_tables_know_a_prompt_by_its_id(
    reader: Callable[[StaticRoutes], Any], routes: StaticRoutes, given: str, name: str | None
) -> None:
    assert reader(routes).name_of(given) == name


def test_static_routes_count_reads_fail_when_told_and_hand_out_copies(routes: StaticRoutes) -> None:
    assert routes.reads == 0
    found: Any = routes.read(["greeter"])
    found["greeter"]["revision"] = 99
    assert routes.items["greeter"]["revision"] == 1
    routes.down = OSError("down")
    with pytest.raises(OSError, match="down"):
        routes.read(["greeter"])
    assert routes.reads == 2


def request(version: int = 1, **more: Any) -> dict[str, Any]:
    return {"modelId": version_arn("greeter", version), "promptVariables": {}, **more}


def test_replies_are_text_responses_errors_or_functions_by_version_or_for_all() -> None:
    whole = response_of("whole", stop_reason="max_tokens")
    down = RuntimeError("down")
    bedrock = FakeBedrock({1: "text", 2: whole, 3: down, 4: lambda r: r["note"], 5: lambda r: down, 6: lambda r: whole})
    assert bedrock.converse(**request(1)) == response_of("text")
    assert bedrock.converse(**request(2)) is bedrock.converse(**request(6)) is whole
    for version in (3, 5):
        with pytest.raises(RuntimeError, match="down"):
            bedrock.converse(**request(version))
    assert bedrock.converse(**request(4, note="told")) == response_of("told")
    assert [call["modelId"][-1] for call in bedrock.calls] == ["1", "2", "6", "3", "5", "4"]
    assert bedrock.calls[-1] == request(4, note="told")
    assert FakeBedrock(whole).converse(**request(7)) is whole
    assert text_of(FakeBedrock().converse(**request(7))) == "Hello from the fake."


@pytest.mark.parametrize("name", ["additionalModelRequestFields", "inferenceConfig", "system", "toolConfig"])
def test_what_converse_refuses_beside_an_arn_is_refused(name: str) -> None:
    assert name in FORBIDDEN
    assert len(FORBIDDEN) == 4
    bedrock = FakeBedrock()
    for operation in (bedrock.converse, bedrock.converse_stream):
        with pytest.raises(ValueError, match=f"Converse refuses {name} beside a prompt's ARN; put them in the prompt"):
            operation(**request(), **{name: {}})
    with pytest.raises(ValueError, match="refuses inferenceConfig, system beside"):
        bedrock.converse(**request(system=[], inferenceConfig={}))
    assert len(bedrock.calls) == 3


def test_a_response_has_the_shape_of_converses() -> None:
    assert response_of("three short words", stop_reason="stop_sequence") == {
        "output": {"message": {"role": "assistant", "content": [{"text": "three short words"}]}},
        "stopReason": "stop_sequence",
        "usage": {"inputTokens": 10, "outputTokens": 3, "totalTokens": 13},
        "metrics": {"latencyMs": 1},
    }
    assert response_of("")["stopReason"] == "end_turn"


def test_a_stream_has_the_events_of_converse_stream() -> None:
    response = response_of("Hello  you", stop_reason="max_tokens")
    tool = {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "it"}}}
    reasoned = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    response["output"]["message"]["content"] += [reasoned, {"text": "too"}, tool]

    def deltas(at: int, *given: dict[str, Any]) -> list[dict[str, Any]]:
        found = [{"contentBlockDelta": {"delta": delta, "contentBlockIndex": at}} for delta in given]
        return [*found, {"contentBlockStop": {"contentBlockIndex": at}}]

    found = FakeBedrock(response).converse_stream(**request())
    used = {"toolUse": {"toolUseId": "t1", "name": "look"}}
    assert found == {
        "stream": [
            {"messageStart": {"role": "assistant"}},
            *deltas(0, {"text": "Hello "}, {"text": " "}, {"text": "you"}),
            *deltas(1, {"reasoningContent": {"text": "Hm."}}),
            *deltas(2, {"text": "too"}),
            {"contentBlockStart": {"start": used, "contentBlockIndex": 3}},
            *deltas(3, {"toolUse": {"input": '{"at": "it"}'}}),
            {"messageStop": {"stopReason": "max_tokens"}},
            {"metadata": {"usage": response["usage"], "metrics": response["metrics"]}},
        ]
    }


def test_totals_are_what_cloudwatch_would_answer_under_exactly_these_dimensions() -> None:
    sink = ListSink()
    both = Directive((("P",), ("P", "Q")), ("m", "n"))
    sink.emit(Document(0.0, {"P": "a", "Q": "b"}, (both, Directive((("Q",),), ("n",))), {"m": 2, "n": 0.5}))
    sink.emit(Document(0.0, {"P": "a", "Q": "c"}, (both,), {"m": 3, "n": 4}))
    assert sink.total("m", P="a") == (5, 2)
    assert sink.total("m", P="a", Q="c") == (3, 1)
    assert sink.total("n", Q="b") == (0.5, 1)
    assert sink.total("m", Q="b") == sink.total("x", P="a") == sink.total("m", P="b") == sink.total("m") == (0, 0)
    assert len(sink.documents) == 2
    sink.flush()
    sink.close()
    assert len(sink.documents) == 2
    sink.after_fork()
    assert sink.documents == []


def test_a_fake_client_is_a_client_over_the_fakes_with_a_test_key(routes: StaticRoutes) -> None:
    sink, bedrock = ListSink(), FakeBedrock("mine")
    client = fake_client(routes, bedrock, sink=sink)
    assert type(client) is PromptClient
    answer = client.converse("greeter", unit="u")
    assert (answer.text, len(bedrock.calls), sink.total("Assigned", Prompt="greeter", Track="stable")) == (
        "mine",
        1,
        (1, 1),
    )
    plain = fake_client(routes)
    other = plain.converse("greeter", unit="u")
    assert other.text == "Hello from the fake."
    assert client.feedback(other.receipt or "", positive=True)
    keyed = fake_client(routes, receipt_key="another", timeout=5)
    assert keyed._timeout == 5
    with pytest.raises(InvalidReceipt):
        keyed.feedback(answer.receipt or "", positive=True)
