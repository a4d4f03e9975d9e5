"""One request on the clock: how long each call may take, what is tried again, who answers instead, what is counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from promptlane.client import InvalidVariables, ModelCallFailed, calls, errors
from promptlane.client.metrics import Directive, Document
from promptlane.client.testing import (
    FakeBedrock,
    ListSink,
    StaticRoutes,
    client_over,
    fake_client,
    response_of,
    version_arn,
)
from promptlane.domain import split
from promptlane.domain.errors import InvalidInput, NotFound, Unauthorized, Unavailable
from promptlane.domain.split import group
from tests.support.client import AwsError, Clock, InCanary

GUARDS = ("Error", "Refusal", "Empty", "Guardrail", "Truncation", "Slow")
MODEL_ERROR = AwsError("ModelErrorException")
PASSING = (
    "ThrottlingException",
    "TooManyRequestsException",
    "ServiceUnavailableException",
    "InternalServerException",
    "ModelNotReadyException",
    "EndpointConnectionError",
    "ConnectionClosedError",
    "ConnectTimeoutError",
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def after(clock: Clock, seconds: float, reply: Any) -> Callable[[Mapping[str, Any]], Any]:
    """A reply that takes some seconds to come."""

    def replying(request: Mapping[str, Any]) -> Any:
        clock.advance(seconds)
        return reply

    return replying


def in_turn(clock: Clock, *replies: tuple[float, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Replies one after the other, each after its seconds."""
    left = list(replies)
    return lambda request: after(clock, *left.pop(0))(request)


def sets(world: InCanary, unit: str) -> tuple[dict[str, str], tuple[tuple[str, ...], ...]]:
    salt = world.routes.items["greeter"]["salt"]
    return {"Group": group(salt, unit)}, (("Prompt", "Version"), ("Prompt", "Version", "Group"))


def zeros(**more: float) -> dict[str, float]:
    return {**dict.fromkeys(GUARDS, 0), **more}


def test_a_canary_call_is_counted_at_its_start_for_the_judge_and_at_its_end_for_the_fuse(clock: Clock) -> None:
    world = InCanary({2: after(clock, 40.5, "two words")})
    answer = world.client.converse("greeter", unit=world.canary)
    start, end = 1_700_000_030.5, 1_700_000_071.0
    grouped, judged = sets(world, world.canary)
    base = {"Prompt": "greeter", "Version": "2", "Track": "canary"}
    release = answer.decision.release_id
    told = zeros(Slow=1, Shielded=0)
    figures = {"Latency": 40_500.0, "InputTokens": 10, "OutputTokens": 2}
    assert world.sink.documents == [
        Document(start, base | grouped, (Directive(judged, ("Assigned",)),), {"Assigned": 1}, release),
        Document(start, base | grouped, (Directive(judged, tuple(told)),), told, release),
        Document(
            end,
            base | {"Half": world.half(world.canary)},
            (
                Directive((("Prompt", "Track"),), ("Assigned", *told)),
                Directive((("Prompt", "Track", "Half"),), ("Error", "Refusal", "Shielded")),
                Directive((("Prompt", "Version"),), tuple(figures)),
            ),
            {"Assigned": 1, **told, **figures},
            release,
        ),
    ]


def test_a_shielded_unit_is_counted_as_that_and_never_as_a_request_of_stable(clock: Clock) -> None:
    world = InCanary({1: after(clock, 20.5, "from stable"), 2: MODEL_ERROR}, breaker_errors=1)
    for _ in range(2):
        world.client.converse("greeter", unit=next(world.canaries))
    world.sink.documents.clear()
    start = clock.wall
    answer = world.client.converse("greeter", unit=world.canary)
    assert (answer.text, answer.version, answer.shielded) == ("from stable", 1, True)
    grouped, judged = sets(world, world.canary)
    base = {"Prompt": "greeter", "Version": "2", "Track": "canary"}
    release = answer.decision.release_id
    assert world.sink.documents == [
        Document(start, base | grouped, (Directive(judged, ("Assigned",)),), {"Assigned": 1}, release),
        Document(start, base | grouped, (Directive(judged, ("Shielded",)),), {"Shielded": 1}, release),
        Document(
            start,
            base | {"Half": world.half(world.canary)},
            (
                Directive((("Prompt", "Track"),), ("Assigned", "Shielded")),
                Directive((("Prompt", "Track", "Half"),), ("Shielded",)),
            ),
            {"Assigned": 1, "Shielded": 1},
            release,
        ),
    ]
    assert world.called() == [2, 1, 2, 1, 1]


