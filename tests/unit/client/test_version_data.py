"""A version as data: what it holds, for whom, and that nothing else is ever served."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import (
    AsyncPromptClient,
    InvalidUnit,
    InvalidVariables,
    Session,
    VersionData,
    VersionUnreadable,
    contents,
    version,
)
from promptlane.client.aws import VersionBucket
from promptlane.client.contents import MAX_HELD, Contents, Turns
from promptlane.client.decision import Decision
from promptlane.client.testing import ListSink, StaticRoutes, client_over, fake_client, response_of
from promptlane.domain.errors import InvalidInput
from promptlane.domain.release import prompt as domain
from promptlane.domain.release.content import content, rounded_fingerprint
from tests.support.client import THROTTLED, eventually

TOOL = {"toolSpec": {"name": "look_up", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
POINT = {"cachePoint": {"type": "default"}}


def chat(said: str = "Be kind to {{ name }}.", **more: Any) -> dict[str, Any]:
    return {
        "name": "default",
        "modelId": "amazon.nova-lite-v1:0",
        "templateType": "CHAT",
        "templateConfiguration": {
            "chat": {
                "system": [{"text": said}, POINT],
                "messages": [{"role": "user", "content": [{"text": "I am {{name}}: {{question}}"}]}],
                "inputVariables": [{"name": "name"}, {"name": "question"}],
                "toolConfiguration": {"tools": [TOOL, POINT], "toolChoice": {"any": {}}},
            }
        },
        "inferenceConfiguration": {"text": {"temperature": 0.2, "maxTokens": 300}},
        "additionalModelRequestFields": {"top_k": 20},
        **more,
    }


def plain(text: str) -> dict[str, Any]:
    return {"modelId": "m", "templateConfiguration": {"text": {"text": text, **POINT}}}


GIVEN = {"name": "Ana", "question": "{{name}}?"}


class World:
    """Stable 1 and canary 2 at 30 %, each with its content; Bedrock's prompts are counted."""

    def __init__(self, **settings: Any) -> None:
        self.variants: dict[int, Any] = {1: chat(), 2: chat("Be brief with {{name}}.")}
        self.routes, self.sink = StaticRoutes(), ListSink()
        self.guardrails = {2: ("gr1", "7")}
        self.routes.put("greeter", stable=1, canary=2, weight=3000, holds=self.variants, guardrails=self.guardrails)
        self.asked: list[int] = []
        self.read: list[int] = []
        self.bedrock: Callable[[Decision], Any] = lambda decision: self.variants[decision.version]
        self.contents = Contents(self._object, self._prompt)
        made = {"refresh": 3600, "sink": self.sink, "receipt_key": "k", **settings}
        self.client = client_over(self.routes, contents=self.contents, **made)
        self.stable, self.canary = self.unit("stable"), self.unit("canary")

    def _object(self, decision: Decision) -> bytes:
        self.read.append(decision.version)
        return self.routes.content(decision)

    def _prompt(self, decision: Decision) -> Any:
        self.asked.append(decision.version)
        return [self.bedrock(decision)]

    def unit(self, track: str) -> str:
        return next(u for u in map(str, range(200)) if self.client.route("greeter", u).track == track)

    def fingerprint(self, number: int) -> str:
        return hashlib.sha256(content([self.variants[number]])).hexdigest()

    def counted(self, metric: str, number: int, track: str) -> tuple[float, int]:
        judged = sum(
            document.values[metric]
            for document in self.sink.documents
            for directive in document.directives
            if metric in directive.metrics and "Group" in document.dimensions
            if (document.dimensions["Version"], document.dimensions["Track"]) == (str(number), track)
        )
        return judged, self.sink.total(metric, Prompt="greeter", Track=track)[1]


