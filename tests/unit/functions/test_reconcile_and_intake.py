"""What starts releases: messages of the intake queue, and what reconcile finds that no message announced."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.domain.errors import Throttled
from promptlane.domain.names import ENROLLED_TAG, release_id
from promptlane.domain.release.release import Release, Waiting
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.edits import Edit
from promptlane.lifecycle.reconcile import GRACE
from tests.support.functions import (
    ACCOUNT,
    AUTHOR,
    DEPLOYMENT,
    MACHINE,
    NOW,
    REGION,
    WIND_UP,
    Context,
    World,
    real,
    version_arn,
)
from tests.support.prompt import ID, PROMPT, RELEASE

Json = Any
RECORDED: dict[str, Json] = json.loads((Path(__file__).parents[2] / "events/create-prompt-version.json").read_text())
SENDER = "AROAEXAMPLEROLEID0001:kim"


def published(**detail: Json) -> dict[str, Json]:
    """CloudTrail's event of the publication, as EventBridge passes it on."""
    event = copy.deepcopy(RECORDED)
    event["account"] = ACCOUNT
    event["detail"].update({"awsRegion": REGION, **detail})
    event["detail"]["requestParameters"]["promptIdentifier"] = ID
    return event


def asked(version: str = "2", **changed: Json) -> dict[str, Json]:
    request = {"source": "promptlane.request", "prompt": PROMPT, "version": version, "explicit": True}
    return {**request, "requested_by": "an operator", "request_id": f"request {version}", **changed}


def take(world: World, *bodies: Json, sender: str | None = SENDER) -> dict[str, Json]:
    attributes: dict[str, Json] = {} if sender is None else {"attributes": {"SenderId": sender}}
    records = [
        {"messageId": f"m{i}", "body": body if isinstance(body, str) else json.dumps(body), **attributes}
        for i, body in enumerate(bodies)
    ]
    return dict(world.function("intake").handle({"Records": records}, Context()))


def executions() -> dict[str, dict[str, Json]]:
    """The input of each execution, by name."""
    states = real("stepfunctions")
    return {
        e["name"]: json.loads(states.describe_execution(executionArn=e["executionArn"])["input"])
        for e in states.list_executions(stateMachineArn=MACHINE)["executions"]
    }


def test_a_request_starts_a_release_and_its_execution(world: World) -> None:
    world.enrol()
    world.publish(2)

    assert take(world, asked()) == {"batchItemFailures": []}

    by = 'role AROAEXAMPLEROLEID0001 (session "kim"; says "an operator")'
    assert world.releases.get(RELEASE) == Release(RELEASE, PROMPT, NOW, by, explicit=True, request_id="request 2")
    detail = {"prompt": PROMPT, "version": 2, "attempt": 1, "explicit": True, "sent_by": SENDER}
    assert world.entries(RELEASE) == [(Event.STARTED, by, detail)]
    assert world.releases.holder(ID) == RELEASE
    assert executions() == {RELEASE: {"release_id": RELEASE, "prompt": PROMPT, "prompt_id": ID, "version": 2}}


def test_the_event_of_a_publication_starts_its_first_attempt(world: World) -> None:
    world.enrol()
    world.publish(2)

    assert take(world, published(), sender=None) == {"batchItemFailures": []}

    ((_, by, detail),) = world.entries(RELEASE)
    assert by.endswith('PromptAuthor (session "release-pipeline")')
    assert detail == {"prompt": PROMPT, "version": 2, "attempt": 1, "explicit": False}


@pytest.mark.parametrize("name", ["UpdatePrompt", "CreatePrompt", "CreatePromptVersion"])
def test_who_edits_or_publishes_is_recorded_once_with_what_the_draft_holds_by_then(world: World, name: str) -> None:
    world.enrol()
    ref = world.publish(2)
    event = published(eventName=name)

    assert take(world, event, event, sender=None) == {"batchItemFailures": []}
    assert take(world, event) == {"batchItemFailures": []}

    (item,) = [item for item in world.items() if item["pk"] == f"edits#{ID}"]
    recorded = Edit.from_item(item)
    assert item["sk"] == f"{int(recorded.event.at):012d}#{event['detail']['eventID']}"
    assert (recorded.event.name, recorded.event.arn) == (name, event["detail"]["userIdentity"]["arn"])
    assert (recorded.arrived, recorded.told_by, recorded.newest, recorded.draft, recorded.sent_by) == (
        NOW,
        "event",
        2,
        ref.fingerprint,
        "",
    )


