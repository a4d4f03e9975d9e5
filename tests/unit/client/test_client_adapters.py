"""OpenFeature and LangChain, as their users use them."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import (
    ErrorCode,
    FlagNotFoundError,
    GeneralError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.track import TrackingEventDetails

from promptlane.client import InvalidUnit, PromptClient, RouteUnavailable, UnknownPrompt, openfeature
from promptlane.client.langchain import PromptRunnable
from promptlane.client.openfeature import PromptlaneProvider
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client, response_of, version_arn


@pytest.fixture
def client() -> PromptClient:
    routes = StaticRoutes()
    routes.put("greeter", stable=1, canary=2, weight=3000, variables=["name"])
    return fake_client(routes, FakeBedrock({1: "one", 2: RuntimeError("canary is down")}))


def test_an_openfeature_flag_resolves_to_the_version_that_the_unit_gets(client: PromptClient) -> None:
    api.set_provider(PromptlaneProvider(client), "prompts")
    flags = api.get_client("prompts")
    for unit in (f"u{i}" for i in range(30)):
        context = EvaluationContext(targeting_key=unit)
        decision = client.route("greeter", unit)
        assert flags.get_string_value("greeter", "none", context) == decision.version_arn
        details = flags.get_integer_details("greeter", 0, context)
        assert (details.value, details.reason) == (decision.version, Reason.SPLIT)
        assert details.variant == f"version-{decision.version}"
        found = flags.get_object_value("greeter", {}, context)
        assert found["track"] == decision.track  # type: ignore[call-overload]
    context = EvaluationContext(targeting_key="u")
    assert flags.get_string_details("nobody", "fallback", context).error_code == ErrorCode.FLAG_NOT_FOUND
    assert flags.get_string_details("nobody", "fallback", context).value == "fallback"
    assert flags.get_string_details("greeter", "x").error_code == ErrorCode.TARGETING_KEY_MISSING
    assert flags.get_boolean_details("greeter", False, context).error_code == ErrorCode.TYPE_MISMATCH
    api.clear_providers()


def test_a_langchain_chain_is_answered_shielded_and_keeps_the_receipt(client: PromptClient) -> None:
    canary = next(u for u in (f"u{i}" for i in range(99)) if client.route("greeter", u).track == "canary")

    def named(name: str) -> dict[str, str]:
        return {"name": name}

    chain = RunnableLambda(named) | PromptRunnable(client, "greeter")
    message = chain.invoke("Anna", {"configurable": {"unit": canary}})
    assert message.content == "one"
    assert message.response_metadata["version_arn"] == version_arn("greeter", 1)
    assert client.feedback(message.response_metadata["receipt"], positive=True)
    with pytest.raises(InvalidUnit, match="configurable"):
        chain.invoke("Anna")


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ({"canary": 3, "weight": 10_000}, Reason.SPLIT),
        ({"previous": 1, "holdback": 10_000}, Reason.SPLIT),
        ({}, Reason.STATIC),
    ],
)
def test_a_flag_resolves_to_arn_number_or_whole_decision_with_how_it_came_about(
    phase: dict[str, Any], reason: Reason
) -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=2, **phase)
    client = fake_client(routes)
    provider, context = PromptlaneProvider(client), EvaluationContext(targeting_key="u")
    decision = client.route("greeter", "u")
    assert provider.get_metadata().name == "promptlane"
    values: dict[Any, Any] = {
        provider.resolve_string_details: decision.version_arn,
        provider.resolve_integer_details: decision.version,
        provider.resolve_object_details: {
            "version": decision.version,
            "version_arn": decision.version_arn,
            "track": decision.track,
            "release_id": decision.release_id,
        },
    }
    for resolve, value in values.items():
        assert resolve("greeter", None, context) == FlagResolutionDetails(
            value=value,
            variant=f"version-{decision.version}",
            reason=reason,
            flag_metadata={"track": decision.track, "release_id": decision.release_id},
        )
    assert client._sink().documents == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["string", "integer", "object"])
def test_a_flag_that_cannot_be_resolved_says_why(client: PromptClient, kind: str) -> None:
    resolve: Any = getattr(PromptlaneProvider(client), f"resolve_{kind}_details")
    for context in (None, EvaluationContext(), EvaluationContext(targeting_key="")):
        with pytest.raises(
            TargetingKeyMissingError, match="greeter is split by unit: give its id as the context's tar"
        ):
            resolve("greeter", None, context)
    with pytest.raises(TargetingKeyMissingError, match="at most 1,024") as unit:
        resolve("greeter", None, EvaluationContext(targeting_key="x" * 2000))
    assert isinstance(unit.value.__cause__, InvalidUnit)
    context = EvaluationContext(targeting_key="u")
    with pytest.raises(FlagNotFoundError, match="no route for 'nobody'") as unknown:
        resolve("nobody", None, context)
    assert isinstance(unknown.value.__cause__, UnknownPrompt)
    routes = StaticRoutes()
    routes.down = ConnectionError("no route to host")
    resolve = getattr(PromptlaneProvider(fake_client(routes)), f"resolve_{kind}_details")
    with pytest.raises(GeneralError, match="no route to host") as down:
        resolve("greeter", None, context)
    assert isinstance(down.value.__cause__, RouteUnavailable)


def test_a_flag_is_no_boolean_and_no_fraction(client: PromptClient) -> None:
    provider = PromptlaneProvider(client)
    words = r"greeter is a prompt: ask for a string \(ARN\), an integer \(version\) or an object"
    with pytest.raises(TypeMismatchError, match=words):
        provider.resolve_boolean_details("greeter", False)
    with pytest.raises(TypeMismatchError, match=words):
        provider.resolve_float_details("greeter", 0.5)


def test_a_message_has_all_that_came_with_the_answer(client: PromptClient) -> None:
    unit = next(u for u in (f"u{i}" for i in range(99)) if client.route("greeter", u).track == "stable")
    runnable = PromptRunnable(client, "greeter", unit="nobody in particular")
    message = runnable.invoke({"name": "Anna"}, {"configurable": {"unit": unit}})
    receipt = message.response_metadata.pop("receipt")
    assert client.feedback(receipt, positive=True)
    assert (message.content, message.response_metadata, message.usage_metadata) == (
        "one",
        {
            "prompt": "greeter",
            "version": 1,
            "version_arn": version_arn("greeter", 1),
            "track": "stable",
            "stop_reason": "end_turn",
        },
        {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11},
    )


def test_a_message_counts_cached_input_as_langchain_does() -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    usage = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 70, "cacheWriteInputTokens": 20}
    client = fake_client(routes, FakeBedrock({"output": {}, "usage": {**usage, "totalTokens": 105}}))
    assert PromptRunnable(client, "greeter", unit="anna").invoke({}).usage_metadata == {
        "input_tokens": 100,
        "output_tokens": 5,
        "total_tokens": 105,
        "input_token_details": {"cache_read": 70, "cache_creation": 20},
    }


def test_the_unit_of_the_config_wins_over_the_runnables_own() -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1, canary=2, weight=5000)
    client = fake_client(routes, FakeBedrock({"output": {}}))
    units = {client.route("greeter", u).track: u for u in (f"u{i}" for i in range(99))}
    runnable = PromptRunnable(client, "greeter", unit=units["stable"])
    configs: tuple[Any, ...] = (None, {}, {"configurable": {}}, {"configurable": None}, {"configurable": {"unit": ""}})
    for config in configs:
        assert runnable.invoke({}, config).response_metadata["track"] == "stable"
    message = runnable.invoke({}, {"configurable": {"unit": units["canary"]}})
    assert message.response_metadata["track"] == "canary"
    assert (message.content, message.response_metadata["stop_reason"]) == ("", "")
    assert message.usage_metadata == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    for config in configs:
        with pytest.raises(
            InvalidUnit, match=r'no unit: pass config=\{"configurable": \{"unit": user_id\}\}, or unit='
        ):
            PromptRunnable(client, "greeter").invoke({}, config)


class Tracking:
    """A provider in canary whose route moves on between an evaluation and what is tracked of it."""

    def __init__(self) -> None:
        self.routes, self.sink = StaticRoutes(), ListSink()
        self.routes.put("greeter", stable=1, canary=2, weight=3000)
        self.client = fake_client(self.routes, sink=self.sink, refresh=3600)
        self.provider = PromptlaneProvider(self.client)
        api.set_provider(self.provider, "tracking")
        self.feature = api.get_client("tracking")
        units = map(str, range(99))
        self.canary = EvaluationContext(next(u for u in units if self.client.route("greeter", u).track == "canary"))

    def promoted(self) -> None:
        self.routes.put("greeter", stable=2)
        self.client._live.clear()

    def total(self, metric: str, track: str = "canary") -> tuple[float, int]:
        return self.sink.total(metric, Prompt="greeter", Track=track)


def test_what_is_tracked_counts_on_the_version_that_the_flag_gave() -> None:
    world = Tracking()
    assert world.feature.get_integer_value("greeter", 0, world.canary) == 2
    assert not world.sink.documents, "a flag is no model call"
    world.promoted()

    told: dict[str, Any] = {
        "stop_reason": "end_turn",
        "text": "Hello.",
        "input_tokens": 12,
        "output_tokens": 3,
        "latency_ms": 25_000,
    }
    world.feature.track("greeter", world.canary, TrackingEventDetails(attributes=told))
    world.feature.track("greeter", world.canary, TrackingEventDetails(attributes={"error": "ThrottlingException"}))
    world.feature.track(
        "greeter", world.canary, TrackingEventDetails(attributes={"text": "", "stop_reason": "end_turn"})
    )
    world.feature.track("greeter", world.canary)

    assert world.total("Error") == (1, 4)
    assert world.total("Slow") == (1, 4)
    assert world.total("Empty") == (1, 4)
    assert world.sink.total("OutputTokens", Prompt="greeter", Version="2") == (3, 1)
    assert world.total("Error", "stable") == (0, 0)


def test_what_is_tracked_of_others_counts_nothing_and_raises_nothing() -> None:
    world = Tracking()
    world.feature.track("checkout-clicked", world.canary, TrackingEventDetails(99.0))
    world.feature.track("greeter")
    world.feature.track("greeter", EvaluationContext(""))

    assert not world.sink.documents


def test_what_a_provider_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Tracking()
    monkeypatch.setattr(openfeature, "MAX_GIVEN", 5)
    for n in range(20):
        world.provider.resolve_string_details("greeter", "", EvaluationContext(f"u{n}"))
    assert [unit for _, unit in world.provider._given] == [f"u{n}" for n in range(15, 20)]
    with world.provider.observe("greeter", world.canary) as call:
        call.response = response_of("Hello.")
    assert world.total("Error") == (0, 1)
