"""Pages in a developer's browser, and others who reach the port, against the embedded AWS on the developer's machine.

Asked with the very headers that a browser would send. The guards sit in the server's own process, so the one without
them is a second server, started with both patched away.
"""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import boto3
import pytest

from local import running, server
from local.running import EmbeddedAws
from tests.support.attacks import attack
from tests.support.embedded_functions import zipped

KIND = "a web page runs code on a developer's machine"
EVIL = "https://evil.example"
CROSS = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
SANDBOXED = {"Origin": "null"}  # an iframe's form, from a browser too old for Sec-Fetch-Site
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
UNGUARDED = """
import sys
from pathlib import Path
from local import browsers, server
from local.gaps import access_keys
browsers.refusal = lambda *_: ""
access_keys.refusal = lambda *_: None
sys.exit(server.main(int(sys.argv[1]), Path(sys.argv[2]), False))
"""


class Machine:
    """What a browser on the developer's machine reaches: `aws`, which the attack's `without` replaces."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws

    def ask(self, method: str, path: str, body: str | bytes = "", **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.aws.port, timeout=20)
        try:
            connection.request(method, path, body, {"Host": f"localhost:{self.aws.port}", **headers})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def topics(self) -> set[str]:
        return {t["TopicArn"].rpartition(":")[2] for t in self.aws.client("sns").list_topics()["Topics"]}

    def functions(self) -> set[str]:
        return {f["FunctionName"] for f in self.aws.client("lambda").list_functions()["Functions"]}

    def bucket(self) -> str:
        name = f"bucket-{uuid4().hex}"
        self.aws.client("s3").create_bucket(Bucket=name)
        return name

    def objects(self, bucket: str) -> list[str]:
        return [o["Key"] for o in self.aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.fixture
def machine(embedded_aws: EmbeddedAws) -> Machine:
    return Machine(embedded_aws)


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    home = tmp_path_factory.mktemp("unguarded")
    aws = EmbeddedAws(home=home)
    command = [sys.executable, "-c", UNGUARDED, str(aws.port), str(home)]
    with (home / "emulator.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=server.REPOSITORY, stdout=log, stderr=subprocess.STDOUT)
    try:
        running.wait_healthy(aws.port, process, home)
        yield aws
    finally:
        running.stop(process.pid)
        process.wait()


@contextmanager
def without_guards(machine: Machine, unguarded: EmbeddedAws) -> Iterator[None]:
    guarded, machine.aws = machine.aws, unguarded
    try:
        yield
    finally:
        machine.aws = guarded


def _function(name: str) -> str:
    return json.dumps(
        {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Role": "arn:aws:iam::000000000000:role/any",
            "Handler": "index.handle",
            "Code": {"ZipFile": base64.b64encode(zipped("def handle(event, context): return 1\n")).decode()},
        }
    )


@pytest.mark.parametrize(
    "headers",
    [
        CROSS,
        {"Origin": EVIL},
        SANDBOXED,
        {"Host": "evil.example:4566"},
        {"Host": "evil.example:4566", "Origin": "http://evil.example:4566", "Sec-Fetch-Site": "same-origin"},
        {},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20261127/us-east-1/lambda/aws4_request, Signature=0"},
        {"Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20261127/us-east-1/lambda/aws4_request"},
        {"Authorization": "AWS test:0"},
        {"Authorization": "Bearer guess"},
        {
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261127/us-east-1/lambda/aws4_request",
            "X-Amz-Security-Token": "guess",
        },
        {"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261127/us-east-1/lambda/aws4_request"},
    ],
    ids=[
        "by fetch",
        "by an old browser's fetch",
        "from a sandboxed frame",
        "by a name rebound to this machine, with a GET's headers",
        "by a name rebound to this machine",
        "without a signature",
        "with the key that everybody knows",
        "with an account as the key",
        "with a signature of version 2",
        "with a bearer token",
        "with a guessed token",
        "with a key that nobody made",
    ],
)
@attack("a function is created", kind=KIND, without=without_guards)
def test_create_a_function(machine: Machine, headers: dict[str, str]) -> bool:
    name = f"f-{uuid4().hex}"
    machine.ask("POST", "/2015-03-31/functions", _function(name), **{"Content-Type": "text/plain", **headers})
    return name in machine.functions()


@pytest.mark.parametrize(
    ("method", "query", "form", "headers"),
    [
        ("POST", {}, {"Action": "CreateTopic"}, {**FORM, "Origin": EVIL}),
        ("POST", {}, {"Action": "CreateTopic"}, {**FORM, **SANDBOXED}),
        ("POST", {}, {"Action": "CreateTopic"}, FORM),
        ("GET", {"Action": "CreateTopic"}, {}, {}),
        (
            "GET",
            {
                "Action": "CreateTopic",
                "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                "X-Amz-Credential": "test/20261127/us-east-1/sns/aws4_request",
                "X-Amz-Signature": "0",
            },
            {},
            {},
        ),
        ("GET", {"Action": "CreateTopic", "AWSAccessKeyId": "test", "Signature": "0"}, {}, {}),
        (
            "POST",
            {"Action": "ConfirmSubscription"},
            {},
            {**FORM, "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261127/us-east-1/sns/aws4_request"},
        ),
    ],
    ids=[
        "by a form",
        "by a sandboxed form",
        "by a form of a browser that names no origin",
        "by an image",
        "by an image with a signed address",
        "by an image with an address signed by version 2",
        "behind the name of an act that needs no key",
    ],
)
@attack("a topic is created by the query protocol", kind=KIND, without=without_guards)
def test_create_a_topic(
    machine: Machine, method: str, query: dict[str, str], form: dict[str, str], headers: dict[str, str]
) -> bool:
    name = f"t-{uuid4().hex}"
    if query.get("Action") == "ConfirmSubscription":  # a second Action, where the first is of those that need no key
        machine.ask("GET", f"/?Action=CreateTopic&{urlencode({**query, 'Name': name})}", "", **headers)
    else:
        given = {"Name": name, **query} if method == "GET" else query
        body = urlencode({**form, "Name": name}) if form else ""
        machine.ask(method, f"/?{urlencode(given)}", body, **headers)
    return name in machine.topics()


@pytest.mark.parametrize(
    "query", ["", "?" + urlencode({"X-Amz-Credential": "test/20261127/us-east-1/s3/aws4_request"})]
)
@attack("an object is put, with and without a signed address", kind=KIND, without=without_guards)
def test_put_an_object(machine: Machine, query: str) -> bool:
    bucket = machine.bucket()
    machine.ask("PUT", f"/{bucket}/page.html{query}", "<script>", **{"Content-Type": "text/html"})
    return bool(machine.objects(bucket))


@attack("a file is uploaded by a form, as S3 takes it", kind=KIND, without=without_guards)
def test_upload_by_a_form(machine: Machine) -> bool:
    bucket = machine.bucket()
    parts = {"key": "page.html", "success_action_status": "201"}
    body = "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in parts.items())
    body += '--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\nContent-Type: text/html\r\n\r\n<b>\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b", **SANDBOXED}
    machine.ask("POST", f"/{bucket}", body + "--b--\r\n", **kind)
    return bool(machine.objects(bucket))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/_ministack/reset", SANDBOXED),
        ("/_ministack/reset", {}),
        ("/_ministack/reset", {"Authorization": "Bearer guess"}),
        ("/_ministack/reset?x=/_aws/execute-api/", {}),
        ("/_promptlane/bedrock", {"Content-Type": "text/plain"}),
    ],
)
@attack("the emulator's own switches are turned", kind=KIND, without=without_guards)
def test_own_routes(machine: Machine, path: str, headers: dict[str, str]) -> bool:
    return machine.ask("POST", path, "{}", **headers) == 200


@attack("the emulator is reset through the host of a public page", kind=KIND, without=without_guards)
def test_reset_by_an_api_host(machine: Machine) -> bool:
    host = f"abcdefghij.execute-api.localhost:{machine.aws.port}"
    return machine.ask("POST", "/_ministack/reset", "", Host=host) == 200


@attack(
    "temporary credentials of a role are used by their id alone, which logs name", kind=KIND, without=without_guards
)
def test_key_id_without_its_token(machine: Machine) -> bool:
    aws = machine.aws
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    name = f"r-{uuid4().hex}"
    role = aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    key = aws.client("sts").assume_role(RoleArn=role, RoleSessionName="somebody")["Credentials"]["AccessKeyId"]
    stolen = boto3.client(
        "sns",
        endpoint_url=aws.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key="unknown",
        aws_session_token="unknown",
    )
    return _done(lambda: stolen.create_topic(Name=name))


@attack("a program of another user signs with the documented key of such emulators", kind=KIND, without=without_guards)
def test_known_key_by_an_sdk(machine: Machine) -> bool:
    settings: dict[str, Any] = {"endpoint_url": machine.aws.url, "region_name": "us-east-1"}
    known = boto3.client("dynamodb", **settings, aws_access_key_id="test", aws_secret_access_key="test")
    return _done(known.list_tables)


@attack("a route with IAM authorization is asked without an identity", kind=KIND, without=without_guards)
def test_route_with_iam(machine: Machine) -> bool:
    api = machine.aws.client("apigatewayv2")
    made = api.create_api(Name=f"a-{uuid4().hex}", ProtocolType="HTTP")["ApiId"]
    api.create_stage(ApiId=made, StageName="$default", AutoDeploy=True)
    answering = {"IntegrationType": "HTTP_PROXY", "IntegrationMethod": "GET", "PayloadFormatVersion": "1.0"}
    health = f"{machine.aws.url}/_promptlane/health"
    integration = api.create_integration(ApiId=made, IntegrationUri=health, **answering)["IntegrationId"]
    api.create_route(ApiId=made, RouteKey="GET /x", AuthorizationType="AWS_IAM", Target=f"integrations/{integration}")
    path = f"/_aws/execute-api/{made}/{quote('$default')}/x"
    return machine.ask("GET", path, Authorization="Bearer anything") not in (401, 403)


def _done(call: Any) -> bool:
    from botocore.exceptions import ClientError

    try:
        call()
    except ClientError:
        return False
    return True
