"""OpenFeature, LangChain and OpenTelemetry, as their users use them."""

from __future__ import annotations

import pytest
from langchain_core.runnables import RunnableLambda
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from promptlane.client import InvalidUnit, PromptClient, tracing
from promptlane.client.langchain import PromptRunnable
from promptlane.client.openfeature import PromptlaneProvider
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client, version_arn


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
        assert found["track"] == decision.track  # type: ignore[call-overload,index]
    context = EvaluationContext(targeting_key="u")
    assert flags.get_string_details("nobody", "fallback", context).error_code == ErrorCode.FLAG_NOT_FOUND
    assert flags.get_string_details("nobody", "fallback", context).value == "fallback"
    assert flags.get_string_details("greeter", "x").error_code == ErrorCode.TARGETING_KEY_MISSING
    assert flags.get_boolean_details("greeter", False, context).error_code == ErrorCode.TYPE_MISMATCH
    api.clear_providers()


def test_a_langchain_chain_is_answered_shielded_and_keeps_the_receipt(client: PromptClient) -> None:
    canary = next(u for u in (f"u{i}" for i in range(99)) if client.route("greeter", u).track == "canary")
    chain = RunnableLambda(lambda name: {"name": name}) | PromptRunnable(client, "greeter")
    message = chain.invoke("Anna", {"configurable": {"unit": canary}})
    assert message.content == "one"
    assert message.response_metadata["version_arn"] == version_arn("greeter", 1)
    assert client.feedback(message.response_metadata["receipt"], positive=True)
    with pytest.raises(InvalidUnit, match="configurable"):
        chain.invoke("Anna")


def test_spans_follow_the_genai_conventions(client: PromptClient, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    tracing._tracer.cache_clear()
    unit = next(u for u in (f"u{i}" for i in range(99)) if client.route("greeter", u).track == "stable")
    client.converse("greeter", unit=unit, variables={"name": "A"})
    tracing._tracer.cache_clear()
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind) == ("chat greeter", trace.SpanKind.CLIENT)
    attributes = dict(span.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "aws.bedrock"
    assert attributes["gen_ai.request.model"] == version_arn("greeter", 1)
    assert attributes["gen_ai.usage.input_tokens"] == 10
    assert attributes["gen_ai.response.finish_reasons"] == ("end_turn",)
    assert attributes["promptlane.track"] == "stable"
