"""Calls: shielded, counted once where they belong, and refused before they are made when they cannot work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from promptlane.client import (
    AsyncPromptClient,
    InvalidReceipt,
    InvalidVariables,
    ModelCallFailed,
    StreamInterrupted,
)
from promptlane.client.testing import FakeBedrock, client_over, fake_client, response_of
from promptlane.domain.errors import InvalidInput
from tests.support.client import AwsError, Clock, InCanary


def answer_of(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    return {**response_of(""), "output": {"message": {"role": "assistant", "content": list(blocks)}}}


GUARDS = ("Error", "Refusal", "Empty", "Guardrail", "Truncation", "Slow")


def test_a_request_carries_what_aws_allows_and_the_four_names() -> None:
    world = InCanary("hi", variables=["name"])
    answer = world.client.converse(
        "greeter",
        unit=world.canary,
        variables={"name": "Anna"},
        metadata={"tenant": "t1", "track": "forged"},
        guardrail={"guardrailIdentifier": "g", "guardrailVersion": "1"},
        messages=[{"role": "user", "content": [{"text": "And now?"}]}],
    )
    (request,) = world.bedrock.calls
    assert set(request) == {"modelId", "promptVariables", "requestMetadata", "messages", "guardrailConfig"}
    assert request["promptVariables"] == {"name": {"text": "Anna"}}
    decision = answer.decision
    assert request["requestMetadata"] == {
        "prompt": "greeter",
        "version": "2",
        "track": "canary",
        "release": decision.release_id,
        "tenant": "t1",
    }
    assert (answer.text, answer.version, answer.track, answer.shielded) == ("hi", 2, "canary", False)


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_every_request_emits_every_guard_metric_once_for_judge_and_fuse(track: str) -> None:
    world = InCanary("hi")
    version = {"canary": 2, "stable": 1}[track]
    world.client.converse("greeter", unit=getattr(world, track))
    for metric in GUARDS:
        assert world.judge(metric, version) == (0, 1)
        assert world.fuse(metric, track) == (0, 1)
    assert world.judge("Assigned", version) == (1, 1)
    assert world.fuse("Assigned", track) == (1, 1)
    assert world.fuse("Shielded", "canary") == ((0, 1) if track == "canary" else (0, 0))
    assert world.judge("InputTokens", version) == (10, 1)
    groups = [d.dimensions["Group"] for d in world.sink.documents if "Group" in d.dimensions]
    assert len(groups) == 2
    assert world.sink.total("Error", Prompt="greeter", Version=str(version), Group=groups[0]) == (0, 1)


def test_in_steady_state_no_group_metrics_are_paid_for() -> None:
    world = InCanary("hi")
    world.routes.put("greeter", stable=1)
    client = fake_client(world.routes, world.bedrock, sink=world.sink)
    client.converse("greeter", unit="anyone")
    assert all("Group" not in document.dimensions for document in world.sink.documents)
    assert world.judge("Error", 1) == (0, 1)


@pytest.mark.parametrize(
    ("reply", "metric"),
    [
        (response_of("...", stop_reason="max_tokens"), "Truncation"),
        (response_of("Blocked by policy", stop_reason="guardrail_intervened"), "Guardrail"),
        (response_of("", stop_reason="content_filtered"), "Refusal"),
        (response_of("{", stop_reason="malformed_model_output"), "Error"),
        ("I'm sorry, but I can't help with that.", "Refusal"),
        ("", "Empty"),
        (" \n", "Empty"),
        (answer_of(), "Empty"),
        (answer_of({"reasoningContent": {"reasoningText": {"text": "Let me think."}}}), "Empty"),
        (answer_of({"toolUse": {"toolUseId": "t1", "name": "look", "input": {"at": "it"}}}), None),
        (answer_of({"reasoningContent": {"reasoningText": {"text": "Hm."}}}, {"text": "Yes."}), None),
    ],
)
@pytest.mark.parametrize("ask", ["converse", "converse_stream"])
@pytest.mark.parametrize("track", ["canary", "stable"])
def test_bad_answers_count_as_what_they_are(ask: str, track: str, reply: Any, metric: str | None) -> None:
    world = InCanary(reply)
    answer = getattr(world.client, ask)("greeter", unit=getattr(world, track))
    if ask == "converse_stream":
        list(answer)
    for name in GUARDS:
        assert world.judge(name, {"canary": 2, "stable": 1}[track]) == (int(name == metric), 1)
        assert world.fuse(name, track) == (int(name == metric), 1)


def test_a_failing_canary_is_answered_by_stable_as_one_canary_error_and_no_stable_request() -> None:
    world = InCanary({1: "from stable", 2: AwsError("ModelErrorException")})
    answer = world.client.converse("greeter", unit=world.canary)
    assert (answer.text, answer.version, answer.track, answer.shielded) == ("from stable", 1, "stable", True)
    assert world.judge("Assigned", 2) == (1, 1)
    assert world.judge("Error", 2) == world.fuse("Error", "canary") == (1, 1)
    for metric in ("Assigned", *GUARDS):
        assert world.judge(metric, 1) == world.fuse(metric, "stable") == (0, 0)


def test_without_the_shield_the_canary_error_reaches_the_caller() -> None:
    world = InCanary({1: "from stable", 2: AwsError("ModelErrorException")}, shield=False)
    with pytest.raises(ModelCallFailed, match="ModelErrorException") as caught:
        world.client.converse("greeter", unit=world.canary)
    assert caught.value.code == "ModelErrorException"
    assert isinstance(caught.value.__cause__, AwsError)
    assert world.judge("Error", 2) == (1, 1)


def test_a_failing_stable_is_an_error_with_the_remedy_and_is_not_repeated() -> None:
    world = InCanary({1: AwsError("ResourceNotFoundException"), 2: "hi"})
    with pytest.raises(ModelCallFailed, match="promptlane rollback greeter"):
        world.client.converse("greeter", unit=world.stable)
    assert len(world.bedrock.calls) == 1
    assert world.fuse("Error", "stable") == (1, 1)


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_passing_failures_are_tried_once_more_on_either_track_alike(track: str) -> None:
    seen: list[Any] = []

    def once(request: Mapping[str, Any]) -> Any:
        seen.append(request)
        return AwsError("ThrottlingException") if len(seen) == 1 else "hi"

    world = InCanary(once)
    answer = world.client.converse("greeter", unit=getattr(world, track))
    assert (answer.text, answer.track) == ("hi", track)
    assert world.fuse("Error", track) == (0, 1)


def test_the_breaker_sends_canary_traffic_to_stable_and_counts_it_as_shielded() -> None:
    world = InCanary({1: "from stable", 2: AwsError("ModelErrorException")}, breaker_errors=3, breaker_cooldown=60)
    for _ in range(10):
        assert world.client.converse("greeter", unit=next(world.canaries)).text == "from stable"
    canary_calls = [c for c in world.bedrock.calls if c["modelId"].endswith(":2")]
    assert len(canary_calls) == 4
    assert world.fuse("Error", "canary") == world.judge("Error", 2) == (4, 4)
    assert world.fuse("Shielded", "canary") == world.judge("Shielded", 2) == (6, 10)
    assert world.judge("Assigned", 2) == (10, 10)
    assert world.judge("Error", 1) == world.fuse("Error", "stable") == (0, 0)


def test_variables_that_do_not_fit_fail_before_the_call_with_their_names() -> None:
    world = InCanary("hi", variables=["name", "question"])
    with pytest.raises(InvalidVariables, match=r"needs question and has no nmae") as caught:
        world.client.converse("greeter", unit=world.stable, variables={"name": "Anna", "nmae": "x"})
    assert (caught.value.missing, caught.value.unknown) == (("question",), ("nmae",))
    with pytest.raises(InvalidVariables, match="name is not"):
        world.client.converse("greeter", unit=world.stable, variables={"name": 3, "question": "q"})  # type: ignore[dict-item]
    with pytest.raises(InvalidVariables, match="21 variables"):
        world.client.converse("greeter", unit=world.stable, variables={f"v{i}": "x" for i in range(21)})
    assert world.bedrock.calls == []
    assert world.sink.documents == []


def test_a_canary_that_needs_a_variable_the_application_lacks_is_a_canary_error() -> None:
    world = InCanary("hi", variables=["name"])
    world.routes.items["greeter"]["canary"]["variables"] = ["name", "tone"]
    client = fake_client(world.routes, world.bedrock, sink=world.sink)
    answer = client.converse("greeter", unit=world.canary, variables={"name": "Anna"})
    assert (answer.version, answer.shielded) == (1, True)
    assert world.fuse("Error", "canary") == (1, 1)
    assert world.judge("Assigned", 2) == (1, 1)


def test_streams_are_read_piece_by_piece_and_counted_at_their_end() -> None:
    world = InCanary("Hello to you from the fake")
    with world.client.converse_stream("greeter", unit=world.canary) as stream:
        pieces = list(stream)
    assert len(pieces) > 3
    assert stream.text == "".join(pieces) == "Hello to you from the fake"
    assert (stream.stop_reason, stream.shielded) == ("end_turn", False)
    assert stream.time_to_first_token_ms is not None
    assert world.judge("Error", 2) == (0, 1)
    assert world.judge("TimeToFirstToken", 2)[1] == 1
    assert world.client.feedback(stream.receipt or "", positive=True)


def broken_after(words: int) -> Any:
    def reply(request: Mapping[str, Any]) -> Any:
        def events() -> Iterator[Any]:
            yield {"messageStart": {"role": "assistant"}}
            for i in range(words):
                yield {"contentBlockDelta": {"delta": {"text": f"w{i} "}, "contentBlockIndex": 0}}
            raise AwsError("ModelStreamErrorException")

        return {"stream": events()}

    return reply


def test_a_canary_stream_that_breaks_before_its_first_text_is_answered_by_stable() -> None:
    world = InCanary({1: "from stable", 2: broken_after(0)})
    stream = world.client.converse_stream("greeter", unit=world.canary)
    assert "".join(stream) == "from stable"
    assert (stream.shielded, stream.decision.version) == (True, 1)
    assert world.fuse("Error", "canary") == (1, 1)
    assert world.fuse("Error", "stable") == (0, 0)


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_a_stream_that_breaks_later_raises_with_the_text_so_far(track: str) -> None:
    world = InCanary(broken_after(2))
    stream = world.client.converse_stream("greeter", unit=getattr(world, track))
    with pytest.raises(StreamInterrupted, match="ModelStreamErrorException") as caught:
        list(stream)
    assert caught.value.text == "w0 w1 "
    assert world.fuse("Error", track) == (1, 1)


def test_an_error_event_inside_a_stream_is_an_error() -> None:
    world = InCanary({1: {"stream": [{"throttlingException": {"message": "slow down"}}]}, 2: "x"})
    with pytest.raises(ModelCallFailed) as caught:
        list(world.client.converse_stream("greeter", unit=world.stable))
    assert caught.value.code == "ThrottlingException"
    assert world.fuse("Error", "stable") == (1, 1)


def test_a_stream_that_its_reader_leaves_is_counted_and_no_error() -> None:
    world = InCanary("one two three four five")
    with world.client.converse_stream("greeter", unit=world.canary) as stream:
        for _ in stream:
            break
    assert world.fuse("Error", "canary") == (0, 1)


def test_a_call_that_the_application_makes_itself_is_counted_too() -> None:
    world = InCanary({1: "x", 2: AwsError("ModelErrorException")})
    decision = world.client.route("greeter", world.stable)
    with world.client.observe(decision, unit=world.stable) as call:
        call.response = world.bedrock.converse(**decision.request({}))
    assert world.fuse("Error", "stable") == (0, 1)
    assert world.client.feedback(call.receipt or "", positive=False)
    canary = world.client.route("greeter", world.canary)
    with pytest.raises(AwsError), world.client.observe(canary, unit=world.canary) as call:
        call.response = world.bedrock.converse(**canary.request({}))
    assert world.judge("Error", 2) == (1, 1)


def test_feedback_counts_once_against_the_version_that_answered() -> None:
    world = InCanary("hi")
    receipt = world.client.converse("greeter", unit=world.canary).receipt or ""
    assert world.client.feedback(receipt, positive=False) is True
    assert world.client.feedback(receipt, positive=False) is False
    assert world.judge("NegativeFeedback", 2) == world.fuse("NegativeFeedback", "canary") == (1, 1)
    start = next(d.at for d in world.sink.documents if "Assigned" in d.values)
    judged = [d for d in world.sink.documents if "NegativeFeedback" in d.values and "Group" in d.dimensions]
    assert abs(judged[0].at - start) < 0.01


def test_feedback_of_one_unit_counts_once_an_hour_of_its_answers_whoever_answered_and_whichever_process_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    clock.wall = 1_700_000_000.0 - 1_700_000_000.0 % 3600
    world = InCanary({1: "from stable", 2: AwsError("ModelErrorException")})
    other = fake_client(world.routes, world.bedrock, sink=world.sink)
    other._memory = world.client._memory
    counted = []
    for minutes in (0, 1, 30, 59.9, 60, 61, 180):
        clock.wall = 1_700_000_000.0 - 1_700_000_000.0 % 3600 + 60 * minutes
        for client in (world.client, other):
            receipt = client.converse("greeter", unit=world.canary).receipt or ""
            counted += [minutes for told in (other, world.client) if told.feedback(receipt, positive=False)]
    assert counted == [0, 60, 180]
    assert world.client.feedback(world.client.converse("greeter", unit=world.stable).receipt or "", positive=True)
    assert world.fuse("NegativeFeedback", "stable") == (3, 4)


def test_feedback_on_an_answer_of_before_yesterday_is_refused_and_late_is_better_than_never(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    world = InCanary("hi")
    receipts = [world.client.converse("greeter", unit=unit).receipt or "" for unit in (world.canary, world.stable)]
    clock.wall += 2 * 86_400
    assert world.client.feedback(receipts[0], positive=False)
    clock.wall += 1
    with pytest.raises(InvalidReceipt, match="older than 2 days"):
        world.client.feedback(receipts[1], positive=False)
    assert world.judge("NegativeFeedback", 1) == (0, 0)


def test_an_observed_call_has_a_receipt_as_soon_as_it_has_a_response() -> None:
    world = InCanary("hi")
    decision = world.client.route("greeter", world.stable)
    assert world.client.observe(decision, unit=world.stable).receipt is None
    with world.client.observe(decision, unit=world.stable) as call:
        assert call.receipt is None
        call.response = world.bedrock.converse(**decision.request({}))
        assert call.receipt


def test_forged_damaged_foreign_and_old_receipts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = InCanary("hi")
    receipt = world.client.converse("greeter", unit=world.canary).receipt or ""
    other = fake_client(world.routes, world.bedrock, receipt_key="another")
    for forged in ("", "x", ".", receipt[:-4], f"{receipt[:-20]}AA{receipt[-18:]}", receipt + "AAAA", "é" * 10, 7):
        with pytest.raises(InvalidReceipt):
            world.client.feedback(forged, positive=True)  # type: ignore[arg-type]
    with pytest.raises(InvalidReceipt, match="not ours"):
        other.feedback(receipt, positive=True)
    real = __import__("time").time()
    monkeypatch.setattr("promptlane.client.sync.time", lambda: real + 14 * 86_400)
    with pytest.raises(InvalidReceipt, match="13 days"):
        world.client.feedback(receipt, positive=True)
    assert world.judge("NegativeFeedback", 2) == (0, 0)


def test_keys_are_rotated_oldest_first_and_without_a_key_there_are_no_receipts() -> None:
    world = InCanary("hi")
    old = fake_client(world.routes, world.bedrock, receipt_key="first")
    both = fake_client(world.routes, world.bedrock, receipt_key="first second")
    new = fake_client(world.routes, world.bedrock, receipt_key="second")
    assert both.feedback(old.converse("greeter", unit="u").receipt or "", positive=True)
    assert new.feedback(both.converse("greeter", unit="u").receipt or "", positive=True)
    none = client_over(world.routes, bedrock=lambda timeout: world.bedrock, sink=world.sink)
    assert none.converse("greeter", unit="u").receipt is None
    with pytest.raises(InvalidInput, match="PROMPTLANE_RECEIPT_KEY"):
        none.feedback("x.y", positive=True)


def test_asyncio_does_the_same() -> None:
    world = InCanary({1: "from stable", 2: "a canary streams"}, variables=[])

    async def use() -> None:
        async with AsyncPromptClient(world.client) as client:
            assert (await client.route("greeter", world.canary)).version == 2
            answers = await asyncio.gather(*(client.converse("greeter", unit=world.stable) for _ in range(20)))
            assert {a.text for a in answers} == {"from stable"}
            async with await client.converse_stream("greeter", unit=world.canary) as stream:
                assert [piece async for piece in stream] == ["a ", "canary ", "streams"]
            assert await client.feedback(answers[0].receipt or "", positive=True)
            with pytest.raises(InvalidVariables):
                await client.converse("greeter", unit=world.stable, variables={"x": "y"})

    asyncio.run(use())
    assert world.fuse("Assigned", "stable") == (20, 20)


@pytest.mark.parametrize("phase", ["canary", "steady"])
def test_calls_leave_time_for_stable_only_while_a_canary_runs_and_on_both_tracks_alike(phase: str) -> None:
    world = InCanary("hi")
    if phase == "steady":
        world.routes.put("greeter", stable=1)
    limits: list[float] = []

    def bedrock(limit: float) -> FakeBedrock:
        limits.append(limit)
        return world.bedrock

    client = client_over(world.routes, bedrock=bedrock, sink=world.sink, timeout=28)
    for unit in (world.canary, world.stable):
        client.converse("greeter", unit=unit)
    assert limits == [18.0, 18.0] if phase == "canary" else [28.0, 28.0]
