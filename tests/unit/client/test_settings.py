"""Every setting of PromptClient, by argument and by environment, and what holds without: by what comes of it."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest

from promptlane.client import InvalidReceipt, PromptClient, UnknownPrompt
from promptlane.client.aws import Aws, LastVoices
from promptlane.client.cloudwatch import CloudWatchSink
from promptlane.client.emf import EmfSink
from promptlane.client.receipt_keys import KmsKeys
from promptlane.client.receipts import FRESH, WINDOW, mark
from promptlane.client.testing import FakeBedrock, ListSink, StaticRoutes, client_over, fake_client, version_arn
from promptlane.domain.errors import InvalidInput, Unavailable
from tests.support.client import Clock, Dynamo, FakeCloudWatch, Kms, Session, eventually

ENVIRONMENT = (
    "PROMPTLANE_ROUTE_TABLE",
    "PROMPTLANE_FALLBACK_ROUTES",
    "PROMPTLANE_RECEIPT_KEY",
    "PROMPTLANE_RECEIPT_KMS_KEY",
    "PROMPTLANE_FEEDBACK_TABLE",
    "PROMPTLANE_RESOLUTION",
    "AWS_LAMBDA_FUNCTION_NAME",
)


class Account:
    """An AWS account behind one session: routes in DynamoDB, Bedrock, CloudWatch, a key of KMS."""

    def __init__(self) -> None:
        self.routes = StaticRoutes()
        self.routes.put("greeter", stable=1, canary=2, weight=3000)
        self.dynamodb = Dynamo(self.routes)
        self.dynamodb.puts = []
        self.bedrock = FakeBedrock("hi")
        self.cloudwatch = FakeCloudWatch()
        self.kms = Kms()
        self.session = Session(
            dynamodb=self.dynamodb,
            bedrock_runtime=self.bedrock,
            cloudwatch=self.cloudwatch,
            kms=self.kms,
        )

    def client(self, **settings: Any) -> PromptClient:
        return client_over(**{"route_table": "routes", "session": self.session, "refresh": 3600, **settings})


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    return Account()


def test_a_client_of_a_session_speaks_to_each_service_as_the_request_path_needs(account: Account) -> None:
    client = account.client(receipt_kms_key="the-key", feedback_table="feedback")
    answer = client.converse("greeter", unit="u")
    assert client.feedback(answer.receipt or "", positive=True)
    client.close()
    assert {(service, config.read_timeout) for service, config in account.session.made} == {
        ("dynamodb", 1.0),
        ("bedrock-runtime", 18.0),
        ("cloudwatch", 5.0),
        ("kms", 2.0),
    }
    attempts = {service: config.retries["total_max_attempts"] for service, config in account.session.made}
    assert attempts == {"dynamodb": 2, "bedrock-runtime": 1, "cloudwatch": 1, "kms": 2}


@pytest.mark.parametrize("by", ["argument", "environment", "both"])
def test_the_route_table_is_the_one_named(account: Account, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by != "argument":
        monkeypatch.setenv("PROMPTLANE_ROUTE_TABLE", "other" if by == "both" else "routes")
    client = account.client(route_table=None if by == "environment" else "routes")
    assert client.route("greeter", "u").version in (1, 2)
    assert account.dynamodb.asked == [{"TableName": "routes", "Key": {"prompt": {"S": "greeter"}}}]


def test_without_a_route_table_a_client_is_refused(account: Account) -> None:
    words = r"no route table: pass route_table=..., or set PROMPTLANE_ROUTE_TABLE to the deployment's \(stack output"
    with pytest.raises(InvalidInput, match=words):
        PromptClient(session=account.session)
    assert account.session.made == []


def test_the_region_is_the_one_named(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = PromptClient(route_table="routes", region="ap-south-1")
    assert client._aws.bedrock(1.0).meta.region_name == "ap-south-1"
    assert Aws().client("cloudwatch", read_timeout=1.0).meta.region_name == "eu-west-1"
    session = boto3.session.Session(region_name="eu-north-1")
    assert account.client(session=session)._aws.bedrock(1.0).meta.region_name == "eu-north-1"


@pytest.mark.parametrize(("settings", "refresh"), [({}, 2.0), ({"refresh": 10.0}, 10.0)])
def test_routes_are_read_as_often_as_told(
    account: Account, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], refresh: float
) -> None:
    clock = Clock(monkeypatch)
    client = client_over(account.routes, **settings)
    decision = client.route("greeter", "u")
    clock.advance(refresh * 0.89)
    assert client.route("greeter", "u") is decision
    assert account.routes.reads == 1
    clock.advance(refresh * 0.22)
    client.route("greeter", "u")
    eventually(lambda: account.routes.reads == 2)


@pytest.mark.parametrize("by", ["argument", "environment", "both"])
def test_fallbacks_are_the_ones_given(account: Account, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    given = {"greeter": version_arn("greeter", 7), "other": version_arn("other", 8)}
    if by != "argument":
        text = {"greeter": version_arn("greeter", 9)} if by == "both" else given
        monkeypatch.setenv("PROMPTLANE_FALLBACK_ROUTES", json.dumps(text))
    account.routes.down = ConnectionError("no route to host")
    settings: dict[str, Any] = {} if by == "environment" else {"fallback": given}
    client = fake_client(account.routes, **settings)
    assert [client.route(prompt, "u").version for prompt in ("greeter", "other")] == [7, 8]


def test_no_fallbacks_given_are_none_whatever_the_environment_says(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLANE_FALLBACK_ROUTES", json.dumps({"greeter": version_arn("greeter", 9)}))
    account.routes.down = ConnectionError("no route to host")
    with pytest.raises(Unavailable):
        fake_client(account.routes, fallback={}).route("greeter", "u")


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', "x" * 200])
def test_fallbacks_that_are_no_json_object_are_refused_with_an_example(
    account: Account, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PROMPTLANE_FALLBACK_ROUTES", text)
    with pytest.raises(InvalidInput) as caught:
        account.client()
    words = f'PROMPTLANE_FALLBACK_ROUTES={text[:80]!r} is not a JSON object such as {{"my-prompt": "arn:...:3"}}'
    assert str(caught.value) == words
    monkeypatch.setenv("PROMPTLANE_FALLBACK_ROUTES", '{"greeter": 3}')
    with pytest.raises(InvalidInput, match="the fallback of greeter is '3'"):
        account.client()


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"timeout": -1.5}, {"slow_after": 0}, {"slow_after": -1}])
def test_times_that_cannot_be_are_refused(account: Account, settings: dict[str, Any]) -> None:
    timeout, slow = settings.get("timeout", 28.0), settings.get("slow_after", 10.0)
    with pytest.raises(InvalidInput, match=f"timeout={timeout} and slow_after={slow} are seconds, above 0"):
        account.client(**settings)
    account.client(timeout=0.001, slow_after=0.001)


def receipts_of(client: PromptClient) -> list[str | None]:
    return [client.converse("greeter", unit=f"u{i}").receipt for i in range(2)]


@pytest.mark.parametrize("by", ["argument", "environment", "both"])
def test_receipts_are_sealed_with_the_secret_given(account: Account, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by != "argument":
        monkeypatch.setenv("PROMPTLANE_RECEIPT_KEY", "other" if by == "both" else "old new")
    client = account.client(receipt_key=None if by == "environment" else "old new", sink=ListSink())
    newest = fake_client(account.routes, receipt_key="new")
    for receipt in receipts_of(client):
        assert newest.feedback(receipt or "", positive=True)
    assert account.kms.asked == []


@pytest.mark.parametrize("by", ["argument", "environment", "both"])
def test_or_with_a_key_that_the_kms_key_given_wraps(account: Account, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by != "argument":
        monkeypatch.setenv("PROMPTLANE_RECEIPT_KMS_KEY", "other" if by == "both" else "the-key")
    if by == "both":  # what is given wins over every word of the environment
        monkeypatch.setenv("PROMPTLANE_RECEIPT_KEY", "a secret")
    client = account.client(receipt_kms_key=None if by == "environment" else "the-key", sink=ListSink())
    receipts = receipts_of(client)
    assert [(asked["KeyId"], asked["EncryptionContext"]["prompt"]) for asked in account.kms.asked] == [
        ("the-key", "greeter")
    ]
    elsewhere = account.client(receipt_kms_key="the-key", sink=ListSink())
    assert [elsewhere.feedback(receipt or "", positive=True) for receipt in receipts] == [True, True]


def test_without_a_key_there_are_no_receipts_and_no_feedback(account: Account) -> None:
    client = account.client(sink=ListSink())
    assert receipts_of(client) == [None, None]
    words = "no receipt key: set PROMPTLANE_RECEIPT_KMS_KEY or PROMPTLANE_RECEIPT_KEY, as the one who answered had"
    with pytest.raises(InvalidInput, match=words):
        client.feedback("x.y", positive=True)
    assert account.kms.asked == []


def test_a_key_is_fetched_while_the_model_answers_by_one_thread_and_never_waited_for_before(account: Account) -> None:
    account.kms.gate.clear()
    asked: list[int] = []

    def reply(request: Any) -> str:
        eventually(lambda: account.kms.asked)
        asked.append(len(account.kms.asked))
        account.kms.gate.set()
        return "hi"

    account.bedrock.replies = reply
    client = account.client(receipt_kms_key="the-key", sink=ListSink())
    assert all(receipts_of(client))
    assert asked == [1, 1]


def test_an_answer_waits_a_second_for_its_key_and_goes_without(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def newest(keys: KmsKeys, prompt: str, *, wait: float) -> None:
        waited.append(wait)

    monkeypatch.setattr(KmsKeys, "newest", newest)
    client = account.client(receipt_kms_key="the-key", sink=ListSink())
    assert client.converse("greeter", unit="u").receipt is None
    assert waited == [0.0, 1.0]


def test_a_receipt_of_another_process_leads_to_its_prompt_by_the_route_table(account: Account) -> None:
    receipt = account.client(receipt_key="k", sink=ListSink()).converse("greeter", unit="u").receipt or ""
    client = client_over(route_table="routes", session=account.session, receipt_key="k", sink=ListSink())
    account.dynamodb.forbidden = True
    with pytest.raises(Unavailable, match=r"the prompt GREETER000 was not found out .* it stays good, try again"):
        client.feedback(receipt, positive=True)
    account.dynamodb.forbidden = False
    assert client.feedback(receipt, positive=True) is True
    account.dynamodb.forbidden = True  # once is enough
    assert client.feedback(receipt, positive=True) is False


def test_a_receipt_of_a_prompt_without_a_route_is_refused(account: Account) -> None:
    receipt = account.client(receipt_key="k", sink=ListSink()).converse("greeter", unit="u").receipt or ""
    account.routes.items.clear()
    client = account.client(receipt_key="k", sink=ListSink())
    with pytest.raises(InvalidReceipt, match="of a prompt that has no route here: GREETER000"):
        client.feedback(receipt, positive=True)


@pytest.mark.parametrize("by", ["argument", "environment", "both"])
def test_feedback_is_remembered_in_the_table_given(account: Account, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    clock = Clock(monkeypatch)
    if by != "argument":
        monkeypatch.setenv("PROMPTLANE_FEEDBACK_TABLE", "other" if by == "both" else "feedback")
    table = None if by == "environment" else "feedback"
    client = account.client(feedback_table=table, receipt_key="k", sink=ListSink())
    receipt = client.converse("greeter", unit="u").receipt or ""
    assert [client.feedback(receipt, positive=True) for _ in range(2)] == [True, False]
    assert account.dynamodb.puts is not None
    (put,) = account.dynamodb.puts
    assert put["TableName"] == "feedback"
    salt = account.routes.items["greeter"]["salt"]
    assert put["Item"]["receipt"] == {"S": f"greeter/{mark(salt, 'u')}/{int(clock.wall // 3600)}"}
    assert put["Item"]["expires_at"] == {"N": str(int(clock.wall + FRESH + WINDOW + 86_400))}


def test_or_in_the_memory_given_or_else_in_this_process_and_no_longer_than_ten_thousand(account: Account) -> None:
    class Forgetful:
        def first(self, voice: str, *, keep_seconds: float) -> bool:
            assert (voice[:8], keep_seconds) == ("greeter/", 3 * 86_400 + 3600)
            return True

    client = account.client(feedback=Forgetful(), feedback_table="feedback", receipt_key="k", sink=ListSink())
    receipt = client.converse("greeter", unit="u").receipt or ""
    assert [client.feedback(receipt, positive=True) for _ in range(2)] == [True, True]
    assert account.dynamodb.puts == []
    plain = account.client(receipt_key="k", sink=ListSink())
    assert [plain.feedback(receipt, positive=True) for _ in range(2)] == [True, False]
    memory = LastVoices()
    for i in range(10_000):
        assert memory.first(f"r{i}", keep_seconds=1.0) is True
    assert memory.first("r0", keep_seconds=1.0) is False
    assert memory.first("one more", keep_seconds=1.0) is True
    assert memory.first("r1", keep_seconds=1.0) is False
    assert memory.first("r0", keep_seconds=1.0) is True
    assert memory.first("r1", keep_seconds=1.0) is True


@pytest.mark.parametrize(
    ("settings", "environment", "storage"),
    [({}, None, 60), ({}, "", 60), ({"resolution": 10}, None, 1), ({}, "10", 1), ({"resolution": 60}, "10", 60)],
)
@pytest.mark.parametrize("where", ["lambda", "elsewhere"])
def test_metrics_have_the_resolution_given_in_lambda_as_elsewhere(
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, int],
    environment: str | None,
    storage: int,
    where: str,
) -> None:
    if environment is not None:
        monkeypatch.setenv("PROMPTLANE_RESOLUTION", environment)
    if where == "lambda":
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "app")
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)
    client = account.client(**settings)
    client.converse("greeter", unit="u")
    client.close()
    if where == "lambda":
        assert isinstance(client._sink(), EmfSink)
        lines = [json.loads(line) for line in written.getvalue().splitlines()]
        found = {
            metric.get("StorageResolution", 60)
            for line in lines
            for directive in line["_aws"]["CloudWatchMetrics"]
            for metric in directive["Metrics"]
        }
        assert (found, len(lines), account.cloudwatch.requests) == ({storage}, 3, [])
    else:
        assert isinstance(client._sink(), CloudWatchSink)
        assert {d["StorageResolution"] for r in account.cloudwatch.requests for d in r} == {storage}
        period = 60 if storage == 60 else 10
        assert client._sink()._resolution == period  # type: ignore[attr-defined]
        assert written.getvalue() == ""


def test_metrics_go_to_the_sink_given_and_are_flushed_and_closed_with_the_client(account: Account) -> None:
    class Sink(ListSink):
        def __init__(self) -> None:
            super().__init__()
            self.log: list[str] = []

        def flush(self) -> None:
            self.log.append("flush")

        def close(self) -> None:
            self.log.append("close")

        def __len__(self) -> int:
            return 0

    sink = Sink()
    with account.client(sink=sink) as client:
        client.converse("greeter", unit="u")
        assert (len(sink.documents), sink.log) == (3, [])
        client.flush()
        assert sink.log == ["flush"]
    assert sink.log == ["flush", "close"]
    assert account.cloudwatch.requests == []


def test_a_client_that_counted_nothing_has_nothing_to_close(account: Account) -> None:
    with account.client() as client:
        client.route("greeter", "u")
    assert client._sink_used is None
    assert [service for service, _ in account.session.made] == ["dynamodb"]


def test_its_own_sink_is_made_once_and_sends_what_is_flushed(account: Account) -> None:
    client = account.client()
    client.converse("greeter", unit="u")
    sink = client._sink()
    assert client._sink() is sink
    client.flush()
    assert (
        sum(kept[1] for key, kept in account.cloudwatch.data.items() if key[0] == "Assigned" and len(key[1]) == 3) == 1
    )
    client.close()


def test_a_sink_that_another_thread_made_meanwhile_is_taken(account: Account) -> None:
    client, other = account.client(), ListSink()

    class Lock:
        def __enter__(self) -> None:
            client._sink_used = other

        def __exit__(self, *exc: object) -> None:
            """Nothing is held."""

    client._lock = Lock()  # type: ignore[assignment]
    assert client._sink() is other


def test_routes_and_bedrock_are_the_ones_given(account: Account) -> None:
    limits: list[float] = []

    def bedrock(limit: float) -> FakeBedrock:
        limits.append(limit)
        return FakeBedrock("from mine")

    mine = StaticRoutes()
    mine.put("mine", stable=4)
    client = account.client(routes=mine, bedrock=bedrock, sink=ListSink())
    assert client.converse("mine", unit="u").text == "from mine"
    assert limits == [28.0]
    with pytest.raises(UnknownPrompt):
        client.route("greeter", "u")
    assert account.session.made == []
