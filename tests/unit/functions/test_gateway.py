"""The gateway: what it is wired to, what it takes, and how it says no."""

from __future__ import annotations

import base64
import gc
import importlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from functions.gateway import handler, openapi, problems, requests
from promptlane.aws.http_events import Problem
from promptlane.client import (
    InvalidReceipt,
    InvalidUnit,
    InvalidVariables,
    ModelCallFailed,
    RequestRefused,
    RouteUnavailable,
    UnknownPrompt,
    UnsupportedRoute,
    aws,
)
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client
from promptlane.domain.errors import InvalidInput, PromptlaneError, Throttled, Unavailable
from tests.support.functions import FEEDBACK, ROUTES, World, real
from tests.support.prompt import PROMPT

Json = Any


@pytest.fixture(autouse=True)
def own_wire() -> Iterator[None]:
    """What `wire` changes of the process is put back."""
    threshold = gc.get_threshold()
    handler.wire.cache_clear()
    yield
    handler.wire.cache_clear()
    gc.set_threshold(*threshold)


@pytest.mark.parametrize(
    ("given", "wired"),
    [
        ({}, {"feedback_table": None, "receipt_kms_key": None, "resolution": 60, "slow_after": 10.0, "timeout": 27.0}),
        (
            {
                "FEEDBACK_TABLE": "f",
                "RECEIPT_KEY_ID": "s",
                "RESOLUTION_SECONDS": "10",
                "SLOW_AFTER_SECONDS": "2.5",
                "REQUEST_TIMEOUT_SECONDS": "20.5",
            },
            {"feedback_table": "f", "receipt_kms_key": "s", "resolution": 10, "slow_after": 2.5, "timeout": 19.5},
        ),
        (
            {"REQUEST_TIMEOUT_SECONDS": "60", "RESOLUTION_SECONDS": "", "SLOW_AFTER_SECONDS": ""},
            {"feedback_table": None, "receipt_kms_key": None, "resolution": 60, "slow_after": 10.0, "timeout": 27.0},
        ),
    ],
)
def test_the_client_is_made_of_the_environment_and_ends_before_the_api_does(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], wired: dict[str, Json]
) -> None:
    names = ("FEEDBACK_TABLE", "RECEIPT_KEY_ID", "RESOLUTION_SECONDS", "SLOW_AFTER_SECONDS", "REQUEST_TIMEOUT_SECONDS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ROUTE_TABLE": "r", **given}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "PromptClient", dict)

    made: Any = handler.wire()

    assert made == {"route_table": "r", **wired}
    assert handler.wire() is made
    assert gc.get_threshold()[0] == 50_000


class Session:
    """A session whose Bedrock is a fake; how long each client may wait for an answer."""

    def __init__(self, bedrock: FakeBedrock) -> None:
        self.bedrock = bedrock
        self.waits: dict[str, float] = {}

    def client(self, service: str, *, config: Any) -> Any:
        self.waits[service] = config.read_timeout
        return self.bedrock if service == "bedrock-runtime" else real(service)


def call(method: str, path: str, body: Json = None, **changed: Json) -> tuple[int, Json]:
    reply = handler.handle(event(method, path, body, **changed), None)
    return reply["statusCode"], json.loads(reply["body"])


def event(method: str, path: str, body: Json = None, **changed: Json) -> dict[str, Json]:
    return {
        "rawPath": path,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "body": body if isinstance(body, str) or body is None else json.dumps(body),
        **changed,
    }


