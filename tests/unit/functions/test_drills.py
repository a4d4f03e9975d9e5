"""The drill over its real adapters: the function that asks, `roll_back` that proves, and what a drill never does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptlane.aws.alarms import CloudWatchAlarms
from promptlane.aws.drills import DynamoDrills
from promptlane.domain.errors import Unavailable
from promptlane.domain.names import Phase
from promptlane.domain.release.timeline import iso
from promptlane.lifecycle.drill import Drill
from tests.support.functions import ACCOUNT, DEPLOYMENT, NOW, REGION, RELEASES, Context, World, real, red_alarm
from tests.support.prompt import PROMPT, RELEASE

Json = Any
DRILL = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{DEPLOYMENT}/drill"
FUSE = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{DEPLOYMENT}/{PROMPT}/canary/Error"
REASON = json.dumps({"drill": "a1", "prompt": PROMPT})


def record(arn: Json, *, reason: str = REASON, state: str = "ALARM", at: float = NOW - 2, **more: Json) -> Json:
    message = {"AlarmArn": arn, "NewStateValue": state, "NewStateReason": reason, **more}
    message["StateChangeTime"] = iso(at).replace("Z", "+0000")
    return {"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}


def drills() -> DynamoDrills:
    return DynamoDrills(real("dynamodb.resource").Table(RELEASES))


def rolled(world: World, *records: Json, context: Context | None = None) -> list[dict[str, Json]]:
    handler = world.function("roll_back")
    return list(handler.handle({"Records": list(records)}, context or Context())["results"])


@pytest.fixture
def canary(world: World) -> World:
    world.in_canary()
    world.executing(RELEASE)
    return world


def test_a_drill_proves_the_way_and_moves_nothing(canary: World, capsys: pytest.CaptureFixture[str]) -> None:
    before, writes = canary.current, list[Json]()
    canary.before("dynamodb", "PutItem", writes.append)

    (answer,) = rolled(canary, record(DRILL))

    assert (answer["result"], answer["proved"], answer["seconds"]) == ("drill", True, 2.0)
    assert answer["reason"] == "a rollback would leave version 1 to everybody"
    assert drills().last(PROMPT) == Drill(PROMPT, "a1", NOW - 2, NOW, True, answer["reason"])
    assert drills().last("another") is None
    tried, noted = writes
    assert tried["ExpressionAttributeValues"][":revision"] == {"N": "-1"}
    assert noted["Item"]["pk"] in ("drills", {"S": "drills"})
    assert (canary.current, canary.told(), canary.entries(RELEASE)) == (before, [], [])
    assert canary.status(RELEASE) == "RUNNING"
    (line,) = [json.loads(t) for t in capsys.readouterr().out.splitlines() if "_aws" in t]
    assert (line["Prompt"], line["DrillSeconds"]) == (PROMPT, 2.0)


def test_a_drill_that_comes_twice_or_late_changes_nothing_more(canary: World) -> None:
    newest = record(DRILL, reason=json.dumps({"drill": "b2", "prompt": PROMPT}), at=NOW - 1)
    for _ in range(2):
        rolled(canary, newest, record(DRILL))
    found = drills().last(PROMPT)
    assert found is not None
    assert (found.id, found.changed_at) == ("b2", NOW - 1)


@pytest.mark.parametrize("said", [REASON, "a drill", json.dumps({"drill": "a1", "prompt": "other", "AlarmArn": DRILL})])
@pytest.mark.parametrize("more", [{}, {"AlarmName": f"{DEPLOYMENT}/drill", "AlarmDescription": "promptlane drill"}])
def test_a_real_alarm_is_never_taken_for_a_drill_whatever_it_says(canary: World, said: str, more: Json) -> None:
    drill, real_one = rolled(canary, record(DRILL), record(FUSE, reason=said, **more))
    assert (drill["result"], real_one["result"]) == ("drill", "rolled_back")
    assert (canary.current.phase, canary.current.canary) == (Phase.STEADY, None)


@pytest.mark.parametrize(
    "arn",
    [
        DRILL.upper(),
        f"{DRILL} ",
        f"{DRILL}/x",
        DRILL.replace(ACCOUNT, "999999999999"),
        DRILL.replace(REGION, "eu-west-1"),
        DRILL.replace(f"{DEPLOYMENT}/", "another/"),
        [DRILL],
        {"arn": DRILL},
        None,
        f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{DEPLOYMENT}/drill/canary/Error",
    ],
    ids=str,
)
def test_what_is_not_exactly_the_drill_alarm_is_no_drill(canary: World, arn: Json) -> None:
    before = canary.current
    (answer,) = rolled(canary, record(arn))
    assert answer["result"] == "not_applicable"
    assert (drills().last(PROMPT), canary.current) == (None, before)


def test_a_drill_that_cannot_be_read_or_noted_stops_no_rollback_beside_it(canary: World) -> None:
    odd, well = record(DRILL, reason="by hand"), record(DRILL, state="OK", reason="after a drill")
    answers = rolled(canary, odd, well, record(FUSE))
    assert [answer["result"] for answer in answers] == ["not_applicable", "not_applicable", "rolled_back"]
    canary.refuse("dynamodb", "PutItem", "InternalServerError")
    (answer,) = rolled(canary, record(DRILL), context=Context(1_000))
    assert (answer["result"], answer["proved"]) == ("drill", False)
    assert drills().last(PROMPT) is None


def test_a_role_that_may_not_write_the_route_is_a_way_that_is_broken(canary: World) -> None:
    canary.refuse("dynamodb", "PutItem", "AccessDeniedException", times=1)

    (answer,) = rolled(canary, record(DRILL))

    assert (answer["proved"], "AccessDeniedException" in answer["reason"]) == (False, True)
    found = drills().last(PROMPT)
    assert found is not None
    assert not found.proved


@pytest.fixture
def alarm(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The drill alarm; whoever sleeps lets a quarter of a minute go by."""
    red_alarm(f"{DEPLOYMENT}/drill")

    def sleep(seconds: float) -> None:
        world.now += 15.0

    monkeypatch.setattr("time.sleep", sleep)
    return world


def state() -> tuple[str, str]:
    (found,) = real("cloudwatch").describe_alarms(AlarmNames=[f"{DEPLOYMENT}/drill"])["MetricAlarms"]
    return found["StateValue"], found["StateReason"]


def test_the_function_drills_every_prompt_by_setting_the_alarm(alarm: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alarm.in_canary()
    roll_back = alarm.function("roll_back")
    trip = CloudWatchAlarms.trip

    def tripped(alarms: CloudWatchAlarms, reason: str) -> None:
        """As CloudWatch and SNS do."""
        trip(alarms, reason)
        assert state() == ("ALARM", reason)
        roll_back.handle({"Records": [record(DRILL, reason=reason, at=alarm.now - 1.5)]}, Context())

    monkeypatch.setattr(CloudWatchAlarms, "trip", tripped)
    drill = alarm.function("drill")
    assert drill.handle({}, Context(900_000)) == {"proved": {PROMPT: 1.5}}
    assert state() == ("OK", "after a drill")


def test_the_function_fails_where_nobody_answers(alarm: World) -> None:
    alarm.in_canary()
    said = f"the way back of {PROMPT} is broken: no proof came from roll_back within 60 s"
    with pytest.raises(Unavailable, match=said):
        alarm.function("drill").handle({}, Context(900_000))
    assert state() == ("OK", "after a drill")
