"""The first step of a release: what it binds, tags and records, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from promptlane.domain.errors import AdmissionRefused, InvalidInput, NotFound
from promptlane.domain.names import ENROLLED_TAG
from promptlane.domain.release.timeline import Event
from tests.support.functions import DEPLOYMENT, REPORTS, SUITE, Context, World, real, version_arn
from tests.support.prompt import ID, PROMPT, RELEASE


def admit(world: World) -> dict[str, object]:
    return dict(world.function("admit").handle({"release_id": RELEASE}, Context()))


def test_it_binds_what_is_released_under_which_policy_and_lets_applications_in(world: World) -> None:
    stable, candidate = world.publish(1), world.publish(2)
    world.route(stable)
    policy, suite = world.enrol()
    started = world.start(2)

    answer = admit(world)

    assert answer == {"prompt": PROMPT, "version": 2, "first": False, "review_timeout_seconds": 7_200, "steps": 3}
    assert world.releases.get(RELEASE) == replace(
        started,
        state="admitted",
        description="Why version 2",
        candidate=candidate,
        stable=stable,
        policy_sha256=policy,
        suite_sha256=suite,
        revision=2,
    )
    detail = {
        "version": 2,
        "fingerprint": candidate.fingerprint,
        "arn": candidate.arn,
        "description": "Why version 2",
        "stable": 1,
        "stable_fingerprint": stable.fingerprint,
        "policy": policy,
        "suite": suite,
        "enrolled_policy": policy,
    }
    assert world.entries(RELEASE) == [(Event.ADMITTED, "promptlane", detail)]
    assert world.prompts.tags == {arn: {ENROLLED_TAG: DEPLOYMENT} for arn in (version_arn(2), version_arn(2)[:-2])}
    assert set(world.objects()) == {f"config/{policy}.json", f"config/{suite}.json"}

    assert admit(world) == answer
    assert len(world.entries(RELEASE)) == 1


def test_the_first_version_of_a_prompt_is_told_as_such(world: World) -> None:
    world.publish(2)
    world.enrol()
    world.start(2)

    assert admit(world)["first"] is True


def test_every_problem_is_named_at_once_and_nothing_is_tagged(world: World) -> None:
    stable = world.publish(1, text="The same {{question}} and {{mood}}")
    world.publish(2, text="The same {{question}} and {{mood}}")
    world.route(stable)
    world.enrol(suite={"tests": [*SUITE["tests"], {"id": "odd", "vars": {}, "assert": SUITE["tests"][0]["assert"]}]})
    started = world.start(2)

    with pytest.raises(AdmissionRefused) as refused:
        admit(world)

    undeclared, unanswered, same = refused.value.problems
    assert undeclared[0] == "version"
    assert "{{mood}} but does not declare" in undeclared[1]
    assert unanswered[0] == "suite"
    assert "question" in unanswered[1]
    assert same[0] == "version"
    assert "stable version 1 serves already" in same[1]
    assert world.releases.get(RELEASE) == started
    assert world.prompts.tags == {}


def test_a_version_that_is_gone_is_refused(world: World) -> None:
    world.enrol()
    world.start(2)

    with pytest.raises(AdmissionRefused, match=f"version: prompt {ID} has no version 2"):
        admit(world)


def test_a_release_that_nobody_recorded_is_named(world: World) -> None:
    with pytest.raises(NotFound, match=f"no release '{RELEASE}'"):
        admit(world)


def test_a_prompt_that_is_not_enrolled_any_more_is_not_admitted(world: World) -> None:
    world.publish(2)
    world.start(2)

    with pytest.raises(NotFound, match="prompt 'support' is not enrolled"):
        admit(world)


@pytest.mark.parametrize("part", [0, 1], ids=["policy", "suite"])
def test_a_policy_or_suite_that_was_altered_since_it_was_enrolled_admits_nothing(world: World, part: int) -> None:
    world.publish(2)
    altered = world.enrol()[part]
    world.start(2)
    real("s3").put_object(Bucket=REPORTS, Key=f"config/{altered}.json", Body=b"{}")

    with pytest.raises(InvalidInput, match=f"{altered}.json has SHA-256 .* altered it after it was enrolled"):
        admit(world)


def test_a_floor_that_was_raised_since_a_policy_was_enrolled_binds_the_next_release(world: World) -> None:
    world.publish(2)
    world.enrol()
    world.start(2)
    floor = json.dumps({"review": {"quorum": 3}, "tests": {"cases": 9}})

    with pytest.raises(AdmissionRefused) as refused:
        world.function("admit", PLATFORM_FLOOR=floor).handle({"release_id": RELEASE}, Context())

    assert refused.value.problems == [
        ("review.quorum", "is 2; the platform floor asks for at least 3: raise it"),
        (
            "suite.yaml",
            "has 2 cases with inputs of their own; the platform floor asks for at least 9: add cases",
        ),
    ]
    assert world.prompts.tags == {}


@pytest.mark.parametrize("floor", ["", "{", '{"review": {"quorum": "none"}}', "[]"])
def test_a_floor_that_cannot_be_read_is_none_that_asks_nothing(world: World, floor: str) -> None:
    with pytest.raises(InvalidInput, match="PLATFORM_FLOOR"):
        world.function("admit", PLATFORM_FLOOR=floor).wire()
