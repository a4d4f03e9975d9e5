"""What each function may take of time, memory and concurrency, and what calls it: numbers that safety rests on."""

import json

import pytest

from promptlane.domain.suite.answers import CALL_SECONDS
from promptlane.engine.plan import BATCH_SECONDS
from promptlane.engine.runner import GRADING_SECONDS
from promptlane.lifecycle.test_round import SPARE_SECONDS
from tests.support.alone import plain
from tests.support.synthesized import Json, Synthesized

BY_EVENTS, BY_ALARMS = "<UndeliveredQueue.Arn>", "<DeadAlarmsQueue.Arn>"
SIZES = {
    # verb: seconds, MiB, where an event ends that failed every retry
    "admit": (30, 256, None),
    "decide": (20, 256, None),
    "drill": (900, 256, BY_EVENTS),
    "enrol": (120, 512, None),
    "gateway": (30, 512, None),
    "grade": (900, 1024, None),
    "housekeep": (600, 512, BY_EVENTS),
    "intake": (60, 256, None),
    "invocation_logging": (90, 256, None),
    "judge": (120, 1024, None),
    "operate": (30, 256, None),
    "plan_tests": (300, 1024, None),
    "promote": (30, 256, None),
    "reconcile": (300, 256, BY_EVENTS),
    "record_renders": (60, 256, None),
    "relay": (30, 256, None),
    "remind": (120, 512, BY_EVENTS),
    "request_review": (120, 512, None),
    "review": (28, 1769, None),
    "roll_back": (30, 1024, BY_ALARMS),
    "run_cases": (900, 1024, None),
    "shift": (30, 256, None),
    "wind_up": (30, 256, BY_EVENTS),
}
SUITES = {"admit", "enrol", "grade", "plan_tests", "run_cases"}
STANDARD_LIBRARY_ALONE = {"gateway", "invocation_logging", "record_renders"}
TAGS = [{"Key": "promptlane", "Value": "promptlane"}]


@pytest.mark.parametrize("verb", SIZES)
def test_a_function_has_the_time_the_memory_and_the_packages_that_it_needs(synthesized: Synthesized, verb: str) -> None:
    function = plain(synthesized.function(verb)[2])
    letters = function.get("DeadLetterConfig", {}).get("TargetArn")
    assert (function["Timeout"], function["MemorySize"], letters) == SIZES[verb]
    assert "ReservedConcurrentExecutions" not in function  # a fresh account has none to reserve
    packages = {"<Sdk>", "<Packages>", *(["<EnginePackages>"] if verb in SUITES else [])}
    own = {"<Sdk>", *(["<ReceiptPackages>"] if verb == "gateway" else [])}
    assert set(function.get("Layers", [])) == (own if verb in STANDARD_LIBRARY_ALONE else packages)


def test_no_batch_of_cases_outlives_its_function() -> None:
    starting = 10.0
    assert BATCH_SECONDS + SPARE_SECONDS + starting <= SIZES["run_cases"][0]
    assert SPARE_SECONDS > CALL_SECONDS + GRADING_SECONDS, "a call that begins last is waited for, and graded"


def test_every_function_is_sized(synthesized: Synthesized) -> None:
    assert synthesized.verbs() == list(SIZES)


def test_intake_takes_five_messages_at_once_in_two_places_and_gives_back_what_it_could_not_take(
    synthesized: Synthesized,
) -> None:
    _, _, mapping = synthesized.one("AWS::Lambda::EventSourceMapping", "/Intake/")
    assert plain(mapping) == {
        "FunctionName": "<IntakeFunction>",
        "EventSourceArn": "<RequestsQueue.Arn>",
        "BatchSize": 5,
        "ScalingConfig": {"MaximumConcurrency": 2},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "Tags": TAGS,
    }


def test_relay_reads_the_releases_stream_from_its_beginning(synthesized: Synthesized) -> None:
    _, _, mapping = synthesized.one("AWS::Lambda::EventSourceMapping", "/Timeline")
    entries = {"eventName": ["INSERT"], "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "timeline#"}]}}}}
    assert plain(mapping) == {
        "FunctionName": "<RelayFunction.Arn>",
        "EventSourceArn": "<Releases.StreamArn>",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 50,
        "MaximumRetryAttempts": -1,
        "MaximumRecordAgeInSeconds": 3600,
        "BisectBatchOnFunctionError": True,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": {"OnFailure": {"Destination": "<UnrelayedQueue.Arn>"}},
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps(entries)}]},
        "Tags": TAGS,
    }


RULES = {
    # rule: its schedule, what it calls, for how many seconds it tries
    "VersionCreated": (None, "<RequestsQueue.Arn>", 86_400),
    "ExecutionDied": (None, "<WindUpFunction.Arn>", 7_200),
    "ReleaseStarted": (None, "<HousekeepFunction.Arn>", 7_200),
    "ReconcileSchedule": ("rate(15 minutes)", "<ReconcileFunction.Arn>", 7_200),
    "RemindSchedule": ("rate(5 minutes)", "<RemindFunction.Arn>", 7_200),
    "HousekeepSchedule": ("rate(1 day)", "<HousekeepFunction.Arn>", 7_200),
}


def test_rules_call_what_they_are_for_and_keep_what_nothing_took(synthesized: Synthesized) -> None:
    found: dict[str, Json] = {}
    for _, logical, rule in synthesized.resources("AWS::Events::Rule"):
        assert rule["State"] == "ENABLED"
        (target,) = plain(rule["Targets"])
        assert target["DeadLetterConfig"] == {"Arn": BY_EVENTS}
        retries = target["RetryPolicy"]
        assert set(retries) == {"MaximumEventAgeInSeconds"}, "as often as EventBridge does"
        found[plain(logical)] = (rule.get("ScheduleExpression"), target["Arn"], retries["MaximumEventAgeInSeconds"])
    assert found == RULES


def test_apis_are_throttled(synthesized: Synthesized) -> None:
    stages = {stack: p["DefaultRouteSettings"] for stack, _, p in synthesized.resources("AWS::ApiGatewayV2::Stage")}
    assert stages == {
        "pipeline": {"ThrottlingRateLimit": 0.25, "ThrottlingBurstLimit": 3},
        "runtime": {"ThrottlingRateLimit": 0.5, "ThrottlingBurstLimit": 5},
    }


def test_people_invoke_the_newest_roll_back_by_its_alias(synthesized: Synthesized) -> None:
    ((_, _, alias),) = synthesized.resources("AWS::Lambda::Alias")
    assert plain(alias) == {
        "Description": "For people, where the operations API does not answer",
        "FunctionName": "<RollBackFunction>",
        "FunctionVersion": "$LATEST",
        "Name": "console",
    }
