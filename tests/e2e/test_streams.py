"""The streaming gateway, deployed with IAM enforced: first words early, the shield, rights, and what is counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local import deploy, keys
from local.running import EmbeddedAws
from promptlane.domain.names import ENROLLED_TAG, Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route, salt_of
from tests.support.streamed import Keys, asked, events

pytestmark = [pytest.mark.deployments, pytest.mark.xdist_group("streams")]
STABLE, CANARY = "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"
MINE, OTHER = "greeter", "support-assistant"
LATENCY_MS = 1500
BODY = {"unit": "u1", "variables": {"name": "Anna"}}


class Streaming:
    """The Runtime stack with what it needs of State, and routes that are written by hand."""

    def __init__(self, aws: EmbeddedAws, home: Path) -> None:
        self.aws = aws
        context = {
            "promptlane:lambda_target": "host",
            "promptlane:trial": "true",
            "promptlane:streams": "4",
            "promptlane:applications": json.dumps({"checkout": [MINE]}),
        }
        stacks = ("promptlane-runtime",)
        outputs = deploy.deploy(aws.env(), context, outputs=home / "outputs.json", stacks=stacks)
        self.outputs, self.table = outputs["promptlane-runtime"], outputs["promptlane-state"]["RouteTable"]
        self.rows = aws.session().resource("dynamodb", endpoint_url=aws.url).Table(self.table)
        self.revision = 0
        self.refs = {name: self._versions(name) for name in (MINE, OTHER)}
        for name in self.refs:
            self.put(name)

    def _versions(self, name: str) -> list[VersionRef]:
        """A stable version, and a canary on another model."""
        agent, found = self.aws.client("bedrock-agent"), []
        text = {"text": "Greet {{name}} briefly.", "inputVariables": [{"name": "name"}]}
        variant = {"name": "v", "templateType": "TEXT", "templateConfiguration": {"text": text}}
        prompt = agent.create_prompt(name=name, variants=[{**variant, "modelId": STABLE}])
        for number, model in enumerate((STABLE, CANARY), 1):
            agent.update_prompt(promptIdentifier=prompt["id"], name=name, variants=[{**variant, "modelId": model}])
            arn = agent.create_prompt_version(promptIdentifier=prompt["id"])["arn"]
            agent.tag_resource(resourceArn=arn, tags={ENROLLED_TAG: "promptlane"})
            found.append(VersionRef(number, f"{number:064x}", arn, ("name",)))
        return found

    def put(self, name: str, *, weight: int = 0) -> None:
        self.revision += 1
        stable, canary = self.refs[name]
        prompt_id = stable.arn.rpartition("/")[2].partition(":")[0]
        release = f"{prompt_id}-2-1"
        item = Route(
            prompt=name,
            prompt_id=prompt_id,
            stable=stable,
            canary=canary if weight else None,
            weight=weight,
            salt=salt_of(release),
            release_id=release,
            revision=self.revision,
            phase=Phase.CANARY if weight else Phase.STEADY,
        ).to_item()
        self.rows.put_item(Item={**item, "phase_since": 0, "watch_until": 0})

    def user(self, policy: str) -> Keys:
        iam = self.aws.client("iam")
        iam.create_user(UserName=policy)
        iam.attach_user_policy(UserName=policy, PolicyArn=self.outputs[policy])
        key = iam.create_access_key(UserName=policy)["AccessKey"]
        return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    def turn(self, **knobs: Any) -> None:
        url, headers = f"{self.aws.url}/_promptlane/bedrock", keys.bearer(self.aws.home)
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(knobs).encode(), headers)).close()

    def log(self) -> list[str]:
        group = self.aws.client("logs").describe_log_groups(logGroupNamePrefix="promptlane-runtime-Streams")
        (name,) = [one["logGroupName"] for one in group["logGroups"]]
        return [e["message"] for e in self.aws.client("logs").filter_log_events(logGroupName=name)["events"]]

    def count(self, metric: str, **dimensions: str) -> float:
        now = datetime.now(UTC)
        points = self.aws.client("cloudwatch").get_metric_statistics(
            Namespace="Promptlane",
            MetricName=metric,
            Period=60,
            Statistics=["SampleCount"],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=2),
            Dimensions=[{"Name": k, "Value": v} for k, v in dimensions.items()],
        )["Datapoints"]
        return float(sum(p["SampleCount"] for p in points))


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    home = tmp_path_factory.mktemp("streaming")
    variables = {"PROMPTLANE_ASSISTANT_LATENCY_MS": str(LATENCY_MS), "PROMPTLANE_LAMBDA_CONCURRENCY": "200"}
    with EmbeddedAws(home=home, auth=True, variables=variables) as aws:
        yield Streaming(aws, home)


def eventually(found: Callable[[], Any], seconds: float = 30) -> Any:
    """What a function finds, once it finds something; its last answer after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := found()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return answer


