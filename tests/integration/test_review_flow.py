"""A review over real adapters: workflow token, email, signed link, page, quorum, and the workflow's answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from functions.decide import handler as decide
from functions.remind import handler as remind
from functions.request_review import handler as request_review
from local.running import EmbeddedAws
from promptlane.domain.release.timeline import Event, chain_problems
from tests.support.review import LEAD, LEGAL
from tests.support.review_stage import ReviewStage, staged


@pytest.fixture
def stage(embedded_aws: EmbeddedAws, account: str) -> Iterator[ReviewStage]:
    with staged(embedded_aws, account) as made:
        yield made


def test_from_the_workflows_token_to_its_answer(stage: ReviewStage, eventually: Callable[..., Any]) -> None:
    stage.confirm(eventually, LEAD.email, LEGAL.email)
    request_review.handle({"release_id": stage.release_id, "round": 1, "task_token": stage.task_token}, None)
    lead, code = stage.link(eventually, LEAD.email)
    page = stage.http("GET", lead)
    assert page["statusCode"] == 200
    assert "Warmer greeting" in page["body"]
    # The account's root published it: who that was cannot be told, so the policy asks for one more approval.
    assert "0 of 2" in page["body"]
    assert "support-quality" in page["body"]
    assert "has not confirmed the subscription" in page["body"]
    form = {"decision": "approve", "code": code, "reason": "Read it"}
    assert stage.http("POST", lead, {**form, "code": "AAAA-AAAA"})["statusCode"] == 422
    assert stage.http("POST", lead, form)["statusCode"] == 200
    assert stage.status()["status"] == "RUNNING"

    legal, code = stage.link(eventually, LEGAL.email)
    done = stage.http("POST", legal, {**form, "code": code})
    assert "The review is complete: approved" in done["body"]
    eventually(lambda: stage.status()["status"] == "SUCCEEDED")
    release = stage.releases.get(stage.release_id)
    assert release.candidate is not None
    answer = json.loads(stage.status()["output"])
    assert (answer["decision"], answer["candidate"]) == ("approved", release.candidate.fingerprint)
    assert release.approval["candidate"] == release.candidate.fingerprint
    timeline = stage.releases.timeline(stage.release_id)
    assert [str(e.event) for e in timeline if e.event != Event.REVIEW_HINDERED] == [
        "Release Started",
        "Review Requested",
        "Review Link Refused",
        "Review Viewed",
        "Reviewer Decided",
        "Review Viewed",
        "Reviewer Decided",
        "Review Decided",
    ]
    assert chain_problems(timeline) == []
    assert stage.http("POST", legal, {**form, "code": code})["statusCode"] == 200
    assert len(stage.releases.timeline(stage.release_id)) == len(timeline) + 1  # the replay is on record


def test_an_answer_after_the_workflow_is_gone_is_no_error(stage: ReviewStage, eventually: Callable[..., Any]) -> None:
    stage.confirm(eventually, LEGAL.email)
    request_review.handle({"release_id": stage.release_id, "round": 1, "task_token": stage.task_token}, None)
    token, code = stage.link(eventually, LEGAL.email)
    stage.client("stepfunctions").stop_execution(executionArn=stage.execution)
    done = stage.http("POST", token, {"decision": "reject", "code": code, "reason": "No"})
    assert done["statusCode"] == 200
    assert stage.status()["status"] == "ABORTED"


def test_a_latecomer_gets_the_link_from_the_schedule_and_decides_by_identity_too(
    stage: ReviewStage, eventually: Callable[..., Any]
) -> None:
    request_review.handle({"release_id": stage.release_id, "round": 1, "task_token": stage.task_token}, None)
    hindered = [e for e in stage.releases.timeline(stage.release_id) if e.event == Event.REVIEW_HINDERED]
    assert any("cannot be met by email now" in str(e.detail["what"]) for e in hindered)
    stage.confirm(eventually, LEGAL.email)
    assert remind.handle({}, None)["failed"] == 0
    token, _ = stage.link(eventually, LEGAL.email)
    assert stage.http("HEAD", token)["statusCode"] == 200
    answer = decide.handle(
        {
            "pathParameters": {"release_id": stage.release_id},
            "requestContext": {
                "http": {"sourceIp": "203.0.113.7"},
                "authorizer": {"iam": {"userArn": LEGAL.principals[0]}},
            },
            "body": json.dumps({"decision": "reject", "reason": "Not this one"}),
        },
        None,
    )
    assert answer["statusCode"] == 200
    eventually(lambda: stage.status()["status"] == "SUCCEEDED")
    assert json.loads(stage.status()["output"])["decision"] == "rejected"
