"""Whose error it is when a request is not accepted: the caller's, the canary's, a version's that is watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.client import AsyncPromptClient, InvalidVariables, ModelCallFailed, RequestRefused
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client
from promptlane.domain.errors import InvalidInput
from tests.support.client import AwsError, InCanary

REFUSED = AwsError("ValidationException")
UNSENT = type("ParamValidationError", (Exception,), {})("Parameter validation failed")
TEXT = {"text": "And now?"}


def converse(world: Any, unit: str) -> str:
    return world.client.converse("greeter", unit=unit).text  # type: ignore[no-any-return]


def stream(world: Any, unit: str) -> str:
    return "".join(world.client.converse_stream("greeter", unit=unit))


def awaited(world: Any, unit: str) -> str:
    async def ask() -> str:
        async with AsyncPromptClient(world.client) as client:
            return (await client.converse("greeter", unit=unit)).text

    return asyncio.run(ask())


def event(*before: Any) -> Any:
    """A stream that opens, and refuses in an event."""
    return {"stream": [*before, {"validationException": {"message": "too long"}}]}


EVERY_WAY = pytest.mark.parametrize("ask", [converse, stream, awaited])


def errors(world: InCanary) -> dict[str, tuple[float, int]]:
    """Errors as judge and fuse read them, both versions'."""
    read = {str(v): world.judge("Error", v) for v in (1, 2)}
    return read | {track: world.fuse("Error", track) for track in ("stable", "canary")}


NOBODYS = {"1": (0, 0), "2": (0, 0), "stable": (0, 0), "canary": (0, 0)}
CANARYS = {"1": (0, 0), "2": (1, 1), "stable": (0, 0), "canary": (1, 1)}
STABLES = {"1": (1, 1), "2": (0, 0), "stable": (1, 1), "canary": (0, 0)}


@EVERY_WAY
@pytest.mark.parametrize("error", [REFUSED, UNSENT])
def test_what_both_versions_refuse_is_neither_ones_error(ask: Callable[..., str], error: Exception) -> None:
    world = InCanary(error)
    with pytest.raises(RequestRefused) as caught:
        ask(world, world.canary)
    assert world.called() == [2, 1]
    assert errors(world) == NOBODYS
    assert (world.judge("Assigned", 2), world.fuse("Assigned", "canary")) == ((1, 1), (0, 0))
    assert world.fuse("InvalidRequest", "canary") == world.judge("InvalidRequest", 2) == (1, 1)
    assert "2" not in str(caught.value).replace("greeter", "")
    assert "canary" not in str(caught.value)


@EVERY_WAY
def test_what_only_the_canary_refuses_is_its_error_and_stable_answers(ask: Callable[..., str]) -> None:
    world = InCanary({1: "from stable", 2: REFUSED})
    assert ask(world, world.canary) == "from stable"
    assert errors(world) == CANARYS
    assert world.fuse("InvalidRequest", "canary") == (0, 0)


@EVERY_WAY
def test_what_stable_refuses_of_its_own_units_is_not_counted(ask: Callable[..., str]) -> None:
    world = InCanary({1: REFUSED, 2: "from the canary"})
    with pytest.raises(RequestRefused) as caught:
        ask(world, world.stable)
    assert (world.called(), errors(world)) == ([1], NOBODYS)
    assert world.fuse("InvalidRequest", "stable") == world.judge("InvalidRequest", 1) == (1, 1)
    both = InCanary(REFUSED)
    with pytest.raises(RequestRefused) as other:
        ask(both, both.canary)
    assert str(caught.value) == str(other.value), "the text must not tell the track"


@EVERY_WAY
@pytest.mark.parametrize("code", ["ModelErrorException", "AccessDeniedException", "ReadTimeoutError"])
def test_where_stable_fails_otherwise_nobody_excused_the_canary(ask: Callable[..., str], code: str) -> None:
    world = InCanary({1: AwsError(code), 2: REFUSED})
    with pytest.raises(ModelCallFailed) as caught:
        ask(world, world.canary)
    assert (caught.value.code, type(caught.value), errors(world)) == (code, ModelCallFailed, CANARYS)


