"""The gateway: the client over HTTP, with errors that say what to do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from functions.gateway import handler, requests
from functions.gateway.openapi import DOCUMENT
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, fake_client
from promptlane.domain.errors import Unavailable
from tests.support.client import eventually


def event(method: str, path: str, body: Any = None, *, query: dict[str, str] | None = None, **more: Any) -> Any:
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "x"},
        "queryStringParameters": query,
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "body": text,
        "isBase64Encoded": False,
        **more,
    }


class Gateway:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, replies: Any = "hi") -> None:
        self.routes = StaticRoutes()
        self.routes.put("greeter", stable=1, canary=2, weight=3000, variables=["name"])
        self.bedrock = FakeBedrock(replies)
        self.sink = ListSink()
        self.client = fake_client(self.routes, self.bedrock, sink=self.sink)
        monkeypatch.setattr(handler, "wire", lambda: self.client)

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, dict[str, Any]]:
        reply = handler.handle(event(method, path, body, **more), None)
        found = json.loads(reply["body"])
        if reply["statusCode"] != 200:
            assert reply["headers"]["content-type"] == "application/problem+json"
            assert found["status"] == reply["statusCode"]
            assert {"type", "title", "detail"} <= set(found)
        return reply["statusCode"], found


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    return Gateway(monkeypatch)


def properties(name: str) -> set[str]:
    return set(DOCUMENT["components"]["schemas"][name]["properties"])


def test_converse_route_and_feedback_answer_as_documented(gateway: Gateway) -> None:
    body = {"unit": "u1", "variables": {"name": "Anna"}, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    status, answer = gateway("POST", "/prompts/greeter/converse", body)
    assert (status, answer["text"]) == (200, "hi")
    assert set(answer) == properties("ConverseAnswer")
    status, route = gateway("GET", "/prompts/greeter/route", query={"unit": "u1"})
    assert (status, route["version"], route["track"]) == (200, answer["version"], answer["track"])
    assert set(route) == properties("Route")
    for counted in (True, False):
        given = {"receipt": answer["receipt"], "positive": False}
        assert gateway("POST", "/feedback", given) == (200, {"counted": counted})
    assert gateway.sink.total("NegativeFeedback", Prompt="greeter", Version=str(answer["version"])) == (1, 1)


def test_the_openapi_document_lists_exactly_what_is_served(gateway: Gateway) -> None:
    assert gateway("GET", "/openapi.json") == (200, json.loads(json.dumps(DOCUMENT)))
    documented = {
        (tuple(path.strip("/").split("/")), method.upper())
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
        if "servers" not in operations  # the streaming gateway has a server of its own
    }
    assert documented == set(requests.ROUTES.items()) == {(k, requests.ROUTES[k]) for k in handler._OPERATIONS}
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text
    known = properties("ConverseRequest")
    status, problem = gateway("POST", "/prompts/greeter/converse", {"unit": "u", "bogus": 1})
    assert status == 422
    assert all(name in problem["detail"] for name in known)


def test_every_example_of_the_openapi_document_is_what_its_schema_says() -> None:
    def check(schema: Any, example: Any) -> None:
        jsonschema.validate(example, {**schema, "components": DOCUMENT["components"]}, jsonschema.Draft202012Validator)

    def contents(node: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(node, dict):
            yield from node.get("content", {}).items() if isinstance(node.get("content"), dict) else ()
            node = list(node.values())
        for inner in node if isinstance(node, list) else ():
            yield from contents(inner)

    shown = [(kind, one) for kind, one in contents(DOCUMENT["paths"]) if "example" in one]
    assert len(shown) == 11
    for _, content in shown:
        check(content["schema"], content["example"])
    ((stream, answer),) = [
        (content["example"], operations["post"]["responses"]["200"])
        for operations in DOCUMENT["paths"].values()
        if "servers" in operations
        for content in operations["post"]["responses"]["200"]["content"].values()
    ]
    for frame in stream.strip().split("\n\n"):
        kind, data = frame.split("\n")
        check(answer["x-events"][kind.removeprefix("event: ")], json.loads(data.removeprefix("data: ")))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/nothing", None, 404, "openapi.json"),
        ("GET", "/prompts/greeter/converse", None, 405, "takes POST"),
        ("POST", "/prompts/greeter/converse", "{", 400, "not JSON"),
        ("POST", "/prompts/greeter/converse", "[" * 100_000, 400, "not JSON"),
        ("POST", "/prompts/greeter/converse", [], 400, "JSON object"),
        ("POST", "/prompts/greeter/converse", {}, 422, "missing: unit"),
        ("POST", "/prompts/greeter/converse", {"unit": 3}, 422, "unit must be text"),
        ("POST", "/prompts/greeter/converse", {"unit": ""}, 422, "empty"),
        ("POST", "/prompts/greeter/converse", {"unit": "x" * 10_000}, 422, "10,000 bytes"),
        ("POST", "/prompts/greeter/converse", {"unit": "u"}, 422, "needs name"),
        ("POST", "/prompts/greeter/converse", {"unit": "u", "variables": {"name": 3}}, 422, "must be text"),
        ("POST", "/prompts/greeter/converse", {"unit": "u", "messages": [{"role": "system"}]}, 422, "messages[0]"),
        ("POST", "/prompts/greeter/converse", {"unit": "u", "variables": {"name": "x" * 300_000}}, 413, "bytes"),
        ("POST", "/prompts/nobody/converse", {"unit": "u"}, 404, "never released"),
        ("GET", "/prompts/greeter/route", None, 422, "empty"),
        ("POST", "/feedback", {"receipt": "x.y", "positive": True}, 403, "format before"),
        ("POST", "/feedback", {"receipt": "x.y", "positive": "yes"}, 422, "true or false"),
    ],
)
def test_bad_requests_get_a_problem_that_names_the_input(
    gateway: Gateway, method: str, path: str, body: Any, status: int, words: str
) -> None:
    found, problem = gateway(method, path, body)
    assert (found, words in problem["detail"]) == (status, True), problem
    assert gateway.bedrock.calls == []


def test_base64_bodies_and_named_stages_are_understood_and_other_media_types_are_not(gateway: Gateway) -> None:
    body = json.dumps({"unit": "u", "variables": {"name": "Anna"}})
    encoded = base64.b64encode(body.encode()).decode()
    assert gateway("POST", "/prompts/greeter/converse", encoded, isBase64Encoded=True)[0] == 200
    assert gateway("POST", "/prompts/greeter/converse", "%%", isBase64Encoded=True)[0] == 400
    staged = event("POST", "/prod/prompts/greeter/converse", body)
    staged["requestContext"]["stage"] = "prod"
    assert handler.handle(staged, None)["statusCode"] == 200
    assert gateway("POST", "/feedback", "a=b", headers={"Content-Type": "text/plain"})[0] == 415


class AwsError(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AwsError("ThrottlingException"), 429),
        (AwsError("ModelErrorException"), 502),
        (AwsError("ModelTimeoutException"), 504),
        (type("ReadTimeoutError", (Exception,), {})("slow"), 504),
    ],
)
def test_model_failures_become_their_http_status(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    gateway = Gateway(monkeypatch, error)
    found, problem = gateway("POST", "/prompts/greeter/converse", {"unit": "u", "variables": {"name": "A"}})
    assert found == status
    assert "greeter was not answered" in problem["detail"]
    assert not any(word in problem["detail"] for word in ("stable", "canary", "version 1", "version 2", ":prompt/"))


def test_a_failing_canary_is_answered_by_stable_through_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(monkeypatch, {1: "stable", 2: AwsError("ModelErrorException")})
    answers = [
        gateway("POST", "/prompts/greeter/converse", {"unit": f"u{i}", "variables": {"name": "A"}})[1]
        for i in range(40)
    ]
    assert {a["text"] for a in answers} == {"stable"}
    assert {a["shielded"] for a in answers} == {True, False}


def test_the_deadline_is_a_504_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    hung = threading.Event()
    gateway = Gateway(monkeypatch, lambda request: AwsError("ModelErrorException") if hung.wait(30) else "late")
    monkeypatch.setattr(handler, "DEADLINE", 0.05)
    unit = next(u for u in (f"u{i}" for i in range(99)) if gateway.client.route("greeter", u).track == "canary")
    status, problem = gateway("POST", "/prompts/greeter/converse", {"unit": unit, "variables": {"name": "A"}})
    hung.set()
    assert status == 504
    assert "client library" in problem["detail"]
    eventually(lambda: gateway.sink.total("Error", Prompt="greeter", Track="canary") == (1, 1))
    assert len(gateway.bedrock.calls) == 1, "stable is not asked for an answer that nobody gets"


def test_feedback_that_cannot_be_stored_is_a_503_and_may_be_sent_again(gateway: Gateway) -> None:
    class Down:
        def first(self, voice: str, *, keep_seconds: float) -> bool:
            raise Unavailable("the feedback table was not reached; try again")

    _, answer = gateway("POST", "/prompts/greeter/converse", {"unit": "u", "variables": {"name": "A"}})
    given, kept = {"receipt": answer["receipt"], "positive": True}, gateway.client._memory
    gateway.client._memory = Down()
    status, problem = gateway("POST", "/feedback", given)
    assert (status, problem["type"]) == (503, "urn:promptlane:problem:temporarily-unavailable")
    gateway.client._memory = kept
    assert gateway("POST", "/feedback", given) == (200, {"counted": True})


def test_a_defect_of_the_gateway_is_a_500_that_tells_callers_nothing(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gateway.client, "route", lambda *a: 1 / 0)
    status, problem = gateway("GET", "/prompts/greeter/route", query={"unit": "u"})
    assert (status, "division" in problem["detail"]) == (500, False)
    assert "ZeroDivisionError" in capsys.readouterr().out
