"""A deployment and an account in which all is well, as `promptlane doctor` sees them; a test changes one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptlane.domain.release.release import Release
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes.stores import InMemoryReleases
from promptlane.lifecycle.doctor.account import (
    Alarm,
    Queue,
    Resource,
    Rule,
    SourceMapping,
    Stack,
    Subscriber,
    Trail,
    Trial,
    Visit,
)
from tests.support.admitted import Admitted, suite

Json = Any
RESOURCES = {
    "version": "1.2.3",
    "notices_topic": "notices",
    "alarms_topic": "alarms",
    "trail": "lane",
    "render_events": "recorded",
    "invocation_log_group": "calls",
    "intake_function": "intake",
    "relay_function": "relay",
}
ROLES = ("RequestReview", "Remind", "Review", "Decide", "Enrol", "Relay", "Housekeep", "Judge")
MODEL = "amazon.nova-lite-v1:0"


def record(model: str = "arn:aws:bedrock:eu-west-1:111122223333:prompt/PROMPT0001:1") -> Json:
    return {"modelId": model, "requestMetadata": {"prompt": "p"}, "input": {"inputBodyJson": {"messages": []}}}


TRIED = Trial(
    published=10,
    refusal="ValidationException: max-number-versions-per-prompt",
    numbers_kept=True,
    renamed=True,
    freed=True,
    created_same=True,
    twins=True,
)


def ringing(*alarms: Alarm) -> Healthy:
    return Healthy(ringing=alarms)


def begun(**detail: str) -> InMemoryReleases:
    """One release, with what its first entry says of who asked for it."""
    releases = InMemoryReleases()
    release = Release("PROMPT0001-1-1", "support", 1_700_000_000.0, "author", state="started")
    releases.start(release, TimelineEntry("s", release.release_id, release.started_at, Event.STARTED, detail=detail))
    return releases


@dataclass
class Healthy:
    """An `Account` in which all is well; a test changes one thing."""

    made: dict[str, Stack] = field(
        default_factory=lambda: {
            part: Stack(f"lane-{part}", "UPDATE_COMPLETE", "IN_SYNC")
            for part in ("state", "audit", "pipeline", "runtime", "observability", "access", "prompt-support-1a2b")
        }
    )
    roles: Sequence[str] = tuple(f"lane-pipeline-{name}Role0123-XYZ" for name in ROLES)
    limit: tuple[int, int] = (1000, 900)
    quota: Mapping[str, float] = field(default_factory=lambda: {"Prompts per account": 500.0})
    count: int = 12
    states: Mapping[str, str] = field(default_factory=lambda: {"key-1": "Enabled", "key-2": "Enabled"})
    ruled: Sequence[Rule] = (Rule("lane-reconcile", True, 0.0), Rule("lane-remind", True, 0.0))
    trailed: Sequence[Trail] = (Trail("lane", True, "", True, True),)
    queued: Sequence[Queue] = (Queue("requests", 3, False), Queue("dead", 0, True))
    ringing: Sequence[Alarm] = (Alarm("lane_health-executions-failed", "OK", 0.0, True),)
    fuses: Sequence[Alarm] = (Alarm("lane/support/stable/Outage", "OK", 0.0, False),)
    mapped: Sequence[SourceMapping] = (SourceMapping("any", "Enabled", "OK - 3 records"),)
    told: Sequence[Subscriber] = (Subscriber("email", "on-call@example.com", True),)
    fused: Sequence[Subscriber] = (Subscriber("lambda", "arn:roll-back", True),)
    problem: str = ""
    logged: Mapping[str, Json] | None = field(default_factory=lambda: {"cloudWatchConfig": {"logGroupName": "calls"}})
    kept: Sequence[Mapping[str, Json]] = field(default_factory=lambda: [record()])
    ahead: float = 0.4
    tried: Trial = TRIED
    made_prompts: list[str] = field(default_factory=list)

    def stacks(self, deployment: str) -> Sequence[Stack]:
        return list(self.made.values())

    def resources(self, stack: str, kind: str) -> Sequence[Resource]:
        ids = {"AWS::IAM::Role": self.roles, "AWS::KMS::Key": tuple(self.states)}.get(kind, ("one",))
        return [Resource(f"Logical{n}", one) for n, one in enumerate(ids)]

    def concurrency(self) -> tuple[int, int]:
        return self.limit

    def quotas(self) -> Mapping[str, float]:
        return self.quota

    def prompts(self) -> int:
        return self.count

    def key_states(self, keys: Sequence[str]) -> Mapping[str, str]:
        return self.states

    def rules(self, names: Sequence[str], bus: str) -> Sequence[Rule]:
        return self.ruled

    def trails(self) -> Sequence[Trail]:
        return self.trailed

    def queues(self, urls: Sequence[str]) -> Sequence[Queue]:
        return self.queued

    def alarms(self, prefix: str) -> Sequence[Alarm]:
        return [one for one in (*self.ringing, *self.fuses) if one.name.startswith(prefix)]

    def mappings(self, function: str) -> Sequence[SourceMapping]:
        return self.mapped

    def subscribers(self, topic: str) -> Sequence[Subscriber]:
        return {"notices": self.told, "alarms": self.fused}[topic]

    def model_problem(self, model: str) -> str:
        assert model == MODEL
        return self.problem

    def logging(self) -> Mapping[str, Json] | None:
        return self.logged

    def records(self, group: str) -> Sequence[Mapping[str, Json]]:
        return self.kept

    def skew(self) -> float:
        return self.ahead

    def try_prompt(self, name: str, versions: int) -> Trial:
        self.made_prompts.append(name)
        return self.tried


def visit(account: Healthy | None = None, **change: Any) -> Visit:
    world = Admitted(suite(2))
    given: dict[str, Any] = {
        "deployment": "lane",
        "resources": RESOURCES,
        "account": account or Healthy(),
        "enrolments": world.enrolments,
        "fixed": {"support": "PROMPT0001"}.get,
        "prompts": world.prompts,
        "routes": world.routes,
        "releases": begun(sent_by="AIDAEXAMPLE"),
        "reviewers": lambda: [("lead@example.com", "confirmed")],
        "now": 1_800_000_000.0,
        "version": "1.2.3",
    }
    return Visit(**{**given, **change})
