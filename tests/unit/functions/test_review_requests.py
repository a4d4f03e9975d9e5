"""The thin functions around the desk: what they make of requests, and of callers without an identity."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from functions.decide import handler as decide
from functions.operate import handler as operate
from functions.remind import handler as remind
from functions.request_review import handler as request_review
from promptlane.domain.errors import Unavailable
from promptlane.domain.policy import ReviewPolicy
from tests.support.review import AUTHOR, LEAD, NEW, QUALITY, RELEASE, UnderReview

Json = Any
LEAD_ARN = LEAD.principals[0]
APPROVAL = {"decision": "approve", "reason": "ok", "fingerprint": NEW.fingerprint}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> UnderReview:
    made = UnderReview(ReviewPolicy((LEAD, QUALITY), quorum=2))
    monkeypatch.setattr(decide, "wire", lambda: made.desk)
    monkeypatch.setattr(operate, "wire", lambda: made.releases)
    monkeypatch.setattr(request_review, "wire", lambda: made.round)
    monkeypatch.setattr(remind, "wire", lambda: made.round)
    request_review.handle({"release_id": RELEASE, "round": 1, "task_token": "token-1"}, None)
    return made


def call(
    module: Any,
    body: Any,
    *,
    arn: str | None = LEAD_ARN,
    release_id: str = RELEASE,
    encoded: bool = False,
    operation: str = "",
) -> tuple[int, Json]:
    text = body if isinstance(body, str) else json.dumps(body)
    answer = module.handle(
        {
            "rawPath": f"/releases/{release_id}/{operation or 'decision'}",
            "pathParameters": {"release_id": release_id, **({"operation": operation} if operation else {})},
            "requestContext": {
                "http": {"method": "POST", "sourceIp": "203.0.113.7", "userAgent": "promptlane"},
                "authorizer": {"iam": {"userArn": arn}} if arn else {},
            },
            "body": base64.b64encode(text.encode()).decode() if encoded else text,
            "isBase64Encoded": encoded,
        },
        None,
    )
    assert answer["headers"]["content-type"] in ("application/json", "application/problem+json")
    return answer["statusCode"], json.loads(answer["body"])


def test_a_decision_answers_where_the_review_stands(world: UnderReview) -> None:
    status, body = call(decide, APPROVAL, encoded=True)
    assert (status, body["standing"], body["needed"], body["approvals"]) == (200, "open", 2, 1)
    status, body = call(decide, {"decision": "reject", "reason": "changed my mind"})
    assert (status, body["decision"]) == (409, "approve")
    status, body = call(decide, APPROVAL, arn=QUALITY.principals[0])
    assert (status, body["standing"]) == (200, "approved")
    assert world.tokens.answers["token-1"]["by"] == f"{LEAD_ARN}, {QUALITY.principals[0]}"


@pytest.mark.parametrize(
    ("body", "options", "status", "says"),
    [
        ({"decision": "approve", "reason": "ok"}, {"arn": None}, 403, "IAM identity"),
        ({"decision": "approve", "reason": "ok"}, {"arn": AUTHOR}, 403, "no reviewer"),
        ({"decision": "approve", "reason": "ok"}, {"release_id": "PROMPTID12-9-1"}, 404, "PROMPTID12-9-1"),
        ({"decision": "maybe", "reason": "ok"}, {}, 400, "approve or reject"),
        ({"decision": "approve"}, {}, 400, "reason"),
        ({"decision": "approve", "reason": ["x"]}, {}, 400, "reason"),
        ({"decision": "approve", "reason": "x" * 1_000_000}, {}, 413, "bytes"),
        ([], {}, 400, "no JSON object"),
        ("{", {}, 400, "not JSON"),
        ("[" * 50_000, {}, 400, "not JSON"),
        ("", {}, 400, "not JSON"),
    ],
)
def test_what_cannot_be_a_decision_is_told_why_and_decides_nothing(
    world: UnderReview, body: Json, options: dict[str, Any], status: int, says: str
) -> None:
    got, answer = call(decide, body, **options)
    assert got == status
    assert says in answer["detail"]
    assert world.request.decisions == 0


def test_a_service_that_is_away_is_told_as_such(world: UnderReview) -> None:
    def away(*_: object) -> None:
        raise Unavailable("the table is away")

    world.reviews.get = away  # type: ignore[method-assign, assignment]
    status, body = call(decide, APPROVAL)
    assert status == 503
    assert "nothing was decided" in body["detail"]


def canary(world: UnderReview, **changes: Any) -> None:
    release = world.releases.get(RELEASE)
    world.releases.update(replace(release, state="canary", step=1, **changes))


def test_an_operator_pauses_resumes_and_advances_with_name_and_reason(world: UnderReview) -> None:
    canary(world)
    status, body = call(operate, {"reason": "odd answers"}, operation="pause")
    assert (status, body["paused"]["by"], body["paused"]["reason"]) == (200, LEAD_ARN, "odd answers")
    assert call(operate, {"reason": "again"}, operation="pause")[0] == 409
    assert call(operate, {"reason": "no"}, operation="advance")[0] == 409
    assert call(operate, {"reason": "fine"}, operation="resume")[1]["paused"] is None
    assert call(operate, {"reason": "fine"}, operation="resume")[0] == 409
    assert call(operate, {"reason": "enough traffic"}, operation="advance")[1]["advance"]["step"] == 1
    entries = [(str(e.event), e.by) for e in world.releases.timeline(RELEASE)][-3:]
    assert entries == [(f"Canary {done}", LEAD_ARN) for done in ("Paused", "Resumed", "Advanced")]


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        ({"reason": "x"}, {"operation": "stop"}, 400),
        ({"reason": " "}, {"operation": "pause"}, 400),
        ({}, {"operation": "pause"}, 400),
        ([], {"operation": "pause"}, 400),
        ("{", {"operation": "pause"}, 400),
        ({"reason": "x"}, {"operation": "pause", "arn": None}, 403),
        ({"reason": "x"}, {"operation": "pause", "release_id": "PROMPTID12-9-1"}, 404),
    ],
)
def test_what_an_operator_cannot_mean_changes_nothing(
    world: UnderReview, body: Json, options: dict[str, Any], status: int
) -> None:
    canary(world)
    before = world.releases.get(RELEASE)
    got, answer = call(operate, body, **options)
    assert got == status
    assert answer["detail"]
    assert world.releases.get(RELEASE) == before


def test_only_a_canary_can_be_operated(world: UnderReview) -> None:
    status, body = call(operate, {"reason": "x"}, operation="pause")
    assert status == 409
    assert "review" in body["detail"]


def test_the_schedule_counts_what_it_did(world: UnderReview) -> None:
    world.now = world.request.expires_at - 10
    assert remind.handle({}, None) == {"settled": 0, "reminded": 1, "closed": 0, "failed": 0}
