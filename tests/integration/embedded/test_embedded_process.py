"""The embedded AWS as a process: ports, Node, environment, schedules, a model of its own."""

from __future__ import annotations

import http.server
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ministack.core import router

from local import deploy, seams, server, up
from local.running import EmbeddedAws, NotStarted, env, free_port, health

Client = Callable[[str], Any]


def test_a_port_in_use_is_named_with_the_remedy(embedded_aws: EmbeddedAws) -> None:
    with pytest.raises(server.PortTaken, match=rf"port {embedded_aws.port} .* already in use.*--port N"):
        EmbeddedAws(embedded_aws.port).start()
    command = [sys.executable, "-m", "local", "serve", "--port", str(embedded_aws.port)]
    done = subprocess.run(command, cwd=server.REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "check_port", lambda port: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        taken.settimeout(0.05)
        with pytest.raises(NotStarted, match="already in use"):
            EmbeddedAws(taken.getsockname()[1], home=tmp_path).start()


def test_no_node_or_an_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(deploy.CannotDeploy, match=r"Node\.js is not installed.*Node 22 or newer"):
        deploy.check_node()
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v16.20.0\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(deploy.CannotDeploy, match=r"is version v16.20.0: the AWS CDK needs Node 22"):
        deploy.check_node()


@pytest.mark.parametrize(
    ("version", "said", "told"),
    [
        ("v20.20.2", None, ["Node.js v20.20.2 is past its end of life: it still works here, but install 22 or newer."]),
        ("v20.20.2", "20", []),
        ("v21.7.3", None, ["Node.js v21.7.3 is past its end of life: it still works here, but install 22 or newer."]),
        ("v22.0.0", None, []),
    ],
)
def test_a_node_past_its_end_works_and_is_told_once(
    version: str, said: str | None, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(deploy.SAID, raising=False)
    if said:
        monkeypatch.setenv(deploy.SAID, said)
    node = tmp_path / "node"
    node.write_text(f"#!/bin/sh\necho {version}\n")
    node.chmod(node.stat().st_mode | stat.S_IXUSR)
    lines: list[str] = []
    deploy.check_node(lines.append)
    deploy.check_node()
    assert lines == told


def test_another_version_of_the_emulator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "PINNED", "0.0.1")
    with pytest.raises(seams.EmulatorChanged, match=r"is installed, but local/ is written for 0.0.1"):
        seams.check_version()


def test_the_pins_agree() -> None:
    pins = (server.REPOSITORY / "requirements" / "dev.txt").read_text().splitlines()
    assert f"ministack=={seams.PINNED} \\" in pins
    sdk = (server.REPOSITORY / "requirements" / "sdk.txt").read_text().splitlines()
    (boto3,) = [line for line in sdk if line.startswith("boto3==")]
    assert boto3 in pins


def test_a_name_that_the_emulator_lost_is_reported_before_anything_is_served() -> None:
    with pytest.raises(seams.EmulatorChanged, match="has no nothing_like_this"):
        seams.require(router, "detect_service", "nothing_like_this")


def test_the_exports_work_in_a_shell(embedded_aws: EmbeddedAws, tmp_path: Path) -> None:
    exports = tmp_path / "env"
    exports.write_text(up.exports(env(embedded_aws.port, embedded_aws.home)))
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    script = f'. {exports} && exec {sys.executable} -c "{code}"'
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(["sh", "-c", script], env=bare, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "000000000000", done.stderr


def test_nothing_to_stop_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pid").write_text('{"pid": 1, "port": 1}')
    assert up.down(home=tmp_path) == 0
    assert "nothing to stop" in capsys.readouterr().out
    assert not (tmp_path / "pid").exists()


def test_in_the_background_until_it_is_told_to_stop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    pid = up.start(port, home=tmp_path)
    assert up.recorded(tmp_path) == {"pid": pid, "port": port}
    assert f"export AWS_ENDPOINT_URL=http://localhost:{port}\n" in (tmp_path / "env").read_text()
    assert up.down(home=tmp_path) == 0
    assert capsys.readouterr().out == "stopped\n"
    assert health(port) is None
    assert up.recorded(tmp_path) is None


def test_start_and_stop_leave_no_process_behind(tmp_path: Path) -> None:
    with EmbeddedAws(home=tmp_path / "home") as aws:
        seen = health(aws.port)
        assert seen is not None
        assert seen["answers"] == "built-in scripted assistant"
    assert health(aws.port) is None
    with pytest.raises(ProcessLookupError):
        os.kill(seen["pid"], 0)


def test_a_reset_forgets_everything(tmp_path: Path) -> None:
    with EmbeddedAws(home=tmp_path) as aws:
        aws.client("bedrock-agent").create_prompt(name="support", variants=[])
        datum = [{"MetricName": "m", "Value": 1.0}]
        aws.client("cloudwatch").put_metric_data(Namespace="Promptlane", MetricData=datum)
        aws.reset()
        assert aws.client("bedrock-agent").list_prompts()["promptSummaries"] == []
        assert aws.client("cloudwatch").list_metrics()["Metrics"] == []
        assert aws.client("cloudtrail").lookup_events()["Events"][0]["EventName"] == "ListPrompts"


def test_a_schedule_calls_any_service_with_its_own_facts(client: Client, eventually: Any) -> None:
    url = client("sqs").create_queue(QueueName="scheduled")["QueueUrl"]
    at = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")
    body = {"QueueUrl": url, "MessageBody": "run <aws.scheduler.execution-id>"}
    client("scheduler").create_schedule(
        Name="once",
        ScheduleExpression=f"at({at})",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage",
            "RoleArn": "arn:aws:iam::000000000000:role/scheduler",
            "Input": json.dumps(body),
        },
    )
    message = eventually(lambda: client("sqs").receive_message(QueueUrl=url).get("Messages"), seconds=10)[0]
    assert message["Body"].startswith("run ")
    assert "<aws" not in message["Body"]


_SLOW_ARRIVED, _GO_ON = threading.Semaphore(0), threading.Event()


class _Model(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose behaviour the prompt chooses."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = request["messages"][-1]["content"]
        if "slow" in said:
            _SLOW_ARRIVED.release()
            _GO_ON.wait(60)
        status = 429 if "busy" in said else 500 if "broken" in said else 200
        message = {"role": "assistant", "content": f"{self.path} {request['model']} heard: {said}"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        reply = {"choices": [{"message": message, "finish_reason": "length"}], "usage": usage}
        body = json.dumps(reply if status == 200 else {"error": "no"}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def with_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Model) as model:
        threading.Thread(target=model.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{model.server_address[1]}/v1"
        with EmbeddedAws(home=tmp_path_factory.mktemp("model"), variables={"PROMPTLANE_MODEL_URL": url}) as aws:
            yield aws
        model.shutdown()


def converse(aws: EmbeddedAws, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": [{"text": text}]}]
    reply: dict[str, Any] = aws.client("bedrock-runtime").converse(modelId="amazon.nova-lite-v1:0", messages=messages)
    return reply


def test_a_model_of_ones_own_answers_the_rendered_prompt(with_model: EmbeddedAws) -> None:
    reply = converse(with_model, "hello")
    text = reply["output"]["message"]["content"][0]["text"]
    assert text == "/v1/chat/completions amazon.nova-lite-v1:0 heard: hello"
    assert (reply["stopReason"], reply["usage"]["inputTokens"]) == ("max_tokens", 7)
    seen = health(with_model.port)
    assert seen is not None
    assert seen["answers"].startswith("model at http://127.0.0.1:")


@pytest.mark.parametrize(("text", "code"), [("busy", "ThrottlingException"), ("broken", "ModelErrorException")])
def test_errors_of_the_model_are_bedrock_errors(with_model: EmbeddedAws, text: str, code: str) -> None:
    with pytest.raises(ClientError, match=code):
        converse(with_model, text)


def test_a_slow_model_does_not_hold_up_anything_else(with_model: EmbeddedAws) -> None:
    slow = [threading.Thread(target=converse, args=(with_model, "slow")) for _ in range(8)]
    for thread in slow:
        thread.start()
    for _ in slow:
        assert _SLOW_ARRIVED.acquire(timeout=60)
    converse(with_model, "quick")
    assert all(thread.is_alive() for thread in slow)
    _GO_ON.set()
    for thread in slow:
        thread.join()


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    gone = {"PROMPTLANE_MODEL_URL": "http://127.0.0.1:9/v1"}
    explained = r"ServiceUnavailableException.*PROMPTLANE_MODEL_URL=http://127.0.0.1:9/v1"
    with EmbeddedAws(home=tmp_path, variables=gone) as aws, pytest.raises(ClientError, match=explained):
        converse(aws, "hello")