def test_a_canary_that_fails_late_is_one_slow_error_with_the_time_it_took(clock: Clock) -> None:
    world = InCanary({1: after(clock, 3, "from stable"), 2: after(clock, 12.25, MODEL_ERROR)})
    start = clock.wall
    assert world.client.converse("greeter", unit=world.canary).text == "from stable"
    told = zeros(Error=1, Slow=1, Shielded=0)
    judge, fuse = world.sink.documents[1:]
    assert (judge.at, judge.values) == (start, told)
    assert (fuse.at, fuse.values) == (start + 12.25, {"Assigned": 1, **told, "Latency": 12_250.0})


@pytest.mark.parametrize(("seconds", "slow"), [(10.0, 0), (10.25, 1)])
def test_slow_is_above_ten_seconds_unless_told_otherwise(clock: Clock, seconds: float, slow: int) -> None:
    world = InCanary(after(clock, seconds, "hi"))
    world.client.converse("greeter", unit=world.stable)
    assert world.judge("Slow", 1) == (slow, 1)
    other = InCanary(after(clock, seconds / 4, "hi"), slow_after=2.5)
    other.client.converse("greeter", unit=other.stable)
    assert other.judge("Slow", 1) == (slow, 1)


def test_nothing_of_groups_is_counted_in_steady_state(clock: Clock) -> None:
    world = InCanary("hi")
    world.routes.put("calm", stable=5)
    world.client.converse("calm", unit="u")
    base = {"Prompt": "calm", "Version": "5", "Track": "stable"}
    half = split.half(group(world.routes.items["calm"]["salt"], "u"))
    assert [d.dimensions for d in world.sink.documents] == [base, base, base | {"Half": half}]
    assert world.sink.total("Assigned", Prompt="calm", Version="5") == (1, 1)


class Limited:
    """Bedrock by the seconds that a call to it may take, and what each was asked."""

    def __init__(self, bedrock: FakeBedrock) -> None:
        self.bedrock = bedrock
        self.limits: list[float] = []

    def __call__(self, limit: float) -> FakeBedrock:
        self.limits.append(limit)
        return self.bedrock


@pytest.mark.parametrize(
    ("settings", "canary", "stable", "calm"),
    [
        ({}, [18.0, 18.0], [18.0], [28.0]),
        ({"timeout": 60}, [50.0, 50.0], [50.0], [60]),
        ({"timeout": 16}, [8.0, 8.0], [8.0], [16]),
        ({"timeout": 28, "shield_reserve": 3}, [25, 25], [25], [28]),
        ({"shield": False}, [28.0], [28.0], [28.0]),
    ],
)
def test_calls_leave_time_for_stable_while_a_canary_runs_and_on_both_tracks_alike(
    settings: dict[str, Any], canary: list[float], stable: list[float], calm: list[float]
) -> None:
    world = InCanary({1: "from stable", 2: MODEL_ERROR, 5: "hi"})
    world.routes.put("calm", stable=5)
    world.routes.put("watched", stable=5, previous=1, holdback=5000)
    limited = Limited(world.bedrock)
    client = client_over(world.routes, bedrock=limited, sink=world.sink, refresh=3600, **settings)
    for unit, prompt, expected in (
        (world.canary, "greeter", canary),
        (world.stable, "greeter", stable),
        ("u", "calm", calm),
        ("u", "watched", calm),
    ):
        limited.limits.clear()
        if settings.get("shield", True) or unit != world.canary:
            client.converse(prompt, unit=unit)
        else:
            with pytest.raises(ModelCallFailed):
                client.converse(prompt, unit=unit)
        assert limited.limits == expected


