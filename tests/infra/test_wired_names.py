"""What parts agree on by a name alone, each against the part that defines it."""

import ast
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aws_cdk import App

from functions.wind_up import handler as wind_up
from infra.stacks.state import StateStack
from promptlane.aws import emf as of_functions
from promptlane.aws.mail import ReviewerTopics
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.trail import read_event
from promptlane.client import metrics
from promptlane.client.aws import Aws, FeedbackTable, RouteTable
from promptlane.client.decision import Decision
from promptlane.client.emf import EmfSink
from promptlane.client.receipts import Receipt
from promptlane.domain import names
from promptlane.domain.canary.outcome import of_answer
from promptlane.domain.errors import NotFound
from promptlane.domain.release import trigger
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Route
from promptlane.domain.review.review import reviewer_key
from promptlane.project import load, load_reviewers
from tests.support.alone import KEPT, made, plain
from tests.support.synthesized import ROOT, Json, Synthesized, context

Read = tuple[str, str, tuple[str, ...], str]
"""Namespace, metric, names of dimensions, and the track if that is one of them."""


def of(prompt: str, track: str) -> Decision:
    return Decision(prompt=prompt, version=2, version_arn="arn", track=track, release_id="R", phase="canary")


def emitted(out: str) -> Iterator[Read]:
    """What EMF lines have CloudWatch keep."""
    for line in out.splitlines():
        document = json.loads(line)
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for dimensions in directive["Dimensions"]:
                track = document["Track"] if "Track" in dimensions else ""
                for metric in directive["Metrics"]:
                    yield directive["Namespace"], metric["Name"], tuple(dimensions), track


@pytest.fixture
def known(capsys: pytest.CaptureFixture[str]) -> set[Read]:
    """All that a client sends for requests of every track, and that the judge publishes."""
    stream = io.StringIO()
    sink = EmfSink(stream=stream)
    answered = of_answer(
        text="Yes.",
        stop_reason="end_turn",
        latency_ms=100,
        slow_after_ms=1000,
        usage={"inputTokens": 10, "outputTokens": 2},
        time_to_first_token_ms=50.0,
    )
    for track in names.Track:
        sent = [metrics.assigned(of("p", track), "3", started_at=1.0)]
        sent += metrics.finished(of("p", track), "3", "0", answered, started_at=1.0, now=2.0)
        sent += metrics.feedback(Receipt("p", 2, track, "R", "3", 1.0, "p/0"), negative=True, now=2.0)
        sent += [metrics.invalid(of("p", track), now=2.0), metrics.cancelled(of("p", track), now=2.0)]
        for document in sent:
            sink.emit(document)
    for document in metrics.shielded(of("p", names.Track.CANARY), "3", "0", started_at=1.0, now=2.0):
        sink.emit(document)
    shown = (names.WEIGHT, names.HARM_EVIDENCE, names.ADVANCE_EVIDENCE, names.SPLIT_EVIDENCE)
    of_functions.publish("p", dict.fromkeys(shown, 1.0), at=1.0)
    return {*emitted(stream.getvalue()), *emitted(capsys.readouterr().out)}


def of_alarms(synthesized: Synthesized) -> Iterator[tuple[str, Read, str]]:
    """(the prompt in the name, what is read, the prompt that is read) of every metric of every fuse alarm."""
    for stack, _, alarm in synthesized.resources("AWS::CloudWatch::Alarm"):
        for query in alarm.get("Metrics", []) if stack.startswith("prompt-") else []:
            if "MetricStat" in query:
                read = query["MetricStat"]["Metric"]
                values = {d["Name"]: d["Value"] for d in read["Dimensions"]}
                found = (read["Namespace"], read["MetricName"], tuple(values), values.get("Track", ""))
                yield alarm["AlarmName"].split("/")[1], found, values["Prompt"]


def of_dashboards(synthesized: Synthesized) -> Iterator[tuple[str, Read, str]]:
    for _, _, dashboard in synthesized.resources("AWS::CloudWatch::Dashboard"):
        prompt = dashboard["DashboardName"].removeprefix("promptlane").removeprefix("_").removeprefix("-")
        for widget in json.loads(plain(dashboard["DashboardBody"]))["widgets"]:
            for namespace, *rest in widget["properties"].get("metrics", []):
                if isinstance(namespace, str):
                    metric, *pairs = (one for one in rest if isinstance(one, str))
                    values = dict(zip(pairs[::2], pairs[1::2], strict=True))
                    read = (namespace, metric, tuple(values), values.get("Track", ""))
                    yield prompt, read, values["Prompt"]
                elif found := re.search(r"SEARCH\('\{(\w+),([\w,]+)\} (.*)', '\w+'\)", namespace["expression"]):
                    asked = dict(re.findall(r'(\w+)="([^"]*)"', found[3]))
                    read = (found[1], asked["MetricName"], tuple(found[2].split(",")), asked.get("Track", ""))
                    yield prompt, read, asked.get("Prompt", "")


