"""A review over its real adapters: asked for, looked after, and decided by link or by identity."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from promptlane.domain.errors import NotApplicable, NotFound
from promptlane.domain.release.timeline import Event
from promptlane.domain.review.review import reviewer_key
from promptlane.pages import outcome_pages as say
from tests.support.functions import (
    AUTHOR,
    LEAD,
    LEGAL,
    NOW,
    OPERATIONS,
    POLICY,
    RELEASES,
    REPORTS,
    Context,
    World,
    problem,
    real,
)
from tests.support.prompt import ID, PROMPT, RELEASE

Json = Any
EXPIRES = NOW + 7_200 - 60
ADDRESS, AGENT = "203.0.113.7", "Test/1.0"


class ReviewOnMoto:
    """A release whose review was asked for, and what its reviewers were mailed."""

    def __init__(self, world: World, quorum: int = 2) -> None:
        self.world = world
        policy, suite = world.enrol(replace(POLICY, review=replace(POLICY.review, quorum=quorum)))
        stable, candidate = world.publish(1), world.publish(2)
        world.start(
            2,
            state="testing",
            candidate=candidate,
            stable=stable,
            policy_sha256=policy,
            suite_sha256=suite,
            round=3,
            verdict={"verdict": "pass", "reason": "all well", "round": 3},
        )
        report = json.dumps({"rows": [["All cases", "1 of 2", "2 of 2"]]}).encode()
        real("s3").put_object(Bucket=REPORTS, Key=f"releases/{RELEASE}/tests/3/report.json", Body=report)
        self.topics = world.reviewer_topics(LEAD, LEGAL)
        self.answers: list[dict[str, Json]] = []
        world.before("stepfunctions", "SendTaskSuccess", self.answers.append)

    def ask(self, round: Json = "3", token: str = "the-token") -> dict[str, Json]:
        event = {"release_id": RELEASE, "round": round, "task_token": token}
        return dict(self.world.function("request_review").handle(event, Context()))

    def mails(self, email: str = LEAD.email) -> list[tuple[str, str]]:
        return self.world.told(self.topics[email])

    def token(self, email: str = LEAD.email) -> str:
        body = self.mails(email)[-1][1]
        link = next(word for word in body.split() if "/review/" in word)
        assert link.startswith(f"{OPERATIONS}/review/{RELEASE}?t=1.")
        return parse_qs(urlsplit(link).query)["t"][0]

    @property
    def code(self) -> str:
        return self.code_of()

    def code_of(self, email: str = LEAD.email) -> str:
        lines = self.mails(email)[-1][1].splitlines()
        return next(line.split()[2] for line in lines if line.startswith("Short code:"))

    def http(self, method: str, token: str, *, path: str = "", release_id: str = RELEASE, **changed: Json) -> Json:
        return self.world.function("review").handle(
            {
                "rawPath": f"/live/review/{release_id}{path}",
                "pathParameters": {"release_id": release_id},
                "queryStringParameters": {"t": token},
                "headers": {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
                "requestContext": {"http": {"method": method, "sourceIp": ADDRESS, "userAgent": AGENT}},
                **changed,
            },
            Context(),
        )

    def post(self, token: str, **form: str) -> Json:
        filled = {"decision": "approve", "code": self.code, "reason": "Read it", **form}
        return self.http("POST", token, body=urlencode(filled))

    def decide(self, *given: Any, **changed: Json) -> tuple[int, Json]:
        answer = self.decision(*given, **changed)
        return int(answer["statusCode"]), json.loads(answer["body"])

    def decision(self, arn: str | None = LEAD.principals[0], body: Json = None, **changed: Json) -> dict[str, Json]:
        if body is None:
            request = self.world.reviews.get(RELEASE)
            read = request.candidate.fingerprint if request else ""
            given: Json = {"decision": "approve", "reason": "Read it", "fingerprint": read}
        else:
            given = body
        event = {
            "pathParameters": {"release_id": RELEASE},
            "requestContext": {
                "http": {"sourceIp": ADDRESS, "userAgent": AGENT},
                "authorizer": {"iam": {"userArn": arn}},
            },
            "body": given if isinstance(given, str) else json.dumps(given),
            **changed,
        }
        return dict(self.world.function("decide").handle(event, Context()))

    def events(self) -> list[tuple[str, str]]:
        return [(event, by) for event, by, _ in self.world.entries(RELEASE)]


@pytest.fixture
def stage(world: World) -> ReviewOnMoto:
    return ReviewOnMoto(world)


def test_every_reviewer_gets_an_own_link_and_the_request_is_on_record(stage: ReviewOnMoto, world: World) -> None:
    before = world.releases.get(RELEASE)

    assert stage.ask() == {"expires_at": EXPIRES}

    request = world.reviews.get(RELEASE)
    assert request is not None
    assert (request.round, world.reviews.task_token(RELEASE, 3), request.requested_at, request.expires_at) == (
        3,
        "the-token",
        NOW,
        EXPIRES,
    )
    assert (request.candidate, request.stable, request.verdict) == (before.candidate, before.stable, "pass")
    assert (request.authors.principals, request.authors.complete) == ((AUTHOR,), True)
    assert request.reach == {reviewer_key(r.email): "confirmed" for r in (LEAD, LEGAL)}
    assert world.releases.get(RELEASE) == replace(before, state="review", revision=2)
    assert stage.events() == [(Event.REVIEW_REQUESTED, "promptlane")]
    shown = json.loads(world.objects()[f"releases/{RELEASE}/review/3.json"])
    assert shown["tests"]["rows"] == [["All cases", "1 of 2", "2 of 2"]]
    assert shown["tests"]["report_key"] == f"releases/{RELEASE}/tests/3/report.html"
    for reviewer in (LEAD, LEGAL):
        ((subject, body),) = stage.mails(reviewer.email)
        assert subject == f"Review: {PROMPT} version 2 against 1 (tests: pass)"
        assert f"Hello {reviewer.name}," in body
    assert stage.token(LEAD.email) != stage.token(LEGAL.email)
    assert world.reviews.open_reviews() == [RELEASE]
    assert world.told() == []

    assert stage.ask(token="a newer token") == {"expires_at": EXPIRES}
    assert len(stage.mails()) == 1


def test_a_reviewer_whom_no_email_reaches_is_told_of(stage: ReviewOnMoto, world: World) -> None:
    real("sns").delete_topic(TopicArn=stage.topics[LEGAL.email])
    real("ssm").delete_parameter(Name=f"/lane/reviewers/{reviewer_key(LEGAL.email)}")

    stage.ask()

    subjects = {subject for subject, _ in world.told()}
    assert subjects == {f"Review of {PROMPT} version 2: needs attention"}
    assert len(world.told()) == 2
    assert "Legal <legal@example.com> has no topic in this deployment" in world.told()[0][1]


@pytest.mark.parametrize("way", ["identity", "link"])
def test_a_trail_that_does_not_answer_is_asked_again_before_a_decision(
    stage: ReviewOnMoto, world: World, way: str
) -> None:
    world.trail.away = "InternalServiceError"
    stage.ask()
    request = world.reviews.get(RELEASE)
    assert request is not None
    assert (request.authors.principals, request.authors.complete) == ((), False)

    world.trail.away = ""
    answer = stage.post(stage.token())["statusCode"] if way == "link" else stage.decide()[0]

    assert answer == 200
    found = world.reviews.get(RELEASE)
    assert found is not None
    assert (found.authors.principals, found.authors.complete) == ((AUTHOR,), True)


def test_what_cannot_be_reviewed_is_refused(stage: ReviewOnMoto, world: World) -> None:
    release = world.releases.get(RELEASE)
    world.publish(2, text="Another answer to {{question}}")
    with pytest.raises(NotApplicable, match="no longer has the fingerprint"):
        stage.ask()
    world.releases.update(replace(release, state="ended"))
    with pytest.raises(NotApplicable, match="cannot be reviewed"):
        stage.ask()
    with pytest.raises(NotFound, match="no release"):
        world.function("request_review").handle({"release_id": f"{ID}-9-1", "round": 1, "task_token": "t"}, Context())
    assert world.reviews.get(RELEASE) is None


def remind(world: World) -> dict[str, Json]:
    return dict(world.function("remind").handle({}, Context()))


def test_the_schedule_counts_what_it_did(stage: ReviewOnMoto, world: World) -> None:
    nothing = {"settled": 0, "reminded": 0, "closed": 0, "failed": 0}
    assert remind(world) == nothing
    stage.ask()
    world.now = EXPIRES - 1_801
    assert remind(world) == nothing
    world.now += 1
    assert remind(world) == {**nothing, "reminded": 1}
    assert [len(stage.mails(r.email)) for r in (LEAD, LEGAL)] == [2, 2]
    assert stage.mails()[-1][0].startswith(f"Reminder: {PROMPT} version 2")
    assert stage.token() in stage.mails()[0][1]
    assert remind(world) == nothing

    world.now = EXPIRES + 3_601
    assert remind(world) == {**nothing, "closed": 1}
    assert world.reviews.open_reviews() == []


def test_a_review_that_cannot_be_looked_after_is_counted(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    world.now = EXPIRES - 1_000
    real("s3").delete_object(Bucket=REPORTS, Key=f"releases/{RELEASE}/review/3.json")

    assert remind(world) == {"settled": 0, "reminded": 0, "closed": 0, "failed": 1}


def test_what_a_crash_left_is_answered_by_the_schedule(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    stage.decide()
    world.refuse("stepfunctions", "SendTaskSuccess", "InternalFailure", times=1)
    assert stage.decide(LEGAL.principals[0])[0] == 503

    assert remind(world) == {"settled": 1, "reminded": 0, "closed": 0, "failed": 0}
    assert [json.loads(answer["output"])["decision"] for answer in stage.answers] == ["approved"] * 2


def test_reviewers_decide_by_link_and_the_workflow_is_answered_once(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    token = stage.token()

    shown = stage.http("GET", token)
    assert (shown["statusCode"], shown["headers"]["content-type"]) == (200, "text/html; charset=utf-8")
    assert f'href="{RELEASE}/report?t={token}"' in shown["body"]
    assert stage.events()[-1][0] == Event.REVIEW_REQUESTED

    done = stage.post(token, code=stage.code.lower(), reason="Read <it>")
    assert (done["statusCode"], "You approved version 2" in done["body"]) == (200, True)
    viewed, decided = world.entries(RELEASE)[-2:]
    assert viewed == (Event.REVIEW_VIEWED, LEAD.email, {"address": ADDRESS, "agent": AGENT})
    assert decided[:2] == (Event.REVIEWER_DECIDED, LEAD.email)
    assert {k: decided[2][k] for k in ("choice", "reason", "via", "address")} == {
        "choice": "approve",
        "reason": "Read <it>",
        "via": "link",
        "address": ADDRESS,
    }
    assert stage.answers == []

    again = stage.post(token, decision="reject")
    assert (again["statusCode"], "You already approved this version" in again["body"]) == (200, True)
    assert world.entries(RELEASE)[-1][2]["why"] == "replayed"

    stage.post(stage.token(LEGAL.email), code=stage.code_of(LEGAL.email))
    (answer,) = stage.answers
    release = world.releases.get(RELEASE)
    assert answer["taskToken"] == "the-token"
    assert json.loads(answer["output"]) == {
        "decision": "approved",
        "by": f"{LEAD.email}, {LEGAL.email}",
        "reason": f"{LEAD.email}: Read <it>; {LEGAL.email}: Read it",
        "candidate": release.candidate.fingerprint if release.candidate else "",
        "stable": release.stable.fingerprint if release.stable else "",
    }
    assert release.approval["decision"] == "approved"
    assert stage.http("GET", token)["statusCode"] == 200


def test_who_only_looks_ahead_leaves_no_trace(stage: ReviewOnMoto) -> None:
    """Mail programs ask for the head of a link."""
    stage.ask()
    before = stage.events()

    head = stage.http("HEAD", stage.token())

    assert (head["statusCode"], head["body"]) == (200, "")
    world_over = stage.world.releases.get(RELEASE)
    stage.world.releases.update(replace(world_over, state="ended"))
    assert stage.http("HEAD", stage.token())["statusCode"] == 410
    assert stage.events() == before
    gone = stage.http("GET", stage.token())
    assert (gone["statusCode"], say._DOORS["closed"][1] in gone["body"]) == (410, True)  # type: ignore[index]
    assert stage.world.entries(RELEASE)[-1] == (
        Event.REVIEW_LINK_REFUSED,
        LEAD.email,
        {"address": ADDRESS, "agent": AGENT, "why": "closed", "reviewer": reviewer_key(LEAD.email), "posted": False},
    )


def test_what_is_not_taken_shows_the_form_again_with_what_was_typed(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    token = stage.token()
    typed = "ä" + "z" * 4_100

    wrong = stage.post(token, code="AAAA-AAAA", decision="reject", reason="What I <typed>")
    assert (wrong["statusCode"], "What I &lt;typed&gt;" in wrong["body"]) == (422, True)
    assert world.entries(RELEASE)[-1][2]["why"] == "wrong code"
    long = stage.post(token, reason=typed)
    assert long["statusCode"] == 422
    assert f">\n{typed[:4000]}</textarea>" in long["body"]
    assert stage.post(token, decision="")["statusCode"] == 422
    for part in ("code=x", f"code={stage.code}"):
        assert stage.http("POST", token, body=part)["statusCode"] == 422
    answers = [stage.post(token)["statusCode"] for _ in range(2)]
    assert answers == [429, 429]
    request = world.reviews.get(RELEASE)
    assert request is not None
    assert request.decisions == 0


def test_the_author_approves_no_own_version(world: World) -> None:
    stage = ReviewOnMoto(world, quorum=1)
    world.publish(2, by=LEAD.principals[0])
    stage.ask()

    refused = stage.post(stage.token())

    assert refused["statusCode"] == 403
    assert world.entries(RELEASE)[-1][2]["why"] == "own version"
    own = "you wrote part of this version, and nobody approves an own version"
    assert problem(stage.decision()) == (403, "own-version", own, {})


def test_the_report_is_shown_while_the_link_is_good(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    token, key = stage.token(), f"releases/{RELEASE}/tests/3/report.html"

    missing = stage.http("GET", token, path="/report")
    assert (missing["statusCode"], say.NO_REPORT[0] in missing["body"]) == (404, True)
    real("s3").put_object(Bucket=REPORTS, Key=key, Body="<html><body>two of two ✓</body></html>".encode())
    shown = stage.http("GET", token, path="/report")
    assert (shown["statusCode"], "two of two ✓" in shown["body"]) == (200, True)
    assert stage.http("HEAD", token, path="/report")["statusCode"] == 200
    wrong = stage.http("POST", token, path="/report", body="decision=approve")
    assert (wrong["statusCode"], wrong["headers"]["allow"]) == (405, "GET")
    world.now = EXPIRES
    assert stage.http("GET", token, path="/report")["statusCode"] == 410


def test_a_report_that_no_answer_can_hold_comes_in_parts(stage: ReviewOnMoto) -> None:
    stage.ask()
    token, key = stage.token(), f"releases/{RELEASE}/tests/3/report.html"
    rows = [f"<p>row {n} &lt;é&gt;</p>" for n in range(250_000)]
    whole = f"<!doctype html><html><head><style>p{{}}</style></head><body><main>{''.join(rows)}</main></body></html>"
    real("s3").put_object(Bucket=REPORTS, Key=key, Body=whole.encode())

    seen: list[str] = []
    number, of = 1, 2
    while number <= of:
        asked = {"t": token, "part": str(number)}
        answer = stage.http("GET", token, path="/report", queryStringParameters=asked)
        assert answer["statusCode"] == 200
        assert len(json.dumps(answer)) < 6_000_000
        of = int(re.findall(r"part \d+ of (\d+)", answer["body"])[0])
        seen += re.findall(r"<p>(row \d+ &lt;é&gt;)</p>", answer["body"])
        number += 1
    assert of > 2
    assert seen == [row[3:-4] for row in rows]
    for part in (str(of + 1), "0"):
        asked = {"t": token, "part": part}
        assert stage.http("GET", token, path="/report", queryStringParameters=asked)["statusCode"] == 404


def test_the_report_is_shown_until_the_release_ends_and_by_duty_then(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    token, key = stage.token(), f"releases/{RELEASE}/tests/3/report.html"
    real("s3").put_object(Bucket=REPORTS, Key=key, Body=b"<html><body>two of two</body></html>")
    stage.post(token)
    stage.post(stage.token(LEGAL.email), code=stage.code_of(LEGAL.email))
    world.now = NOW + 400 * 86_400
    assert stage.http("GET", token, path="/report")["statusCode"] == 200, "its watch goes on"
    world.releases.update(replace(world.releases.get(RELEASE), state="ended"))
    over = stage.http("GET", token, path="/report")
    assert (over["statusCode"], say.REPORT_OVER[0] in over["body"]) == (410, True)


def test_a_link_that_was_changed_or_belongs_elsewhere_opens_nothing(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    before = stage.events()
    token = stage.token()
    other = "A" if token[-2] != "A" else "B"
    for changed in (token[:-2] + other + token[-1], "", token[:-1]):
        assert stage.http("GET", changed)["statusCode"] == 403
    assert stage.http("GET", token, queryStringParameters=None)["statusCode"] == 403
    assert stage.events() == before
    foreign = stage.http("GET", token, release_id=f"{ID}-3-1")
    assert (foreign["statusCode"], "belongs to another release" in foreign["body"]) == (403, True)
    assert stage.http("GET", token, pathParameters=None)["statusCode"] == 403
    for method in ("PUT", "DELETE", "OPTIONS"):
        wrong = stage.http(method, token)
        assert (wrong["statusCode"], wrong["headers"]["allow"]) == (405, "GET, HEAD, POST")


def test_a_link_to_a_review_that_is_gone_is_over(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    token = stage.token()
    real("dynamodb.resource").Table(RELEASES).delete_item(Key={"pk": f"review#{RELEASE}", "sk": "request"})

    for path in ("", "/report"):
        assert stage.http("GET", token, path=path)["statusCode"] == 410
    assert stage.post(token)["statusCode"] == 410


def test_a_service_that_is_away_is_told_and_may_be_asked_again(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    token = stage.token()
    world.refuse("kms", "VerifyMac", "KMSInternalException", times=2)

    for method in ("GET", "HEAD"):
        answer = stage.http(method, token)
        assert (answer["statusCode"], answer["headers"]["retry-after"]) == (503, "60")
    assert stage.http("GET", token)["statusCode"] == 200


def test_a_page_of_other_versions_than_those_under_review_is_not_shown(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    key = f"releases/{RELEASE}/review/3.json"
    swapped = world.objects()[key].replace(b"Answer in way 2", b"Answer in way 9")
    real("s3").put_object(Bucket=REPORTS, Key=key, Body=swapped)

    assert stage.http("GET", stage.token())["statusCode"] == 503
    assert (Event.REVIEW_VIEWED, LEAD.email) not in stage.events()


def test_an_identity_decides_and_is_answered_where_the_review_stands(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()

    assert stage.decide() == (
        200,
        {"decision": "approve", "standing": "open", "needed": 2, "approvals": 1, "why": "waits for 1 more approval"},
    )
    decided = world.entries(RELEASE)[-1]
    assert decided[:2] == (Event.REVIEWER_DECIDED, LEAD.principals[0])
    assert (decided[2]["via"], decided[2]["address"], decided[2]["reason"]) == ("iam", ADDRESS, "Read it")
    used = {"decision": "approve", "standing": "open", "needed": 2, "approvals": 1, "why": "waits for 1 more approval"}
    assert problem(stage.decision(body={"decision": "reject", "reason": "no"})) == (
        409,
        "not-applicable",
        "you have decided already; the first decision stands",
        used,
    )
    assert stage.decide(LEGAL.principals[0], {"decision": "reject", "reason": "no"})[1]["standing"] == "rejected"
    (answer,) = stage.answers
    assert (answer["taskToken"], json.loads(answer["output"])["decision"]) == ("the-token", "rejected")


def test_a_review_that_is_over_takes_no_decision(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    world.now = EXPIRES
    status, body = stage.decide()
    assert (status, body["detail"], body["decision"], body["standing"]) == (
        409,
        "the review has expired",
        None,
        "expired",
    )
    world.now = NOW
    world.releases.update(replace(world.releases.get(RELEASE), state="ended"))
    assert stage.decide()[1]["detail"] == "the review is over"


def test_who_is_no_reviewer_is_refused_and_recorded(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    stranger = "arn:aws:iam::123456789012:user/stranger"

    status, body = stage.decide(stranger)

    assert (status, body["status"], body["detail"].startswith(f"{stranger} is no reviewer")) == (403, 403, True)
    assert world.entries(RELEASE)[-1] == (
        Event.REVIEW_LINK_REFUSED,
        stranger,
        {"address": ADDRESS, "agent": AGENT, "why": "no reviewer", "posted": True},
    )


def test_a_table_that_is_away_decides_nothing_and_says_so(stage: ReviewOnMoto, world: World) -> None:
    stage.ask()
    world.refuse("dynamodb", "GetItem", "InternalServerError")

    status, body = stage.decide(body={"decision": "approve", "reason": "Read it"})

    assert (status, body["status"]) == (503, 503)
    assert body["detail"].startswith(f"nothing was decided: reading the review of {RELEASE}: InternalServerError")
    assert body["detail"].endswith("; try again")


def test_operators_pause_resume_and_advance_a_canary(world: World) -> None:
    world.in_canary(step=1)
    arn = "arn:aws:iam::123456789012:user/operator"

    def operate(operation: str) -> tuple[int, Json]:
        answer = world.function("operate").handle(
            {
                "rawPath": f"/live/releases/{RELEASE}/{operation}",
                "pathParameters": {"release_id": RELEASE},
                "requestContext": {"http": {"sourceIp": ADDRESS}, "authorizer": {"iam": {"userArn": arn}}},
                "body": json.dumps({"reason": f"why {operation}"}),
            },
            Context(),
        )
        return int(answer["statusCode"]), json.loads(answer["body"])

    mark = {"by": arn, "reason": "why pause", "at": NOW}
    assert operate("pause") == (200, {"release_id": RELEASE, "paused": mark, "advance": None})
    assert operate("resume") == (200, {"release_id": RELEASE, "paused": None, "advance": None})
    wish = {"by": arn, "reason": "why advance", "at": NOW, "step": 1}
    assert operate("advance") == (200, {"release_id": RELEASE, "paused": None, "advance": wish})
    assert world.entries(RELEASE) == [
        (f"Canary {done}", arn, {"reason": f"why {operation}", "step": 1, "address": ADDRESS})
        for operation, done in (("pause", "Paused"), ("resume", "Resumed"), ("advance", "Advanced"))
    ]
    assert world.releases.get(RELEASE).advance == wish
    world.refuse("dynamodb", "GetItem", "InternalServerError")
    status, body = operate("pause")
    assert (status, body["status"], "InternalServerError" in body["detail"]) == (503, 503, True)
