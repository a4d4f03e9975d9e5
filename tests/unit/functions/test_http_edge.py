"""One edge: the same odd requests, sent to every function that answers HTTP, are answered alike and change nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from functions.decide import handler as decide
from functions.gateway import handler as gateway
from functions.operate import handler as operate
from functions.review import handler as review
from functions.roll_back import handler as roll_back
from promptlane.aws import http_events
from promptlane.domain.errors import (
    AdmissionRefused,
    Conflict,
    InvalidInput,
    NotApplicable,
    NotFound,
    PromptlaneError,
    Throttled,
    Unauthorized,
    Unavailable,
)
from promptlane.domain.policy import ReviewPolicy
from promptlane.domain.release.route import Gone
from promptlane.fakes import InMemoryRoutes
from tests.support.functions import Context, problem
from tests.support.review import LEAD, NEW, QUALITY, RELEASE, UnderReview

Json = Any
Event = dict[str, Json]
HTTP = {"method": "POST", "sourceIp": "203.0.113.7", "userAgent": "curl/8"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Endpoint:
    """A function that answers HTTP, a good request to it, and what a request that it takes comes to."""

    module: ModuleType
    path: str
    good: str
    limit: int = 65_536
    signed: bool = True
    """Whether it wants to know who signed; API Gateway itself refuses who did not sign a call of the gateway."""
    headers: tuple[tuple[str, str], ...] = ()

    def event(self, **changed: Json) -> Event:
        return {
            "rawPath": self.path,
            "pathParameters": {"release_id": RELEASE, "prompt": "support"},
            "queryStringParameters": {"t": "token"},
            "requestContext": {"http": HTTP, "authorizer": {"iam": {"userArn": LEAD.principals[0]}}},
            "headers": dict(self.headers),
            "body": self.good,
            **changed,
        }

    def status(self, event: Event) -> int:
        return int(self.module.handle(event, Context())["statusCode"])


APPROVAL = json.dumps({"decision": "approve", "reason": "ok", "fingerprint": NEW.fingerprint})
JSON_ENDPOINTS = {
    "decide": Endpoint(decide, f"/releases/{RELEASE}/decision", APPROVAL),
    "operate": Endpoint(operate, f"/releases/{RELEASE}/pause", '{"reason": "ok"}'),
    "roll_back": Endpoint(roll_back, "/prompts/support/rollback", '{"reason": "ok"}'),
    "gateway": Endpoint(gateway, "/feedback", '{"receipt": "r", "positive": true}', limit=262_144, signed=False),
}
REVIEW = Endpoint(
    review, f"/review/{RELEASE}", "decision=approve&code=x&reason=ok", signed=False, headers=tuple(FORM.items())
)
ENDPOINTS = {**JSON_ENDPOINTS, "review": REVIEW}


class Touched(AssertionError):
    """Something was read or written for a request that should have been refused before."""


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions whose stores must not be asked."""

    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise Touched(name)

    for module in (decide, operate, gateway):
        monkeypatch.setattr(module, "wire", Untouchable)
    monkeypatch.setattr(roll_back, "wire", lambda: (Untouchable(), "promptlane"))
    monkeypatch.setattr(roll_back, "wire_aftermath", Untouchable)
    monkeypatch.setattr(roll_back, "wire_going_back", Untouchable)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> UnderReview:
    """All of them over one review in memory; a good request to `review` is one with an open link."""
    made = UnderReview(ReviewPolicy((LEAD, QUALITY), quorum=2))
    monkeypatch.setattr(decide, "wire", lambda: made.desk)
    monkeypatch.setattr(operate, "wire", lambda: made.releases)
    monkeypatch.setattr(review, "wire", lambda: made.wired)
    monkeypatch.setattr(roll_back, "wire", lambda: (InMemoryRoutes(), "promptlane"))
    monkeypatch.setattr(gateway, "wire", lambda: SimpleNamespace(feedback=lambda receipt, positive: True))
    made.ask()
    return made


def encoded(body: bytes) -> dict[str, Json]:
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def padded(endpoint: Endpoint, more: int) -> str:
    return endpoint.good + " " * (endpoint.limit - len(endpoint.good) + more)


ODD_BODIES: dict[str, tuple[Callable[[Endpoint], Event], int]] = {
    "none": (lambda e: {"body": None}, 400),
    "absent": (lambda e: {"body": 7}, 400),
    "empty": (lambda e: {"body": ""}, 400),
    "cut off": (lambda e: {"body": "{"}, 400),
    "a list": (lambda e: {"body": "[]"}, 400),
    "a number": (lambda e: {"body": "7"}, 400),
    "null": (lambda e: {"body": "null"}, 400),
    "too deep": (lambda e: {"body": "[" * 60_000}, 400),
    "no base64": (lambda e: {"body": "%%", "isBase64Encoded": True}, 400),
    "base64 with a tail": (lambda e: {"body": encoded(e.good.encode())["body"] + "%", "isBase64Encoded": True}, 400),
    "base64 that is not said to be": (lambda e: {"body": encoded(e.good.encode())["body"]}, 400),
    "no UTF-8": (lambda e: encoded(b"\xff\xfe" + e.good.encode("utf-16-le")), 400),
    "half a surrogate pair": (lambda e: {"body": e.good + "\ud800"}, 400),
    "too long": (lambda e: {"body": padded(e, 1)}, 413),
    "too long in base64": (lambda e: encoded(padded(e, 1).encode()), 413),
    "a form": (lambda e: {"headers": FORM, "body": "a=b"}, 415),
    "a form, said otherwise": (lambda e: {"headers": {"Content-Type": " TEXT/Plain ; charset=utf-8"}}, 415),
}


