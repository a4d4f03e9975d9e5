"""The rollback over its real adapters, and how long it tries. Its races: test_roll_back_races.py."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Conflict, InvalidInput, Unavailable
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, iso
from tests.support.functions import ACCOUNT, DEPLOYMENT, NOW, REGION, Context, World, problem
from tests.support.prompt import ID, PROMPT, RELEASE

Json = Any
OPERATOR = f"arn:aws:sts::{ACCOUNT}:assumed-role/Operator/kim"
VOUCHED = f'arn:aws:sts::{ACCOUNT}:assumed-role/Operator (session "kim")'
SAFE = {"result": "rolled_back", "prompt": PROMPT, "release_id": RELEASE, "stable": 1}


def alarm(
    *,
    track: str = "canary",
    metric: str = "Refusal",
    since: float = NOW - 60,
    prompt: str = PROMPT,
    deployment: str = DEPLOYMENT,
) -> dict[str, Json]:
    """A record as SNS hands it over."""
    message = {
        "AlarmArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{deployment}/{prompt}/{track}/{metric}",
        "NewStateValue": "ALARM",
        "NewStateReason": "3 datapoints were greater",
        "StateChangeTime": iso(since).replace("Z", "+0000"),
    }
    return {"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}


def api(body: Json = None, *, identity: Json = None, **changed: Json) -> dict[str, Json]:
    text = body if isinstance(body, str) else json.dumps({"reason": "they complain"} if body is None else body)
    authorizer = {"authorizer": {"iam": {"userArn": OPERATOR}}} if identity is None else identity
    return {"requestContext": authorizer, "pathParameters": {"prompt": PROMPT}, "body": text, **changed}


def roll_back(world: World, event: Json, context: Context | None = None) -> dict[str, Json]:
    return dict(world.function("roll_back").handle(event, context or Context()))


@pytest.fixture
def canary(world: World) -> World:
    world.in_canary()
    world.executing(RELEASE)
    return world


def rolled_back(world: World, route: Route, *, by: str, cause: str, reason: str, evidence: Json = None) -> None:
    """The route is safe, and the timeline says why."""
    assert route.canary is not None
    bad = route.canary
    quarantine = {bad.fingerprint: {"version": 2, "release_id": RELEASE, "at": NOW, "rounded": bad.rounded}}
    assert replace(world.current, pending=(), epoch=0) == replace(
        route, canary=None, weight=0, phase=Phase.STEADY, phase_since=NOW, revision=7, quarantined=quarantine
    )
    detail = {"version": 2, "restored": 1, "cause": cause, "reason": reason, "phase": "canary"}
    told = {**detail, **({"evidence": evidence} if evidence else {})}
    assert world.entries(RELEASE) == [(Event.ROLLED_BACK, by, told)]
    ((subject, body),) = world.told()
    assert subject == f"[Promptlane] {PROMPT}: version 2 rolled back"
    assert reason in body


def test_an_alarm_puts_the_safe_version_back_stops_the_execution_and_tells_people(canary: World) -> None:
    route = canary.current
    stranger = alarm(deployment="another")

    answer = roll_back(canary, {"Records": [stranger, alarm(), alarm(metric="Error")]})

    reason = "alarm Refusal on track canary: 3 datapoints were greater"
    ignored, first, second = answer["results"]
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{DEPLOYMENT}/{PROMPT}/canary/Refusal"
    assert set(ignored) == {"result", "reason"}
    assert (ignored["result"], "is not a fuse alarm of deployment 'lane'" in ignored["reason"]) == (
        "not_applicable",
        True,
    )
    assert first == {**SAFE, "reason": reason}
    assert (second["result"], second["stable"]) == ("already", 1)
    evidence = {"alarm": arn, "changed_at": NOW - 60}
    rolled_back(canary, route, by=arn, cause="alarm", reason=reason, evidence=evidence)
    assert canary.status(RELEASE) == "ABORTED"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (alarm(since=NOW - 601), "earlier release or phase"),
        (alarm(track="stable"), ""),
        (alarm(prompt="unheard"), "prompt 'unheard' has no route: nothing of it is served"),
        ({"Sns": {"Message": "{"}}, "not JSON: "),
        ({"Sns": {"Message": "[" * 100_000}}, "not JSON: "),
    ],
    ids=["stale", "a shared outage", "another prompt", "no JSON", "too deep"],
)
def test_an_alarm_that_condemns_nobody_changes_nothing(canary: World, record: Json, said: str) -> None:
    route = canary.current

    (answer,) = roll_back(canary, {"Records": [record]})["results"]

    assert (answer["result"], said in answer["reason"]) == ("not_applicable", True)
    assert (canary.current, canary.told(), canary.status(RELEASE)) == (route, [], "RUNNING")


@pytest.mark.parametrize("cause", ["judge", "undecided"])
def test_the_workflow_rolls_its_own_release_back_and_goes_on(canary: World, cause: str) -> None:
    route, evidence = canary.current, {"harm": 30.0, "harm_needed": 20.0, "metrics": {}, "notes": []}
    event = {"release_id": RELEASE, "prompt": PROMPT, "cause": cause, "reason": "worse", "by": "kim"}

    assert roll_back(canary, {**event, "evidence": evidence}) == {**SAFE, "reason": "worse"}

    rolled_back(canary, route, by="promptlane", cause=cause, reason="worse", evidence=evidence)
    assert canary.status(RELEASE) == "RUNNING"


def test_the_workflow_touches_no_other_release(canary: World) -> None:
    event = {"release_id": f"{ID}-3-1", "prompt": PROMPT, "cause": "judge", "reason": "worse"}

    assert roll_back(canary, event)["result"] == "not_applicable"
    assert canary.current.phase is Phase.CANARY


@pytest.mark.parametrize(
    ("event", "context"),
    [
        ({}, Context()),
        ({"cause": "judge", "evidence": {"harm": 1}}, Context()),
        ({"cause": "alarm", "release_id": RELEASE, "evidence": {"harm": 1}}, Context()),
        ({"cause": "judge", "release_id": RELEASE, "evidence": {"harm": 1}}, Context(alias="console")),
        (api(), Context(alias="console")),
        ({"Records": [alarm()]}, Context(alias="console")),
    ],
)
def test_what_people_invoke_is_an_operators_wish_under_the_name_that_it_claims(
    canary: World, event: dict[str, Json], context: Context
) -> None:
    route = canary.current

    answer = roll_back(canary, {"prompt": PROMPT, "reason": " they complain ", "by": "k\nim", **event}, context)

    assert answer == {**SAFE, "reason": "they complain"}
    rolled_back(canary, route, by="invoked directly (says: k im)", cause="operator", reason="they complain")
    assert canary.status(RELEASE) == "ABORTED"


def test_the_name_and_the_reason_of_a_wish_are_bounded(canary: World) -> None:
    roll_back(canary, {"prompt": PROMPT, "reason": "r" * 2_001, "by": "b" * 201})

    ((_, by, detail),) = canary.entries(RELEASE)
    assert by == f"invoked directly (says: {'b' * 199}…)"
    assert detail["reason"] == "r" * 2_000


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"prompt": PROMPT},
        {"reason": "x"},
        {"prompt": "", "reason": "x"},
        {"prompt": PROMPT, "reason": "  "},
        {"prompt": 7, "reason": "x"},
        {"prompt": PROMPT, "reason": None},
    ],
)
def test_a_wish_names_the_prompt_and_says_why(canary: World, wish: dict[str, Json]) -> None:
    said = r'^a rollback names the prompt and says why: {"prompt": "...", "reason": "..."}$'
    with pytest.raises(InvalidInput, match=said):
        roll_back(canary, wish)
    with pytest.raises(InvalidInput, match=said):
        roll_back(canary, {"cause": "judge", "release_id": RELEASE, **wish})
    assert canary.current.phase is Phase.CANARY


@pytest.mark.parametrize("encoded", [False, True])
def test_the_api_answers_what_became_of_it_under_the_callers_name(canary: World, encoded: bool) -> None:
    route, text = canary.current, json.dumps({"reason": "they complain"})
    body = base64.b64encode(text.encode()).decode() if encoded else text

    answer = roll_back(canary, api(body, isBase64Encoded=encoded))

    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "application/json")
    assert json.loads(answer["body"]) == {**SAFE, "reason": "they complain"}
    rolled_back(canary, route, by=VOUCHED, cause="operator", reason="they complain")
    assert canary.status(RELEASE) == "ABORTED"


@pytest.mark.parametrize(
    "identity",
    [
        {},
        {"authorizer": None},
        {"authorizer": {}},
        {"authorizer": {"iam": None}},
        {"authorizer": {"iam": {"userArn": None}}},
    ],
)
def test_who_did_not_sign_is_refused(canary: World, identity: dict[str, Json]) -> None:
    answer = roll_back(canary, api(identity=identity))

    assert problem(answer) == (403, "unsigned-request", "sign the request with an IAM identity", {})
    assert canary.current.phase is Phase.CANARY


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (api("{"), "not JSON ("),
        (api("[" * 10_000), "not JSON ("),
        (api("%", isBase64Encoded=True), "not UTF-8"),
        (api("[]"), "no JSON object"),
        (api({}), "says why"),
        (api(""), "not JSON ("),
        (api({"reason": "x", "to": "3"}), '"to" is "3"; name a version by its number, such as {"to": 3}'),
        (api({"reason": "x", "to": 0}), '"to" is 0; '),
    ],
)
def test_an_odd_request_is_told_what_to_send(canary: World, request_: dict[str, Json], said: str) -> None:
    answer = roll_back(canary, request_)

    status, kind, detail, extra = problem(answer)
    assert (status, kind, said in detail, extra) == (400, "invalid-request", True, {})
    assert canary.current.phase is Phase.CANARY


def test_a_version_that_was_promoted_before_may_be_named_and_no_other(world: World) -> None:
    bad, good = world.publish(4), world.publish(1)
    world.route(bad, release_id=f"{ID}-4-1")
    promoted = Release(
        f"{ID}-1-1",
        PROMPT,
        NOW - 9_000,
        "x",
        state="ended",
        outcome=Outcome.PROMOTED,
        candidate=good,
        approval={"candidate": good.fingerprint},
    )
    world.releases.record_ended(promoted)

    never = roll_back(world, api({"reason": "x", "to": 3}))
    status, kind, detail, extra = problem(never)
    assert (status, kind, extra["reason"]) == (409, "not-applicable", detail)
    assert detail.startswith("version 3 of support was never promoted")
    impossible = roll_back(world, api({"reason": "x"}))
    assert (impossible["statusCode"], json.loads(impossible["body"])["result"]) == (409, "nothing_to_go_back_to")
    assert world.told()[-1][0] == f"[Promptlane] {PROMPT}: rollback impossible"
    assert world.entries(f"{ID}-4-1")[0][0] == Event.ROLLBACK_IMPOSSIBLE

    answers = [roll_back(world, api({"reason": "x", "to": 1})) for _ in range(2)]
    assert [(a["statusCode"], json.loads(a["body"])["result"]) for a in answers] == [
        (200, "rolled_back"),
        (200, "already"),
    ]
    assert world.current.stable == good


def test_a_prompt_without_a_route_has_nothing_that_is_stable(world: World) -> None:
    answer = roll_back(world, api())

    why = f"prompt '{PROMPT}' has no route: nothing of it is served"
    unchanged = {"result": "not_applicable", "reason": why, "prompt": PROMPT, "release_id": "", "stable": None}
    assert problem(answer) == (409, "not-applicable", why, unchanged)


def test_a_table_that_refuses_is_asked_again_with_growing_patience_until_it_is_safe(
    canary: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most if least == 0 else -1)
    canary.refuse("dynamodb", "PutItem", "ConditionalCheckFailedException", times=4)
    canary.refuse("dynamodb", "GetItem", "InternalServerError", times=3)

    assert roll_back(canary, api(), Context(2_000))["statusCode"] == 200

    assert canary.slept == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5]


@pytest.mark.parametrize(
    ("code", "error"),
    [("ConditionalCheckFailedException", Conflict), ("ProvisionedThroughputExceededException", Unavailable)],
)
def test_it_gives_up_before_its_end_and_says_so(canary: World, code: str, error: type[Exception]) -> None:
    canary.refuse("dynamodb", "PutItem", code)
    left = (2_010, 2_000, 1_999)

    with pytest.raises(error):
        roll_back(canary, {"Records": [alarm()]}, Context(*left))
    assert len(canary.slept) == 2
    with pytest.raises(error):
        roll_back(canary, {"release_id": RELEASE, "prompt": PROMPT, "cause": "judge", "reason": "x"}, Context(*left))
    assert len(canary.slept) == 4
    answer = roll_back(canary, api(), Context(*left))
    assert len(canary.slept) == 6
    status, _, detail, _ = problem(answer)
    assert status == 503
    assert detail.startswith("the route could not be written: ")
    assert detail.endswith("; try again")
    assert canary.current.phase is Phase.CANARY


def test_the_route_is_safe_whatever_fails_afterwards(canary: World) -> None:
    canary.refuse("dynamodb", "TransactWriteItems", "InternalServerError")
    canary.refuse("stepfunctions", "StopExecution", "ServiceUnavailable")
    canary.refuse("sns", "Publish", "InternalError")

    assert roll_back(canary, {"Records": [alarm()]})["results"][0]["result"] == "rolled_back"
    assert canary.current.canary is None
    assert [entry.event for entry in canary.current.pending] == [Event.ROLLED_BACK]
