"""The streaming gateway: its own tests in Node, and that it takes and refuses what the gateway of the HTTP API does."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

from functions.gateway import requests
from functions.gateway.problems import problem_of
from promptlane.aws.http_events import Problem
from promptlane.client import (
    InvalidUnit,
    InvalidVariables,
    ModelCallFailed,
    RequestRefused,
    RouteUnavailable,
    StreamInterrupted,
    UnknownPrompt,
    UnsupportedRoute,
)
from promptlane.domain.errors import InvalidInput, PromptlaneError, Unavailable

Json = Any
HERE = Path(__file__).parent / "stream"
ROOT = Path(__file__).resolve().parents[3]
ERRORS: list[PromptlaneError] = [
    InvalidVariables("support needs question", missing=["question"], unknown=["other"]),
    InvalidVariables("21 variables"),
    InvalidUnit("no unit"),
    UnsupportedRoute("newer"),
    UnknownPrompt("none"),
    RouteUnavailable("no route"),
    InvalidInput("odd"),
    Unavailable("not now"),
    RequestRefused("too long", code="ValidationException"),
    *(
        kind("failed", code=code, **more)
        for code in ("ThrottlingException", "ModelTimeoutException", "TimeoutError", "ModelErrorException")
        for kind, more in ((ModelCallFailed, {}), (StreamInterrupted, {"text": "Yes, "}))
    ),
]
BODIES: list[Json] = [
    {"unit": "u1"},
    {"unit": "u1", "variables": {"a": "b", "__proto__": "c"}, "messages": []},
    {"unit": "u1", "messages": [{"role": "user", "content": [{"text": "Hi"}, {"text": ""}]}]},
    {},
    [],
    "",
    "{",
    '{"unit": NaN}',
    '"unit"',
    {"unit": None},
    {"unit": 4711, "variables": [], "messages": {}},
    {"unit": "u1", "variables": "x", "zeta": 1, "alpha": 2},
    {"unit": "u1", "constructor": {}},
    {"unit": "u1", "messages": [{"role": "user", "content": []}]},
    {"unit": "u1", "messages": [{"role": "user", "content": [{"text": "a"}]}, {"role": "system", "content": [{}]}]},
    {"unit": "u1", "messages": [{"role": "user", "content": [{"text": "a", "image": {}}]}]},
    {"unit": "u1", "messages": [{"role": "user", "content": [{"text": 1}], "more": 1}]},
    {"unit": "u1", "messages": [{"role": "user", "content": [{"text": "a"}]}] * 101},
    {"unit": "\ud800"},
    {"unit": "u1", "variables": {"\udfff": "a"}},
    {"unit": "u" * requests.MAX_BODY_BYTES},
]


def _node(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], input=given, capture_output=True, text=True, check=False, timeout=60)


def told(cases: list[Json]) -> list[Json]:
    done = _node(str(HERE / "told.mjs"), given=json.dumps(cases))
    assert done.returncode == 0, done.stderr
    found: list[Json] = json.loads(done.stdout)
    return found


def test_its_events_keep_their_contract() -> None:
    done = _node("--test", str(HERE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n# pass 11\n" in done.stdout


def test_over_the_real_client_no_frame_tells_the_track_and_each_request_is_counted_once(tmp_path: Path) -> None:
    client, bundle = ROOT / "clients" / "js", tmp_path / "tracks.test.cjs"
    command = [str(client / "node_modules" / ".bin" / "esbuild"), str(HERE / "tracks.bundled.mjs"), "--bundle"]
    command += ["--platform=node", "--format=cjs", "--keep-names", "--log-level=warning", f"--outfile={bundle}"]
    subprocess.run([*command, f"--alias:promptlane/testing={client}/src/testing.ts"], check=True, timeout=60)
    done = _node("--test", str(bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n# pass 3\n" in done.stdout


def test_every_error_of_the_client_is_the_same_problem_on_both_gateways() -> None:
    def fields(error: PromptlaneError) -> Json:
        return {k: v for k in ("code", "missing", "unknown") if (v := getattr(error, k, None))}

    answers = told([{"error": {"name": type(e).__name__, "message": str(e), "fields": fields(e)}} for e in ERRORS])
    for error, (status, kind, body, headers) in zip(ERRORS, answers, strict=True):
        wanted = problem_of(error)
        answer = wanted.answer()
        assert (status, kind, body) == (wanted.status, wanted.kind, wanted.body()), error
        assert headers == answer["headers"]


def event(body: Json, method: str, path: str, **more: Json) -> Json:
    sent = body if isinstance(body, str) else json.dumps(body)
    http = {"method": method, "path": path}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    context = {"http": http, "stage": "$default"}
    return {"rawPath": path, "headers": headers, "requestContext": context, "body": sent, **more}


CASES: list[tuple[str, str, Json, dict[str, Json]]] = [
    *(("POST", "/prompts/support/{}", body, {}) for body in BODIES),
    ("GET", "/prompts/support/{}", "", {}),
    ("POST", "/prompts/caf%C3%A9/{}/", {"unit": "u1"}, {}),
    ("POST", "/prompts/{}", {"unit": "u1"}, {}),
    ("POST", "/", {"unit": "u1"}, {}),
    ("POST", "/prompts/support/{}", {"unit": "u1"}, {"headers": {"content-type": "text/plain"}}),
    ("POST", "/prompts/support/{}", {"unit": "u1"}, {"headers": {}}),
    ("POST", "/prompts/support/{}", base64.b64encode(b'{"unit": "u1"}').decode(), {"isBase64Encoded": True}),
    ("POST", "/prompts/support/{}", base64.b64encode(b'{"unit": "\xff"}').decode(), {"isBase64Encoded": True}),
]


def by_http_api(asked: Json) -> list[Json]:
    try:
        _, prompt = requests.operation(asked)
        given = requests.body(asked, {"unit": str, "variables": dict, "messages": list}, ("unit",))
        messages = requests.messages(given.get("messages", []))
    except Problem as refused:
        return [refused.status, refused.kind, refused.body(), refused.answer()["headers"]]
    return ["asked", {"variables": {}, **given, "prompt": prompt, "messages": messages}]


def test_every_request_is_taken_or_refused_alike_by_both_gateways() -> None:
    events = [[event(b, m, path.format(verb), **x) for m, path, b, x in CASES] for verb in ("converse", "stream")]
    answers = told([{"event": one} for one in events[1]])
    for asked, answer in zip(events[0], answers, strict=True):
        wanted = by_http_api(asked)
        if wanted[0] in (400, 404):  # of what is wrong each says in its own words
            assert answer[:2] == wanted[:2], (asked, answer)
        else:
            assert json.loads(json.dumps(answer).replace("/stream", "/converse")) == wanted
