"""The transport over real sockets: connections are kept, closed ones renewed, errors told apart."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.credentials import Credentials

from promptlane.aws.models import ConverseModel
from promptlane.aws.transport import BedrockTransport
from promptlane.domain.errors import Throttled, Unavailable
from promptlane.domain.suite.answers import ModelNotEnabled, ModelRequest
from tests.support.prompt import ARN

VERSION_ARN = f"{ARN}:2"


class Bedrock(ThreadingHTTPServer):
    """Answers each call with the next of `answers`; `hang_up` closes the connection after an answer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], Any]] = []
        self.hang_up = False
        self.connections = 0
        self.seen: list[tuple[str, dict[str, str], Any]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bedrock

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, headers, data = self.server.answers.pop(0)
        raw = json.dumps(data).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()
        self.close_connection = self.server.hang_up

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def bedrock() -> Iterator[Bedrock]:
    server = Bedrock()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def transport(server: Bedrock, **more: Any) -> BedrockTransport:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    return BedrockTransport(endpoint=endpoint, region="us-east-1", credentials=Credentials("AK", "SK", "TOK"), **more)


def answer(text: str) -> dict[str, Any]:
    return {"output": {"message": {"content": [{"text": text}]}}, "stopReason": "end_turn"}


def test_calls_are_signed_and_share_a_connection(bedrock: Bedrock) -> None:
    bedrock.answers = [(200, {}, answer("héllo")), (200, {}, answer("again"))]
    made = transport(bedrock)
    model = ConverseModel(made)
    said = model.answer(ModelRequest(VERSION_ARN, {"promptVariables": {"q": {"text": "ü"}}}))
    assert said.text == "héllo"
    assert said.latency_ms > 0
    assert model.answer(ModelRequest(VERSION_ARN)).text == "again"
    made.close()
    assert bedrock.connections == 1
    path, headers, body = bedrock.seen[0]
    assert path == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A111122223333%3Aprompt%2FPROMPT0001%3A2/converse"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AK/")
    assert headers["x-amz-security-token"] == "TOK"
    assert headers["host"] == f"127.0.0.1:{bedrock.server_port}"
    assert body["promptVariables"] == {"q": {"text": "ü"}}


def test_a_connection_that_was_closed_meanwhile_is_renewed(bedrock: Bedrock) -> None:
    bedrock.answers = [(200, {}, answer("one")), (200, {}, answer("two"))]
    bedrock.hang_up = True
    made = transport(bedrock)
    assert [ConverseModel(made).answer(ModelRequest("m")).text for _ in range(2)] == ["one", "two"]
    made.close()
    assert bedrock.connections == 2


def test_errors_keep_their_aws_type(bedrock: Bedrock) -> None:
    bedrock.answers = [
        (429, {"x-amzn-errortype": "ThrottlingException:http://internal/"}, {"message": "slow down"}),
        (403, {"x-amzn-errortype": "AccessDeniedException"}, {"message": "no access"}),
    ]
    made = transport(bedrock)
    with pytest.raises(Throttled, match="ThrottlingException: slow down"):
        ConverseModel(made).answer(ModelRequest("m"))
    with pytest.raises(ModelNotEnabled, match="enable the model"):
        ConverseModel(made).answer(ModelRequest("m"))
    made.close()


def test_a_bearer_token_takes_the_place_of_the_signature(bedrock: Bedrock) -> None:
    bedrock.answers = [(200, {}, answer("x"))]
    made = transport(bedrock, bearer="key-123")
    ConverseModel(made).answer(ModelRequest("m"))
    made.close()
    assert bedrock.seen[0][1]["authorization"] == "Bearer key-123"


def test_nobody_listening_is_unavailable() -> None:
    made = BedrockTransport(endpoint="http://127.0.0.1:9", region="us-east-1", credentials=Credentials("AK", "SK"))
    with pytest.raises(Unavailable, match=r"no answer from 127\.0\.0\.1"):
        made.post("m", "converse", {})


def test_boto3s_endpoint_region_and_credentials_are_used(monkeypatch: pytest.MonkeyPatch, bedrock: Bedrock) -> None:
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{bedrock.server_port}",
        "AWS_ACCESS_KEY_ID": "ENVKEY",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(name, raising=False)
    bedrock.answers = [(200, {}, answer("x"))]
    made = BedrockTransport.from_environment()
    ConverseModel(made).answer(ModelRequest("m"))
    made.close()
    assert "Credential=ENVKEY/" in bedrock.seen[0][1]["authorization"]
    assert "/eu-central-1/bedrock/aws4_request" in bedrock.seen[0][1]["authorization"]


def test_an_endpoint_is_reached_before_anything_is_asked_and_its_connection_kept(bedrock: Bedrock) -> None:
    bedrock.answers = [(200, {}, answer("one"))]
    made = transport(bedrock)
    made.reach()
    assert bedrock.seen == []
    assert ConverseModel(made).answer(ModelRequest("m")).text == "one"
    made.close()
    assert bedrock.connections == 1


def test_why_an_endpoint_cannot_be_reached_is_told() -> None:
    closed = BedrockTransport(endpoint="http://127.0.0.1:9", region="us-east-1", credentials=Credentials("AK", "SK"))
    with pytest.raises(Unavailable, match=r"no answer from 127.0.0.1: ConnectionRefusedError.*AWS_ENDPOINT_URL"):
        closed.reach()