@pytest.mark.parametrize("code", PASSING)
@pytest.mark.parametrize("shaped", [True, False])
def test_what_passes_is_tried_once_more_after_a_moment(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, code: str, shaped: bool
) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: bytes([128] * n))
    error = AwsError(code) if shaped else type(code, (Exception,), {})("no connection")
    world = InCanary(in_turn(clock, (0, error), (0, "hi"), (0, error), (0, error)))
    assert world.client.converse("greeter", unit=world.stable).text == "hi"
    assert clock.slept == [0.1]
    first, second = world.bedrock.calls
    assert first == second
    assert world.judge("Error", 1) == (0, 1)
    with pytest.raises(ModelCallFailed) as caught:
        world.client.converse("greeter", unit=world.stable)
    assert (caught.value.code, len(world.bedrock.calls), world.judge("Error", 1)) == (code, 4, (1, 2))


@pytest.mark.parametrize(("byte", "seconds"), [(0, 0.05), (255, 0.149609375)])
def test_the_moment_is_between_a_twentieth_and_three_of_a_second(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, byte: int, seconds: float
) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: bytes([byte] * n))
    world = InCanary(in_turn(clock, (0, AwsError("ThrottlingException")), (0, "hi")))
    world.client.converse("greeter", unit=world.stable)
    assert clock.slept == [seconds]


@pytest.mark.parametrize(("seconds", "answered"), [(4.0, True), (4.25, False)])
def test_what_took_more_than_half_of_the_time_is_not_tried_again(clock: Clock, seconds: float, answered: bool) -> None:
    world = InCanary(in_turn(clock, (seconds, AwsError("ThrottlingException")), (0, "hi")), timeout=8)
    if answered:
        assert world.client.converse("greeter", unit=world.stable).text == "hi"
    else:
        with pytest.raises(ModelCallFailed, match="ThrottlingException"):
            world.client.converse("greeter", unit=world.stable)
    assert len(world.bedrock.calls) == 1 + answered


def test_the_call_to_stable_that_follows_is_tried_again_too(clock: Clock) -> None:
    throttled = AwsError("ThrottlingException")
    world = InCanary({1: in_turn(clock, (0, throttled), (0, "from stable")), 2: throttled})
    assert world.client.converse("greeter", unit=world.canary).text == "from stable"
    assert world.called() == [2, 2, 1, 1]


@pytest.mark.parametrize(("seconds", "answered"), [(27.75, True), (28.0, False), (28.25, False)])
def test_stable_is_not_asked_when_no_time_is_left(clock: Clock, seconds: float, answered: bool) -> None:
    world = InCanary({1: "from stable", 2: after(clock, seconds, MODEL_ERROR)})
    if answered:
        assert world.client.converse("greeter", unit=world.canary).shielded
    else:
        with pytest.raises(ModelCallFailed, match="greeter was not answered") as caught:
            world.client.converse("greeter", unit=world.canary)
        assert caught.value.__cause__ is MODEL_ERROR
    assert world.called() == [2, 1][: 1 + answered]
    assert world.fuse("Error", "canary") == (1, 1)


def test_when_both_fail_stables_failure_is_raised_and_the_canarys_counted() -> None:
    denied = AwsError("AccessDeniedException")
    world = InCanary({1: denied, 2: MODEL_ERROR})
    with pytest.raises(ModelCallFailed, match="greeter was not answered") as caught:
        world.client.converse("greeter", unit=world.canary)
    assert (caught.value.code, caught.value.__cause__) == ("AccessDeniedException", denied)
    assert (world.fuse("Error", "canary"), world.fuse("Error", "stable")) == ((1, 1), (0, 0))