def test_alarms_and_dashboards_read_metrics_that_are_sent_of_their_own_prompt(
    synthesized: Synthesized, known: set[Read]
) -> None:
    read = [*of_alarms(synthesized), *of_dashboards(synthesized)]
    assert len(read) > 80
    assert [one for one in read if one[1] not in known or one[0] != one[2]] == []


def test_every_track_of_a_guard_metric_is_on_the_dashboard(synthesized: Synthesized) -> None:
    shown = {(prompt, found) for prompt, found, _ in of_dashboards(synthesized)}
    for project in load(ROOT / "prompts"):
        for guard in project.policy.canary.guard_metrics:
            for track in names.Track:
                read = (names.NAMESPACE, str(guard.name), ("Prompt", "Track"), str(track))
                assert (project.name, read) in shown


def rule(synthesized: Synthesized, name: str) -> Json:
    return synthesized.one("AWS::Events::Rule", f"/{name}/")[2]["EventPattern"]


def test_intake_takes_what_the_rule_for_new_versions_lets_through(synthesized: Synthesized) -> None:
    event = json.loads((ROOT / "tests/events/create-prompt-version.json").read_text())
    pattern = rule(synthesized, "VersionCreated")
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    for source in pattern["detail"]["eventSource"]:
        for name in pattern["detail"]["eventName"]:
            detail = {**event["detail"], "eventSource": source, "eventName": name}
            here = {"account": "111122223333", "region": "us-east-1"}
            record = trigger.record_of({**event, "detail": detail}, **here)
            assert record is not None
            assert read_event(record).name == name
            change = trigger.change({**event, "detail": detail}, **here)
            if name == "CreatePromptVersion":
                assert change is None
                assert trigger.read({**event, "detail": detail}, **here).prompt == "PROMPT0001"
            else:
                assert change is not None
                assert (change.call, change.prompt_id) == (name, "PROMPT0001")