def test_it_answers_over_its_tables_with_receipts_of_its_key(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = real("kms").create_key()["KeyMetadata"]["Arn"]
    environment = {
        "ROUTE_TABLE": ROUTES,
        "FEEDBACK_TABLE": FEEDBACK,
        "RECEIPT_KEY_ID": key,
        "RESOLUTION_SECONDS": "10",
        "SLOW_AFTER_SECONDS": "1e-9",
        "REQUEST_TIMEOUT_SECONDS": "20",
        "AWS_LAMBDA_FUNCTION_NAME": "gateway",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bedrock = FakeBedrock("Grüße")
    session = Session(bedrock)
    monkeypatch.setattr(aws, "_session", lambda region: session)
    world.feedback_table()
    world.now = datetime.now(UTC).timestamp()  # the client has a clock of its own
    stable = world.publish(3)
    world.route(stable, revision=8, release_id="PROMPT0001-3-1")

    status, answer = call(
        "POST",
        f"/prompts/{PROMPT}/converse",
        {"unit": "u1", "variables": {"question": "?"}, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    )

    receipt = answer.pop("receipt")
    assert (status, answer) == (
        200,
        {
            "text": "Grüße",
            "content": [{"text": "Grüße"}],
            "stop_reason": "end_turn",
            "usage": answer["usage"],
            "prompt": PROMPT,
            "version": 3,
            "track": "stable",
            "release_id": "PROMPT0001-3-1",
            "shielded": False,
        },
    )
    assert answer["usage"]["totalTokens"] > 0
    (request,) = bedrock.calls
    assert (request["modelId"], request["promptVariables"]) == (stable.arn, {"question": {"text": "?"}})
    assert request["messages"] == [{"role": "user", "content": [{"text": "Hi"}]}]
    assert session.waits["bedrock-runtime"] == 19.0
    by_id = call("GET", "/prompts/PROMPT0001/route", queryStringParameters={"unit": "u1"})
    assert (
        by_id
        == call("GET", f"/prompts/{PROMPT}/route", queryStringParameters={"unit": "u1"})
        == (
            200,
            {
                "prompt": PROMPT,
                "version": 3,
                "version_arn": stable.arn,
                "track": "stable",
                "release_id": "PROMPT0001-3-1",
                "revision": 8,
                "guardrail": None,
            },
        )
    )
    for counted in (True, False):
        assert call("POST", "/feedback", {"receipt": receipt, "positive": False}) == (200, {"counted": counted})
    assert [set(item) for item in world.items(FEEDBACK)] == [{"receipt", "expires_at"}]
    published = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    assert {p["Slow"] for p in published if "Slow" in p} == {1}
    assert {p["NegativeFeedback"] for p in published if "NegativeFeedback" in p} == {1}
    stored = {
        m.get("StorageResolution") for p in published for d in p["_aws"]["CloudWatchMetrics"] for m in d["Metrics"]
    }
    assert 1 in stored


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> FakeBedrock:
    """A gateway over a client in memory."""
    routes, bedrock = StaticRoutes(), FakeBedrock("hi")
    routes.put("greeter", stable=1)
    client = fake_client(routes, bedrock)
    monkeypatch.setattr(handler, "wire", lambda: client)
    return bedrock


def test_an_answer_is_short_json_that_nobody_keeps(served: FakeBedrock) -> None:
    served.replies = {"output": {"message": {"role": "assistant", "content": [{"text": "für"}]}}, "stopReason": "stop"}
    reply = handler.handle(event("POST", "/prompts/greeter/converse", {"unit": "u"}), None)
    assert (reply["statusCode"], reply["headers"]) == (
        200,
        {"content-type": "application/json", "cache-control": "no-store"},
    )
    assert reply["body"].startswith('{"text":"für","content":[{"text":"für"}],"stop_reason":"stop","usage":{},')


def test_a_problem_says_when_to_come_back_and_what_is_allowed(
    served: FakeBedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(error: Exception) -> dict[str, Json]:
        def fails() -> None:
            raise error

        monkeypatch.setattr(handler, "_OPERATIONS", {("openapi.json",): lambda event, prompt: fails()})
        return dict(handler.handle(event("GET", "/openapi.json"), None))

    kept = {"content-type": "application/problem+json", "cache-control": "no-store"}
    for status in (429, 503):
        assert said(Problem(status, "busy", "b"))["headers"] == {**kept, "retry-after": "2"}
    for status in (400, 502, 504):
        assert said(Problem(status, "wrong", "b"))["headers"] == kept
    assert said(Problem(405, "no", "n", allow="PUT"))["headers"] == {**kept, "allow": "PUT"}
    reply = said(Problem(418, "a-short-pot", "steep", code="tea"))
    assert (reply["statusCode"], json.loads(reply["body"])) == (
        418,
        {
            "type": "urn:promptlane:problem:a-short-pot",
            "title": "A short pot",
            "status": 418,
            "detail": "steep",
            "code": "tea",
        },
    )
    defect = said(KeyError("secret"))
    assert (defect["statusCode"], json.loads(defect["body"])) == (
        500,
        {
            "type": "urn:promptlane:problem:internal-error",
            "title": "Internal error",
            "status": 500,
            "detail": "the function failed; its log says why",
        },
    )


def test_a_call_runs_beside_and_what_it_raises_is_raised() -> None:
    assert handler._within(5.0, lambda: threading.current_thread().daemon) is True
    with pytest.raises(KeyboardInterrupt):
        handler._within(5.0, lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    hung = threading.Event()
    with pytest.raises(Problem) as late:
        handler._within(0.01, hung.wait)
    hung.set()
    assert (late.value.status, late.value.kind) == (504, "deadline-exceeded")
    assert str(late.value).startswith("no answer within 0.01 s, and the HTTP API ends requests at 30 s; ")
    assert handler.DEADLINE == 28.0


@pytest.mark.parametrize(
    ("method", "path", "stage", "found"),
    [
        ("POST", "/prompts/a%2Fb/converse", "$default", (("prompts", "{prompt}", "converse"), "a/b")),
        ("get", "/prompts/x/route/", "$default", (("prompts", "{prompt}", "route"), "x")),
        ("POST", "/prod/feedback", "prod", (("feedback",), "")),
        ("POST", "/feedback", "prod", (("feedback",), "")),
        ("GET", "/prompts/prompts/route/route", "prompts", (("prompts", "{prompt}", "route"), "route")),
        ("GET", "/openapi.json", None, (("openapi.json",), "")),
    ],
)
def test_an_operation_is_found_by_path_and_method(
    method: str, path: str, stage: str | None, found: tuple[tuple[str, ...], str]
) -> None:
    context = {"http": {"method": method, "path": path}, **({"stage": stage} if stage else {})}
    assert requests.operation({"rawPath": path, "requestContext": context}) == found
    assert requests.operation({"requestContext": context}) == found


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/prompts",
        "/prompts/x",
        "/prompts/x/other",
        "/others/x/route",
        "/prompts/x/route/more",
        "/Feedback",
        "/$default/feedback",
        "/feedback/x",
    ],
)
def test_what_is_not_served_is_told_where_the_rest_is_described(path: str) -> None:
    refused = problem(lambda: requests.operation(event("POST", path)))
    detail = f"{path} is not part of this API; GET /openapi.json describes it"
    assert refused == (404, "not-found", detail, {})


def test_another_method_is_told_which_one() -> None:
    refused = problem(lambda: requests.operation(event("patch", "/feedback")))
    assert refused == (405, "method-not-allowed", "/feedback takes POST, not PATCH", {"allow": "POST"})
    refused = problem(lambda: requests.operation(event("POST", "/prompts/x/route")))
    assert refused == (405, "method-not-allowed", "/prompts/x/route takes GET, not POST", {"allow": "GET"})


def problem(call: Any) -> tuple[int, str, str, dict[str, Json]]:
    with pytest.raises(Problem) as refused:
        call()
    return refused.value.status, refused.value.kind, str(refused.value), refused.value.extra


KNOWN = {"unit": str, "variables": dict, "messages": list, "sure": bool}


def body(text: str | None, **changed: Json) -> dict[str, Json]:
    return requests.body({"body": text, **changed}, KNOWN, ("unit", "sure"))


GOOD = '{"unit": "u", "sure": true}'


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"Content-Type": "application/json"},
        {"content-type": " Application/JSON ; charset=utf-8"},
        {"CONTENT-TYPE": "application/vnd.x+json"},
        {"content-type": ""},
        {"x": "text/plain"},
    ],
)
def test_json_of_any_name_is_taken(headers: Json) -> None:
    assert body(GOOD, headers=headers) == {"unit": "u", "sure": True}
    encoded = base64.b64encode(GOOD.encode()).decode()
    assert body(encoded, headers=headers, isBase64Encoded=True) == {"unit": "u", "sure": True}