def test_who_put_an_event_into_the_queue_is_recorded_with_it(world: World) -> None:
    world.enrol()
    world.publish(2)

    assert take(world, published(eventName="UpdatePrompt")) == {"batchItemFailures": []}

    assert [item["sent_by"] for item in world.items() if item["pk"] == f"edits#{ID}"] == [SENDER]


@pytest.mark.parametrize(
    "odd",
    [
        {"eventTime": "yesterday"},
        {"eventTime": None},
        {"userIdentity": "kim", "eventTime": "2026-03-02T14:00:05+99:99"},
    ],
)
def test_an_event_that_cannot_be_read_is_kept_for_people_to_look_at(world: World, odd: dict[str, Json]) -> None:
    world.enrol()
    world.publish(2)

    assert take(world, published(**odd))["batchItemFailures"]
    assert world.items() == []


def test_a_second_version_waits_and_what_is_stable_already_is_not_released(world: World) -> None:
    world.enrol()
    stable = world.publish(1)
    world.route(stable)
    for version in (2, 3):
        world.publish(version)

    assert take(world, asked("2"), asked("3"), asked("1")) == {"batchItemFailures": []}

    by = 'role AROAEXAMPLEROLEID0001 (session "kim"; says "an operator")'
    assert world.releases.waiting(ID) == [Waiting(PROMPT, ID, 3, NOW, by, explicit=True)]
    assert set(executions()) == {RELEASE}


@pytest.mark.parametrize(
    "body",
    [
        published(errorCode="AccessDenied"),
        published(eventName="DeletePrompt"),
        published(awsRegion="eu-west-1"),
        {**published(), "account": "999999999999"},
        asked(prompt="unheard"),
        asked(prompt="billing"),
        asked("9"),
    ],
    ids=["failed", "another call", "another Region", "another account", "no prompt", "not enrolled", "no version"],
)
def test_what_is_none_of_ours_is_dropped(world: World, body: dict[str, Json]) -> None:
    world.enrol()
    world.publish(2)
    world.publish(2, prompt="billing", prompt_id="PROMPT0002")

    assert take(world, body) == {"batchItemFailures": []}
    assert (world.items(), executions()) == ([], {})


def test_only_what_failed_is_tried_again(world: World) -> None:
    world.enrol()
    world.publish(2)
    malformed = ["not json", "[]", {"source": "elsewhere"}, asked("DRAFT"), asked(prompt="no prompt's name")]

    assert take(world, *malformed, asked(), "{") == {
        "batchItemFailures": [{"itemIdentifier": f"m{i}"} for i in (0, 1, 2, 3, 4, 6)]
    }
    assert set(executions()) == {RELEASE}


def test_a_release_whose_execution_could_not_be_started_is_started_the_next_time(world: World) -> None:
    world.enrol()
    world.publish(2)
    world.refuse("stepfunctions", "StartExecution", "ServiceUnavailable", times=1)

    assert take(world, asked()) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert (len(world.entries(RELEASE)), executions()) == (1, {})
    assert take(world, asked()) == {"batchItemFailures": []}
    assert (len(world.entries(RELEASE)), set(executions())) == (1, {RELEASE})


def reconcile(world: World) -> dict[str, Json]:
    done = dict(world.function("reconcile").handle({}, Context()))
    del done["swept"]
    return done


NOTHING: dict[str, Json] = {
    "untold": 0,
    "restored": [],
    "requested": [],
    "restarted": [],
    "wound_up": [],
    "tagged": [],
    "failed": [],
}


def test_a_version_that_nobody_announced_is_asked_for(world: World) -> None:
    world.enrol()
    world.releases.at_enrolment(ID, 2, NOW - 19_750)
    for version in (2, 3, 4):
        world.publish(version)

    assert reconcile(world) == {**NOTHING, "requested": [f"{PROMPT} 4"]}

    (message,) = world.queued()
    assert message.pop("request_id")
    assert message == {
        "source": "promptlane.request",
        "prompt": PROMPT,
        "version": "4",
        "requested_by": "promptlane reconcile",
        "explicit": False,
    }
    assert [(w.version, w.since) for w in world.releases.waiting(ID)] == [(3, NOW), (4, NOW)]