@pytest.mark.parametrize("name", JSON_ENDPOINTS)
@pytest.mark.parametrize("odd", ODD_BODIES)
def test_a_body_that_is_none_is_refused_alike_before_anything_is_touched(untouched: None, name: str, odd: str) -> None:
    endpoint = JSON_ENDPOINTS[name]
    change, status = ODD_BODIES[odd]
    answer = endpoint.module.handle(endpoint.event(**change(endpoint)), Context())
    kinds = {400: "invalid-request", 413: "body-too-large", 415: "unsupported-media-type"}
    assert problem(answer)[:2] == (status, kinds[status])


@pytest.mark.parametrize("name", [n for n, e in JSON_ENDPOINTS.items() if e.signed])
@pytest.mark.parametrize(
    "identity",
    [
        None,
        {},
        [],
        "x",
        {"authorizer": None},
        {"authorizer": []},
        {"authorizer": {"iam": None}},
        {"authorizer": {"iam": "arn:aws:iam::111122223333:user/x"}},
        {"authorizer": {"iam": {}}},
        {"authorizer": {"iam": {"userArn": ""}}},
        {"authorizer": {"iam": {"userArn": None}}},
        {"authorizer": {"iam": {"userArn": ["arn"]}}},
    ],
)
def test_who_did_not_sign_is_refused_alike(untouched: None, name: str, identity: Json) -> None:
    endpoint = JSON_ENDPOINTS[name]
    answer = endpoint.module.handle(endpoint.event(requestContext=identity), Context())
    assert problem(answer) == (403, "unsigned-request", "sign the request with an IAM identity", {})


ODD_EVENTS: dict[str, Event] = {
    "without headers": {"headers": None},
    "with a list of headers": {"headers": ["content-type"]},
    "with a header that is a number": {"headers": {"content-type": 7}},
    "without path parameters": {"pathParameters": None},
    "with a list of path parameters": {"pathParameters": ["x"]},
    "with path parameters that are numbers": {"pathParameters": {"release_id": 7, "prompt": 7, "operation": 7}},
    "without a query": {"queryStringParameters": None},
    "with a query of numbers": {"queryStringParameters": {"t": 7, "unit": 7}},
    "without a path": {"rawPath": None},
    "with a path of another kind": {"rawPath": 7},
    "from nowhere": {"requestContext": {"http": None, "authorizer": {"iam": {"userArn": LEAD.principals[0]}}}},
    "without a context": {"requestContext": None},
}


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("odd", ODD_EVENTS)
def test_whatever_an_event_lacks_it_is_answered_and_is_nobodys_fault(
    served: UnderReview, name: str, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    status = ENDPOINTS[name].status(ENDPOINTS[name].event(**ODD_EVENTS[odd]))
    assert status < 500
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", JSON_ENDPOINTS)
def test_a_good_body_may_come_in_base64_padded_and_under_any_json_type(served: UnderReview, name: str) -> None:
    endpoint = JSON_ENDPOINTS[name]
    served.releases.update(_in_canary(served))
    plain = endpoint.status(endpoint.event())
    assert plain in (200, 409)  # 409: a prompt without a route has nothing to go back to
    for change in (
        encoded(endpoint.good.encode()),
        {"body": padded(endpoint, 0)},
        {"headers": {"Content-Type": "application/vnd.api+json; charset=utf-8"}},
    ):
        # A decision and a pause are taken once; the second is told so, which it could not be without being read.
        assert endpoint.status(endpoint.event(**change)) in (plain, 409)


def _in_canary(world: UnderReview) -> Any:
    from dataclasses import replace

    return replace(world.releases.get(RELEASE), state="canary", step=1)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotFound("x"), 404, "not-found"),
        (Unauthorized("x"), 403, "forbidden"),
        (NotApplicable("x"), 409, "not-applicable"),
        (Gone("x"), 409, "not-applicable"),
        (InvalidInput("x"), 400, "invalid-request"),
        (AdmissionRefused([("", "x")]), 400, "invalid-request"),
        (Unavailable("x"), 503, "temporarily-unavailable"),
        (Throttled("x"), 503, "temporarily-unavailable"),
        (Conflict("x"), 503, "temporarily-unavailable"),
        (PromptlaneError("x"), 503, "temporarily-unavailable"),
    ],
)
@pytest.mark.parametrize("name", ["decide", "operate", "roll_back", "gateway"])
def test_an_error_means_the_same_status_everywhere_and_so_does_a_kind_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, status: int, kind: str
) -> None:
    endpoint = JSON_ENDPOINTS[name]

    def fails(*_: object, **__: object) -> None:
        raise error

    failing: Any = fails
    if name == "roll_back":
        monkeypatch.setattr(roll_back, "restore_safe_route", failing)
        monkeypatch.setattr(roll_back, "wire", lambda: (None, "promptlane"))
    else:
        monkeypatch.setattr(endpoint.module, "wire", failing)
    answer = endpoint.module.handle(endpoint.event(), Context())
    found, said, detail, _ = problem(answer)
    assert (found, said) == (status, kind)
    undone = {"decide": "nothing was decided", "roll_back": "the route could not be written"}.get(name)
    assert detail == (f"{undone}: x; try again" if undone and status == 503 else "x")
    assert answer["headers"].get("retry-after") == ("2" if status == 503 else None)


