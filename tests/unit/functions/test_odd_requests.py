"""Requests that no client of ours makes: what is odd about decisions, operations and forms. What all have in common is
in test_http_edge.py."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import replace
from typing import Any

import pytest

from functions.decide import handler as decide
from functions.operate import handler as operate
from functions.review import handler as review
from promptlane.aws import http_events
from promptlane.domain.errors import InvalidInput, NotApplicable, Unavailable
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.review.visit import Door, Submission, Visit
from promptlane.pages import outcome_pages as say
from tests.support.functions import problem
from tests.support.review import LEAD, NEW, QUALITY, RELEASE, UnderReview

Json = Any
LEAD_ARN = LEAD.principals[0]
GIVEN = {"decision": "approve", "reason": "ok", "fingerprint": NEW.fingerprint}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> UnderReview:
    made = UnderReview(ReviewPolicy((LEAD, QUALITY), quorum=2))
    monkeypatch.setattr(decide, "wire", lambda: made.desk)
    monkeypatch.setattr(operate, "wire", lambda: made.releases)
    monkeypatch.setattr(review, "wire", lambda: made.wired)
    made.ask()
    return made


def event(body: Json = None, **changed: Json) -> dict[str, Json]:
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    return {
        "rawPath": f"/releases/{RELEASE}/pause",
        "pathParameters": {"release_id": RELEASE},
        "requestContext": {"http": {"sourceIp": "203.0.113.7"}, "authorizer": {"iam": {"userArn": LEAD_ARN}}},
        "body": text,
        **changed,
    }


def call(module: Any, request: dict[str, Json]) -> tuple[int, Json]:
    """(status, detail of the problem or whole answer)."""
    answer = module.handle(request, None)
    if answer["statusCode"] >= 400:
        return answer["statusCode"], problem(answer)[2]
    assert answer["headers"]["content-type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"])


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"reason": "ok"}, "decision '': must be approve or reject"),
        ({"decision": None, "reason": "ok"}, "decision 'None': must be approve or reject"),
        ({"decision": "approve", "reason": 7}, "reason: give one of 1 to 2,000 characters; it had 0"),
    ],
)
def test_a_body_that_is_no_decision_is_told_what_one_is(world: UnderReview, given: Json, says: str) -> None:
    assert call(decide, event(given)) == (400, says)
    assert world.request.decisions == 0


def test_a_decision_needs_nothing_but_the_release_and_who_decides(world: UnderReview) -> None:
    bare = event(GIVEN, requestContext={"authorizer": {"iam": {"userArn": LEAD_ARN}}})
    nowhere = "release  has no review; `promptlane status` shows where it is"
    assert call(decide, {**bare, "pathParameters": None}) == (404, nowhere)
    assert call(decide, {**bare, "pathParameters": {}})[0] == 404
    assert call(decide, bare)[0] == 200
    assert world.reviews.decisions(RELEASE, 1)[0].address == "unknown"


def test_who_asks_from_where_and_with_what_is_kept_of_a_refusal(world: UnderReview) -> None:
    http = {"sourceIp": "203.0.113.9", "userAgent": "curl/8"}
    stranger = {"http": http, "authorizer": {"iam": {"userArn": "arn:aws:iam::111122223333:user/nobody"}}}
    assert call(decide, event(GIVEN, requestContext=stranger))[0] == 403
    detail = world.releases.timeline(RELEASE)[-1].detail
    assert (detail["address"], detail["agent"]) == ("203.0.113.9", "curl/8")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (NotApplicable("asked for again"), 409, "asked for again"),
        (Unavailable("away"), 503, "nothing was decided: away; try again"),
    ],
)
def test_what_keeps_a_decision_from_being_taken_is_said(
    world: UnderReview, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, said: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(type(world.desk), "decide_by_identity", fails)
    assert call(decide, event(GIVEN)) == (status, said)


@pytest.mark.parametrize(
    ("door", "said"),
    [
        (Door.STALE, "the review was asked for again; decide about the newer round"),
        (Door.FOREIGN, "nothing was decided"),
    ],
)
def test_a_door_that_is_shut_is_named(
    world: UnderReview, monkeypatch: pytest.MonkeyPatch, door: Door, said: str
) -> None:
    monkeypatch.setattr(type(world.desk), "decide_by_identity", lambda *_, **__: Submission(Visit(door)))
    nobody = {"decision": None, "standing": None, "needed": None, "approvals": None, "why": ""}
    assert problem(decide.handle(event(GIVEN), None)) == (409, "not-applicable", said, nobody)


def canary(world: UnderReview) -> None:
    world.releases.update(replace(world.releases.get(RELEASE), state="canary", step=1))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (event({"reason": 7}), 'the body must be a JSON object with a reason: {"reason": "..."}'),
        (event({"reason": "x"}, rawPath=""), "operation '': must be pause, resume, advance"),
        (event({"reason": "x"}, rawPath="/releases/x/stop"), "operation 'stop': must be pause, resume, advance"),
        (
            event({"reason": "x"}, pathParameters={"release_id": RELEASE, "operation": "halt"}),
            "operation 'halt': must be pause, resume, advance",
        ),
    ],
)
def test_what_no_operator_can_mean_changes_nothing(world: UnderReview, request_: dict[str, Json], said: str) -> None:
    canary(world)
    before = world.releases.get(RELEASE)
    assert call(operate, request_) == (400, said)
    assert world.releases.get(RELEASE) == before


def test_an_operation_is_named_by_the_path_or_by_its_parameter(world: UnderReview) -> None:
    canary(world)
    text = encoded(json.dumps({"reason": "why"}))
    bare = {"authorizer": {"iam": {"userArn": LEAD_ARN}}, "http": None}
    assert call(operate, event(text, isBase64Encoded=True, requestContext=bare))[0] == 200
    assert world.releases.timeline(RELEASE)[-1].detail["address"] == "unknown"
    by_parameter = event({"reason": "w"}, pathParameters={"release_id": RELEASE, "operation": "resume"})
    assert call(operate, by_parameter)[1]["paused"] is None
    del by_parameter["rawPath"]
    assert call(operate, by_parameter) == (409, f"release {RELEASE} is not paused")
    nowhere: tuple[dict[str, str] | None, ...] = ({}, None)
    for path in nowhere:
        status, said = call(operate, event({"reason": "x"}, pathParameters=path))
        assert (status, said.startswith("'' is not a release id")) == (400, True)


def form(body: str, **changed: Json) -> dict[str, Json]:
    return {"headers": {"content-type": "application/x-www-form-urlencoded"}, "body": body, **changed}


def test_a_form_is_read_as_browsers_send_it() -> None:
    fields = {"decision": "approve", "code": "AB CD", "reason": ""}
    text = "decision=approve&code=AB+CD&reason="
    for request in (
        form(text),
        form(encoded(text), isBase64Encoded=True),
        form(text, headers={"Content-Type": " Application/X-WWW-Form-Urlencoded ; charset=UTF-8"}),
    ):
        assert http_events.form(request) == fields
    assert http_events.form(form("a=%C3%A4")) == {"a": "ä"}
    assert http_events.form({**form(""), "body": None}) == {}
    assert len(http_events.form(form("&".join(f"f{i}=x" for i in range(10))))) == 10


@pytest.mark.parametrize(
    "request_",
    [
        form("a=b", headers={}),
        form("a=b", headers=None),
        form("a=b", headers={"content-type": "application/json"}),
        form("a=b", headers={"content-type": "multipart/form-data; application/x-www-form-urlencoded"}),
        form("just words"),
        form("a=b&a=c"),
        form("a=%FF"),
        form("a=ä"),
        form("%%", isBase64Encoded=True),
        form(encoded("a=b") + "%", isBase64Encoded=True),
        form("&".join(f"f{i}=x" for i in range(11))),
    ],
)
def test_what_no_browser_would_send_is_no_form(world: UnderReview, request_: dict[str, Json]) -> None:
    with pytest.raises(http_events.Problem) as refused:
        http_events.form(request_)
    assert refused.value.status in (400, 415)
    http = {"http": {"method": "POST"}}
    answer = review.handle(
        {**event(), "queryStringParameters": {"t": world.token(LEAD)}, "requestContext": http, **request_}, None
    )
    assert (answer["statusCode"], html.escape(say.NOT_A_FORM[0]) in answer["body"]) == (refused.value.status, True)
    assert world.request.decisions == 0


@pytest.mark.parametrize("plain", [True, False])
def test_a_form_holds_64_kib_however_it_is_sent(world: UnderReview, plain: bool) -> None:
    fits = "a=" + "x" * 65_534

    def sent(text: str) -> dict[str, Json]:
        return form(text) if plain else form(encoded(text), isBase64Encoded=True)

    assert http_events.form(sent(fits)) == {"a": fits[2:]}
    with pytest.raises(http_events.Problem, match="65,537 bytes; at most 65,536 are read"):
        http_events.form(sent(fits + "x"))
    answer = world.http("POST", world.token(LEAD), body=fits + "x")
    assert (answer["statusCode"], say.TOO_LARGE[0] in answer["body"]) == (413, True)


def test_only_an_open_link_has_a_page(world: UnderReview) -> None:
    with pytest.raises(InvalidInput, match="only an open link shows a review"):
        review._page(world.wired, Visit(Door.CLOSED), "")


def test_where_a_form_comes_from_is_kept_as_far_as_it_is_told(world: UnderReview) -> None:
    http = {"http": {"method": "POST"}}
    asked = {"t": world.token(LEAD)}
    request = {**event(), **form(f"code={world.code()}&decision=approve&reason=ok"), "queryStringParameters": asked}
    assert review.handle({**request, "requestContext": http}, None)["statusCode"] == 200
    entries = {str(e.event): e for e in world.releases.timeline(RELEASE)}
    viewed, decided = entries["Review Viewed"], entries["Reviewer Decided"]
    assert (viewed.detail, decided.detail["address"]) == ({"address": "unknown", "agent": ""}, "unknown")
