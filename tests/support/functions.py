"""The functions over their real adapters, in an AWS in this process (moto): each resource has a name of its own, so
that a function which is wired to the wrong one is noticed.

What moto lacks is put in place of the client of that one service: prompts, CloudTrail's events, and invocations.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.kms.models import kms_backends
from moto.sns.models import sns_backends

from promptlane.aws import clients, composition
from promptlane.aws.dynamodb import SignedDynamo
from promptlane.aws.plain import from_store
from promptlane.aws.prompts import BedrockPrompts
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reviews import DynamoReviews
from promptlane.aws.routes import DynamoRoutes
from promptlane.domain.enrolment.enrolment import Part
from promptlane.domain.errors import InvalidInput
from promptlane.domain.names import Phase, release_id
from promptlane.domain.policy import CanaryPolicy, Policy, Reviewer, ReviewPolicy, Step, WatchPolicy
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.prompt import PromptDraft, VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.review import reviewer_key
from tests.support.enrolled import enrol, keep
from tests.support.prompt import ID, PROMPT
from tests.support.signed import answered_by
from tests.support.tables import make_table

Json = Any
SIGNED = ("roll_back",)
"""Functions that read and write the route without boto3."""
ACCOUNT, REGION = DEFAULT_ACCOUNT_ID, "us-east-1"
DEPLOYMENT = "lane"
NOW = 1_760_000_000.0
ROUTES, RELEASES, FEEDBACK = "lane-routes", "lane-releases", "lane-feedback"
REPORTS, VERSIONS, COPIES, ASSETS = "lane-reports", "lane-versions", "lane-copies", "lane-assets"
BUS, QUEUE, WIND_UP = "lane-bus", "lane-intake", "lane-wind-up"
UNRELAYED = "lane-unrelayed"
NOTICES = f"arn:aws:sns:{REGION}:{ACCOUNT}:lane-notices"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:lane-release"
OPERATIONS = "https://operations.example/live"
AUTHOR = f"arn:aws:iam::{ACCOUNT}:user/author"

LEAD = Reviewer("Lead", "lead@example.com", ("product",), (f"arn:aws:iam::{ACCOUNT}:user/lead",))
LEGAL = Reviewer("Legal", "legal@example.com", ("law",), (f"arn:aws:iam::{ACCOUNT}:user/legal",))
POLICY = Policy(
    review=ReviewPolicy((LEAD, LEGAL), quorum=2, expires_after=7_200.0, remind_before=1_800.0),
    canary=CanaryPolicy(steps=(Step(700, 130.0, 9_000.0), Step(3_000, 20.5, 9_100.0), Step(6_000, 0.2, 9_200.0))),
    watch=WatchPolicy(duration=5_400.0, holdback=300),
)
SUITE: dict[str, Json] = {
    "tests": [
        {"id": "greets", "vars": {"question": "hello"}, "assert": [{"type": "contains", "value": "Hello"}]},
        {"id": "refunds", "vars": {"question": "refund"}, "assert": [{"type": "contains", "value": "30 days"}]},
    ]
}
"""Each of its cases takes the one variable that every published version declares."""


def version_arn(version: int, prompt_id: str = ID) -> str:
    return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:prompt/{prompt_id}:{version}"


class _NoSuchPrompt(ClientError):  # type: ignore[misc]  # botocore has no types
    def __init__(self, operation: str) -> None:
        super().__init__({"Error": {"Code": "ResourceNotFoundException", "Message": "no such prompt"}}, operation)


_META = SimpleNamespace(events=SimpleNamespace(register=lambda *_, **__: None))
"""What botocore knows of a client, as far as ours is told when to try again."""


class PromptService:
    """The client `bedrock-agent`, as far as prompts go."""

    meta = _META
    exceptions = SimpleNamespace(ResourceNotFoundException=_NoSuchPrompt)

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], dict[str, Json]] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def get_prompt(self, **request: str) -> dict[str, Json]:
        """A version; without one the draft, which is called as the newest version is."""
        mine = [key for key in self.answers if key[0] == request["promptIdentifier"]]
        wanted = _version_of(request) if "promptVersion" in request else max(mine, default=None)
        if wanted not in self.answers:
            raise _NoSuchPrompt("GetPrompt")
        return self.answers[wanted] | ({} if "promptVersion" in request else {"version": "DRAFT"})

    def delete_prompt(self, **request: str) -> None:
        if self.answers.pop(_version_of(request), None) is None:
            raise _NoSuchPrompt("DeletePrompt")

    def get_paginator(self, operation: str) -> PromptService:
        assert operation == "list_prompts"
        return self

    def paginate(self, **request: str) -> Iterator[dict[str, Json]]:
        """A page for each version, newest first; of all prompts, their drafts."""
        wanted = request.get("promptIdentifier")
        newest = dict(sorted(self.answers))
        for (prompt_id, version), answer in sorted(self.answers.items(), reverse=True):
            if prompt_id == wanted or (wanted is None and newest[prompt_id] == version):
                shown = {"version": "DRAFT"} if wanted is None else {"version": str(version)}
                yield {"promptSummaries": [{k: answer[k] for k in ("id", "name", "createdAt")} | shown]}

    def tag_resource(self, **request: Json) -> None:
        self.tags.setdefault(request["resourceArn"], {}).update(request["tags"])

    def list_tags_for_resource(self, **request: str) -> dict[str, Json]:
        return {"tags": self.tags.get(request["resourceArn"], {})}


def _version_of(request: Mapping[str, str]) -> tuple[str, int]:
    return request["promptIdentifier"], int(request["promptVersion"])


class Trail:
    """The client `cloudtrail`. `away`: the code with which it refuses every look-up."""

    meta = _META

    def __init__(self) -> None:
        self.records: list[dict[str, Json]] = []
        self.away = ""

    def lookup_events(self, **request: Json) -> dict[str, Json]:
        if self.away:
            raise ClientError({"Error": {"Code": self.away, "Message": "later"}}, "LookupEvents")
        wanted = request["LookupAttributes"][0]["AttributeValue"]
        found = [r for r in self.records if r["eventName"] == wanted]
        return {"Events": [{"CloudTrailEvent": json.dumps(r)} for r in found]}


class Invoker:
    """The client `lambda`, which keeps what was invoked."""

    meta = _META

    def __init__(self) -> None:
        self.invoked: list[dict[str, Json]] = []

    def invoke(self, **request: Json) -> dict[str, Json]:
        self.invoked.append({**request, "Payload": json.loads(request["Payload"])})
        return {"StatusCode": 202}


class StackService:
    """The client `cloudformation`: `stacks` are their statuses by ARN, `resources` what is shown of theirs.

    `away`: the code with which it refuses every question.
    """

    meta = _META

    def __init__(self) -> None:
        self.stacks: dict[str, str] = {}
        self.resources: dict[tuple[str, str], dict[str, str]] = {}
        self.away = ""

    def describe_stacks(self, **request: str) -> dict[str, Json]:
        status = self._found(self.stacks.get(request["StackName"]), "DescribeStacks")
        return {"Stacks": [{"StackStatus": status}]}

    def describe_stack_resource(self, **request: str) -> dict[str, Json]:
        key = request["StackName"], request["LogicalResourceId"]
        return {"StackResourceDetail": self._found(self.resources.get(key), "DescribeStackResource")}

    def _found(self, there: Json, operation: str) -> Json:
        if self.away or there is None:
            code, message = (self.away, "later") if self.away else ("ValidationError", "it does not exist")
            raise ClientError({"Error": {"Code": code, "Message": message}}, operation)
        return there

    def show(self, stack: str, resource: str, kind: str, status: str, physical: str = "") -> None:
        shown = {"ResourceType": kind, "ResourceStatus": status, "PhysicalResourceId": physical}
        self.resources[stack, resource] = shown


class Context:
    """Lambda's. `left`: milliseconds until the function's end, at each question."""

    invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:lane-function"
    log_stream_name = "stream"

    def __init__(self, *left: int, alias: str = "") -> None:
        self.left = list(left) or [20_000]
        if alias:
            self.invoked_function_arn = f"{Context.invoked_function_arn}:{alias}"

    def get_remaining_time_in_millis(self) -> int:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


_made: dict[str, Any] = {}
"""Clients cost more to make than all calls of a test: they are kept, and speak to whatever AWS there is."""


def _session() -> Any:
    return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)


def real(service: str) -> Any:
    """The client of a service; `dynamodb.resource` for the resource."""
    if service not in _made:
        session = _made.setdefault("session", _session())
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        name, _, kind = service.partition(".")
        _made[service] = (session.resource if kind else session.client)(name, config=once)
    return _made[service]


def _key() -> str:
    """An HMAC key. Moto makes an RSA key for each, which takes longer than a test: the first one is used again."""
    keys = kms_backends[ACCOUNT][REGION].keys
    if "key" not in _made:
        answer = real("kms").create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        _made["key"] = keys[answer["KeyMetadata"]["KeyId"]]
    keys[_made["key"].id] = _made["key"]
    return str(_made["key"].id)


@dataclass
class World:
    """One AWS with everything in it that a function's environment names. `now` is every clock."""

    monkeypatch: pytest.MonkeyPatch
    now: float = NOW
    prompts: PromptService = field(default_factory=PromptService)
    trail: Trail = field(default_factory=Trail)
    invoker: Invoker = field(default_factory=Invoker)
    stacks: StackService = field(default_factory=StackService)
    slept: list[float] = field(default_factory=list)
    services: dict[str, Any] = field(default_factory=dict)
    """Clients in the place of others, by service, for one test."""

    def __post_init__(self) -> None:
        self._hooks: list[tuple[Any, str, Callable[..., None]]] = []
        self._functions: list[ModuleType] = []
        self._there: set[str] = set()
        make_table(real("dynamodb"), ROUTES, "prompt", index="prompt_id")
        make_table(real("dynamodb"), RELEASES, "pk", "sk")
        tables = real("dynamodb.resource")
        self.routes = DynamoRoutes(tables.Table(ROUTES))
        self.releases = DynamoReleases(tables.Table(RELEASES))
        self.reviews = DynamoReviews(tables.Table(RELEASES))
        self.store = BedrockPrompts(self.prompts)

    def feedback_table(self) -> None:
        """The table of receipts that were counted."""
        make_table(real("dynamodb"), FEEDBACK, "receipt")

    def _bucket(self, name: str) -> str:
        if name not in self._there:
            self._there.add(name)
            real("s3").create_bucket(Bucket=name)
        return name

    def _topic(self) -> str:
        real("sns").create_topic(Name=NOTICES.rpartition(":")[2])
        return NOTICES

    def _machine(self) -> str:
        if MACHINE not in self._there:
            self._there.add(MACHINE)
            waits = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
            real("stepfunctions").create_state_machine(
                name=MACHINE.rpartition(":")[2],
                definition=json.dumps(waits),
                roleArn=f"arn:aws:iam::{ACCOUNT}:role/lane-machine",
            )
        return MACHINE

    def _queue(self, name: str = QUEUE) -> str:
        return str(real("sqs").create_queue(QueueName=name)["QueueUrl"])

    # --- the function under test -------------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str | Callable[[], str]]:
        """What a deployment would give its functions, all together; what it names is made when it is asked for."""
        return {
            "ROUTE_TABLE": ROUTES,
            "RELEASE_TABLE": RELEASES,
            "REPORT_BUCKET": lambda: self._bucket(REPORTS),
            "VERSION_BUCKET": lambda: self._bucket(VERSIONS),
            "AUDIT_BUCKET": lambda: self._bucket(COPIES),
            "EVENT_BUS": BUS,
            "NOTICES_TOPIC": self._topic,
            "STATE_MACHINE_ARN": self._machine,
            "INTAKE_QUEUE_URL": self._queue,
            "UNRELAYED_QUEUE_URL": lambda: self._queue(UNRELAYED),
            "WIND_UP_FUNCTION": WIND_UP,
            "DEPLOYMENT": DEPLOYMENT,
            "REVIEW_KEY_ID": _key,
            "REVIEWS_URL": OPERATIONS,
            "FOUND_PARAMETER": f"/{DEPLOYMENT}/logging-found",
            "KEEP_VERSIONS": "2",
            "MOST_CASE_FUNCTIONS": "0",
            "VERSION_QUOTA": "4",
            "RESOLUTION_SECONDS": "10",
            "ARRIVAL_SECONDS": "5",
            "ACCOUNT": ACCOUNT,
            "PLATFORM_FLOOR": "{}",
        }

    def function(self, verb: str, **changed: str) -> Any:
        """The handler of a function, wired anew under the environment that it asks for, and no other."""
        module = importlib.import_module(f"functions.{verb}.handler")
        wanted = asked_for(module)
        for name, value in {**self.environment, **changed}.items():
            if name in wanted:
                self.monkeypatch.setenv(name, value() if callable(value) else value)
            else:
                self.monkeypatch.delenv(name, raising=False)
        if verb in SIGNED:
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                self.monkeypatch.setenv(name, "test")
            self.monkeypatch.setenv("AWS_REGION", REGION)
            self.monkeypatch.setattr(SignedDynamo, "_post", answered_by(real("dynamodb")))
        self._functions.append(module)
        forget(module)
        return module

    def close(self) -> None:
        for events, name, hook in self._hooks:
            events.unregister(name, hook)
        for module in self._functions:
            forget(module)

    def client(self, service: str, **_: Any) -> Any:
        stand_ins = {
            "bedrock-agent": self.prompts,
            "cloudtrail": self.trail,
            "lambda": self.invoker,
            "cloudformation": self.stacks,
            **self.services,
        }
        return stand_ins[service] if service in stand_ins else real(service)

    # --- what happens on the way -------------------------------------------------------------------------------------

    def before(self, service: str, operation: str, do: Callable[[dict[str, Json]], object], times: int = 0) -> None:
        """Call `do` with the parameters of each call of an operation, before it; of the first `times` where given."""
        seen = 0

        def hook(params: dict[str, Json], **_: Any) -> None:
            nonlocal seen
            seen += 1
            if not times or seen <= times:
                do(params)

        for made in (real(service), *([real("dynamodb.resource").meta.client] if service == "dynamodb" else [])):
            name = f"provide-client-params.{made.meta.service_model.service_id.hyphenize()}.{operation}"
            made.meta.events.register(name, hook)
            self._hooks.append((made.meta.events, name, hook))

    def refuse(self, service: str, operation: str, code: str, times: int = 0) -> None:
        """AWS refuses these calls."""

        def refusal(params: dict[str, Json]) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "refused by the test"}}, operation)

        self.before(service, operation, refusal, times)

    # --- prompts, policies, releases ---------------------------------------------------------------------------------

    def publish(
        self,
        version: int,
        *,
        text: str = "",
        prompt: str = PROMPT,
        prompt_id: str = ID,
        at: float = 0.0,
        by: str = AUTHOR,
        **changed: Json,
    ) -> VersionRef:
        """A version of a prompt, with an edit and a publication in CloudTrail."""
        written = {
            "name": prompt,
            "model": "amazon.nova-lite-v1:0",
            "variables": ("question",),
            "template": text or f"Answer in way {version}: {{{{question}}}}",
        }
        at = at or NOW - 20_000 + 100 * version
        self.prompts.answers[prompt_id, version] = {
            "id": prompt_id,
            "name": prompt,
            "version": str(version),
            "arn": version_arn(version, prompt_id),
            "variants": PromptDraft(**{**written, **changed}).variants(),
            "description": f"Why version {version}",
            "createdAt": datetime.fromtimestamp(at, UTC),
        }
        for name, when in (("UpdatePrompt", at - 5), ("CreatePromptVersion", at)):
            self.trail.records.append(
                {
                    "eventName": name,
                    "eventTime": datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "requestParameters": {"promptIdentifier": prompt_id},
                    "responseElements": {"version": str(version)} if name == "CreatePromptVersion" else {},
                    "userIdentity": {"type": "IAMUser", "arn": by},
                }
            )
        return self.store.version(prompt_id, version).ref

    def enrol(
        self, policy: Policy = POLICY, suite: Mapping[str, Json] = SUITE, *, prompt: str = PROMPT
    ) -> tuple[str, str]:
        """Enrol a prompt with a policy and a suite: the hashes of both."""
        table = real("dynamodb.resource").Table(RELEASES)
        return enrol(table, real("s3"), self._bucket(REPORTS), prompt, policy, suite).hashes

    def deploy(self, key: str, content: Mapping[str, Json]) -> Part:
        """Put an object where the CDK puts the files of a stack."""
        body = canonical_json(content).encode()
        real("s3").put_object(Bucket=self._bucket(ASSETS), Key=key, Body=body)
        return Part(f"s3://{ASSETS}/{key}", hashlib.sha256(body).hexdigest())

    def capture(self, content: Mapping[str, Json]) -> str:
        """Keep a policy or a suite as a release reads it; its hash."""
        return keep(real("s3"), self._bucket(REPORTS), content).sha256

    def start(self, version: int, attempt: int = 1, *, prompt_id: str = ID, **changed: Any) -> Release:
        """A release on record, with its first entry and the prompt's lock."""
        name = release_id(prompt_id, version, attempt)
        begun = Release(name, PROMPT, NOW - 900, "somebody")
        entry = TimelineEntry(f"{name}/started", name, NOW - 900, Event.STARTED, "somebody")
        self.releases.start(replace(begun, **changed), entry)
        return self.releases.get(name)

    def approved(self, version: int = 2, *, stable: int | None = 1, state: str = "review", **changed: Any) -> Release:
        """A release whose candidate was tested against stable and approved."""
        policy = self.capture(POLICY.to_dict())
        candidate = self.publish(version)
        before = None if stable is None else self.publish(stable)
        approval = {"candidate": candidate.fingerprint, "round": 1}
        if before is not None:
            approval["stable"] = before.fingerprint
        return self.start(
            version, state=state, candidate=candidate, stable=before, policy_sha256=policy, approval=approval, **changed
        )

    def route(self, stable: VersionRef, **changed: Any) -> Route:
        """A stored route."""
        route = replace(Route(PROMPT, ID, stable, salt="of before", release_id=f"{ID}-1-1"), **changed)
        self.routes.put(route, expected=None)
        return route

    def in_canary(self, version: int = 2, *, weight: int = 700, since: float = NOW - 600, **changed: Any) -> Release:
        """A release with its canary on the route."""
        release = self.approved(version, state="canary", **changed)
        assert release.stable is not None
        self.route(
            release.stable,
            canary=release.candidate,
            weight=weight,
            phase=Phase.CANARY,
            phase_since=since,
            release_id=release.release_id,
            shifts=((since, weight),),
            revision=6,
        )
        return release

    def executing(self, release_id: str) -> None:
        """An execution that runs."""
        real("stepfunctions").start_execution(stateMachineArn=self._machine(), name=release_id, input="{}")

    def reviewer_topics(self, *reviewers: Reviewer) -> dict[str, str]:
        """A topic for each reviewer, to whom it is confirmed: the ARN by email address."""
        topics: dict[str, str] = {}
        for reviewer in reviewers:
            key = reviewer_key(reviewer.email)
            topic = topics[reviewer.email] = real("sns").create_topic(Name=f"lane-reviewer-{key}")["TopicArn"]
            real("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint=reviewer.email)
            value = json.dumps({"email": reviewer.email, "topic": topic})
            real("ssm").put_parameter(Name=f"/{DEPLOYMENT}/reviewers/{key}", Value=value, Type="String")
        return topics

    # --- what is there afterwards ------------------------------------------------------------------------------------

    @property
    def current(self) -> Route:
        """The prompt's route."""
        route = self.routes.get(PROMPT)
        assert route is not None
        return route

    def entries(self, release_id: str) -> list[tuple[str, str, dict[str, Json]]]:
        """(event, by, detail) of a release's timeline, without the first entry, which `start` wrote."""
        told = [(str(e.event), e.by, dict(e.detail)) for e in self.releases.timeline(release_id)]
        return [t for t in told if t != (str(Event.STARTED), "somebody", {})]

    def told(self, topic: str = NOTICES) -> list[tuple[str, str]]:
        """(subject, body) of what was published to a topic."""
        sent = sns_backends[ACCOUNT][REGION].topics[topic].sent_notifications
        return [(str(subject), body) for _, body, subject, _, _ in sent]

    def queued(self) -> list[dict[str, Json]]:
        """The messages in the intake queue, which are taken out."""
        found = real("sqs").receive_message(QueueUrl=self._queue(), MaxNumberOfMessages=10)
        return [json.loads(m["Body"]) for m in found.get("Messages", [])]

    def objects(self, bucket: str = REPORTS, prefix: str = "") -> dict[str, bytes]:
        """Objects of a bucket by key."""
        found = real("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {o["Key"]: real("s3").get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in found}

    def items(self, table: str = RELEASES) -> list[dict[str, Json]]:
        """Everything in a table but what is enrolled, as plain values."""
        found = [from_store(item) for item in real("dynamodb.resource").Table(table).scan()["Items"]]
        return [item for item in found if not str(item.get("pk")).startswith("enrolment")]

    def status(self, release_id: str) -> str:
        """The status of an execution."""
        arn = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{release_id}"
        return str(real("stepfunctions").describe_execution(executionArn=arn)["status"])


def red_alarm(name: str) -> None:
    """An alarm of this name that stands in ALARM."""
    real("cloudwatch").put_metric_alarm(
        AlarmName=name,
        MetricName="Error",
        Namespace="Promptlane",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    )
    real("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="it is")


def problem(answer: Mapping[str, Json]) -> tuple[int, str, str, dict[str, Json]]:
    """(status, kind, detail, further members) of an answer that is a problem and nothing else."""
    body = json.loads(answer["body"])
    kind = body.pop("type").removeprefix("urn:promptlane:problem:")
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert answer["headers"]["cache-control"] == "no-store"
    assert (body.pop("status"), body.pop("title")) == (answer["statusCode"], kind.replace("-", " ").capitalize())
    return answer["statusCode"], kind, body.pop("detail"), body


class Asked(dict[str, str]):
    """An environment that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        self.names.append(name)
        return default


def asked_for(module: ModuleType) -> set[str]:
    """The variables that a function reads when it is wired."""
    asked = Asked()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(composition, "os", SimpleNamespace(environ=asked))
        for wire in wires(module):
            forget(module)
            with suppress(InvalidInput):
                wire()
    return set(asked.names)


def wires(module: ModuleType) -> list[Callable[[], Any]]:
    """What a function is made of, in each of its parts."""
    return [getattr(module, name) for name in ("wire", "wire_aftermath") if hasattr(module, name)]


def forget(module: ModuleType) -> None:
    """What a function keeps between invocations."""
    for name in ("wire", "wire_aftermath", "_prompt_and_version"):
        if clear := getattr(getattr(module, name, None), "cache_clear", None):
            clear()
    clients.client.cache_clear()
    clients.resource.cache_clear()


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world for one test, within `mock_aws`: nothing leaves the process, each clock is the world's, nobody sleeps."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    world = World(monkeypatch)
    monkeypatch.setattr(boto3, "client", world.client)
    monkeypatch.setattr(boto3, "resource", lambda service, **_: real(f"{service}.resource"))
    monkeypatch.setattr(time, "time", lambda: world.now)
    monkeypatch.setattr(time, "sleep", world.slept.append)
    try:
        yield world
    finally:
        world.close()
