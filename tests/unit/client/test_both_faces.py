"""PromptClient and AsyncPromptClient: the same tests over both. What asyncio adds: test_asyncio.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from promptlane.client import (
    AsyncPromptClient,
    Decision,
    InvalidReceipt,
    InvalidUnit,
    InvalidVariables,
    ModelCallFailed,
    StreamInterrupted,
    UnknownPrompt,
)
from promptlane.client.testing import ListSink, fake_client, response_of
from tests.support.client import AwsError, InCanary

GIVEN: dict[str, Any] = {
    "variables": {"name": "Anna"},
    "messages": [{"role": "user", "content": [{"text": "And?"}]}],
    "guardrail": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    "metadata": {"tenant": "t1"},
}


async def next_of(pieces: AsyncIterator[str]) -> str:
    return await anext(pieces)


class Awaited:
    """An AsyncPromptClient with PromptClient's face: each call runs on the loop until it is done."""

    def __init__(self, client: Any, run: Callable[[Any], Any]) -> None:
        self.client = AsyncPromptClient(client)
        self.run = run

    def route(self, *given: Any) -> Any:
        return self.run(self.client.route(*given))

    def converse(self, *given: Any, **settings: Any) -> Any:
        return self.run(self.client.converse(*given, **settings))

    def feedback(self, receipt: str, *, positive: bool) -> Any:
        return self.run(self.client.feedback(receipt, positive=positive))

    def observe(self, decision: Decision, *, unit: str) -> Any:
        return self.client.observe(decision, unit=unit)

    def close(self) -> None:
        self.run(self.client.aclose())

    @contextmanager
    def converse_stream(self, *given: Any, **settings: Any) -> Iterator[Any]:
        stream = self.client.converse_stream(*given, **settings)
        assert self.run(stream.__aenter__()) is stream
        pieces = aiter(stream)

        class Read:
            def __getattr__(self, name: str) -> Any:
                return getattr(stream.answer, name)

            def __iter__(read) -> Iterator[str]:  # noqa: N805
                while True:
                    try:
                        yield self.run(next_of(pieces))
                    except StopAsyncIteration:
                        return

        try:
            yield Read()
        finally:
            self.run(stream.__aexit__(None, None, None))


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Iterator[Callable[[InCanary], Any]]:
    """The client of a world, by one of its faces."""
    if request.param == "sync":
        yield lambda world: world.client
        return
    with asyncio.Runner() as runner:
        made: list[Awaited] = []

        def awaited(world: InCanary) -> Awaited:
            made.append(Awaited(world.client, runner.run))
            return made[-1]

        yield awaited
        for client in made:
            client.close()


Face = Callable[[InCanary], Any]


def test_it_decides(face: Face) -> None:
    world = InCanary("hi")
    client = face(world)
    for track, version in (("canary", 2), ("stable", 1)):
        decision = client.route("greeter", getattr(world, track))
        assert (decision.version, decision.track) == (version, track)
        assert decision is world.client.route("greeter", getattr(world, track))
    with pytest.raises(UnknownPrompt):
        client.route("nobody", "u")
    with pytest.raises(InvalidUnit):
        client.route("greeter", "")


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_it_converses_with_all_that_is_given(face: Face, track: str) -> None:
    world = InCanary({1: "from stable", 2: "from canary"}, variables=["name"])
    unit = getattr(world, track)
    answer = face(world).converse("greeter", unit=unit, **GIVEN)
    assert (answer.text, answer.track) == (f"from {track}", track)
    assert world.bedrock.calls == [world.client.route("greeter", unit).request(**GIVEN)]
    assert world.fuse("Assigned", track) == (1, 1)


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_it_streams_with_all_that_is_given(face: Face, track: str) -> None:
    world = InCanary({1: "from stable", 2: "from canary"}, variables=["name"])
    unit = getattr(world, track)
    with face(world).converse_stream("greeter", unit=unit, **GIVEN) as stream:
        assert list(stream) == ["from ", track]
    assert (stream.text, stream.decision.track, stream.stop_reason) == (f"from {track}", track, "end_turn")
    assert world.bedrock.calls == [world.client.route("greeter", unit).request(**GIVEN)]
    assert world.fuse("Error", track) == (0, 1)