@pytest.mark.parametrize(
    ("error", "code", "remedy"),
    [
        (
            AwsError("ResourceNotFoundException"),
            "",
            "the version, its model or its guardrail is gone: `promptlane rollback greeter` re",
        ),
        (
            AwsError("AccessDeniedException"),
            "",
            "allow bedrock:RenderPrompt on the prompt, bedrock:InvokeModel on its model",
        ),
        (AwsError("ValidationException"), "", "Bedrock does not accept this request: check the length of variables"),
        (AwsError("ThrottlingException"), "", "the model's quota is used up; slow down or raise it"),
        (AwsError("ModelErrorException"), "", "try again; if it stays, see the error's reason, which is what AWS says"),
        (type("ReadTimeoutError", (Exception,), {})("x"), "ReadTimeoutError", "raise the client's timeout, or stream"),
        (TimeoutError("x"), "TimeoutError", "raise the client's timeout, or stream the answer"),
        (OSError("x"), "OSError", "try again; if it stays"),
    ],
)
def test_a_failure_names_what_was_called_the_cause_and_the_remedy(
    clock: Clock, error: Exception, code: str, remedy: str
) -> None:
    world = InCanary(error)
    code = code or error.response["Error"]["Code"]  # type: ignore[attr-defined]
    with pytest.raises(ModelCallFailed) as caught:
        world.client.converse("greeter", unit=world.stable)
    assert str(caught.value).startswith(f"greeter was not answered: {code}; {remedy}")
    assert (caught.value.code, caught.value.reason, caught.value.__cause__) == (code, str(error), error)


@pytest.mark.parametrize("track", ["stable", "canary"])
def test_a_failure_reads_the_same_whoever_failed(track: str) -> None:
    """Its text may reach an end user, who must not learn the track."""
    world = InCanary(lambda request: AwsError(f"for {request['modelId']}"), shield=False)
    with pytest.raises(ModelCallFailed) as caught:
        world.client.converse("greeter", unit=getattr(world, track))
    told = str(caught.value).replace(caught.value.code, "")
    assert told == "greeter was not answered: ; try again; if it stays, see the error's reason, which is what AWS says"


def canary_needs(*names: str, **settings: Any) -> InCanary:
    world = InCanary("hi", variables=["name"])
    world.routes.items["greeter"]["canary"]["variables"] = list(names)
    world.client = fake_client(world.routes, world.bedrock, sink=world.sink, **settings)
    return world


def test_variables_that_fit_only_stable_are_answered_by_it_as_a_canary_error_of_the_breaker_too() -> None:
    world = canary_needs("name", "tone", breaker_errors=2)
    for _ in range(3):
        answer = world.client.converse("greeter", unit=next(world.canaries), variables={"name": "Anna"})
        assert (answer.version, answer.shielded) == (1, True)
    assert world.called() == [1, 1, 1]
    assert world.judge("Error", 2) == world.fuse("Error", "canary") == (2, 2)
    assert world.fuse("Shielded", "canary") == (1, 3)
    assert world.judge("Assigned", 2) == (3, 3)
    stable = world.client.converse("greeter", unit=world.stable, variables={"name": "Anna"})
    assert (stable.version, stable.shielded) == (1, False)


def test_variables_that_fit_only_the_canary_are_sent_to_it() -> None:
    world = canary_needs("name", "tone")
    answer = world.client.converse("greeter", unit=world.canary, variables={"name": "Anna", "tone": "kind"})
    assert (answer.version, world.called()) == (2, [2])


@pytest.mark.parametrize(("settings", "missing"), [({}, "name"), ({"shield": False}, "tone")])
def test_variables_that_fit_no_version_that_may_answer_are_refused_uncounted(
    settings: dict[str, Any], missing: str
) -> None:
    world = canary_needs("name", "tone", **settings)
    given = {"name": "Anna"} if settings else {"tone": "kind"}
    with pytest.raises(InvalidVariables, match=f"greeter needs {missing}"):
        world.client.converse("greeter", unit=world.canary, variables=given)
    assert (world.bedrock.calls, world.sink.documents) == ([], [])