@pytest.mark.parametrize("name", JSON_ENDPOINTS)
def test_a_defect_is_told_to_the_log_and_not_to_the_caller(
    monkeypatch: pytest.MonkeyPatch, name: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = JSON_ENDPOINTS[name]

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of ours")

    monkeypatch.setattr(endpoint.module, "wire", broken)
    answer = endpoint.module.handle(endpoint.event(), Context())
    assert problem(answer) == (500, "internal-error", "the function failed; its log says why", {})
    assert "a secret of ours" in capsys.readouterr().out + caplog.text


def test_a_body_and_its_limit_are_counted_in_bytes_after_decoding() -> None:
    assert http_events.text({"body": "ü" * 5}, 10) == "ü" * 5
    with pytest.raises(http_events.Problem, match="12 bytes; at most 11"):
        http_events.text({"body": "ü" * 6}, 11)
    assert http_events.text(encoded(b"x" * 9), 9) == "x" * 9
    assert http_events.json_object({"body": json.dumps({"a": 1}), "headers": {}}, "a") == {"a": 1}
    assert http_events.source({"requestContext": {"http": HTTP}}) == ("203.0.113.7", "curl/8")
    assert http_events.header({"headers": {"X-A": "1", "x-b": 2}}, "x-b") == "2"


def test_who_answers_hears_of_our_own_faults_and_of_no_others() -> None:
    heard: list[BaseException] = []
    ours = [Unavailable("away"), ZeroDivisionError("ours")]
    for error in (NotFound("theirs"), http_events.Problem(503, "x", "said on purpose"), *ours):

        def fails(error: BaseException = error) -> None:
            raise error

        http_events.answered(fails, heard.append)
    assert heard == ours


def test_a_field_that_is_sent_twice_is_refused() -> None:
    with pytest.raises(http_events.Problem, match="sent twice") as refused:
        http_events.form({"headers": FORM, "body": "a=b&a=c"})
    assert (refused.value.status, refused.value.kind) == (400, "invalid-request")


AS_SENT: Event = {
    "version": "2.0",
    "routeKey": "POST /any",
    "rawQueryString": "t=one&t=two",
    "cookies": ["a=1"],
    "headers": {"accept": "*/*", "content-length": "23", "content-type": "application/json", "host": "api.example"},
    "queryStringParameters": {"t": "one,two"},
    "requestContext": {
        "accountId": "111122223333",
        "apiId": "api",
        "authentication": None,
        "authorizer": {
            "iam": {
                "accessKey": "ASIA",
                "accountId": "111122223333",
                "callerId": "AROA:session",
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": LEAD.principals[0],
                "userId": "AROA:session",
            }
        },
        "http": {**HTTP, "path": "/any", "protocol": "HTTP/1.1"},
        "stage": "$default",
        "timeEpoch": 1_800_000_000_000,
    },
    "stageVariables": {"a": "b"},
    "isBase64Encoded": False,
}
"""All that an HTTP API sends with a signed request: what others report that functions stumbled over stands in it."""


@pytest.mark.parametrize("name", JSON_ENDPOINTS)
def test_an_event_with_all_that_an_http_api_sends_is_read(served: UnderReview, name: str) -> None:
    endpoint = JSON_ENDPOINTS[name]
    served.releases.update(_in_canary(served))
    body = endpoint.good.replace("{", "{\r\n\t", 1)
    without = {key: value for key, value in AS_SENT.items() if key != "isBase64Encoded"}
    answer = endpoint.module.handle(endpoint.event(**without, body=body), Context())
    assert answer["statusCode"] in (200, 409)
    assert http_events.caller(AS_SENT) == LEAD.principals[0]
    # A second time it is told that it was done already, or there is still nothing to go back to.
    assert endpoint.status(endpoint.event(**AS_SENT, body=body)) in (200, 409)
