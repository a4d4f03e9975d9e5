"""The circuit breaker counts canary errors in a row, per prompt and release, and lets one probe through at a time."""

from __future__ import annotations

from itertools import cycle

import pytest

from promptlane.client.breaker import Breaker
from tests.support.client import AwsError, Clock, InCanary


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def fail(breaker: Breaker, times: int, *, prompt: str = "p", release: str = "R-2-1", halves: str = "01") -> None:
    """So many errors in a row, of units of the halves by turns."""
    for _, half in zip(range(times), cycle(halves), strict=False):
        breaker.record(prompt, release, half, error=True)


def test_it_opens_at_three_errors_in_a_row_of_either_half_and_lets_a_probe_through_after_30_s(
    clock: Clock,
) -> None:
    breaker = Breaker()
    fail(breaker, 5)
    assert not breaker.is_open("p", "R-2-1")
    fail(breaker, 1, halves="1")
    assert breaker.is_open("p", "R-2-1")
    clock.advance(29.75)
    assert breaker.is_open("p", "R-2-1")
    clock.advance(0.25)
    assert not breaker.is_open("p", "R-2-1")


def test_one_unit_probes_per_cooldown_and_a_failing_probe_opens_it_for_another(clock: Clock) -> None:
    breaker = Breaker(threshold=2, cooldown=7)
    fail(breaker, 2)
    clock.advance(7)
    assert [breaker.is_open("p", "R-2-1") for _ in range(3)] == [False, True, True]
    clock.advance(5)
    fail(breaker, 1)  # the probe took five seconds to fail
    clock.advance(6.5)
    assert breaker.is_open("p", "R-2-1")
    clock.advance(0.5)
    assert not breaker.is_open("p", "R-2-1")


def test_a_success_closes_it_and_the_count_starts_again(clock: Clock) -> None:
    breaker = Breaker(threshold=4)
    fail(breaker, 4)
    breaker.record("p", "R-2-1", "0", error=False)
    fail(breaker, 3)
    assert breaker.is_open("p", "R-2-1"), "the other half's errors are still in a row"
    for half in "01":
        breaker.record("p", "R-2-1", half, error=False)
    fail(breaker, 3)
    assert not breaker.is_open("p", "R-2-1")
    fail(breaker, 1, halves="1")
    assert breaker.is_open("p", "R-2-1")


@pytest.mark.parametrize("threshold", [1, 2, 5])
def test_no_unit_opens_it_alone_however_often_it_fails_and_whatever_others_do_between(
    clock: Clock, threshold: int
) -> None:
    breaker = Breaker(threshold=threshold)
    for _ in range(50):
        fail(breaker, 20, halves="0")
        assert not breaker.is_open("p", "R-2-1")
        breaker.record("p", "R-2-1", "1", error=False)
    fail(breaker, (threshold + 1) // 2, halves="1")
    assert breaker.is_open("p", "R-2-1")


def test_prompts_are_counted_apart_and_another_release_starts_closed_at_none(clock: Clock) -> None:
    breaker = Breaker(threshold=4)
    fail(breaker, 3, prompt="p")
    fail(breaker, 4, prompt="q", release="Q-5-1")
    assert (breaker.is_open("p", "R-2-1"), breaker.is_open("q", "Q-5-1")) == (False, True)
    assert not breaker.is_open("q", "Q-6-1")
    fail(breaker, 3, prompt="q", release="Q-6-1")
    assert not breaker.is_open("q", "Q-6-1")
    fail(breaker, 1, prompt="q", release="Q-6-1", halves="1")
    assert breaker.is_open("q", "Q-6-1")


def test_one_error_of_either_half_is_enough_at_one_and_none_at_nought(clock: Clock) -> None:
    for threshold, opened in ((1, True), (0, False)):
        breaker = Breaker(threshold=threshold)
        assert not breaker.is_open("p", "R-2-1")
        fail(breaker, 2)
        assert breaker.is_open("p", "R-2-1") is opened
        fail(breaker, 9)
        assert breaker.is_open("p", "R-2-1") is opened


def test_a_forked_child_starts_closed(clock: Clock) -> None:
    breaker = Breaker(threshold=1)
    fail(breaker, 2)
    assert breaker.is_open("p", "R-2-1")
    breaker.after_fork()
    assert not breaker.is_open("p", "R-2-1")


def test_a_client_that_is_told_nothing_breaks_after_three_errors_of_either_half_for_30_s(
    clock: Clock,
) -> None:
    world = InCanary({1: "from stable", 2: AwsError("ModelErrorException")})
    for _ in range(9):
        assert world.client.converse("greeter", unit=next(world.canaries)).text == "from stable"
    assert world.called() == [2, 1] * 6 + [1] * 3
    clock.advance(29.75)
    world.client.converse("greeter", unit=world.canary)
    assert world.called()[15:] == [1]
    clock.advance(0.25)
    world.client.converse("greeter", unit=world.canary)
    assert world.called()[16:] == [2, 1]


def test_a_canary_that_answers_again_closes_the_breaker_by_its_probe(clock: Clock) -> None:
    world = InCanary({1: "stable", 2: AwsError("ModelErrorException")}, breaker_errors=2, breaker_cooldown=3)
    for _ in range(3):
        world.client.converse("greeter", unit=next(world.canaries))
    world.bedrock.replies = {1: "stable", 2: "canary"}
    answers = []
    for _ in range(3):
        answers.append(world.client.converse("greeter", unit=next(world.canaries)).text)
        clock.advance(1.5)
    assert answers == ["stable", "stable", "canary"]
    assert world.client.converse("greeter", unit=next(world.canaries)).text == "canary"
    world.bedrock.replies = {1: "stable", 2: AwsError("ModelErrorException")}
    world.bedrock.calls.clear()
    for _ in range(4):
        world.client.converse("greeter", unit=next(world.canaries))
    assert world.called() == [2, 1, 2, 1, 1, 1]


def test_answers_that_are_malformed_count_for_the_breaker_and_errors_of_stable_do_not(clock: Clock) -> None:
    malformed = {
        "output": {"message": {"content": [{"text": "{"}]}},
        "stopReason": "malformed_model_output",
        "usage": {},
    }
    world = InCanary({1: AwsError("ModelErrorException"), 2: malformed}, breaker_errors=2)
    for _ in range(3):
        with pytest.raises(Exception, match="ModelErrorException"):
            world.client.converse("greeter", unit=world.stable)
    world.client.converse("greeter", unit=next(world.canaries))
    world.client.converse("greeter", unit=next(world.canaries))
    assert world.called()[3:] == [2, 2]
    with pytest.raises(Exception, match="greeter was not answered: ModelErrorException"):
        world.client.converse("greeter", unit=next(world.canaries))
    assert world.called()[5:] == [1]
    assert world.fuse("Shielded", "canary") == (1, 3)
