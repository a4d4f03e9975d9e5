"""The client and the gateway against the embedded AWS: real boto3, tables, Bedrock and CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.gateway import handler
from local.running import EmbeddedAws
from promptlane.client import InvalidVariables, PromptClient, UnknownPrompt
from promptlane.domain.names import Phase
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route, salt_of
from tests.support import typescript
from tests.support.tables import make_table

PROMPT = "greeter-live"


class Deployed:
    """One prompt with two versions in its own account, its route in canary at 50 %."""

    def __init__(self, aws: EmbeddedAws, account: str) -> None:
        self.session = aws.session(account)
        agent = aws.client("bedrock-agent", account)
        body = {"text": "Greet {{name}} briefly.", "inputVariables": [{"name": "name"}]}
        variant = {
            "name": "default",
            "templateType": "TEXT",
            "templateConfiguration": {"text": body},
            "modelId": "amazon.nova-lite-v1:0",
        }
        self.prompt_id = agent.create_prompt(name=PROMPT, variants=[variant], defaultVariant="default")["id"]
        arns = [agent.create_prompt_version(promptIdentifier=self.prompt_id)["arn"] for _ in range(2)]
        self.refs = [VersionRef(i + 1, f"{i + 1:064x}", arn, ("name",)) for i, arn in enumerate(arns)]
        dynamodb = aws.client("dynamodb", account)
        self.routes, self.receipts = "routes", "feedback"
        make_table(dynamodb, self.routes, "prompt", index="prompt_id")
        make_table(dynamodb, self.receipts, "receipt")
        self.rows = aws.session(account).resource("dynamodb", endpoint_url=aws.url).Table("routes")
        self.cloudwatch = aws.client("cloudwatch", account)
        self.revision = 0
        self.put(weight=5000)

    def put(self, *, weight: int) -> None:
        self.revision += 1
        release = f"{self.prompt_id}-2-1"
        canary = self.refs[1] if weight else None
        item = Route(
            prompt=PROMPT,
            prompt_id=self.prompt_id,
            stable=self.refs[0],
            canary=canary,
            weight=weight,
            salt=salt_of(release),
            release_id=release,
            revision=self.revision,
            phase=Phase.CANARY if weight else Phase.STEADY,
        ).to_item()
        self.rows.put_item(Item={**item, "phase_since": 0, "watch_until": 0})

    def client(self, **settings: Any) -> PromptClient:
        given = {
            "route_table": self.routes,
            "feedback_table": self.receipts,
            "session": self.session,
            "refresh": 0.3,
            "receipt_key": "a key",
            "resolution": 60,
            **settings,
        }
        return PromptClient(**given)

    def sums(self, metric: str, **dimensions: str) -> tuple[float, float]:
        now = datetime.now(UTC)
        points = self.cloudwatch.get_metric_statistics(
            Namespace="Promptlane",
            MetricName=metric,
            Period=60,
            Statistics=["Sum", "SampleCount"],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=2),
            Dimensions=[{"Name": k, "Value": v} for k, v in dimensions.items()],
        )["Datapoints"]
        return sum(p["Sum"] for p in points), sum(p["SampleCount"] for p in points)


@pytest.fixture
def deployed(embedded_aws: EmbeddedAws, account: str, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    for name, value in embedded_aws.env(account).items():
        monkeypatch.setenv(name, value)
    return Deployed(embedded_aws, account)


def test_a_release_is_answered_counted_and_rolled_back_through_the_client(
    deployed: Deployed, eventually: Callable[..., Any]
) -> None:
    with deployed.client() as client:
        answers = [client.converse(PROMPT, unit=f"u{i}", variables={"name": "Anna"}) for i in range(30)]
        by_version = {v: sum(a.version == v for a in answers) for v in (1, 2)}
        assert min(by_version.values()) > 5
        assert all(a.text for a in answers)
        again = [client.route(PROMPT, f"u{i}").version for i in range(30)]
        assert again == [a.version for a in answers]
        with client.converse_stream(PROMPT, unit="u1", variables={"name": "Bo"}) as stream:
            assert "".join(stream)
        bad = next(a for a in answers if a.version == 2)
        assert [client.feedback(bad.receipt or "", positive=False) for _ in range(2)] == [True, False]
        other = deployed.client()
        assert other.feedback(bad.receipt or "", positive=False) is False  # another process: still once
        other.close()
        with pytest.raises(InvalidVariables):
            client.converse(PROMPT, unit="u1", variables={})
        with pytest.raises(UnknownPrompt):
            client.route("nobody", "u1")
        assert client.route(deployed.prompt_id, "u1").version == again[1]  # by id
        deployed.put(weight=0)
        eventually(lambda: {client.route(PROMPT, f"u{i}").version for i in range(30)} == {1}, 5, 0.01)
    streamed = again[1]
    for version, count in by_version.items():
        expected = count + (version == streamed)
        for metric in ("Assigned", "Error", "Refusal"):
            assert deployed.sums(metric, Prompt=PROMPT, Version=str(version))[1] == expected
    assert deployed.sums("Error", Prompt=PROMPT, Track="canary")[0] == 0
    assert deployed.sums("NegativeFeedback", Prompt=PROMPT, Version="2") == (1, 1)
    assert deployed.sums("OutputTokens", Prompt=PROMPT, Version="1")[0] > 0


def test_the_typescript_client_answers_and_is_counted_as_the_python_client(
    deployed: Deployed, embedded_aws: EmbeddedAws, account: str
) -> None:
    kms = deployed.session.client("kms").create_key()["KeyMetadata"]["Arn"]
    units = [f"u{i}" for i in range(20)]
    with deployed.client(receipt_key=None, receipt_kms_key=kms) as client:
        ours = client.converse(PROMPT, unit="from-python", variables={"name": "Bo"})
        given = {
            "prompt": PROMPT,
            "promptId": deployed.prompt_id,
            "table": deployed.routes,
            "feedback": deployed.receipts,
            "kms": kms,
            "units": units,
            "receipt": ours.receipt,
        }
        theirs = typescript.run("embedded.mjs", json.dumps(given), env=embedded_aws.env(account))
        versions = {unit: client.route(PROMPT, unit).version for unit in units}
        assert theirs["versions"] == versions
        assert theirs["byId"] == theirs["streamed"]["version"] == versions["u1"]
        assert theirs["errors"] == ["InvalidVariables", "UnknownPrompt"]
        assert theirs["streamed"]["text"]
        assert (theirs["left"], theirs["aborted"]) == (True, "gone")
        assert theirs["streamed"]["stopReason"] == "end_turn"
        assert theirs["streamed"]["usage"]["outputTokens"] > 0
        assert (theirs["feedback"], theirs["theirs"]) == ([True, False], True)
        spoke = max(units, key=lambda unit: (versions[unit], units.index(unit)))
        assert client.feedback(theirs["receipt"], positive=False) is (spoke != "u1")
    for version in (1, 2):
        streams = 2 * (versions["u1"] == version)  # one read to its end, one left
        expected = sum(v == version for v in [*versions.values(), ours.version]) + streams
        for metric in ("Error", "Refusal"):
            assert deployed.sums(metric, Prompt=PROMPT, Version=str(version))[1] == expected
    assert deployed.sums("Cancelled", Prompt=PROMPT, Version=str(versions["u1"])) == (1, 1)
    assert deployed.sums("Error", Prompt=PROMPT, Track="canary")[0] == 0


def test_a_deleted_canary_version_is_shielded_by_stable(deployed: Deployed, embedded_aws: EmbeddedAws) -> None:
    deployed.session.client("bedrock-agent").delete_prompt(promptIdentifier=deployed.prompt_id, promptVersion="2")
    with deployed.client(breaker_errors=3) as client:
        answers = [client.converse(PROMPT, unit=f"u{i}", variables={"name": "Anna"}) for i in range(40)]
    assert {a.version for a in answers} == {1}
    errors, called = deployed.sums("Error", Prompt=PROMPT, Track="canary")
    halves = [deployed.sums("Error", Prompt=PROMPT, Track="canary", Half=half)[0] for half in "01"]
    assert errors == called == sum(halves)
    assert min(halves) == 2, "the breaker opens at two errors in a row of either half"
    shielded, canaries = deployed.sums("Shielded", Prompt=PROMPT, Track="canary")
    assert canaries == sum(a.shielded for a in answers) == shielded + errors
    assert shielded > 0


def test_the_gateway_answers_and_takes_feedback_once(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kms = deployed.session.client("kms")
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    for name, value in {
        "ROUTE_TABLE": deployed.routes,
        "FEEDBACK_TABLE": deployed.receipts,
        "RECEIPT_KEY_ID": arn,
        "RESOLUTION_SECONDS": "10",
        "AWS_LAMBDA_FUNCTION_NAME": "gateway",
    }.items():
        monkeypatch.setenv(name, value)
    handler.wire.cache_clear()

    def call(path: str, body: Any) -> tuple[int, dict[str, Any]]:
        http = {"method": "POST", "path": path}
        event = {"rawPath": path, "requestContext": {"http": http}, "body": json.dumps(body)}
        reply = handler.handle(event, None)
        return reply["statusCode"], json.loads(reply["body"])

    status, answer = call(f"/prompts/{PROMPT}/converse", {"unit": "u1", "variables": {"name": "Anna"}})
    assert (status, bool(answer["text"])) == (200, True)
    feedback = {"receipt": answer["receipt"], "positive": False}
    assert [call("/feedback", feedback)[1] for _ in range(2)] == [{"counted": True}, {"counted": False}]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum("Assigned" in line and "Latency" not in line for line in lines) == 1
    metrics = [m for line in lines for d in line["_aws"]["CloudWatchMetrics"] for m in d["Metrics"]]
    assert {m["StorageResolution"] for m in metrics} == {1}
    handler.wire.cache_clear()