@pytest.mark.parametrize(
    ("text", "changed", "status", "kind", "detail"),
    [
        (
            "a=b",
            {"headers": {"Content-Type": "text/plain; charset=x"}},
            415,
            "unsupported-media-type",
            "the body is text/plain; send application/json",
        ),
        (
            GOOD,
            {"headers": {"content-type": "application/jsonl"}},
            415,
            "unsupported-media-type",
            "the body is application/jsonl; send application/json",
        ),
        ("%%", {"isBase64Encoded": True}, 400, "invalid-request", "the body is not UTF-8 text"),
        (
            base64.b64encode(GOOD.encode()).decode() + "%",
            {"isBase64Encoded": True},
            400,
            "invalid-request",
            "the body is not UTF-8 text",
        ),
        (
            base64.b64encode(b"\xff").decode(),
            {"isBase64Encoded": True},
            400,
            "invalid-request",
            "the body is not UTF-8 text",
        ),
        (
            None,
            {},
            400,
            "invalid-request",
            "the body is not JSON (Expecting value: line 1 column 1 (char 0)); "
            "send an object with unit, variables, messages, sure",
        ),
        (
            "[1]",
            {},
            400,
            "invalid-request",
            "the body is no JSON object; send an object with unit, variables, messages, sure",
        ),
        (
            '{"odd": 1, "also": 2, "variables": [], "messages": {}}',
            {},
            422,
            "invalid-request",
            "unknown: also, odd; missing: unit, sure; variables must be an object; messages must be a list; "
            "known are unit, variables, messages, sure",
        ),
        (
            '{"unit": 3, "sure": 1}',
            {},
            422,
            "invalid-request",
            "unit must be text; sure must be true or false; known are unit, variables, messages, sure",
        ),
        ('{"unit": "u"}', {}, 422, "invalid-request", "missing: sure; known are unit, variables, messages, sure"),
        (
            '{"unit": "u", "sure": true, "x": 1}',
            {},
            422,
            "invalid-request",
            "unknown: x; known are unit, variables, messages, sure",
        ),
    ],
)
def test_a_body_that_is_none_is_told_all_that_is_wrong(
    text: str | None, changed: dict[str, Json], status: int, kind: str, detail: str
) -> None:
    assert problem(lambda: body(text, **changed)) == (status, kind, detail, {})