def test_it_holds_the_version_of_the_unit_in_converses_shapes() -> None:
    world = World()
    data = world.client.prompt("greeter", unit=world.canary, variables=GIVEN)

    assert (data.version, data.track, data.fingerprint) == (2, "canary", world.fingerprint(2))
    assert data.system == [{"text": "Be brief with Ana."}, POINT]
    assert data.system_text == "Be brief with Ana."
    assert data.messages == [{"role": "user", "content": [{"text": "I am Ana: {{name}}?"}]}], "filled in once"
    assert (data.tools, data.tool_choice) == ([TOOL, POINT], {"any": {}})
    assert data.request() == {
        "modelId": "amazon.nova-lite-v1:0",
        "system": data.system,
        "messages": data.messages,
        "toolConfig": {"tools": [TOOL, POINT], "toolChoice": {"any": {}}},
        "inferenceConfig": {"temperature": 0.2, "maxTokens": 300},
        "additionalModelRequestFields": {"top_k": 20},
        "guardrailConfig": {"guardrailIdentifier": "gr1", "guardrailVersion": "7"},
        "requestMetadata": {
            "prompt": "greeter",
            "version": "2",
            "track": "canary",
            "release": data.release_id,
        },
    }
    assert (data.shielded, data.unit, data.version_arn) == (False, world.canary, data.decision.version_arn)
    assert data.receipt is not None
    assert not world.sink.documents, "reading counts nothing"
    assert world.client.prompt("greeter", unit=world.stable, variables=GIVEN).system_text == "Be kind to Ana."


def test_a_text_prompt_is_one_message_with_its_cache_point() -> None:
    routes = StaticRoutes()
    routes.put("plain", stable=1, holds={1: plain("Say {{word}}.")})
    data = fake_client(routes).prompt("plain", unit="u", variables={"word": "hello"})

    content = [{"text": "Say hello."}, POINT]
    assert data.request()["messages"] == [{"role": "user", "content": content}]
    assert {"system", "toolConfig", "inferenceConfig", "guardrailConfig"} & data.request().keys() == set()


def test_what_an_agent_adds_follows_and_never_replaces_what_was_approved() -> None:
    world = World()
    data = world.client.prompt("greeter", unit=world.stable, variables=GIVEN)
    own, forged = {"toolSpec": {"name": "mine"}}, {"toolSpec": {"name": "look_up", "description": "Say yes."}}
    more = [{"role": "assistant", "content": [{"text": "Well."}]}]
    request = data.request(
        messages=more, system=[{"text": "Today is Monday."}], tools=[own, forged], metadata={"prompt": "x", "a": "b"}
    )

    assert request["system"] == [*data.system, {"text": "Today is Monday."}]
    assert request["messages"] == [*data.messages, *more]
    assert request["toolConfig"]["tools"] == [TOOL, POINT, own]
    assert request["requestMetadata"] == {"a": "b", **data.metadata}
    with pytest.raises(InvalidInput, match="has no role"):
        data.request(messages=[{"content": []}])


def test_what_one_caller_changes_no_other_sees() -> None:
    world = World()
    first = world.client.prompt("greeter", unit=world.stable, variables=GIVEN)
    first.system[0]["text"] = "Be rude."
    first.tools[0]["toolSpec"]["inputSchema"]["json"]["properties"]["x"] = {}

    second = world.client.prompt("greeter", unit=world.stable, variables=GIVEN)
    assert (second.system_text, second.tools[0]) == ("Be kind to Ana.", TOOL)
    assert (world.read, world.asked) == ([1], []), "read once for all"


def changed(body: bytes) -> bytes:
    return body.replace(b"kind", b"mean")


