"""The alarm that drills set, who may set it, and what runs where a deployment asks for drills."""

from typing import Any

from aws_cdk import aws_lambda as lambda_

from infra.constructs.health import Health
from infra.stacks import health
from infra.stacks.pipeline.events import drill_alarm
from tests.support.alone import alone, made, topic
from tests.support.synthesized import Json, Synthesized


def test_the_alarm_tells_the_fuses_topic_and_comes_back_by_itself() -> None:
    stack = alone()
    drill_alarm(stack, deployment="lane", topic=topic(stack))
    (found,) = [one["Properties"] for one in made(stack).values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    wanted = {"AlarmName": "lane/drill", "TreatMissingData": "notBreaching", "MetricName": "DrillNever"}
    assert {name: found[name] for name in wanted} == wanted
    assert len(found["AlarmActions"]) == 1
    assert not {"OKActions", "InsufficientDataActions"} & set(found)


def test_operators_and_the_function_may_set_this_alarm_and_nobody_any_other(synthesized: Synthesized) -> None:
    holders = []
    for _, name, properties in [
        *synthesized.resources("AWS::IAM::ManagedPolicy"),
        *synthesized.resources("AWS::IAM::Policy"),
    ]:
        for statement in properties["PolicyDocument"]["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if statement["Effect"] == "Allow" and any(a in ("cloudwatch:*", "*") or "SetAlarm" in a for a in actions):
                holders.append(name)
                assert (actions, str(statement["Resource"]).count("alarm:promptlane/drill")) == (
                    ["cloudwatch:SetAlarmState"],
                    1,
                )
    assert len(holders) == 2
    assert sum("Operator" in name for name in holders) == 1


def test_by_default_nothing_drills(synthesized: Synthesized) -> None:
    rules = [name for _, name, _ in synthesized.resources("AWS::Events::Rule")]
    assert not [name for name in rules if "Drill" in name]


def test_where_drills_run_people_are_told_of_a_broken_way_and_of_drills_that_do_not_run() -> None:
    stack = alone()
    functions: dict[str, Any] = {
        verb: lambda_.Function.from_function_name(stack, verb, f"lane-{verb}") for verb in ("drill", "remind")
    }
    health._drills(Health(stack, "Health", deployment="lane", notices=topic(stack)), functions, every=24)
    alarms: dict[str, Json] = {
        one["Properties"]["AlarmName"].rpartition("health-")[2]: one["Properties"]
        for one in made(stack).values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    }
    broken, still = alarms["way-back-broken"], alarms["drill-not-running"]
    assert (broken["MetricName"], broken["Threshold"]) == ("Errors", 1)
    assert "lane-drill" in str(broken["Dimensions"])
    assert (still["DatapointsToAlarm"], still["EvaluationPeriods"]) == (48, 49)
    assert still["EvaluationPeriods"] * 3_600 <= 7 * 86_400
    assert all(alarm["AlarmActions"] for alarm in alarms.values())
