"""What may happen to a canary at once, by real calls to the deployed stacks: the route is safe in the end, and once."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest

from promptlane.aws.routes import DynamoRoutes
from promptlane.domain.errors import Conflict
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry, chain_problems, iso
from tests.support.deployment import Deployment, draft

ROLE, PROMPT = "racing", "e2e-racing"
CANARY_ERROR = f"promptlane/{PROMPT}/canary/Error"
CANARY_REFUSAL = f"promptlane/{PROMPT}/canary/Refusal"
STABLE_ERROR = f"promptlane/{PROMPT}/stable/Error"


class Track:
    """The racing prompt: gets versions into canary, and sees what became of them."""

    def __init__(self, deployed: Deployment) -> None:
        self.deployed = deployed
        self.cloudwatch, self.sns = deployed.client("cloudwatch"), deployed.client("sns")
        self._texts = count(1)

    @property
    def route(self) -> Route:
        route = self.deployed.route(ROLE)
        assert route is not None
        return route

    def text(self) -> str:
        return f"Mind remark {time.time_ns()}-{next(self._texts)}."

    def canary(self) -> str:
        return self.deployed.in_canary(ROLE, self.text())

    def promoted(self) -> str:
        """A release in watch, advanced by an operator."""
        release_id = self.canary()
        for step in (0, 1):
            self.deployed.wait(partial(self._at_step, release_id, step), f"not at step {step}")
            self.deployed.promptlane("advance", release_id, "--reason", "nobody is on at night")
        self.deployed.wait(lambda: self.deployed.release(release_id).state == "watch", "not promoted")
        return release_id

    def _at_step(self, release_id: str, step: int) -> bool:
        return self.deployed.release(release_id).step == step

    def trip(self, name: str, state: str = "ALARM") -> None:
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason=f"{state}, set by a test")

    def message(self, name: str, *, at: float, state: str = "ALARM") -> str:
        """An alarm's notification, as CloudWatch would have sent it at another time."""
        (alarm,) = self.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return json.dumps(
            {
                "AlarmName": name,
                "AlarmArn": alarm["AlarmArn"],
                "AWSAccountId": "000000000000",
                "Region": "US East (N. Virginia)",
                "OldStateValue": "OK",
                "NewStateValue": state,
                "NewStateReason": "Threshold Crossed",
                "StateChangeTime": iso(at).replace("Z", "+0000"),
            }
        )

    def publish(self, message: str) -> None:
        self.sns.publish(TopicArn=self.deployed.resources["alarms_topic"], Subject="ALARM", Message=message)

    def answers(self, wanted: int, since: float) -> list[str]:
        """What roll_back answered to SNS since then, from its log: at least `wanted` of them."""
        found: list[str] = []
        logs = self.deployed.client("logs")
        group = f"/aws/lambda/{self.deployed.resources['roll_back_function']}"

        def enough() -> bool:
            found.clear()
            configured = self.deployed.client("lambda").get_function_configuration(
                FunctionName=self.deployed.resources["roll_back_function"]
            )
            name = (configured.get("LoggingConfig") or {}).get("LogGroup") or group
            for page in logs.get_paginator("filter_log_events").paginate(
                logGroupName=name, startTime=int(since * 1000)
            ):
                for event in page["events"]:
                    with contextlib.suppress(ValueError):
                        said = json.loads(event["message"])
                        if isinstance(said, dict) and said.get("location", "").startswith(
                            ("_rolled_back", "_from_alarm")
                        ):
                            found.append(f"{said['message']}: {said.get('why')}")
            return len(found) >= wanted

        self.deployed.wait(enough, f"roll_back did not answer {wanted} times", 30)
        return found

    def rolled_back(self, release_id: str) -> TimelineEntry:
        """Wait for the end; the one rollback on the timeline."""
        assert self.deployed.ended(release_id).outcome is Outcome.ROLLED_BACK
        route = self.route
        assert (route.canary, route.phase, route.weight, route.holdback) == (None, Phase.STEADY, 0, 0)
        timeline = self.deployed.timeline(release_id)
        assert chain_problems(timeline) == []
        (entry,) = [e for e in timeline if e.event is Event.ROLLED_BACK]
        assert len([e for e in timeline if e.event is Event.ENDED]) == 1
        return entry

    def at_once(self, *actions: Callable[[], Any]) -> list[Any]:
        """Start all actions at the same moment; what they returned."""
        gate, answers = threading.Barrier(len(actions)), [None] * len(actions)

        def run(i: int) -> None:
            gate.wait()
            answers[i] = actions[i]()

        threads = [threading.Thread(target=run, args=(i,)) for i in range(len(actions))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return answers

    def invoke(self, verb: str, payload: dict[str, Any]) -> Any:
        answer = self.deployed.client("lambda").invoke(
            FunctionName=self.deployed.resources[f"{verb}_function"], Payload=json.dumps(payload).encode()
        )
        return json.loads(answer["Payload"].read())

    @contextlib.contextmanager
    def held_red(self, name: str) -> Iterator[None]:
        """Keep an alarm in ALARM, though there is no data behind it, and silent."""
        over = threading.Event()
        self.cloudwatch.disable_alarm_actions(AlarmNames=[name])

        def hold() -> None:
            while not over.is_set():
                self.trip(name)
                over.wait(1)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.trip(name, "OK")
            self.cloudwatch.enable_alarm_actions(AlarmNames=[name])


@pytest.fixture(scope="module")
def first(deployed: Deployment) -> Track:
    if deployed.route(ROLE) is None:
        deployed.first_version(ROLE)
    return Track(deployed)


@pytest.fixture
def track(first: Track) -> Iterator[Track]:
    """Nothing in flight and no alarm red, before and after."""
    yield first
    for name in (CANARY_ERROR, CANARY_REFUSAL, STABLE_ERROR):
        first.trip(name, "OK")
    if (route := first.route).phase is not Phase.STEADY:
        first.invoke("roll_back", {"prompt": PROMPT, "reason": "the test is over", "by": "a test"})
        first.deployed.ended(route.release_id)


def test_an_alarm_and_a_shift_at_once(track: Track) -> None:
    stable, release_id = track.route.stable, track.canary()
    answers = track.at_once(
        lambda: track.trip(CANARY_ERROR),
        *[lambda: track.invoke("shift", {"release_id": release_id, "step": 1})] * 3,
    )
    entry = track.rolled_back(release_id)
    assert entry.by.endswith(CANARY_ERROR)
    assert track.route.stable == stable
    assert {a["result"] for a in answers[1:]} <= {"shifted", "gone"}
    late = track.invoke("shift", {"release_id": release_id, "step": 1})
    assert late["result"] == "gone"
    assert track.route.canary is None


def test_an_alarm_and_the_promotion_at_once(track: Track) -> None:
    for _ in range(3):
        stable, release_id = track.route.stable, track.canary()
        track.at_once(
            lambda: track.trip(CANARY_ERROR),
            partial(track.invoke, "promote", {"release_id": release_id}),
        )
        track.rolled_back(release_id)
        assert track.route.stable == stable
        track.trip(CANARY_ERROR, "OK")
        assert track.invoke("promote", {"release_id": release_id})["result"] == "gone"


def test_two_alarms_of_one_canary(track: Track) -> None:
    release_id, began = track.canary(), time.time()
    track.at_once(lambda: track.trip(CANARY_ERROR), lambda: track.trip(CANARY_REFUSAL))
    track.rolled_back(release_id)
    answers = track.answers(2, began)
    assert sorted(a.split(":")[0] for a in answers) == ["already", "rolled_back"]


def test_duplicates_strangers_and_stale_alarms(track: Track) -> None:
    release_id, began = track.canary(), time.time()
    since = track.route.phase_since
    track.publish(track.message(CANARY_ERROR, at=since - 1))
    track.publish(track.message(CANARY_ERROR, at=time.time(), state="OK"))
    track.publish(track.message(CANARY_ERROR, at=time.time()).replace(PROMPT, "e2e-watched"))
    track.publish(track.message(CANARY_ERROR, at=time.time()).replace(":000000000000:", ":999999999999:"))
    track.publish("not an alarm at all")
    answers = track.answers(5, began)
    assert not [a for a in answers if a.startswith("rolled_back")]
    assert [a for a in answers if "earlier release" in a]
    assert track.route.canary is not None

    first = track.message(CANARY_ERROR, at=time.time())
    for message in (first, track.message(CANARY_ERROR, at=time.time(), state="OK"), first, first):
        track.publish(message)
    track.rolled_back(release_id)
    track.answers(9, began)

    # The next release is not condemned by what was said about the one before.
    following = track.canary()
    again = time.time()
    track.publish(first)
    (answer,) = track.answers(1, again)
    assert "earlier release" in answer
    assert track.route.release_id == following
    assert track.route.canary is not None


@pytest.mark.deployments
def test_an_alarm_that_was_deleted_meanwhile_still_counts(track: Track) -> None:
    release_id = track.canary()
    message = track.message(CANARY_REFUSAL, at=time.time())
    (alarm,) = track.cloudwatch.describe_alarms(AlarmNames=[CANARY_REFUSAL])["MetricAlarms"]
    track.cloudwatch.delete_alarms(AlarmNames=[CANARY_REFUSAL])
    try:
        track.publish(message)
        assert track.rolled_back(release_id).detail["cause"] == "alarm"
    finally:
        known = (
            "AlarmName",
            "AlarmDescription",
            "AlarmActions",
            "Metrics",
            "EvaluationPeriods",
            "DatapointsToAlarm",
            "Threshold",
            "ComparisonOperator",
            "TreatMissingData",
        )
        track.cloudwatch.put_metric_alarm(**{key: alarm[key] for key in known if key in alarm})


@pytest.mark.deployments
def test_a_rollback_in_watch_while_the_next_version_waits_at_review(track: Track) -> None:
    stable, deployed = track.route.stable, track.deployed
    watched = track.promoted()
    waiting = deployed.publish(draft(ROLE, track.text()))
    deployed.wait(lambda: deployed.mail.invitations(waiting), "nobody was asked")
    track.trip(STABLE_ERROR)
    track.rolled_back(watched)
    assert track.route.stable == stable
    assert not deployed.release(waiting).ended
    # Its approval was for a comparison with what is gone: it is tested and reviewed once more, then gets on.
    deployed.approve(waiting)
    deployed.approve(waiting)
    deployed.wait(lambda: track.route.release_id == waiting and track.route.canary, "the next version got no canary")
    assert track.route.stable == stable
    events = [e.event for e in deployed.timeline(waiting)]
    assert events.count(Event.TESTS_PLANNED) == 2
    assert events.count(Event.REVIEW_DECIDED) == 2


@pytest.mark.deployments
def test_an_operator_rolls_back_in_steady(track: Track) -> None:
    stable, deployed = track.route.stable, track.deployed
    release_id = track.promoted()
    deployed.stop_execution(release_id)
    assert deployed.ended(release_id).outcome is Outcome.PROMOTED
    assert track.route.phase is Phase.STEADY
    # Nobody's alarm may do that any more.
    began = time.time()
    track.publish(track.message(STABLE_ERROR, at=began))
    assert track.answers(1, began)[0].startswith("not_applicable")
    assert track.route.stable != stable
    said = deployed.promptlane("rollback", PROMPT, "--reason", "customers complain")
    assert (said["result"], said["way"], said["stable"]) == ("rolled_back", "api", stable.version)
    assert track.route.stable == stable
    assert deployed.promptlane("rollback", PROMPT, "--reason", "and again", status=1)


@pytest.mark.deployments
def test_an_operator_goes_back_further_than_the_route_remembers(track: Track) -> None:
    first, deployed = track.route.stable, track.deployed
    second = track.promoted()
    deployed.stop_execution(second)
    assert deployed.ended(second).outcome is Outcome.PROMOTED
    third = track.promoted()
    middle, last = deployed.release(second).version, deployed.release(third).version

    refused = deployed.promptlane("rollback", PROMPT, "--to", str(last + 1), "--reason", "x", status=1)
    assert "is gone" in refused["error"]["message"]
    said = deployed.promptlane("rollback", PROMPT, "--to", str(first.version), "--reason", "both are bad")

    assert (said["result"], said["stable"]) == ("rolled_back", first.version)
    assert (track.route.stable, track.route.previous) == (first, None)
    assert deployed.ended(third).outcome is Outcome.ROLLED_BACK
    # What was not rolled back may be named again; what was may not.
    assert deployed.promptlane("rollback", PROMPT, "--to", str(last), "--reason", "x", status=1)
    assert deployed.promptlane("rollback", PROMPT, "--to", str(middle), "--reason", "x")["stable"] == middle


@pytest.mark.deployments
def test_a_storm_of_shifts(track: Track) -> None:
    stable, release_id = track.route.stable, track.canary()
    table = track.deployed.aws.session().resource("dynamodb", endpoint_url=track.deployed.aws.url)
    routes, over = DynamoRoutes(table.Table(track.deployed.resources["route_table"])), threading.Event()
    written = []

    def storm() -> None:
        while not over.is_set():
            route = routes.get(PROMPT)
            if route is None or route.canary is None:
                return
            with contextlib.suppress(Conflict):
                moved = replace(route, weight=min(9_999, route.weight + 1), revision=route.revision + 1)
                routes.put(moved, expected=route)
                written.append(moved.revision)

    threads = [threading.Thread(target=storm) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        track.deployed.wait(lambda: len(written) > 20, "no storm")
        track.trip(CANARY_ERROR)
        track.deployed.wait(lambda: track.route.canary is None, "the storm kept the canary alive", 30)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    track.rolled_back(release_id)
    assert track.route.stable == stable


@pytest.mark.deployments
def test_an_alarm_that_is_red_already_makes_the_release_wait_and_say_so(track: Track) -> None:
    deployed = track.deployed
    with track.held_red(CANARY_ERROR):
        release_id = deployed.publish(draft(ROLE, track.text()))
        deployed.approve(release_id)
        entry = deployed.wait(
            lambda: next((e for e in deployed.timeline(release_id) if e.event is Event.CANARY_WAITING), None),
            "it does not wait",
        )
        assert entry is not None
        assert "canary/Error is in ALARM already" in entry.detail["reason"]
        (standing,) = deployed.promptlane("status", PROMPT)["prompts"]
        assert "canary/Error is in ALARM already" in json.dumps(standing["release"]["latest"])
        assert track.route.canary is None
    deployed.wait(lambda: track.route.release_id == release_id and track.route.canary, "it waits for ever")


def test_an_alarm_that_stands_is_acted_upon_by_the_next_look(track: Track) -> None:
    release_id = track.canary()
    with track.held_red(CANARY_ERROR):
        entry = track.rolled_back(release_id)
    assert entry.detail["cause"] == "judge"
    assert "The alarm canary/Error stands in ALARM" in entry.detail["reason"]
    (look,) = [e for e in track.deployed.timeline(release_id) if e.event is Event.CANARY_JUDGED][-1:]
    assert look.detail["cause"] == "alarm"


@pytest.mark.deployments
def test_pause_resume_and_advance(track: Track) -> None:
    deployed = track.deployed
    at_review = deployed.publish(draft(ROLE, track.text()))
    deployed.wait(lambda: deployed.mail.invitations(at_review), "nobody was asked")
    refused = deployed.promptlane("advance", at_review, "--reason", "skip the review", status=1)
    assert "not in canary but review" in json.dumps(refused)
    deployed.approve(at_review)
    deployed.wait(lambda: deployed.release(at_review).state == "canary", "no canary")
    deployed.promptlane("pause", PROMPT, "--reason", "a sale is on")
    assert "paused already" in json.dumps(deployed.promptlane("pause", PROMPT, "--reason", "twice", status=1))
    assert "resume it first" in json.dumps(deployed.promptlane("advance", PROMPT, "--reason", "now", status=1))
    deployed.wait(
        lambda: any(
            e.event is Event.CANARY_JUDGED and e.detail["cause"] == "paused" for e in deployed.timeline(at_review)
        ),
        "no look says that it is paused",
    )
    assert track.route.weight == 1000
    deployed.promptlane("resume", PROMPT, "--reason", "the sale is over")
    deployed.promptlane("advance", PROMPT, "--reason", "it is fine")
    deployed.wait(lambda: track.route.weight == 5000, "not advanced")
    judged = [e for e in deployed.timeline(at_review) if e.event is Event.CANARY_JUDGED]
    assert [e.detail["cause"] for e in judged if e.detail["judgement"] == "advance"] == ["operator"]
    operations = (Event.CANARY_PAUSED, Event.CANARY_RESUMED, Event.CANARY_ADVANCED)
    entries = [e for e in deployed.timeline(at_review) if e.event in operations]
    assert [(e.event, e.detail["reason"]) for e in entries] == list(
        zip(operations, ("a sale is on", "the sale is over", "it is fine"), strict=True)
    )
    assert all("arn:aws:iam::" in e.by for e in entries)


def test_a_rollback_when_the_operations_api_does_not_answer(track: Track) -> None:
    release_id, ssm = track.canary(), track.deployed.client("ssm")
    name = "/promptlane/resources/pipeline"
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    elsewhere = json.dumps({**json.loads(value), "operations_url": "http://127.0.0.1:9"})
    ssm.put_parameter(Name=name, Value=elsewhere, Type="String", Overwrite=True)
    try:
        said = track.deployed.promptlane("rollback", PROMPT, "--reason", "customers complain")
    finally:
        ssm.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    assert (said["result"], said["way"]) == ("rolled_back", "function")
    assert track.rolled_back(release_id).detail["cause"] == "operator"