def test_without_the_shield_the_breaker_sends_nothing_away() -> None:
    world = InCanary({1: "from stable", 2: MODEL_ERROR}, shield=False, breaker_errors=1)
    for _ in range(3):
        with pytest.raises(ModelCallFailed, match="greeter was not answered"):
            world.client.converse("greeter", unit=next(world.canaries))
    assert world.called() == [2, 2, 2]
    assert world.fuse("Shielded", "canary") == (0, 3)


def test_variables_refused_only_when_the_request_is_made_are_raised_as_themselves(clock: Clock) -> None:
    wrong = InvalidVariables("no", missing=["a"], unknown=["b", "c"])
    decision = InCanary("hi").client.route("greeter", "u")
    assert calls.failure(decision, wrong) is wrong
    assert (wrong.missing, wrong.unknown) == (("a",), ("b", "c"))
    assert (InvalidVariables("no").missing, InvalidVariables("no").unknown) == ((), ())


def test_an_answer_says_all_that_came_with_it(clock: Clock) -> None:
    response = response_of("fourty characters are shown of an answer, no more", stop_reason="stop_sequence")
    world = InCanary(response, variables=[])
    answer = world.client.converse("greeter", unit=world.canary)
    assert answer.response is response
    assert (answer.text, answer.stop_reason) == (response["output"]["message"]["content"][0]["text"], "stop_sequence")
    assert (answer.version, answer.track, answer.shielded) == (2, "canary", False)
    assert answer.decision is world.client.route("greeter", world.canary)
    assert repr(answer) == (
        "<Answer 'fourty characters are shown of an answer' from <Decision greeter version 2 (canary)>>"
    )
    world.bedrock.replies = {"output": {}, "usage": {}}
    bare = world.client.converse("greeter", unit=world.stable)
    assert (bare.text, bare.stop_reason, bare.version, bare.track) == ("", "", 1, "stable")


def test_a_receipt_is_of_the_version_that_answered_and_of_the_moment_that_the_request_began(clock: Clock) -> None:
    world = InCanary({1: after(clock, 3, "from stable"), 2: after(clock, 5, MODEL_ERROR)})
    began = clock.wall
    receipt = world.client.converse("greeter", unit=world.canary).receipt or ""
    world.sink.documents.clear()
    clock.advance(100)
    assert world.client.feedback(receipt, positive=False) is True
    assert world.client.feedback(receipt, positive=False) is False
    grouped, judged = sets(world, world.canary)
    base = {"Prompt": "greeter", "Version": "1", "Track": "stable"}
    release, values = world.routes.items["greeter"]["release_id"], {"NegativeFeedback": 1}
    assert world.sink.documents == [
        Document(began, base | grouped, (Directive(judged, tuple(values)),), values, release),
        Document(began + 108, base, (Directive((("Prompt", "Track"),), tuple(values)),), values, release),
    ]
    praised = world.client.converse("greeter", unit=world.stable).receipt or ""
    assert world.client.feedback(praised, positive=True)
    assert world.fuse("NegativeFeedback", "stable") == (1, 2)


def observed(world: InCanary, clock: Clock, unit: str, reply: Any) -> Any:
    decision = world.client.route("greeter", unit)
    call = world.client.observe(decision, unit=unit)
    clock.advance(99)  # nothing is under way yet
    try:
        with call as inside:
            assert inside is call
            clock.advance(12)
            if isinstance(reply, BaseException):
                raise reply
            call.response = reply
    except (AwsError, RuntimeError, KeyboardInterrupt) as error:
        assert error is reply  # noqa: PT017 - it passes through
    return call