@pytest.fixture(scope="module")
def everybody(streaming: Streaming) -> Keys:
    return streaming.user("ApplicationPolicy")


@pytest.fixture(scope="module")
def checkout(streaming: Streaming) -> Keys:
    return streaming.user("ApplicationCheckoutPolicy")


def path(prompt: str = MINE) -> str:
    return f"prompts/{prompt}/stream"


def ends(streaming: Streaming) -> int:
    return sum(line.startswith("END ") for line in streaming.log())


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_has_the_first_words_while_the_function_still_runs(streaming: Streaming, everybody: Keys) -> None:
    before = ends(streaming)
    who = f"{everybody['aws_access_key_id']}:{everybody['aws_secret_access_key']}"
    command = ["curl", "-sN", "--aws-sigv4", "aws:amz:us-east-1:lambda", "--user", who, "-d", json.dumps(BODY)]
    command += ["-H", "content-type: application/json", streaming.outputs["StreamUrl"] + path()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline() == "event: text\n", curl.stdout.read()
        assert ends(streaming) == before
        rest = curl.stdout.read()
    last = json.loads(rest.rsplit("data: ", 1)[1])
    assert rest.count("event: text") > 1
    assert (last["prompt"], last["version"], last["track"], last["stop_reason"]) == (MINE, 1, "stable", "end_turn")
    assert last["receipt"]
    assert last["usage"]["outputTokens"] > 0
    assert eventually(lambda: ends(streaming) == before + 1)
    assert eventually(lambda: streaming.count("Error", Prompt=MINE, Version="1")) >= 1


def test_stable_answers_where_the_canary_fails_and_the_canary_has_the_error(
    streaming: Streaming, everybody: Keys
) -> None:
    streaming.turn(disabled_models=[CANARY])
    streaming.put(OTHER, weight=10_000)
    try:
        with asked(streaming.outputs["StreamUrl"] + path(OTHER), BODY, everybody) as answer:
            *texts, (kind, last) = events(answer)
        assert kind == "end"
        assert texts
        assert (last["version"], last["track"], last["shielded"]) == (1, "stable", True)
        assert eventually(lambda: streaming.count("Error", Prompt=OTHER, Version="2")) == 1
        assert streaming.count("Error", Prompt=OTHER, Version="1") == 0, "no stable request"
        for _ in range(8):
            with asked(
                streaming.outputs["StreamUrl"] + path(OTHER), {**BODY, "unit": os.urandom(4).hex()}, everybody
            ) as a:
                assert list(events(a))[-1][0] == "end"
        assert eventually(lambda: streaming.count("Shielded", Prompt=OTHER, Version="2")) >= 1, "the breaker opened"
    finally:
        streaming.turn(disabled_models=[])
        streaming.put(OTHER)


def test_an_application_streams_its_own_prompts_by_its_own_address_alone(streaming: Streaming, checkout: Keys) -> None:
    own, everybodys = streaming.outputs["ApplicationCheckoutStreamUrl"], streaming.outputs["StreamUrl"]

    def status(url: str, signed_by: Keys | None, method: str = "POST") -> int:
        with asked(url, BODY, signed_by, method) as answer:
            answer.read()
            return answer.status

    assert status(own + path(), checkout) == 200
    assert status(own + path(OTHER), checkout) == 403
    assert status(everybodys + path(), checkout) == 403
    assert status(own + path(), None) == 403
    assert status(own + path(), checkout, "PUT") == 405
    directly = streaming.aws.client("lambda", **checkout)
    with pytest.raises(directly.exceptions.ClientError, match="not authorized"):
        directly.invoke(FunctionName="promptlane-stream", Qualifier="checkout", Payload=b"{}")


def test_what_a_caller_who_hung_up_had_is_counted_once_and_as_no_error(streaming: Streaming, everybody: Keys) -> None:
    def counted() -> float:
        return streaming.count("Error", Prompt=MINE, Version="1") + streaming.count("Cancelled", Prompt=MINE)

    before, over = counted(), ends(streaming)
    with asked(streaming.outputs["StreamUrl"] + path(), BODY, everybody) as answer:
        assert next(events(answer))[0] == "text"
    assert eventually(lambda: ends(streaming) == over + 1)
    assert eventually(lambda: counted() == before + 1)


def test_mistakes_are_told_by_a_status_before_the_first_byte(streaming: Streaming, everybody: Keys) -> None:
    for prompt, body, status, kind in (
        ("nothing", BODY, 404, "unknown-prompt"),
        (MINE, {"unit": "u1", "variables": {"nome": "Anna"}}, 422, "invalid-variables"),
        (MINE, {"variables": {}}, 422, "invalid-request"),
    ):
        with asked(streaming.outputs["StreamUrl"] + path(prompt), body, everybody) as answer:
            told = json.load(answer)
        assert (answer.status, told["status"], told["type"]) == (status, status, f"urn:promptlane:problem:{kind}")
