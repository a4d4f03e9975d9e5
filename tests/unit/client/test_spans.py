"""Spans by the GenAI conventions, of calls, streams and observed calls: begun once, ended once, in their place."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from promptlane.client import (
    AsyncPromptClient,
    ModelCallFailed,
    PromptClient,
    StreamInterrupted,
    tracing,
)
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client, response_of, version_arn
from tests.support.client import AwsError, Clock, InCanary

START = {"messageStart": {"role": "assistant"}}
TEXT = {"contentBlockDelta": {"delta": {"text": "so"}, "contentBlockIndex": 0}}


@pytest.fixture
def client() -> PromptClient:
    routes = StaticRoutes()
    routes.put("greeter", stable=1, canary=2, weight=3000, variables=["name"])
    return fake_client(routes, FakeBedrock({1: "one", 2: RuntimeError("canary is down")}))


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


def ended(spans: InMemorySpanExporter) -> ReadableSpan:
    """The one span that ended."""
    (span,) = spans.get_finished_spans()
    return span


def told(span: ReadableSpan) -> dict[str, Any]:
    """What a span says of its answer."""
    attributes = dict(span.attributes or {})
    known = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")
    decided = ("promptlane.prompt", "promptlane.version", "promptlane.track", "promptlane.release")
    return {name: value for name, value in attributes.items() if name not in (*known, *decided)}


def test_a_streams_span_ends_with_it_and_tells_when_it_began(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)

    def slowly() -> Iterator[Any]:
        clock.advance(1.5)
        yield from (START, TEXT)
        clock.advance(1)
        yield {"messageStop": {"stopReason": "max_tokens"}}
        usage = {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 5}
        yield {"metadata": {"usage": usage}}

    world = InCanary({1: {"stream": slowly()}})
    pieces = iter(world.client.converse_stream("greeter", unit=world.stable))
    next(pieces)
    assert not spans.get_finished_spans()
    assert list(pieces) == []
    assert told(ended(spans)) == {
        "gen_ai.request.stream": True,
        "gen_ai.response.finish_reasons": ("max_tokens",),
        "gen_ai.response.time_to_first_chunk": 1.5,
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 2,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_creation.input_tokens": 5,
        "promptlane.answered_by": 1,
        "promptlane.truncation": True,
    }


def test_a_span_of_what_failed_says_so_and_one_of_what_was_left_too(spans: InMemorySpanExporter) -> None:
    broken = AwsError("ModelStreamErrorException")

    def breaks() -> Iterator[Any]:
        yield from (START, TEXT)
        raise broken

    world = InCanary({1: lambda request: {"stream": breaks()}})
    with pytest.raises(StreamInterrupted):
        list(world.client.converse_stream("greeter", unit=world.stable))
    span = ended(spans)
    assert (span.status.status_code, told(span)["error.type"]) == (
        trace.StatusCode.ERROR,
        broken.response["Error"]["Code"],
    )
    assert [event.name for event in span.events] == ["exception"]

    spans.clear()
    with world.client.converse_stream("greeter", unit=world.stable) as stream:
        next(iter(stream))
    assert told(ended(spans))["promptlane.cancelled"] is True
    assert ended(spans).status.status_code is trace.StatusCode.UNSET

    spans.clear()
    world.bedrock.replies = AwsError("ModelErrorException")
    for _ in range(2):  # of a call, and of a stream that was never opened
        with pytest.raises(ModelCallFailed):
            world.client.converse("greeter", unit=world.stable)
        assert told(ended(spans)) == {"promptlane.answered_by": 1, "error.type": "ModelErrorException"}
        spans.clear()
        with pytest.raises(ModelCallFailed):
            world.client.converse_stream("greeter", unit=world.stable)
        assert told(ended(spans))["error.type"] == "ModelErrorException"
        spans.clear()


def test_an_observed_calls_span_is_the_parent_of_what_happens_in_it_and_ends_with_its_stream(
    spans: InMemorySpanExporter,
) -> None:
    world = InCanary("hi")
    decision = world.client.route("greeter", world.stable)
    with world.client.observe(decision, unit=world.stable) as call:
        trace.get_tracer("sdk").start_span("POST").end()
        call.response = world.bedrock.converse(**decision.request())
    inner, outer = spans.get_finished_spans()
    assert inner.parent is not None
    assert (inner.parent.span_id, told(outer)["promptlane.answered_by"]) == (outer.context.span_id, 1)

    spans.clear()
    with world.client.observe(decision, unit=world.stable) as call:
        call.response = world.bedrock.converse_stream(**decision.request())
    assert not spans.get_finished_spans()
    list(call.response["stream"])
    assert told(ended(spans))["gen_ai.response.finish_reasons"] == ("end_turn",)

    spans.clear()
    with pytest.raises(AwsError), world.client.observe(decision, unit=world.stable):
        raise AwsError("ThrottlingException")
    assert told(ended(spans))["error.type"] == "ThrottlingException"
    spans.clear()
    with world.client.observe(decision, unit=world.stable):
        pass
    assert told(ended(spans))["promptlane.cancelled"] is True


def test_in_asyncio_a_span_has_the_tasks_for_its_parent(spans: InMemorySpanExporter) -> None:
    world = InCanary("one two")
    client = AsyncPromptClient(world.client)

    async def use() -> None:
        with trace.get_tracer("app").start_as_current_span("request"):
            await client.converse("greeter", unit=world.stable)
            async with client.converse_stream("greeter", unit=world.stable) as stream:
                assert [piece async for piece in stream] == ["one ", "two"]
        await client.aclose()

    asyncio.run(use())
    *ours, outer = spans.get_finished_spans()
    assert [span.parent.span_id for span in ours if span.parent] == [outer.context.span_id] * 2