def test_a_call_that_the_application_makes_itself_is_counted_from_where_it_began(clock: Clock) -> None:
    world = InCanary("hi")
    call = observed(world, clock, world.canary, response_of("one two three", stop_reason="max_tokens"))
    judge, fuse = world.sink.documents[1:]
    told = zeros(Truncation=1, Slow=1, Shielded=0)
    assert judge.values == told
    assert fuse.values == {"Assigned": 1, **told, "Latency": 12_000.0, "InputTokens": 10, "OutputTokens": 3}
    assert judge.dimensions["Group"] == sets(world, world.canary)[0]["Group"]
    assert (call.outcome.bad, call.outcome.latency_ms) == ({"Truncation", "Slow"}, 12_000.0)
    assert world.client.feedback(call.receipt or "", positive=False)
    assert world.fuse("NegativeFeedback", "canary") == (1, 1)


def test_an_exception_inside_is_an_error_that_passes_through_and_an_interruption_is_nothing(clock: Clock) -> None:
    world = InCanary("hi")
    call = observed(world, clock, world.stable, AwsError("ModelErrorException"))
    assert world.judge("Error", 1) == world.judge("Slow", 1) == (1, 1)
    assert (call.outcome.error_type, call.outcome.latency_ms, call.outcome.bad) == (
        "ModelErrorException",
        12_000.0,
        {"Error", "Slow"},
    )
    for nothing in (KeyboardInterrupt(), RuntimeError("the application's own"), None):
        assert observed(world, clock, world.stable, nothing).outcome is None
    assert (world.judge("Error", 1), world.judge("Assigned", 1)) == ((1, 1), (4, 4))
    assert world.judge("Cancelled", 1) == world.fuse("Cancelled", "stable") == (3, 3)


def test_each_error_of_the_client_is_one_of_the_domains() -> None:
    ours = [e for e in vars(errors).values() if getattr(e, "__module__", "") == errors.__name__]
    assert {e.__name__: e.__bases__ for e in ours} == {
        "InvalidUnit": (InvalidInput,),
        "InvalidVariables": (InvalidInput,),
        "UnsupportedRoute": (InvalidInput,),
        "UnknownPrompt": (NotFound,),
        "InvalidReceipt": (Unauthorized,),
        "RouteUnavailable": (Unavailable,),
        "ModelCallFailed": (Unavailable,),
        "VersionUnreadable": (Unavailable,),
        "RequestRefused": (errors.ModelCallFailed,),
        "StreamInterrupted": (errors.ModelCallFailed,),
    }
    named = (
        errors.InvalidVariables(message="broke"),
        errors.ModelCallFailed(message="broke", code="X"),
        errors.StreamInterrupted(message="broke", code="X", text="so far"),
    )
    assert [str(error) for error in named] == ["broke"] * 3
    interrupted = errors.StreamInterrupted("broke", code="X", text="so far")
    assert (str(interrupted), interrupted.code, interrupted.text) == ("broke", "X", "so far")


def test_prompts_are_served_side_by_side(clock: Clock) -> None:
    routes = StaticRoutes()
    routes.put("one", stable=3)
    routes.put("two", stable=8, previous=7, holdback=5000)
    sink = ListSink()
    client = fake_client(routes, FakeBedrock({3: "three", 7: "seven", 8: "eight"}), sink=sink)
    units = [f"u{i}" for i in range(40)]
    assert {client.converse("one", unit=u).text for u in units} == {"three"}
    held = [u for u in units if client.converse("two", unit=u).track == "holdback"]
    assert 0 < len(held) < 40
    assert sink.total("Assigned", Prompt="one", Track="stable") == (40, 40)
    assert sink.total("Assigned", Prompt="two", Track="holdback") == (len(held), len(held))
    assert sink.total("Assigned", Prompt="two", Version="8") == (40 - len(held), 40 - len(held))
    assert client.route("two", held[0]).version_arn == version_arn("two", 7)