def test_a_body_has_at_most_256_kib_whatever_its_letters() -> None:
    long = GOOD + "ü" * 10
    fits = GOOD + " " * (262_144 - len(GOOD))
    assert body(fits)["unit"] == "u"
    for text, size in ((fits + " ", "262,145"), (json.dumps({"unit": "ü" * 131_073}, ensure_ascii=False), "262,158")):
        said = f"the body has {size} bytes; at most 262,144 are read"
        assert problem(lambda text=text: body(text)) == (413, "body-too-large", said, {})
    assert problem(lambda: body(long))[1] == "invalid-request"
    assert problem(lambda: body('{"unit": "\ud800", "sure": false}')) == (
        400,
        "invalid-request",
        "the body is not UTF-8 text",
        {},
    )


def message(role: Json = "user", *texts: Json, **more: Json) -> dict[str, Json]:
    return {"role": role, "content": [{"text": text} for text in texts or ("Hi",)], **more}


def test_messages_are_text_of_users_and_assistants() -> None:
    found = [message(), message("assistant", "a", "b")] * 50
    assert requests.messages(found) == found
    assert requests.messages([]) == []
    assert problem(lambda: requests.messages([*found, message()])) == (
        422,
        "invalid-request",
        "101 messages; at most 100",
        {},
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "Hi",
        {},
        {"role": "user"},
        {"role": "user", "content": []},
        {"role": "user", "content": "Hi"},
        {"content": [{"text": "Hi"}]},
        message("system"),
        message("user", 7),
        message(id=1),
        {"role": "user", "content": [{"text": "Hi"}, "Hi"]},
        {"role": "user", "content": [{"text": "Hi", "x": 1}]},
        {"role": "user", "content": [{"image": "Hi"}]},
        {"role": "user", "content": [{"text": "Hi"}, {"text": None}]},
    ],
)
def test_a_message_of_another_form_is_named(wrong: Json) -> None:
    assert problem(lambda: requests.messages([message(), wrong, "x"])) == (
        422,
        "invalid-request",
        'messages[1] must be {"role": "user" or "assistant", "content": [{"text": "..."}]}',
        {},
    )