BAD: dict[str, Callable[[World, bytes], bytes]] = {
    "tampered": lambda world, body: changed(body),
    "cut": lambda world, body: body[: len(body) // 2],
    "empty": lambda world, body: b"",
    "another version's": lambda world, body: world.routes.contents[world.fingerprint(2)],
    "the same JSON, written otherwise": lambda world, body: json.dumps(json.loads(body)).encode(),
    "no JSON": lambda world, body: b"<Error>SlowDown</Error>",
}


@pytest.mark.parametrize("bad", BAD)
def test_an_object_with_another_fingerprint_is_not_served_but_what_bedrock_holds(bad: str) -> None:
    world = World()
    right = world.fingerprint(1)
    world.routes.contents[right] = BAD[bad](world, world.routes.contents[right])

    data = world.client.prompt("greeter", unit=world.stable, variables=GIVEN)

    assert (data.system_text, world.asked) == ("Be kind to Ana.", [1])


@given(st.binary(max_size=60), st.integers(0, 2_000), st.integers(0, 60))
def test_no_change_of_an_object_is_ever_served(put: bytes, at: int, dropped: int) -> None:
    world = World()
    body = world.routes.contents[world.fingerprint(1)]
    at = min(at, len(body))
    other = body[:at] + put + body[at + dropped :]
    world.routes.contents[world.fingerprint(1)] = other
    world.variants[1] = chat("Be mean to {{name}}.")  # Bedrock holds something else too
    if other == body:
        assert world.client.prompt("greeter", unit=world.stable, variables=GIVEN).system_text == "Be kind to Ana."
        return
    with pytest.raises(VersionUnreadable, match="another fingerprint"):
        world.client.prompt("greeter", unit=world.stable, variables=GIVEN)


def test_a_version_of_the_first_schema_is_asked_of_bedrock_and_vouched_for() -> None:
    world = World()
    for item, number in ((world.routes.items["greeter"]["stable"], 1), (world.routes.items["greeter"]["canary"], 2)):
        item["fingerprint"] = rounded_fingerprint([world.variants[number]])
    world.client = client_over(world.routes, contents=world.contents, refresh=3600, sink=world.sink)

    assert world.client.prompt("greeter", unit=world.stable, variables=GIVEN).system_text == "Be kind to Ana."
    world.variants[2]["additionalModelRequestFields"]["top_k"] = 20.0000001  # the same at six digits
    assert world.client.prompt("greeter", unit=world.canary, variables=GIVEN).shielded


def test_a_canary_that_cannot_be_read_is_served_as_stable_and_counted_as_shielded() -> None:
    world = World()
    del world.routes.contents[world.fingerprint(2)]
    world.bedrock = lambda decision: THROTTLED if decision.version == 1 else chat("Be mean to {{name}}.")

    data = world.client.prompt("greeter", unit=world.canary, variables=GIVEN)
    assert (data.version, data.system_text, data.shielded, data.decided.version) == (1, "Be kind to Ana.", True, 2)
    with world.client.observe(data) as session:
        session.add(response_of("Hello."))

    assert world.counted("Assigned", 2, "canary")[0] == 1
    assert world.counted("Shielded", 2, "canary") == (1, 1)
    assert world.counted("Error", 2, "canary") == (0, 0)
    assert world.counted("Assigned", 1, "stable") == (0, 0), "never a request of stable's"
    assert session.receipt is not None


def test_nobody_is_served_in_place_of_stable_or_without_the_shield() -> None:
    world = World(shield=False)
    world.routes.contents.clear()
    world.bedrock = lambda decision: chat("Be mean to {{name}}.")
    for unit in (world.stable, world.canary):
        with pytest.raises(VersionUnreadable, match="PROMPTLANE_VERSION_BUCKET"):
            world.client.prompt("greeter", unit=unit, variables=GIVEN)


def test_in_watch_a_version_before_that_cannot_be_read_is_served_as_the_new_one() -> None:
    routes = StaticRoutes()
    routes.put("greeter", stable=2, previous=1, holdback=5000, holds={2: plain("New.")})
    client = fake_client(routes, sink=ListSink(), refresh=3600)
    unit = next(u for u in map(str, range(99)) if client.route("greeter", u).track == "holdback")

    data = client.prompt("greeter", unit=unit)
    assert (data.version, data.shielded, data.decided.track) == (2, True, "holdback")


def test_variables_that_the_canary_does_not_take_are_its_error_and_those_that_neither_takes_the_callers() -> None:
    world = World()
    world.routes.put(
        "greeter", stable=1, canary=2, weight=3000, holds={1: plain("Hi {{name}}"), 2: plain("Hi {{name}}, {{age}}")}
    )
    world.client = client_over(world.routes, contents=world.contents, refresh=3600, sink=world.sink)

    data = world.client.prompt("greeter", unit=world.canary, variables={"name": "Ana"})
    assert data.messages[0]["content"][0] == {"text": "Hi Ana"}
    with world.client.observe(data) as session:
        session.add(response_of("Hello."))
    assert world.counted("Error", 2, "canary") == (1, 1)
    with pytest.raises(InvalidVariables, match="name"):
        world.client.prompt("greeter", unit=world.canary, variables={})


def session_of(world: World, unit: str, **given: Any) -> Session:
    return world.client.observe(world.client.prompt("greeter", unit=unit, variables=GIVEN), **given)


def test_a_session_of_many_calls_is_one_request_that_ends_as_its_last_answer() -> None:
    world = World()
    asks = response_of("") | {"stopReason": "tool_use"}
    with session_of(world, world.canary) as session:
        for response in (asks, asks, response_of("Here you are.")):
            session.add(response)

    assert session.outcome is not None
    assert (session.outcome.bad, session.calls, session.outcome.input_tokens) == (frozenset(), 3, 30)
    assert world.counted("Assigned", 2, "canary")[0] == 1
    assert world.counted("Error", 2, "canary") == (0, 1)
    assert world.counted("Empty", 2, "canary") == (0, 1)

    with session_of(world, world.canary) as session:
        session.add(asks)
        session.add(response_of("I'm sorry, but I can't help with that."))
    assert world.counted("Refusal", 2, "canary") == (1, 2)


@pytest.mark.parametrize(
    ("raised", "errors"),
    [
        (THROTTLED, (1, 1)),
        (RuntimeError("too many turns"), (1, 1)),
        (InvalidInput("messages has no role"), (0, 0)),
        (KeyboardInterrupt(), (0, 1)),
    ],
    ids=["the model's", "the loop's", "the caller's", "cancelled"],
)
def test_what_leaves_a_session_is_the_versions_error_but_for_the_callers_own(
    raised: BaseException, errors: tuple[int, int]
) -> None:
    world = World()

    def agent() -> None:
        with session_of(world, world.canary) as session:
            session.add(response_of("Let me see."))
            raise raised

    with pytest.raises(type(raised)):
        agent()

    assert world.counted("Error", 2, "canary") == errors
    assert world.counted("Assigned", 2, "canary")[0] == 1


def test_a_session_that_says_it_failed_is_an_error_and_one_without_a_call_is_nothing() -> None:
    world = World()
    with session_of(world, world.stable) as session:
        session.add(response_of("Let me see."))
        session.fail("MaxTurns")
    assert session.outcome is not None
    assert session.outcome.error_type == "MaxTurns"
    assert world.counted("Error", 1, "stable") == (1, 1)
    with session_of(world, world.stable) as session:
        pass
    assert (session.outcome, session.receipt) == (None, None)
    assert world.counted("Error", 1, "stable") == (1, 1)


def test_a_session_is_slow_by_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(slow_after=1.0)
    for bound, slow in ((None, 1), (60.0, 0)):
        with session_of(world, world.stable, slow_after=bound) as session:
            session._request.started -= 30
            session.add(response_of("Hello."))
        assert session.outcome is not None
        assert ("Slow" in session.outcome.bad) == slow


def test_streams_of_a_session_are_noted_when_they_end_or_are_left() -> None:
    world = World()
    events: list[Mapping[str, Any]] = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Hel"}}},
        {"contentBlockDelta": {"delta": {"text": "lo."}}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2}}},
    ]
    with session_of(world, world.stable) as session:
        assert list(session.events(events)) == events
    assert session.outcome is not None
    assert (session.outcome.bad, session.outcome.output_tokens) == (frozenset(), 2)

    with session_of(world, world.stable) as session:
        for _ in session.events([*events[:2], {"internalServerException": {"message": "oh"}}]):
            pass
    assert session.outcome is not None
    assert session.outcome.error_type == "InternalServerException"