def test_a_dead_execution_is_wound_up_by_the_release_that_it_is_named_by(
    synthesized: Synthesized, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = rule(synthesized, "ExecutionDied")
    ended: list[tuple[str, Any]] = []

    class Ending:
        def end(self, release_id: str, *, claimed: Any, reason: str) -> Any:
            ended.append((release_id, claimed))
            raise NotFound("none")

    monkeypatch.setattr(wind_up, "wire", lambda: (Ending(), None))
    for detail_type in pattern["detail-type"]:
        for status in pattern["detail"]["status"]:
            detail = {"name": "ABCDEFGHIJ-2-1", "status": status}
            wind_up.handle({"detail-type": detail_type, "source": pattern["source"][0], "detail": detail}, None)
    assert ended == [("ABCDEFGHIJ-2-1", names.Outcome.FAILED)] * 3


class Recorded(Aws):
    """A client or a table that keeps what it is asked for, and has nothing."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def client(self, service: str, **settings: Any) -> "Recorded":
        return self

    def __getattr__(self, operation: str) -> Any:
        def answer(**asked: Any) -> dict[str, Any]:
            self.asked.append(asked)
            return {"Items": []}

        return answer


def test_adapters_ask_by_the_keys_that_the_tables_have(synthesized: Synthesized) -> None:
    def keys(table: str) -> set[str]:
        properties = synthesized.one("AWS::DynamoDB::Table", f"/{table}/")[2]
        assert all(a["AttributeType"] == "S" for a in properties["AttributeDefinitions"])
        return {key["AttributeName"] for key in properties["KeySchema"]}

    routes, releases, marks, found = Recorded(), Recorded(), Recorded(), Recorded()
    DynamoRoutes(routes).get("support")
    DynamoReleases(releases).find("ABCDEFGHIJ-2-1")
    FeedbackTable(marks, "feedback").first("receipt", keep_seconds=60)
    RouteTable(found, "routes").name_of("ABCDEFGHIJ")
    assert set(routes.asked[0]["Key"]) == keys("Routes")
    assert set(releases.asked[0]["Key"]) == keys("Releases")
    feedback = synthesized.one("AWS::DynamoDB::Table", "/Feedback/")[2]
    assert set(marks.asked[0]["Item"]) == keys("Feedback") | {feedback["TimeToLiveSpecification"]["AttributeName"]}
    (index,) = synthesized.one("AWS::DynamoDB::Table", "/Routes/")[2]["GlobalSecondaryIndexes"]
    assert found.asked[0]["IndexName"] == index["IndexName"]
    (key,) = index["KeySchema"]
    assert found.asked[0]["KeyConditionExpression"] == f"{key['AttributeName']} = :id"
    stable = VersionRef(1, "f" * 64, "arn:aws:bedrock:us-east-1:111122223333:prompt/ABCDEFGHIJ:1")
    assert Route("support", "ABCDEFGHIJ", stable).to_item()[key["AttributeName"]] == "ABCDEFGHIJ"


def test_a_reviewers_topic_is_found_by_the_address_in_the_policy(synthesized: Synthesized) -> None:
    parameters = {p["Name"]: plain(p["Value"]) for _, _, p in synthesized.resources("AWS::SSM::Parameter")}

    class Ssm:
        def get_parameter(self, **asked: str) -> Json:
            return {"Parameter": {"Value": parameters[asked["Name"]]}}

    topics = ReviewerTopics(sns=None, ssm=Ssm(), deployment="promptlane")
    emails = {person.email for person in load_reviewers(ROOT / "reviewers.yaml").people}
    assert {email: topics.topic(email) for email in emails} == {
        email: f"<Reviewer{reviewer_key(email)}Topic>" for email in emails
    }


def recorded(synthesized: Synthesized) -> dict[str, dict[str, str]]:
    """What each stack wrote to SSM for the CLI."""
    return {
        stack: json.loads(plain(p["Value"]))
        for stack, _, p in synthesized.resources("AWS::SSM::Parameter")
        if p["Name"] == f"/promptlane/resources/{stack}"
    }


def test_the_cli_asks_for_resources_that_stacks_record(synthesized: Synthesized) -> None:
    found = {name for resources in recorded(synthesized).values() for name in resources}
    sources = [path.read_text() for path in (ROOT / "promptlane/cli").rglob("*.py")]
    asked = {n for s in sources for n in re.findall(r'(?:\.resource|\.resources\.get|\.optional|_found)\("(\w+)"', s)}
    root = ast.parse((ROOT / "promptlane/aws/composition.py").read_text())
    taken = {n for s in sources for n in re.findall(r"(?:deployment|self)\.(\w+)", s)}
    for adapter in (n for n in ast.walk(root) if isinstance(n, ast.FunctionDef) and n.name in taken):
        asked |= set(re.findall(r"(?:setting|optional|_table)\('(\w+)'", ast.unparse(adapter)))
    looked_at = [path.read_text() for path in (ROOT / "promptlane/lifecycle/doctor").rglob("*.py")]
    asked |= {name for source in looked_at for name in re.findall(r'visit\.named\("(\w+)"', source)}
    # The last three are there where anybody is on call, and where a group of Regions or a time scale is set.
    asked -= {"deployment", "on_call", "inference_profiles", "time_scale"}
    assert asked - {"dynamodb"} >= {"route_table", "release_table", "report_bucket", "intake_queue_url"}
    assert asked - {"dynamodb"} - found == set()


def test_each_stack_records_its_own_resources_and_shows_the_same_as_outputs(synthesized: Synthesized) -> None:
    functions = {f"{verb}_function" for verb in synthesized.verbs()} - {
        "invocation_logging_function",
        "record_renders_function",
    }
    stacks = recorded(synthesized)
    assert {stack: set(resources) for stack, resources in stacks.items()} == {
        "state": {
            "route_table",
            "release_table",
            "feedback_table",
            "report_bucket",
            "version_bucket",
            "event_bus",
            "notices_topic",
            "alarms_topic",
            "receipt_key",
        },
        "pipeline": {
            "intake_queue_url",
            "state_machine_arn",
            "operations_url",
            "reviews_url",
            "roll_back_console",
            "version",
            *(functions - {"gateway_function"}),
        },
        "runtime": {
            "gateway_url",
            "gateway_function",
            "application_policy",
            "version_policy",
            "client_layer",
            "metric_resolution",
        },
        "observability": {"dashboard"},
        "audit": {
            "audit_bucket",
            "audit_retention_days",
            "trail",
            "render_events",
            "invocation_log_group",
            "invocation_bucket",
        },
        "access": {
            f"{duty}_{what}"
            for duty in ("author", "reviewer", "operator", "runtime", "auditor")
            for what in ("policy", "role")
        },
    }
    for stack, resources in stacks.items():
        shown = synthesized.templates[stack]["Outputs"]
        assert {name: plain(output["Value"]) for name, output in shown.items() if "Export" not in output} == {
            "".join(word.capitalize() for word in name.split("_")): value for name, value in resources.items()
        }


def test_the_docs_name_outputs_that_there_are(synthesized: Synthesized) -> None:
    outputs = {name for template in synthesized.templates.values() for name in template.get("Outputs", {})}
    texts = [path.read_text() for path in ((ROOT / "docs").rglob("*.md"))]
    said = {name for text in texts for name in re.findall(r"[Oo]utput `(\w+)`", text)}
    assert said >= {"ApplicationPolicy", "GatewayUrl"}
    assert said - outputs == {"StreamUrl"}, "of a deployment that streams: test_streams.py"


@pytest.mark.parametrize("scale", [1.0, 1 / 3])
def test_a_time_scale_is_recorded_as_it_is_so_that_policies_can_be_compared(scale: float) -> None:
    stack = StateStack(App(context=context()), "lane-state", config=replace(KEPT, time_scale=scale))
    parameters = [r["Properties"] for r in made(stack).values() if r["Type"] == "AWS::SSM::Parameter"]
    [told] = [json.loads(p["Value"]) for p in parameters if p["Name"].endswith("/resources/state")]
    assert float(told.get("time_scale", 1)) == scale
    assert ("time_scale" in told) is (scale != 1)