@pytest.mark.parametrize(
    ("error", "status", "kind", "extra"),
    [
        (
            InvalidVariables("v", missing=("a", "b"), unknown=("c",)),
            422,
            "invalid-variables",
            {"missing": ["a", "b"], "unknown": ["c"]},
        ),
        (InvalidVariables("v"), 422, "invalid-variables", {}),
        (InvalidUnit("u"), 422, "invalid-unit", {}),
        (UnsupportedRoute("r"), 503, "unsupported-route", {}),
        (UnknownPrompt("p"), 404, "unknown-prompt", {}),
        (InvalidReceipt("r"), 403, "invalid-receipt", {}),
        (RouteUnavailable("r"), 503, "route-unavailable", {}),
        *(
            (ModelCallFailed("m", code=code), 429, "model-throttled", {"code": code})
            for code in ("ThrottlingException", "TooManyRequestsException")
        ),
        *(
            (ModelCallFailed("m", code=code), 504, "deadline-exceeded", {"code": code})
            for code in ("ReadTimeoutError", "ConnectTimeoutError", "ModelTimeoutException")
        ),
        (RequestRefused("m", code="X"), 422, "request-refused", {"code": "X"}),
        (ModelCallFailed("m", code="Other"), 502, "model-call-failed", {"code": "Other"}),
        (Unavailable("a"), 503, "temporarily-unavailable", {}),
        (Throttled("a"), 503, "temporarily-unavailable", {}),
        (InvalidInput("i"), 400, "invalid-request", {}),
    ],
)
def test_each_error_of_the_client_has_its_status_and_name(
    error: PromptlaneError, status: int, kind: str, extra: dict[str, Json]
) -> None:
    found = problems.problem_of(error)
    assert (found.status, found.kind, str(found), found.extra) == (status, kind, str(error), extra)


def bare(value: Json) -> Json:
    """Without the words for people: that there are some, stays."""
    if isinstance(value, dict):
        words = {k: "words" for k in ("description", "summary") if isinstance(value.get(k), str) and value[k].strip()}
        return {k: bare(v) for k, v in value.items()} | words
    return [bare(v) for v in value] if isinstance(value, list) else value


def test_the_contract_that_clients_are_made_from_changes_knowingly() -> None:
    """After a wanted change: write `bare(openapi.DOCUMENT)` to the file and look at its diff."""
    contract = json.loads((Path(__file__).parents[2] / "events" / "gateway-openapi.json").read_text())
    assert bare(json.loads(json.dumps(importlib.reload(openapi).DOCUMENT))) == contract
