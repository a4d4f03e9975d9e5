"""OpenFeature, LangChain and OpenTelemetry, as their users use them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from promptlane.client import InvalidUnit, PromptClient, RouteUnavailable, UnknownPrompt, tracing
from promptlane.client.langchain import PromptRunnable
from promptlane.client.openfeature import PromptlaneProvider
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client, response_of, version_arn


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


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda name: provider.get_tracer(name))
    tracing._tracer.cache_clear()
    yield exporter
    tracing._tracer.cache_clear()


def spanned(client: PromptClient, spans: InMemorySpanExporter, track: str) -> Any:
    unit = next(u for u in (f"u{i}" for i in range(99)) if client.route("greeter", u).track == track)
    client.converse("greeter", unit=unit, variables={"name": "A"})
    (span,) = spans.get_finished_spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "promptlane.client"
    assert (span.name, span.kind) == ("chat greeter", trace.SpanKind.CLIENT)
    release = client.route("greeter", unit).release_id
    version = {"stable": 1, "canary": 2}[track]
    attributes = dict(span.attributes or {})
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": version_arn("greeter", version),
        "promptlane.prompt": "greeter",
        "promptlane.version": version,
        "promptlane.track": track,
        "promptlane.release": release,
    }
    assert expected.items() <= attributes.items()
    return {name: value for name, value in attributes.items() if name not in expected}


def test_a_span_says_what_was_decided_and_what_came_of_it(client: PromptClient, spans: InMemorySpanExporter) -> None:
    assert spanned(client, spans, "stable") == {
        "promptlane.answered_by": 1,
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 1,
    }


def test_a_span_of_a_shielded_request_names_both_versions(client: PromptClient, spans: InMemorySpanExporter) -> None:
    assert spanned(client, spans, "canary")["promptlane.answered_by"] == 1


@pytest.mark.parametrize(
    ("text", "stop_reason", "told"),
    [
        ("I'm sorry, but I can't help with that.", "end_turn", {"promptlane.refusal": True}),
        ("x", "guardrail_intervened", {"promptlane.guardrail": True}),
        ("x", "max_tokens", {"promptlane.truncation": True}),
        ("{", "malformed_model_output", {"error.type": "malformed_model_output"}),
    ],
)
def test_a_span_says_what_was_bad(
    spans: InMemorySpanExporter, text: str, stop_reason: str, told: dict[str, Any]
) -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    response = {**response_of(text, stop_reason=stop_reason), "usage": {"outputTokens": 0}}
    assert spanned(fake_client(routes, FakeBedrock(response)), spans, "stable") == {
        "promptlane.answered_by": 1,
        "gen_ai.response.finish_reasons": (stop_reason,),
        "gen_ai.usage.output_tokens": 0,
        **told,
    }


def test_a_span_without_a_stop_reason_says_none(spans: InMemorySpanExporter) -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=1)
    client = fake_client(routes, FakeBedrock({"output": {}}))
    assert spanned(client, spans, "stable") == {"promptlane.answered_by": 1, "promptlane.empty": True}


def test_without_opentelemetry_there_are_no_spans(client: PromptClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    tracing._tracer.cache_clear()
    decision = client.route("greeter", "u")
    assert tracing.begin(decision) is tracing.NONE
    assert client.converse("greeter", unit="u", variables={"name": "A"}).text == "one"
    tracing._tracer.cache_clear()