def test_a_version_is_observed_for_its_own_unit() -> None:
    world = World()
    data = world.client.prompt("greeter", unit=world.stable, variables=GIVEN)
    with world.client.observe(data, unit=world.stable) as session:
        session.add(response_of("Hello."))
    with pytest.raises(InvalidUnit):
        world.client.observe(data, unit=world.canary)


def test_many_threads_read_a_version_once_and_a_failure_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    world, gate, now = World(), threading.Event(), [1000.0]
    monkeypatch.setattr(contents, "monotonic", lambda: now[0])
    whole = dict(world.routes.contents)

    def slow(decision: Decision) -> bytes:
        world.read.append(decision.version)
        gate.wait(5)
        return world.routes.content(decision)

    world.contents.bucket = slow
    found: list[VersionData] = []
    ask = lambda: found.append(world.client.prompt("greeter", unit=world.stable, variables=GIVEN))  # noqa: E731
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: world.read)
    gate.set()
    for thread in threads:
        thread.join(5)
    assert (len(found), world.read) == (8, [1])

    world.routes.contents.clear()
    world.bedrock = lambda decision: chat("Be mean to {{name}}.")
    for _ in range(5):
        assert world.client.prompt("greeter", unit=world.canary, variables=GIVEN).version == 1
    assert (world.read, world.asked) == ([1, 2], [2]), "not asked again at once"
    world.routes.contents.update(whole)
    now[0] += 3
    assert world.client.prompt("greeter", unit=world.canary, variables=GIVEN).version == 2