def test_a_new_enrolment_begins_now(world: World) -> None:
    world.enrol()
    world.publish(2)

    assert reconcile(world) == NOTHING
    found = {(item["pk"], item["sk"]): item for item in world.items()}
    key = (f"prompt#{ID}", "enrolment")
    assert found.pop(key) == {"pk": key[0], "sk": key[1], "since": NOW, "newest": 2}
    watched = found.pop((f"edits#{ID}", "watched"))
    assert (watched["since"], watched["until"]) == (NOW - 90 * 86_400, NOW - 900)
    edits = [Edit.from_item(item) for item in found.values()]
    assert {(e.event.name, e.event.at, e.event.arn, e.told_by) for e in edits} == {
        ("UpdatePrompt", NOW - 19_805, AUTHOR, "history"),
        ("CreatePromptVersion", NOW - 19_800, AUTHOR, "history"),
    }


def test_a_release_without_an_execution_is_started_or_wound_up(world: World) -> None:
    world.enrol()
    world.publish(2)
    world.start(2, started_at=NOW - GRACE)
    assert reconcile(world) == NOTHING
    world.now += 1
    assert reconcile(world) == {**NOTHING, "restarted": [RELEASE]}
    assert executions() == {RELEASE: {"release_id": RELEASE, "prompt": PROMPT, "prompt_id": ID, "version": 2}}
    assert reconcile(world) == NOTHING

    real("stepfunctions").stop_execution(executionArn=f"{MACHINE.replace(':stateMachine:', ':execution:')}:{RELEASE}")
    assert reconcile(world) == {**NOTHING, "wound_up": [RELEASE]}
    assert world.invoker.invoked == [
        {
            "FunctionName": WIND_UP,
            "InvocationType": "Event",
            "Payload": {"release_id": RELEASE, "outcome": "failed", "reason": "its execution is ABORTED"},
        }
    ]


def test_what_cannot_be_wound_up_now_keeps_no_other_prompt_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prompt, prompt_id in ((PROMPT, ID), ("warranty", "PROMPT0003")):
        world.enrol(prompt=prompt)
        world.publish(1, prompt=prompt, prompt_id=prompt_id)
        world.releases.at_enrolment(prompt_id, 0, NOW - 30_000)
    world.start(2, state="review")

    def throttled(**_: Json) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "later"}}, "Invoke")

    monkeypatch.setattr(world.invoker, "invoke", throttled)

    assert reconcile(world) == {**NOTHING, "requested": ["warranty 1"], "failed": [PROMPT]}
    with pytest.raises(Throttled, match=f"^sending an event to {WIND_UP}: TooManyRequestsException: later$"):
        world.function("reconcile").wire()[0].wind_up(RELEASE, "x")


def test_the_tag_that_lets_applications_in_is_put_back(world: World) -> None:
    world.enrol()
    stable, previous = world.publish(2), world.publish(1)
    world.route(stable, previous=previous)
    tag = {ENROLLED_TAG: DEPLOYMENT}
    world.prompts.tags = {version_arn(1)[:-2]: tag, version_arn(1): tag, version_arn(2): {ENROLLED_TAG: "another"}}

    assert reconcile(world) == {**NOTHING, "tagged": [f"{PROMPT} 2"]}
    assert world.prompts.tags[version_arn(2)] == tag
    assert reconcile(world) == NOTHING


def test_a_prompt_that_is_gone_or_not_enrolled_is_left_alone(world: World) -> None:
    world.enrol(prompt="gone")
    world.publish(2)

    assert reconcile(world) == NOTHING


def test_a_route_that_still_names_a_release_is_looked_after(world: World) -> None:
    """The entries that ride on it are moved, also when its release is over in every other way."""
    world.enrol()
    release = world.in_canary()
    world.releases.update(replace(release, state="ended"))
    world.releases.unlock(ID, RELEASE)
    tag = {ENROLLED_TAG: DEPLOYMENT}
    world.prompts.tags = dict.fromkeys((version_arn(1), version_arn(2), version_arn(2)[:-2]), tag)

    assert reconcile(world) == {**NOTHING, "wound_up": [release_id(ID, 2)]}
    assert world.invoker.invoked[0]["Payload"]["reason"] == "its execution is gone"
