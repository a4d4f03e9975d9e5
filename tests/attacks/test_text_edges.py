"""Text that no store can keep, names that no key can be, numbers that are none, waits without an end: at every edge."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from typer.testing import CliRunner

from functions.decide import handler as decide
from functions.gateway import handler as gateway
from functions.operate import handler as operate
from functions.relay import handler as relay
from functions.review import handler as review
from functions.roll_back import handler as roll_back
from promptlane.aws import events, http_events
from promptlane.aws.audit_copies import AuditCopies
from promptlane.aws.events import EventBus
from promptlane.cli import arguments, authoring
from promptlane.cli.app import app
from promptlane.cli.session import Session
from promptlane.client import decision, sent
from promptlane.client.testing import FakeBedrock, StaticRoutes, fake_client
from promptlane.domain import fields, incoming
from promptlane.domain.errors import PolicyInvalid, PromptlaneError
from promptlane.domain.policy import Policy
from promptlane.domain.release import identity, trigger
from promptlane.domain.release.content import canonical_json
from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.engine import document
from promptlane.engine import parse as parse_module
from promptlane.fakes import InMemoryReleases
from tests.support.attacks import Guardless, anything, attack, patched, together
from tests.support.cli_desk import Desk
from tests.support.functions import Context
from tests.support.prompt import RELEASE

cli_test = importlib.import_module("promptlane.cli.test")

Json = Any
TORN = "caf\ud83d"
TEXT = "text that no store can keep"
NAMES = "names that no key can be"
NUMBERS = "numbers that are none"
WAITS = "waits without an end"
ASKED = "who asked, without bounds"
ACCOUNT, REGION = "111122223333", "eu-west-1"


def nothing(*_: object, **__: object) -> Iterator[Any]:
    """Instead of a check that tells problems."""
    return iter(())


class Asked(Exception):
    """A store was asked for what should have been refused before."""


class Stores:
    """Whatever is asked of it was let in."""

    def __getattr__(self, name: str) -> Any:
        def asked(*given: object, **named: object) -> Any:
            raise Asked(name)

        return asked


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions behind whose edge nothing is."""
    for module in (decide, operate):
        monkeypatch.setattr(module, "wire", Stores)
    monkeypatch.setattr(review, "wire", lambda: SimpleNamespace(desk=Stores()))
    monkeypatch.setattr(roll_back, "wire", lambda: (Stores(), "promptlane"))
    monkeypatch.setattr(roll_back, "wire_aftermath", Stores)
    monkeypatch.setattr(roll_back, "wire_going_back", lambda: lambda **named: Stores())
    monkeypatch.setattr(operate, "operate", Stores().operate)


# --- halves of surrogate pairs --------------------------------------------------------------------------------------


def posted(body: str, **more: Json) -> Json:
    iam = {"iam": {"userArn": "arn:aws:iam::111122223333:user/kim"}}
    return {
        "rawPath": more.pop("path", f"/releases/{RELEASE}/pause"),
        "pathParameters": {"release_id": RELEASE, "prompt": "support"},
        "requestContext": {"http": {"method": "POST", "sourceIp": "203.0.113.7"}, "authorizer": iam},
        "headers": {"content-type": "application/json"},
        "body": body,
        **more,
    }


def let_in(module: Any, event: Json, field: str) -> bool:
    """Whether a function took what was sent; when not, the answer must be a 400 that names the field."""
    try:
        answer = module.handle(event, Context())
    except Asked:
        return True
    if answer["statusCode"] != 400:
        return True
    return field not in answer["body"]


IN_BODIES = {
    "reason": '{"decision": "approve", "reason": "caf\\ud83d"}',
    "reason's second half": '{"reason": "\\udc00 ok", "decision": "approve"}',
    "decision": '{"decision": "\\udfff", "reason": "ok"}',
    "an unknown field": '{"decision": "approve", "reason": "ok", "more": [{"deep": ["\\ud800"]}]}',
    "a field's name": '{"decision": "approve", "reason": "ok", "\\ud800": 1}',
}
NAMED_AS = {"an unknown field": "more[0].deep[0]", "a field's name": "a key", "reason's second half": "reason"}
without_text_check = together(
    patched(http_events, "odd_places", nothing),
    patched(http_events, "torn_problem", lambda t: ""),
    patched(incoming, "torn_problem", lambda t: ""),
)


