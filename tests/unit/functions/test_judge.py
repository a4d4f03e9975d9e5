"""A look of the judge over CloudWatch: which counts it takes, when they are complete, and what it tells whom."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from promptlane.aws.blocks import DynamoBlocks
from promptlane.domain import metrics
from promptlane.domain.errors import NotFound
from promptlane.domain.policy import CanaryPolicy, GuardPolicy, Step
from promptlane.domain.release.timeline import Event
from tests.support.functions import DEPLOYMENT, NOW, POLICY, RELEASES, Context, World, real, red_alarm
from tests.support.prompt import PROMPT, RELEASE

Json = Any
BEGUN = NOW - 600
LOOK: dict[str, Json] = {"release_id": RELEASE, "phase": "canary", "step": "0"}


def count(version: int, metric: str, at: float, *values: int) -> None:
    dimensions = [{"Name": "Prompt", "Value": PROMPT}, {"Name": "Version", "Value": str(version)}]
    data = [
        {"MetricName": metric, "Dimensions": dimensions, "Timestamp": datetime.fromtimestamp(at, UTC), "Value": value}
        for value in values
    ]
    real("cloudwatch").put_metric_data(Namespace="Promptlane", MetricData=data)


def judge(world: World, **changed: str) -> dict[str, Json]:
    return dict(world.function("judge", **changed).handle(LOOK, Context()))


def read_until(world: World) -> dict[str, float]:
    """The end of what was read, by metric, after the beginning of the canary."""
    chunks = DynamoBlocks(real("dynamodb.resource").Table(RELEASES)).load(RELEASE, "canary")
    return {chunk.metric: chunk.end - BEGUN for chunk in chunks}


@pytest.fixture
def canary(world: World) -> World:
    world.in_canary(since=BEGUN)
    return world


def test_a_look_answers_the_machine_and_shows_itself(canary: World, capsys: pytest.CaptureFixture[str]) -> None:
    answer = judge(canary)

    assert answer["judgement"] == "hold"
    assert "No data" in answer["reason"]
    assert {k: answer[k] for k in ("wait_seconds", "cause", "evidence")} == {
        "wait_seconds": 10,
        "cause": "",
        "evidence": {},
    }
    assert set(answer) == {"judgement", "reason", "wait_seconds", "cause", "evidence"}
    (shown,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    declared = {m["Name"] for m in shown["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert declared == {"Weight", "HarmEvidence", "AdvanceEvidence", "SplitEvidence"}
    assert (shown["_aws"]["Timestamp"], shown["Prompt"], shown["Weight"]) == (NOW * 1000, PROMPT, 7.0)
    ((event, by, detail),) = canary.entries(RELEASE)
    assert (event, by, detail["weight"], detail["now"]) == (Event.CANARY_JUDGED, "promptlane", 700, NOW)


def test_it_bets_on_the_counts_of_both_versions_in_the_periods_that_are_complete(canary: World) -> None:
    for version, errors in ((1, 1), (2, 2)):
        count(version, "Error", BEGUN + 100, *[1] * errors, *[0] * (10 - 3 * errors))

    judge(canary)

    (chunk,) = [
        c
        for c in DynamoBlocks(real("dynamodb.resource").Table(RELEASES)).load(RELEASE, "canary")
        if c.metric == "Error"
    ]
    assert [
        (b.start - BEGUN, b.seconds, b.share, b.control.n, b.control.bad, b.trial.n, b.trial.bad)
        for b in chunk.blocks
        if b.control.n
    ] == [(100, 10, 0.07, 8, 1, 6, 2)]


@pytest.mark.parametrize(
    ("environment", "until"),
    [
        ({}, 560),
        ({"ARRIVAL_SECONDS": ""}, 550),
        ({"ARRIVAL_SECONDS": "0"}, 550),
        ({"ARRIVAL_SECONDS": "", "RESOLUTION_SECONDS": ""}, 400),
    ],
)
def test_counts_are_read_as_far_as_they_can_have_come(canary: World, environment: dict[str, str], until: float) -> None:
    """A request may take 28 s; then its counts arrive, in two minutes unless the deployment says sooner."""
    judge(canary, **environment)

    assert read_until(canary)["Error"] == until


def test_an_alarm_of_this_deployment_that_stands_condemns_the_canary(canary: World) -> None:
    for name in (f"{DEPLOYMENT}/other/canary/Error", f"other/{PROMPT}/canary/Error"):
        red_alarm(name)
    assert judge(canary)["judgement"] == "hold"
    red_alarm(f"{DEPLOYMENT}/{PROMPT}/canary/Error")
    said = "The alarm canary/Error stands in ALARM since this canary began: roll back."

    canary.now += 10
    assert judge(canary) == {
        "judgement": "roll_back",
        "reason": said,
        "wait_seconds": 0,
        "cause": "judge",
        "evidence": {},
    }


def test_what_cannot_be_read_is_noted_and_holds_the_canary(canary: World) -> None:
    canary.refuse("cloudwatch", "DescribeAlarms", "InternalFailure")
    canary.refuse("cloudwatch", "GetMetricData", "Throttling")

    assert judge(canary)["judgement"] == "hold"

    notes = " ".join(canary.entries(RELEASE)[-1][2]["notes"])
    assert "alarm states could not be read" in notes
    assert "counts could not be read, so nothing new was bet on" in notes


def test_people_are_asked_where_the_policy_says_so(canary: World) -> None:
    guards = (GuardPolicy(metrics.ERROR),)
    asking, _ = canary.enrol(
        replace(POLICY, canary=CanaryPolicy((Step(700, 10.0, 20.0),), guards, undecided="ask", ladder=(1.0,)))
    )
    canary.releases.update(replace(canary.releases.get(RELEASE), policy_sha256=asking))

    assert judge(canary)["judgement"] == "hold"

    ((subject, body),) = canary.told()
    assert subject == f"[Promptlane] {PROMPT}: version 2 needs your decision"
    assert f"promptlane advance {RELEASE} --reason ..." in body


def test_a_release_that_lost_the_route_is_gone_and_shows_nothing(
    canary: World, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = canary.function("judge").handle({**LOOK, "phase": "watch"}, Context())

    assert answer == {
        "judgement": "gone",
        "reason": f"The route of {PROMPT} is no longer in watch for release {RELEASE}.",
        "wait_seconds": 0,
        "cause": "",
        "evidence": {},
    }
    assert "_aws" not in capsys.readouterr().out
    assert canary.entries(RELEASE) == []


def test_a_release_that_nobody_recorded_is_named(world: World) -> None:
    with pytest.raises(NotFound, match=f"no release '{RELEASE}'"):
        judge(world)
