"""The guardrail that a version was tested with is the one that users get, by every way that a call can go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from promptlane.client import AsyncPromptClient, Decision, ModelCallFailed
from promptlane.client.decision import live_route, pinned
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client
from promptlane.domain.errors import InvalidInput
from tests.support.client import AwsError

ARN = "arn:aws:bedrock:eu-west-1:111122223333:prompt/GREETER000"
OWN = {1: ("grstable", "4"), 2: ("arn:aws:bedrock:eu-west-1:111122223333:guardrail/grcanary", "7")}
STABLES = {"guardrailIdentifier": "grstable", "guardrailVersion": "4"}
CANARYS = {"guardrailIdentifier": OWN[2][0], "guardrailVersion": "7"}
GONE = AwsError("ValidationException")
GONE.args = ("ValidationException: The guardrail identifier or version provided in the request does not exist.",)


class World:
    """Every unit is a canary's at weight 10000; at 0 every unit is stable's."""

    def __init__(self, replies: Any = "hi", *, canary: bool = True, guardrails: Any = OWN) -> None:
        self.routes, self.bedrock, self.sink = StaticRoutes(), FakeBedrock(replies), ListSink()
        self.routes.put("greeter", stable=1, canary=2, weight=10_000 if canary else 0, guardrails=guardrails)
        self.client = fake_client(self.routes, self.bedrock, sink=self.sink)

    def sent(self) -> list[Any]:
        return [call.get("guardrailConfig") for call in self.bedrock.calls]


@pytest.mark.parametrize(("canary", "config"), [(True, CANARYS), (False, STABLES)])
def test_each_arm_is_called_with_its_own_guardrail(canary: bool, config: dict[str, str]) -> None:
    world = World(canary=canary)

    world.client.converse("greeter", unit="u")
    list(world.client.converse_stream("greeter", unit="u"))
    decision = world.client.route("greeter", "u")
    with world.client.observe(decision, unit="u") as call:
        call.response = world.bedrock.converse(**decision.request({}))

    async def waited() -> None:
        async with AsyncPromptClient(world.client) as client:
            await client.converse("greeter", unit="u")
            async with await client.converse_stream("greeter", unit="u") as stream:
                assert [piece async for piece in stream]

    asyncio.run(waited())
    assert world.sent() == [config] * 5


def test_langchain_answers_behind_the_versions_guardrail() -> None:
    langchain = pytest.importorskip("promptlane.client.langchain")
    world = World()

    langchain.PromptRunnable(world.client, "greeter", unit="u").invoke({})

    assert world.sent() == [CANARYS]


def test_a_version_without_one_is_called_without() -> None:
    world = World(guardrails={2: OWN[2]}, canary=False)

    world.client.converse("greeter", unit="u")

    assert world.sent() == [None]


def test_a_callers_own_guardrail_wins_on_both_arms() -> None:
    other = {"guardrailIdentifier": "gr9", "guardrailVersion": "1", "trace": "enabled"}
    for canary in (True, False):
        world = World(canary=canary)
        world.client.converse("greeter", unit="u", guardrail=other)
        assert world.sent() == [other]


@pytest.mark.parametrize("more", [{"trace": "enabled_full"}, {"trace": "disabled", "streamProcessingMode": "async"}])
def test_what_only_says_how_it_is_applied_goes_with_the_versions_own(more: dict[str, str]) -> None:
    world = World({1: "from stable", 2: GONE}, guardrails={2: OWN[2]})

    list(world.client.converse_stream("greeter", unit="u", guardrail=more))

    # Stable has no guardrail: Bedrock would refuse what applies to none.
    assert world.sent() == [{**CANARYS, **more}, None]


def test_a_guardrail_that_was_deleted_is_an_error_of_the_canary_that_stable_answers_for() -> None:
    def replies(request: Any) -> Any:
        return GONE if request["guardrailConfig"] == CANARYS else "from stable"

    world = World(replies)

    answer = world.client.converse("greeter", unit="u")

    assert (answer.text, answer.shielded) == ("from stable", True)
    assert world.sent() == [CANARYS, STABLES]
    assert world.sink.total("Error", Prompt="greeter", Version="2") == (1, 1)
    assert world.sink.total("Error", Prompt="greeter", Version="1") == (0, 0)


def test_where_stables_is_gone_too_the_failure_names_guardrails() -> None:
    with pytest.raises(ModelCallFailed, match="or its guardrail is gone"):
        World(GONE).client.converse("greeter", unit="u")


@pytest.mark.parametrize("same", [OWN, {1: OWN[2], 2: OWN[2]}])
def test_a_guardrail_that_both_versions_lost_is_an_error_that_judge_and_fuse_see(same: Any) -> None:
    for canary, version in ((True, "2"), (False, "1")):
        world = World(GONE, canary=canary, guardrails=same)
        with pytest.raises(ModelCallFailed):
            world.client.converse("greeter", unit="u")
        with pytest.raises(ModelCallFailed):
            list(world.client.converse_stream("greeter", unit="u"))
        assert world.sink.total("Error", Prompt="greeter", Version=version) == (2, 2)


def test_it_is_seen_while_nothing_is_released_too() -> None:
    routes, sink = StaticRoutes(), ListSink()
    routes.put("greeter", stable=1, guardrails=OWN)
    client = fake_client(routes, FakeBedrock(GONE), sink=sink)
    with pytest.raises(ModelCallFailed):
        client.converse("greeter", unit="u")
    assert sink.total("Error", Prompt="greeter", Track="stable") == (1, 1)


HALVES = [
    ({"guardrailIdentifier": "g"}, "guardrail has guardrailIdentifier alone; give guardrailIdentifier and"),
    ({"guardrailVersion": "1", "trace": "enabled"}, "guardrail has guardrailVersion alone"),
    ({"id": "g", "version": "1"}, "guardrail names no guardrail but has id, version"),
]


@pytest.mark.parametrize(("half", "says"), HALVES)
@pytest.mark.parametrize("name", ["converse", "converse_stream"])
def test_half_a_guardrail_is_the_callers_mistake_and_counts_for_nobody(name: str, half: Any, says: str) -> None:
    world = World()

    with pytest.raises(InvalidInput, match=says):
        getattr(world.client, name)("greeter", unit="u", guardrail=half)

    assert world.sent() == []
    assert world.sink.documents == []


@pytest.mark.parametrize(("half", "says"), HALVES)
def test_a_request_of_ones_own_refuses_it_too(half: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        World().client.route("greeter", "u").request({}, guardrail=half)


def test_a_mode_of_streams_is_for_streams() -> None:
    world = World()

    with pytest.raises(InvalidInput, match="streamProcessingMode, which is for converse_stream"):
        world.client.converse("greeter", unit="u", guardrail={**STABLES, "streamProcessingMode": "sync"})

    assert world.sink.documents == []


def test_a_request_does_not_share_the_routes_guardrail() -> None:
    decision = World().client.route("greeter", "u")

    decision.request({})["guardrailConfig"]["guardrailVersion"] = "DRAFT"

    assert decision.request({})["guardrailConfig"] == CANARYS


def test_a_holdback_keeps_the_guardrail_of_the_previous_version() -> None:
    refs = {
        name: {"version": n, "arn": f"{ARN}:{n}", "guardrail": {"id": f"gr{n}", "version": "1"}}
        for name, n in (("stable", 3), ("previous", 2))
    }
    live = live_route("greeter", {"schema": 1, "revision": 1, "phase": "watch", "holdback": 500, **refs})

    def guard(decision: Decision) -> object:
        return decision.track, decision.guardrail and decision.guardrail["guardrailIdentifier"]

    assert (guard(live.low), guard(live.high)) == (("stable", "gr3"), ("holdback", "gr2"))


@pytest.mark.parametrize("id", ["gr9", "arn:aws:bedrock:eu-west-1:111122223333:guardrail/gr9"])
def test_a_fallback_may_name_its_guardrail(id: str) -> None:
    assert pinned("greeter", f"{ARN}:3").stable.guardrail is None
    live = pinned("greeter", f"{ARN}:3#{id}:2")
    assert (live.stable.version_arn, live.stable.version) == (f"{ARN}:3", 3)
    assert live.stable.guardrail == {"guardrailIdentifier": id, "guardrailVersion": "2"}


@pytest.mark.parametrize("behind", ["gr9", "gr9:DRAFT", ":1", "gr9:0"])
def test_a_fallback_with_half_a_guardrail_is_refused(behind: str) -> None:
    with pytest.raises(InvalidInput, match=r"ends in #.*; give its guardrail's id and the number of its version"):
        pinned("greeter", f"{ARN}:3#{behind}")


def test_who_calls_bedrock_by_openfeature_is_told_the_guardrail() -> None:
    provider = pytest.importorskip("promptlane.client.openfeature").PromptlaneProvider
    context = pytest.importorskip("openfeature.evaluation_context").EvaluationContext("u")

    guarded, plain = (provider(World(guardrails=of).client) for of in (OWN, None))

    told = guarded.resolve_string_details("greeter", "", context).flag_metadata
    assert {name: told[name] for name in CANARYS} == CANARYS
    assert set(plain.resolve_string_details("greeter", "", context).flag_metadata) == {"track", "release_id"}