@EVERY_WAY
@pytest.mark.parametrize(
    "code", ["ThrottlingException", "InternalServerException", "ModelTimeoutException", "ResourceNotFoundException"]
)
def test_all_else_stays_an_error_of_whom_it_happened_to(ask: Callable[..., str], code: str) -> None:
    world = InCanary(AwsError(code))
    for unit, counted in ((world.canary, CANARYS), (world.stable, CANARYS | {"1": (1, 1), "stable": (1, 1)})):
        with pytest.raises(ModelCallFailed):
            ask(world, unit)
        assert errors(world) == counted


SAID = {"answers": "hi", "refuses": REFUSED, "fails": AwsError("ModelErrorException")}
REPLIES = st.sampled_from(sorted(SAID))


@given(st.lists(st.tuples(st.sampled_from(["canary", "stable"]), REPLIES, REPLIES), max_size=12), st.booleans())
def test_whatever_both_versions_say_each_request_counts_once_and_where_it_belongs(
    requests: list[tuple[str, str, str]], streamed: bool
) -> None:
    """Errors of the canary: what it fails, and what it refuses and stable does not. Of stable: what it fails itself."""
    world = InCanary("hi", breaker_errors=0)
    for track, canary, stable in requests:
        world.bedrock.replies = {2: SAID[canary], 1: SAID[stable]}
        asked = stream if streamed else converse
        if "answers" in ((canary, stable) if track == "canary" else (stable,)):
            assert asked(world, getattr(world, track)) == "hi"
        else:
            with pytest.raises(ModelCallFailed):
                asked(world, getattr(world, track))
    on_canary = [(canary, stable) for track, canary, stable in requests if track == "canary"]
    on_stable = [stable for track, _, stable in requests if track == "stable"]
    both_refuse = on_canary.count(("refuses", "refuses"))
    wrong = sum(canary != "answers" for canary, _ in on_canary) - both_refuse
    assert world.judge("Error", 2) == world.fuse("Error", "canary") == (wrong, len(on_canary) - both_refuse)
    counted = len(on_stable) - on_stable.count("refuses")
    assert world.judge("Error", 1) == world.fuse("Error", "stable") == (on_stable.count("fails"), counted)
    assert (world.judge("Assigned", 2)[1], world.judge("Assigned", 1)[1]) == (len(on_canary), len(on_stable))
    assert world.judge("InvalidRequest", 2)[1] == both_refuse
    assert world.judge("InvalidRequest", 1)[1] == on_stable.count("refuses")


def test_a_canary_that_takes_no_request_is_seen_at_once_and_sent_nothing_more() -> None:
    world = InCanary({1: "from stable", 2: REFUSED}, breaker_errors=3, breaker_cooldown=60)
    assert {converse(world, next(world.canaries)) for _ in range(10)} == {"from stable"}
    assert world.judge("Error", 2) == (4, 4)
    assert world.fuse("Shielded", "canary") == (6, 10)


def test_requests_that_nobody_takes_do_not_open_the_breaker() -> None:
    world = InCanary(REFUSED, breaker_errors=2)
    for _ in range(5):
        with pytest.raises(RequestRefused):
            converse(world, next(world.canaries))
    assert world.called() == [2, 1] * 5


@pytest.mark.parametrize("before", [(), ({"messageStart": {"role": "assistant"}},)])
def test_a_refusal_in_a_streams_event_is_one_too(before: tuple[Any, ...]) -> None:
    both = InCanary({1: event(*before), 2: event(*before)})
    with pytest.raises(RequestRefused):
        stream(both, both.canary)
    assert errors(both) == NOBODYS
    canary = InCanary({1: "from stable", 2: event(*before)})
    assert stream(canary, canary.canary) == "from stable"
    assert errors(canary) == CANARYS


def test_a_stream_that_its_reader_leaves_counts_what_the_canary_did() -> None:
    for pieces in (0, 1):
        world = InCanary({1: "one two three", 2: REFUSED})
        with world.client.converse_stream("greeter", unit=world.canary) as answer:
            for _, _ in zip(range(pieces), answer, strict=False):
                pass
        if pieces:
            assert errors(world) == CANARYS
        else:  # whether stable takes it was not waited for
            assert errors(world)["2"] == (0, 0)
            assert world.judge("Cancelled", 2) == (1, 1)