def test_it_needs_nothing_but_prompt_and_unit(face: Face) -> None:
    world = InCanary("hi")
    client = face(world)
    assert client.converse("greeter", unit=world.stable).text == "hi"
    with client.converse_stream("greeter", unit=world.stable) as stream:
        assert list(stream) == ["hi"]
    assert world.bedrock.calls == [world.client.route("greeter", world.stable).request()] * 2


def test_it_shields_and_breaks(face: Face) -> None:
    world = InCanary({1: "from stable", 2: AwsError("ModelErrorException")}, breaker_errors=2)
    client = face(world)
    for _ in range(2):
        assert client.converse("greeter", unit=next(world.canaries)).shielded
    with client.converse_stream("greeter", unit=next(world.canaries)) as stream:
        assert "".join(stream) == "from stable"
    assert stream.shielded
    assert world.called() == [2, 1, 2, 1, 1]


def test_it_counts_feedback_once(face: Face) -> None:
    world = InCanary("hi")
    client = face(world)
    for positive, unit in ((True, world.stable), (False, world.canary)):
        receipt = client.converse("greeter", unit=unit).receipt
        assert [client.feedback(receipt, positive=positive) for _ in range(2)] == [True, False]
    assert world.fuse("NegativeFeedback", "stable") == (0, 1)
    assert world.fuse("NegativeFeedback", "canary") == (1, 1)


def test_it_observes_a_call_of_the_applications_own(face: Face) -> None:
    world = InCanary("hi")
    client = face(world)
    decision = client.route("greeter", world.canary)
    with client.observe(decision, unit=world.canary) as call:
        call.response = response_of("cut", stop_reason="max_tokens")
    assert world.judge("Truncation", 2) == (1, 1)
    assert call.receipt
    assert {d.dimensions.get("Group") for d in world.sink.documents} > {None}


def test_it_raises_what_went_wrong(face: Face) -> None:
    world = InCanary({1: AwsError("ModelErrorException"), 2: "hi"}, variables=["name"])
    client = face(world)
    with pytest.raises(ModelCallFailed):
        client.converse("greeter", unit=world.stable, variables={"name": "x"})
    with pytest.raises(InvalidVariables, match="needs name"):
        client.converse("greeter", unit=world.canary)
    with pytest.raises(InvalidVariables, match="needs name"), client.converse_stream("greeter", unit=world.canary):
        pass
    with pytest.raises(InvalidReceipt):
        client.feedback("x.y", positive=True)


def test_it_raises_in_the_middle_of_a_stream_with_the_text_so_far(face: Face) -> None:
    delta = {"contentBlockDelta": {"delta": {"text": "so far"}, "contentBlockIndex": 0}}
    world = InCanary({"stream": [delta]})
    with (
        face(world).converse_stream("greeter", unit=world.canary) as stream,
        pytest.raises(StreamInterrupted) as caught,
    ):
        list(stream)
    assert caught.value.text == stream.text == "so far"
    assert world.fuse("Error", "canary") == (1, 1)


def test_it_hangs_up_when_its_reader_leaves(face: Face) -> None:
    world = InCanary("one two three")
    with face(world).converse_stream("greeter", unit=world.canary) as stream:
        assert next(iter(stream)) == "one "
    assert (list(stream), stream.text) == ([], "one ")
    assert world.fuse("Error", "canary") == (0, 1)


def test_its_metrics_are_sent_when_it_is_closed(face: Face) -> None:
    closed: list[bool] = []

    class Sink(ListSink):
        def close(self) -> None:
            closed.append(True)

    world = InCanary("hi")
    world.client = fake_client(world.routes, sink=Sink())
    face(world).close()
    assert closed == [True]