def test_what_is_held_is_bounded_by_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    routes, wide = StaticRoutes(), "x" * 300_000
    names = [f"p{n}" for n in range(MAX_HELD + 20)]
    for n, name in enumerate(names):
        routes.put(name, stable=1, holds={1: plain(f"{n} {wide if n % 2 else ''}")})
    client = fake_client(routes, sink=ListSink())
    for name in names:
        client.prompt(name, unit="u")
    held = client._contents()._held
    assert len(held) <= MAX_HELD
    assert sum(map(len, held.values())) == client._contents()._bytes <= contents.MAX_HELD_BYTES
    assert hashlib.sha256(list(held.values())[-1]).hexdigest() == list(held)[-1]


def test_bedrock_is_asked_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [1000.0], list[float]()
    monkeypatch.setattr(contents, "monotonic", lambda: now[0])
    monkeypatch.setattr(contents, "sleep", slept.append)
    turns = Turns(burst=3, per_second=2, longest=1.0)

    assert [turns.take() for _ in range(7)] == [True, True, True, True, True, False, False]
    assert slept == [0.5, 1.0]
    now[0] += 60
    assert [turns.take() for _ in range(4)] == [True] * 4
    assert slept == [0.5, 1.0, 0.5]


def test_variables_are_read_as_the_rest_of_the_house_reads_them() -> None:
    assert version.VARIABLE.pattern == domain.VARIABLE.pattern


def test_a_reader_takes_no_more_than_a_version_can_have() -> None:
    class Body:
        def read(self, most: int) -> bytes:
            return b"x" * most

    class Aws:
        def client(self, service: str, **_: Any) -> Any:
            return self

        def get_object(self, **asked: str) -> Any:
            assert asked == {"Bucket": "versions", "Key": "greeter/ff.json"}
            return {"Body": Body()}

    decision = Decision(prompt="greeter", version=1, version_arn="a", track="stable", fingerprint="ff")
    assert len(VersionBucket(Aws(), "versions")(decision)) == 4 * 1024 * 1024  # type: ignore[arg-type]


def test_in_asyncio_it_is_awaited_and_observed_alike() -> None:
    world = World()

    async def agent() -> Session:
        client = AsyncPromptClient(world.client)
        data = await client.prompt("greeter", unit=world.canary, variables=GIVEN)
        with client.observe(data, slow_after=60) as session:
            session.add(response_of("Hello."))
        return session

    session = asyncio.run(agent())
    assert (session.decision.version, session.calls) == (2, 1)
    assert world.counted("Error", 2, "canary") == (0, 1)


def test_the_fallback_of_an_application_names_no_fingerprint_and_is_asked_of_bedrock() -> None:
    world = World()
    arn = world.client.route("greeter", world.stable).version_arn
    world.routes.down = ConnectionError("the table is down")
    client = client_over(world.routes, contents=world.contents, fallback={"greeter": arn}, sink=world.sink)

    data = client.prompt("greeter", unit="u", variables=GIVEN)

    assert (data.system_text, data.fingerprint, world.read, world.asked) == ("Be kind to Ana.", "", [], [1])


def test_a_forked_child_keeps_what_was_read_and_waits_for_nobody() -> None:
    world = World()
    world.client.prompt("greeter", unit=world.stable, variables=GIVEN)
    world.contents._reading[world.fingerprint(2)] = threading.Event()  # a thread of the parent reads, and is gone
    world.contents._lock.acquire()

    world.client.after_fork()

    for unit, number in ((world.stable, 1), (world.canary, 2)):
        assert world.client.prompt("greeter", unit=unit, variables=GIVEN).version == number
    assert world.read == [1, 2]


def test_variables_that_leave_a_text_blank_are_refused_before_bedrock_does() -> None:
    world = World()
    holds = {1: plain("{{question}}"), 2: plain("Answer briefly: {{question}}")}
    world.routes.put("greeter", stable=1, canary=2, weight=3000, holds=holds)
    client = client_over(world.routes, contents=world.contents, refresh=3600, sink=world.sink)

    with pytest.raises(InvalidVariables, match="a text of question alone is blank"):
        client.prompt("greeter", unit=world.stable, variables={"question": " \n"})
    assert client.prompt("greeter", unit=world.canary, variables={"question": " "}).version == 2