@pytest.mark.parametrize("track", ["canary", "stable"])
def test_without_the_shield_nobody_else_is_asked_and_both_tracks_count_alike(track: str) -> None:
    world = InCanary(REFUSED, shield=False)
    with pytest.raises(RequestRefused):
        converse(world, getattr(world, track))
    assert len(world.called()) == 1
    assert errors(world) == {"canary": CANARYS, "stable": STABLES}[track]


class Watched:
    """A client while version 2 is watched and some units are held back on version 1."""

    def __init__(self, replies: Any, *, holdback: int = 5000, **settings: Any) -> None:
        self.routes = StaticRoutes()
        self.routes.put("greeter", stable=2, previous=1, holdback=holdback)
        self.bedrock, self.sink = FakeBedrock(replies), ListSink()
        self.client = fake_client(self.routes, self.bedrock, sink=self.sink, refresh=3600, **settings)

    def unit(self, track: str) -> str:
        return next(u for u in (f"u{i}" for i in range(999)) if self.client.route("greeter", u).track == track)

    def told(self, metric: str, version: int) -> tuple[float, int]:
        return self.sink.total(metric, Prompt="greeter", Version=str(version))


@EVERY_WAY
@pytest.mark.parametrize(("track", "own", "other"), [("stable", 2, 1), ("holdback", 1, 2)])
@pytest.mark.parametrize("holdback", [0, 5000])
def test_a_watched_version_that_refuses_what_the_other_takes_errs(
    ask: Callable[..., str], track: str, own: int, other: int, holdback: int
) -> None:
    world = Watched({own: REFUSED, other: "from the other"}, holdback=holdback or (0 if track == "stable" else 10_000))
    assert ask(world, world.unit(track)) == "from the other"
    assert (world.told("Error", own), world.told("Error", other)) == ((1, 1), (0, 0))
    neither = Watched(REFUSED)
    with pytest.raises(RequestRefused):
        ask(neither, neither.unit(track))
    assert (neither.told("Error", own), neither.told("InvalidRequest", own)) == ((0, 0), (1, 1))


def test_a_version_before_with_other_variables_cannot_be_asked() -> None:
    world = Watched(REFUSED)
    world.routes.items["greeter"]["previous"]["variables"] = ["name"]
    world.client = fake_client(world.routes, world.bedrock, sink=world.sink)
    with pytest.raises(RequestRefused):
        converse(world, world.unit("stable"))
    assert world.told("Error", 2) == (1, 1)


def test_in_steady_state_it_counts_for_people_alone() -> None:
    routes, sink = StaticRoutes(), ListSink()
    routes.put("greeter", stable=1)
    client = fake_client(routes, FakeBedrock(REFUSED), sink=sink, shield=False)
    with pytest.raises(RequestRefused):
        client.converse("greeter", unit="u")
    assert sink.total("Error", Prompt="greeter", Version="1") == (0, 0)
    assert sink.total("InvalidRequest", Prompt="greeter", Track="stable") == (1, 1)


def observed(world: Any, unit: str, error: Exception) -> None:
    with pytest.raises(type(error)), world.client.observe(world.client.route("greeter", unit), unit=unit):
        raise error


def test_an_own_call_counts_alike_on_both_tracks_and_not_at_all_where_nothing_is_compared() -> None:
    world = InCanary("hi")
    observed(world, world.canary, REFUSED)
    assert errors(world) == CANARYS
    observed(world, world.stable, REFUSED)
    assert errors(world) == CANARYS | {"1": (1, 1), "stable": (1, 1)}
    world.routes.put("calm", stable=5)
    with pytest.raises(AwsError), world.client.observe(world.client.route("calm", "u"), unit="u"):
        raise REFUSED
    assert world.sink.total("Error", Prompt="calm", Version="5") == (0, 0)