@pytest.mark.parametrize("way", IN_BODIES)
@pytest.mark.parametrize("module", [decide, operate, roll_back], ids=["decide", "operate", "roll_back"])
@attack("half a surrogate pair is sent to the operations API", kind=TEXT, without=without_text_check)
def test_torn_body(module: Any, way: str) -> bool:
    return let_in(module, posted(IN_BODIES[way]), NAMED_AS.get(way, way))


@pytest.mark.parametrize("parameter", ["release_id", "prompt"])
@attack(
    "half a surrogate pair is sent in the path", kind=TEXT, without=patched(http_events, "torn_problem", lambda t: "")
)
def test_torn_path(parameter: str) -> bool:
    module = decide if parameter == "release_id" else roll_back
    path = {"release_id": RELEASE, "prompt": "support", parameter: TORN}
    with mock.patch.object(incoming, "torn_problem", return_value=""):
        return let_in(module, posted('{"decision": "approve", "reason": "ok"}', pathParameters=path), parameter)


@attack(
    "half a surrogate pair is sent as the token of a review link",
    kind=TEXT,
    without=patched(http_events, "torn_problem", lambda t: ""),
)
def test_torn_token() -> bool:
    event = posted("", queryStringParameters={"t": TORN})
    return let_in(review, {**event, "requestContext": {"http": {"method": "GET"}}}, "no link of ours")


@pytest.mark.parametrize("value", ["%ED%A0%BD", "%FF", "caf%E9"], ids=["surrogate", "no UTF-8", "Latin-1"])
@attack("a form's reason is no UTF-8", kind=TEXT, without=patched(http_events, "torn", lambda text: -1))
def test_torn_form(value: str) -> bool:
    form = {
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "body": f"decision=approve&reason={value}",
    }
    try:
        return "reason" in http_events.form(form)
    except http_events.Problem as problem:
        return problem.status != 400 or "reason" not in str(problem)


ROUTES = StaticRoutes()
ROUTES.put("support", stable=1)

IN_CONVERSE = {
    "variables.q": '{"unit": "u", "variables": {"q": "caf\\ud83d"}}',
    "variables a key": '{"unit": "u", "variables": {"caf\\ud83d": "x"}}',
    "messages[0].content[0].text": '{"unit": "u", "messages": [{"role": "user", "content": [{"text": "\\ud83d"}]}]}',
    "unit": '{"unit": "\\ud83d"}',
}


@contextmanager
def gateway_without_text_checks() -> Iterator[None]:
    with (
        mock.patch.object(http_events, "odd_places", nothing),
        mock.patch.object(sent, "odd_places", nothing),
        mock.patch.object(sent, "_check_metadata", nothing),
        mock.patch.object(decision, "torn_problem", return_value=""),
    ):
        yield


