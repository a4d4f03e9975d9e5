"""DynamoDB's API without boto3: says what botocore says, and reads what botocore reads."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import boto3
import botocore.session
import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from promptlane.aws import dynamodb
from promptlane.aws.attributes import from_attribute, from_store, to_attribute, to_store
from promptlane.aws.dynamodb import READ_SECONDS, SignedDynamo, endpoint_of
from promptlane.aws.error_codes import ERROR_CODES
from promptlane.aws.errors import domain_error
from promptlane.domain.errors import Conflict, InvalidInput, Unavailable

Json = Any
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
LAMBDA = {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_REGION": "eu-west-1"}

numbers = st.integers(-(10**37), 10**37) | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100).filter(
    lambda n: n == 0 or 1e-100 < abs(n) < 1e100
)
values = st.recursive(
    st.none() | st.booleans() | st.text(st.characters(exclude_categories=["Cs"])) | numbers,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé", max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_values_travel_as_boto3_writes_and_reads_them(value: Json) -> None:
    ours, theirs = to_attribute(value), TypeSerializer().serialize(to_store(value))
    assert from_attribute(ours) == from_store(TypeDeserializer().deserialize(ours))
    assert from_attribute(theirs) == from_store(TypeDeserializer().deserialize(theirs))
    assert same(ours) == same(theirs)


def same(attribute: Json) -> Json:
    """Numbers by their value: `1.0` and `1` are one to DynamoDB."""
    if isinstance(attribute, list):
        return [same(inner) for inner in attribute]
    if not isinstance(attribute, dict):
        return attribute
    return {k: Decimal(v) if k == "N" and isinstance(v, str) else same(v) for k, v in attribute.items()}


def test_what_others_wrote_is_read_and_what_nobody_can_store_is_refused() -> None:
    assert from_attribute({"SS": ["a", "b"]}) == {"a", "b"}
    assert from_attribute({"NS": ["1", "2.5"]}) == {1, 2.5}
    assert from_attribute({"B": "aGk="}) == b"hi"
    assert [from_attribute({"N": n}) for n in ("12", "1E+2", "1.50")] == [12, 100, 1.5]
    for odd in (float("nan"), float("inf"), "\ud83d", {"a": ["\udc00"]}, object(), {1}, b"raw"):
        with pytest.raises(InvalidInput, match="stored"):
            to_attribute(odd)


def test_every_region_is_reached_where_botocore_reaches_it_or_left_to_it() -> None:
    session, left = botocore.session.Session(), set()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("dynamodb", partition):
            found = endpoint_of(region, {})
            if not found:
                left.add(partition)
                continue
            client = boto3.client("dynamodb", region_name=region, aws_access_key_id="a", aws_secret_access_key="b")
            assert found == client.meta.endpoint_url
    assert left == {"aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://localhost:4566"}, "http://localhost:4566"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_DYNAMODB": "http://b"}, "http://b"),
        (
            {"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            "https://dynamodb.eu-west-1.amazonaws.com",
        ),
        ({"AWS_USE_FIPS_ENDPOINT": "false"}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, ""),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "True"}, ""),
        ({"HTTPS_PROXY": "http://proxy"}, ""),
        ({"AWS_PROFILE": "work", "AWS_ENDPOINT_URL": "http://a"}, ""),
    ],
)
def test_the_environment_says_where_it_is(environ: dict[str, str], endpoint: str) -> None:
    assert endpoint_of("eu-west-1", environ) == endpoint


@pytest.mark.parametrize("region", ["", "moon-1", "us-iso-east-1", "us-east-1.evil.example/", "us-east-1@evil"])
def test_a_region_that_is_not_known_is_left_to_botocore(region: str) -> None:
    assert endpoint_of(region, {}) == ""
    assert SignedDynamo.from_environment({**KEYS, "AWS_REGION": region}) is None


@pytest.mark.parametrize("missing", [*KEYS, "AWS_REGION"])
def test_without_keys_or_region_it_is_boto3_that_looks_for_them(missing: str) -> None:
    assert SignedDynamo.from_environment(LAMBDA) is not None
    assert SignedDynamo.from_environment({k: v for k, v in LAMBDA.items() if k != missing}) is None


class Line(http.client.HTTPConnection):
    """A connection whose answers are given: (status, body), or what is raised."""

    answers: list[Any]
    made: list[Line]

    def __init__(self, host: str, port: int | None = None, *, timeout: float, **_: Any) -> None:
        super().__init__(host, port, timeout=timeout)
        self.sent: list[tuple[str, dict[str, str], bytes]] = []
        self.closed = False

    def connect(self) -> None:
        self.made.append(self)
        self.patience: float | None = None
        self.sock: Any = self

    def settimeout(self, seconds: float) -> None:
        self.patience = seconds

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **_: Any) -> None:
        self.sent.append((f"{method} {url}", dict(headers), body))

    def getresponse(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.status, self.read = answer[0], lambda: answer[1]
        return self

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> type[Line]:
    monkeypatch.setattr(Line, "answers", [], raising=False)
    monkeypatch.setattr(Line, "made", [], raising=False)
    for kind in ("HTTPConnection", "HTTPSConnection"):
        monkeypatch.setattr(http.client, kind, Line)
    return Line


def answer(body: Mapping[str, Json], status: int = 200) -> tuple[int, bytes]:
    return status, json.dumps(body).encode()


def known(environ: Mapping[str, str] = LAMBDA) -> SignedDynamo:
    made = SignedDynamo.from_environment(environ)
    assert made is not None
    return made


def test_a_call_is_signed_for_its_service_and_the_connection_kept(line: type[Line]) -> None:
    line.answers += [answer({"Item": {}}), answer({})]
    made = known()

    assert made.call("GetItem", {"Key": "ü"}, doing="reading") == {"Item": {}}
    assert made.call("PutItem", {}, doing="writing") == {}

    (only,) = line.made
    assert (only.host, only.patience) == ("dynamodb.eu-west-1.amazonaws.com", READ_SECONDS)
    (asked, headers, body), (_, second, _) = only.sent
    assert (asked, json.loads(body)) == ("POST /", {"Key": "ü"})
    assert (headers["X-Amz-Target"], second["X-Amz-Target"]) == (
        "DynamoDB_20120810.GetItem",
        "DynamoDB_20120810.PutItem",
    )
    assert (headers["Content-Type"], headers["X-Amz-Security-Token"]) == ("application/x-amz-json-1.0", "token")
    assert "/eu-west-1/dynamodb/aws4_request" in headers["Authorization"]


def test_keys_are_those_of_the_moment(line: type[Line]) -> None:
    environ = dict(LAMBDA)
    made = known(environ)
    for key in ("AKIAONE", "AKIATWO"):
        line.answers.append(answer({}))
        environ["AWS_ACCESS_KEY_ID"] = key
        made.call("GetItem", {}, doing="reading")
    assert [headers["Authorization"].split("Credential=")[1][:7] for _, headers, _ in line.made[0].sent] == [
        "AKIAONE",
        "AKIATWO",
    ]


@pytest.mark.parametrize(
    "gone", [http.client.RemoteDisconnected("closed"), ConnectionResetError(), BrokenPipeError()], ids=repr
)
def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_and_a_new_one_is_not(
    line: type[Line], gone: Exception
) -> None:
    made = known()
    line.answers += [answer({}), gone, answer({"Item": {}})]
    made.call("GetItem", {}, doing="reading")
    assert made.call("GetItem", {}, doing="reading") == {"Item": {}}
    assert [one.closed for one in line.made] == [True, False]
    line.answers += [gone, gone]
    with pytest.raises(Unavailable, match=r"^reading: no answer from dynamodb\.eu-west-1\.amazonaws\.com: "):
        made.call("GetItem", {}, doing="reading")
    assert [one.closed for one in line.made] == [True, True, True]


def test_what_may_have_been_done_is_not_sent_again(line: type[Line]) -> None:
    made = known()
    line.answers += [answer({}), TimeoutError("timed out"), answer({})]
    made.call("GetItem", {}, doing="reading")
    with pytest.raises(Unavailable, match=r"writing: no answer from .*: TimeoutError: timed out"):
        made.call("PutItem", {}, doing="writing")
    assert len(line.made[0].sent) == 2
    assert made.call("GetItem", {}, doing="reading") == {}
    assert len(line.made) == 2


@pytest.mark.parametrize("code", sorted(ERROR_CODES))
def test_a_refusal_is_the_error_that_botocores_would_be(line: type[Line], code: str) -> None:
    line.answers.append(answer({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}, 400))
    theirs = domain_error(ClientError({"Error": {"Code": code, "Message": "no"}}, "PutItem"), "writing")
    with pytest.raises(type(theirs)) as ours:
        known().call("PutItem", {}, doing="writing")
    assert (type(ours.value), str(ours.value)) == (type(theirs), str(theirs))


@pytest.mark.parametrize(
    "odd",
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (500, b""),
        (503, b"<html>slow down</html>"),
        (500, b'{"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"}'),
        (400, b'{"__type": "SomethingNew", "Message": "?"}'),
        http.client.IncompleteRead(b"{"),
        OSError("no route to host"),
    ],
    ids=lambda odd: repr(odd)[:40],
)
def test_whatever_comes_back_that_is_no_answer_may_pass(line: type[Line], odd: Any) -> None:
    line.answers.append(odd)
    with pytest.raises(Unavailable, match=r"^reading: "):
        known().call("GetItem", {}, doing="reading")


def test_a_condition_that_did_not_hold_is_a_conflict(line: type[Line]) -> None:
    kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
    line.answers.append(answer({"__type": kind, "message": "The conditional request failed"}, 400))
    with pytest.raises(Conflict):
        known().call("PutItem", {}, doing="writing")


def test_the_authorities_are_the_environments_the_systems_or_botocores(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = dynamodb._botocores_bundle()
    assert bundle.endswith("botocore/cacert.pem")
    named = known({**LAMBDA, "AWS_CA_BUNDLE": bundle})._trusting
    assert named.cert_store_stats()["x509_ca"] > 50
    assert named.check_hostname
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    assert known()._trusting.cert_store_stats() == named.cert_store_stats()