def test_an_own_call_with_what_no_version_takes_is_nobodys() -> None:
    world = InCanary("hi", variables=["name"])
    for unit in (world.canary, world.stable):
        observed(world, unit, InvalidInput("metadata is odd"))
        observed(world, unit, InvalidVariables("3 is no text"))
        observed(world, unit, InvalidVariables("needs name", missing=["name"]))
    assert errors(world) == NOBODYS
    world.routes.items["greeter"]["canary"]["variables"] = ["name", "tone"]
    world.client = fake_client(world.routes, world.bedrock, sink=world.sink)
    unit = world.unit("canary")
    with pytest.raises(InvalidVariables), world.client.observe(world.client.route("greeter", unit), unit=unit) as call:
        call.response = world.bedrock.converse(**world.client.route("greeter", unit).request({"name": "Anna"}))
    assert errors(world) == CANARYS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metadata": {f"k{i}": "v" for i in range(13)}}, r"metadata has 13 entries; Bedrock takes 16, .* at most 12"),
        ({"metadata": {"": "v"}}, r"a name in metadata has 0 characters; Bedrock takes 1 to 256"),
        ({"metadata": {"k" * 257: "v"}}, r"a name in metadata has 257 characters"),
        ({"metadata": {"k": "v" * 257}}, r"metadata\['k'\] has 257 characters; Bedrock takes 0 to 256"),
        (
            {"metadata": {"k": "größer"}},
            r"metadata\['k'\] is 'größer'; Bedrock takes ASCII letters, .* encode the rest",
        ),
        ({"metadata": {"k\u00a0": "v"}}, r"a name in metadata is 'k\\xa0'"),
        ({"metadata": {"k": 3}}, r"metadata\['k'\] is int; give text, with str\(\)"),
        ({"metadata": {"k": "\ud800"}}, r"metadata.k holds half a surrogate pair"),
        ({"metadata": ["k"]}, r"metadata is list; give an object of texts by name"),
        ({"guardrail": "g1"}, r"guardrail is str; give an object such as"),
        ({"messages": "And now?"}, r"messages is str; give a list such as"),
        ({"messages": ["And now?"]}, r"messages\[0\] has no role"),
        ({"messages": [{"role": "system", "content": [TEXT]}]}, r"messages\[0\] has no role; give"),
        ({"messages": [{"role": "user", "content": []}]}, r"messages\[0\].content has no block"),
        ({"messages": [{"role": "user", "content": "hi"}]}, r"messages\[0\].content has no block; give a list"),
        ({"messages": [{"role": "user", "content": [TEXT, "x"]}]}, r"messages\[0\].content\[1\] must be an object"),
        ({"messages": [{"role": "user", "content": [{"text": " \n"}]}]}, r"messages\[0\].content\[0\].text is blank"),
        (
            {"messages": [{"role": "user", "content": [{"text": "\udc00"}]}]},
            r"messages\[0\].content\[0\].text holds half",
        ),
        ({"variables": ["name"]}, r"variables of greeter are list; give texts by name"),
        ({"variables": {"name": "\ud800"}}, r"variable name of greeter holds half a surrogate pair"),
    ],
)
@pytest.mark.parametrize("ask", ["converse", "converse_stream"])
def test_a_callers_mistake_is_named_before_anything_is_counted_or_sent(
    ask: str, given: dict[str, Any], said: str
) -> None:
    world = InCanary("hi")
    for unit in (world.canary, world.stable):
        with pytest.raises(InvalidInput, match=f"^{said}"):
            getattr(world.client, ask)("greeter", unit=unit, **given)
    assert (world.sink.documents, world.bedrock.calls) == ([], [])


def test_metadata_up_to_awss_limits_is_sent_beside_ours() -> None:
    world = InCanary("hi")
    most = {f"k{i}": "v" * 256 for i in range(11)} | {"a_:@$#=/+,.- \t" + "k" * 242: ""}
    world.client.converse("greeter", unit=world.stable, metadata={**most, "track": "mine", "prompt": "ü"})
    (request,) = world.bedrock.calls
    assert len(request["requestMetadata"]) == 16
    assert request["requestMetadata"] == {
        **most,
        "prompt": "greeter",
        "version": "1",
        "track": "stable",
        "release": world.client.route("greeter", "u").release_id,
    }