@pytest.mark.parametrize("field", IN_CONVERSE)
@attack("half a surrogate pair is sent to the gateway", kind=TEXT, without=gateway_without_text_checks)
def test_torn_converse(field: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    bedrock = FakeBedrock()
    client = fake_client(ROUTES, bedrock)
    monkeypatch.setattr(gateway, "wire", lambda: client)
    event = posted(IN_CONVERSE[field], path="/prompts/support/converse")
    return let_in(gateway, event, field.rpartition(" ")[0] or field)


@pytest.mark.parametrize(
    "given",
    [
        {"variables": {"q": TORN}},
        {"variables": {TORN: "x"}},
        {"messages": [{"role": "user", "content": [{"text": TORN}]}]},
        {"metadata": {"team": TORN}},
        {"guardrail": {"guardrailIdentifier": TORN, "guardrailVersion": "1"}},
    ],
    ids=["variable", "variable's name", "message", "metadata", "guardrail"],
)
@attack("an application passes on half a surrogate pair", kind=TEXT, without=gateway_without_text_checks)
def test_torn_call(given: Json) -> bool:
    bedrock = FakeBedrock()
    try:
        fake_client(ROUTES, bedrock).converse("support", unit="u", **given)
    except PromptlaneError:
        return False
    return len(bedrock.calls) == 1


def typed(*words: str) -> str:
    """What the CLI said, or that it went on to the deployment with what was typed."""
    reached: list[bool] = []

    def connect() -> Any:
        reached.append(True)
        raise Asked

    session = Session(connect=connect)
    result = CliRunner().invoke(app, list(words), obj=session)
    return "reached" if reached else f"{result.output}{result.exception or ''}"


COMMANDS = [
    ("status", "caf\udce9"),
    ("history", "\udcff"),
    ("rollback", "support", "--reason", "caf\udce9"),
    ("approve", RELEASE, "--reason", "\ud83d"),
    ("reviewers", "confirm", "a@example.com", "\udce9"),
    ("investigate", "support", "--since", "\udce9"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=[w[0] for w in COMMANDS])
@attack(
    "bytes that are no UTF-8 are typed at a terminal", kind=TEXT, without=patched(arguments, "check_text", anything)
)
def test_torn_argument(words: tuple[str, ...]) -> bool:
    said = typed(*words)
    return not ("is not UTF-8" in said and "argument" in said)


IN_FILES = {
    "a value": 'description: "\\ud83d"\ntests: []\n',
    "a key": '"\\udc00": 1\n',
    "deep within": 'tests:\n  - vars: {q: ["a", "\\ud83d x"]}\n',
}


@pytest.mark.parametrize("way", IN_FILES)
@attack(
    "a file of YAML escapes half a surrogate pair", kind=TEXT, without=patched(document, "torn_problem", lambda t: "")
)
def test_torn_yaml(way: str) -> bool:
    read = document.parse_document(IN_FILES[way], "suite.yaml")
    assert read.data is not None or all(p.line for p in read.problems)
    return read.data is not None


@attack("a line of JSON escapes half a surrogate pair", kind=TEXT, without=patched(parse_module, "odd_places", nothing))
def test_torn_jsonl() -> bool:
    line = b'{"vars": {"q": "\\ud83d"}, "assert": [{"type": "contains", "value": "x"}]}'
    try:
        parse_module.parse({"tests": "cases.jsonl"}, read=lambda path: line)
    except PromptlaneError as error:
        return "cases.jsonl line 1" not in str(error)
    return True


# --- names ----------------------------------------------------------------------------------------------------------

LONG = "p" * 3_000


@contextmanager
def without_limit_of_names() -> Iterator[None]:
    with mock.patch.object(incoming, "MAX_NAME_BYTES", 10**6), mock.patch.object(http_events, "MAX_NAME_BYTES", 10**6):
        yield


def request_event() -> Json:
    return {"source": "promptlane.request", "prompt": LONG, "version": "1"}


class Reader:
    """A route table that keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, prompts: Any) -> dict[str, Json]:
        self.asked += prompts
        return {}

    read_again = read

    def name_of(self, prompt: str) -> None:
        return None


def by_client() -> bool:
    reader = Reader()
    with pytest.raises(PromptlaneError):
        fake_client(reader).route(LONG, "u")
    return LONG in reader.asked


def by_gateway() -> bool:
    reader = Reader()
    client = fake_client(reader)
    with mock.patch.object(gateway, "wire", return_value=client):
        event = posted("", path=f"/prompts/{LONG}/route", queryStringParameters={"unit": "u"})
        event["requestContext"]["http"]["method"] = "GET"
        answer = gateway.handle(event, Context())
    return LONG in reader.asked or answer["statusCode"] != 400


def by_path(module: Any, parameter: str) -> Callable[[], bool]:
    path = {"release_id": RELEASE, "prompt": "support", parameter: LONG}
    return lambda: let_in(module, posted('{"decision": "approve", "reason": "ok"}', pathParameters=path), parameter)


def by_invocation() -> bool:
    try:
        roll_back.handle({"prompt": LONG, "reason": "ok", "by": "me"}, Context())
    except Asked:
        return True
    except PromptlaneError as error:
        return "prompt has 3,000 bytes" not in str(error)
    return True


def by_cli(*words: str) -> Callable[[], bool]:
    def made() -> bool:
        desk = Desk()
        with (
            mock.patch.object(desk.prompts, "find", side_effect=Asked),
            mock.patch.object(desk.routes, "get", side_effect=Asked),
        ):
            try:
                return "has 3,000 bytes" not in desk.type(*words).output
            except Asked:
                return True

    return made


LONG_NAMES: dict[str, Callable[[], bool]] = {
    "client": by_client,
    "gateway": by_gateway,
    "decide": by_path(decide, "release_id"),
    "roll_back's API": by_path(roll_back, "prompt"),
    "roll_back itself": by_invocation,
    "status": by_cli("status", LONG),
    "release": by_cli("release", LONG, "1"),
    "rollback": by_cli("rollback", LONG, "--reason", "x"),
    "diff": by_cli("diff", LONG),
}


@pytest.mark.parametrize("edge", LONG_NAMES)
@attack("a name of 3,000 bytes is looked for", kind=NAMES, without=without_limit_of_names)
def test_long_name(edge: str) -> bool:
    return LONG_NAMES[edge]()


@attack(
    "a release is asked for by a name of 3,000 bytes",
    kind=NAMES,
    without=patched(trigger, "_PROMPT", re.compile("")),
)
def test_long_name_in_a_message() -> bool:
    try:
        return trigger.read(request_event(), account=ACCOUNT, region=REGION).prompt == LONG
    except PromptlaneError as error:
        return len(str(error)) > 400


# --- numbers --------------------------------------------------------------------------------------------------------

NO_VERSIONS = ["²", "١", "１", "1_0", " 1", "+1", "01", "1\n", "100000", "۴۲", "9" * 5_000]


def as_python_reads(text: object) -> int | None:
    """What `isdigit` and `int` make of a text; they do not agree."""
    return int(str(text))


def accepts(read: Callable[[], object]) -> bool:
    """Whether something was taken for a version; also when it ended with an error that nobody expects."""
    try:
        read()
    except PromptlaneError:
        return False
    except (ValueError, Asked):
        return True
    return True


def by_command(*words: str) -> Callable[[str], bool]:
    def made(text: str) -> bool:
        said = typed(*(text if word == "?" else word for word in words))
        return said == "reached" or ("is not a version" not in said.replace("\n", " ") and "Invalid value" not in said)

    return made


def by_diff(text: str) -> bool:
    desk = Desk()
    desk.publish()
    return accepts(lambda: authoring._variants(desk.connect(), "PROMPT0001", "greeter", text))


def by_against(text: str) -> bool:
    desk = Desk()
    desk.publish()
    return accepts(lambda: cli_test.version_of(Session(connect=desk.connect).deployment, "greeter", text, "--against"))


def by_fallback(text: str) -> bool:
    arn = f"arn:aws:bedrock:eu-west-1:{ACCOUNT}:prompt/ABCDEFGHIJ:{text}"
    return accepts(lambda: decision.pinned("support", arn))


VERSION_EDGES: dict[str, Callable[[str], bool]] = {
    "release": by_command("release", "support", "?"),
    "restore": by_command("restore", "support", "?"),
    "rollback --to": by_command("rollback", "support", "--reason", "x", "--to", "?"),
    "diff": by_diff,
    "test --against": by_against,
    "fallback": by_fallback,
}


@contextmanager
def without_version_check() -> Iterator[None]:
    with (
        mock.patch.object(arguments, "version_number", as_python_reads),
        mock.patch.object(authoring, "version_number", as_python_reads),
        mock.patch.object(cli_test, "version_number", as_python_reads),
        mock.patch.object(decision, "version_number", as_python_reads),
    ):
        yield


@pytest.mark.parametrize("text", NO_VERSIONS, ids=[ascii(t)[:12] for t in NO_VERSIONS])
@attack("what is no version is taken for one", kind=NUMBERS, without=without_version_check)
def test_no_version(text: str) -> bool:
    return any(edge(text) for edge in VERSION_EDGES.values())


@pytest.mark.parametrize("given", [1e3, True, "3", 10**6, -1, [3], 10**400], ids=lambda given: repr(given)[:12])
@attack(
    "a rollback names a version that is none",
    kind=NUMBERS,
    without=patched(roll_back, "_version", lambda given: given),
)
def test_no_version_in_a_rollback(given: Json) -> bool:
    try:
        roll_back.handle({"prompt": "support", "reason": "x", "to": given}, Context())
    except PromptlaneError:
        return False
    except Asked:
        return True
    return True


# --- waits ----------------------------------------------------------------------------------------------------------

ENDLESS: list[Json] = [float("inf"), 1e300, 10**400, 31_536_001, "366d", "9" * 300 + "d", "٣d"]
UNTIL: dict[str, Callable[[Json], Json]] = {
    "review.expires_after": lambda v: {"review": {"expires_after": v}},
    "review.remind_before": lambda v: {"review": {"remind_before": v}},
    "tests.fresh_for": lambda v: {"tests": {"fresh_for": v}},
    "canary.steps[0].min_bake": lambda v: {"canary": {"steps": [{"weight": "5%", "min_bake": v, "max_time": v}]}},
    "canary.guard_metrics.error.lag": lambda v: {"canary": {"guard_metrics": {"error": {"lag": v}}}},
    "watch.for": lambda v: {"watch": {"for": v}},
}
REVIEWERS = [{"name": "lead", "email": "lead@example.com"}]


def _taken(field: str, value: Json) -> bool:
    given = UNTIL[field](value)
    try:
        Policy.from_dict({**given, "review": {"reviewers": REVIEWERS, **given.get("review", {})}})
    except PolicyInvalid as error:
        said = dict(error.problems).get(field, "")
        return not ("365d" in said or "is not a duration" in said)
    except OverflowError:
        return True
    return True


@pytest.mark.parametrize("value", ENDLESS, ids=[ascii(v)[:12] for v in ENDLESS])
@attack(
    "a policy waits for longer than any release lasts",
    kind=WAITS,
    without=together(
        patched(fields, "LONGEST", float("inf")),
        patched(fields, "_DURATION", re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d)\Z")),
    ),
)
def test_endless_duration(value: Json) -> bool:
    return any(_taken(field, value) for field in UNTIL)


@pytest.mark.parametrize("value", ["inf", "nan", "1e300", "1e9", "-1"])
@pytest.mark.parametrize(
    "words", [("release", "support", "1", "--wait"), ("status", "support", "--watch", "--every")], ids=["wait", "every"]
)
@attack(
    "a command waits without an end",
    kind=WAITS,
    without=patched(arguments, "seconds_between", lambda number, least, most: True),
)
def test_endless_command(words: tuple[str, ...], value: str) -> bool:
    return typed(*words, value) == "reached"


# --- who asked ------------------------------------------------------------------------------------------------------

NAMES_OF_ASKERS: dict[str, Json] = {
    "300,000 characters": "x" * 300_000,
    "half a surrogate pair": "kim\ud83d",
    "an override of direction": "kim\u202egro.elpmaxe",
    "two lines": "kim\napproved by: lead",
    "a mapping": {"name": ["x"] * 10_000},
}


@pytest.mark.parametrize("way", NAMES_OF_ASKERS)
@pytest.mark.parametrize("source", ["request", "CloudTrail"])
@attack(
    "who asked is a text that nothing can keep or show",
    kind=ASKED,
    without=together(
        patched(trigger, "_named", lambda said: str(said)), patched(identity, "one_line", lambda text, limit: text)
    ),
)
def test_odd_asker(source: str, way: str) -> bool:
    asker = NAMES_OF_ASKERS[way]
    message: Json = {"source": "promptlane.request", "prompt": "support", "version": "1", "requested_by": asker}
    if source == "CloudTrail":
        parameters = {"promptIdentifier": "ABCDEFGHIJ"}
        detail = {
            "eventSource": "bedrock.amazonaws.com",
            "eventName": "CreatePromptVersion",
            "requestParameters": parameters,
        }
        message = {"detail-type": "AWS API Call via CloudTrail", "detail": {**detail, "userIdentity": {"arn": asker}}}
    read = trigger.read(message, account=ACCOUNT, region=REGION, sender="AROAEXAMPLE123:kim").requested_by
    return len(read) > 500 or not read.isprintable()


class StrictBus:
    """EventBridge, which refuses an event that is too large or not Unicode, and would refuse it for ever."""

    def __init__(self) -> None:
        self.took = 0

    def put_events(self, **request: Any) -> Json:
        [event] = request["Entries"]
        torn = re.search(r"(?<!\\)\\ud[89a-f]", event["Detail"]) or incoming.torn(event["Detail"]) >= 0
        failed = len(event["Detail"].encode()) > 256_000 or torn
        self.took += not failed
        return {"FailedEntryCount": int(bool(failed)), "Entries": [{"ErrorMessage": "malformed"}]}


def entry(**changes: Json) -> Json:
    return {**TimelineEntry("a", RELEASE, 1000.0, Event.STARTED, seq=1).to_dict(), **changes}


HOLDING_UP: dict[str, tuple[str, Guardless]] = {
    "a name of 300,000 characters": (
        canonical_json(entry(by="x" * 300_000)),
        patched(events, "one_line", lambda text, limit: text),
    ),
    "half a surrogate pair in the detail": (
        json.dumps(entry(detail={"reason": "\ud83d"})),
        patched(events, "_as_json", json.dumps),
    ),
    "no entry at all": ("[]", patched(relay, "_told", lambda image: json.loads(image["body"]["S"]))),
    "an entry without a release": (
        json.dumps({"seq": 1, "event": "x"}),
        patched(relay, "_told", lambda image: json.loads(image["body"]["S"])),
    ),
    "an entry of another kind of release": (
        json.dumps(entry(release_id="../../secret")),
        patched(relay, "_told", lambda image: json.loads(image["body"]["S"])),
    ),
}


def _without_the_guard_of(way: str) -> AbstractContextManager[object]:
    return HOLDING_UP[way][1]()


@pytest.mark.parametrize("way", HOLDING_UP)
@attack("an item of the timeline holds up all copies behind it", kind=ASKED, without=_without_the_guard_of)
def test_held_up(way: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    releases, bus, copied = InMemoryReleases(), StrictBus(), list[str]()
    releases.record_ended(Release(RELEASE, "support", 1.0, "x"))
    s3 = mock.Mock()
    s3.put_object.side_effect = lambda **request: copied.append(request["Body"].decode())
    goes_to = relay.Relay(releases, EventBus(bus, "bus"), AuditCopies(s3, "audit"), mock.Mock())
    monkeypatch.setattr(relay, "wire", lambda: goes_to)
    relay._prompt_and_version.cache_clear()
    bodies = (HOLDING_UP[way][0], canonical_json(entry(seq=2)))
    images = [{"pk": {"S": f"timeline#{RELEASE}"}, "body": {"S": body}} for body in bodies]
    records = [
        {"eventName": "INSERT", "dynamodb": {"NewImage": image, "SequenceNumber": str(i)}}
        for i, image in enumerate(images)
    ]
    answer = relay.handle({"Records": records}, None)
    assert all(json.loads(body) for body in copied)
    return bool(answer["batchItemFailures"])
