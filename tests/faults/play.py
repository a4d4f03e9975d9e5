"""A release played from its request to its end: the real functions over AWS in this process, called as AWS calls them.

The state machine's definition says what is tried again and what is caught; Lambda delivers events at least once and
tries again what failed; SQS hands a message out again; schedules come round. The clock moves by what is waited.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from promptlane.aws.transport import BedrockTransport
from promptlane.domain.release.timeline import iso
from promptlane.domain.review.review import reviewer_key
from tests.faults.injector import Injector, Killed, Kind, Through
from tests.faults.surroundings import Bedrock, CloudWatch, Executions, alarm_name
from tests.support.functions import ACCOUNT, REGION, Context, World, forget
from tests.support.prompt import PROMPT
from tests.support.state_machine import STATES, Execution

Json = Any
ASYNC_TRIES: Final = 3
"""Lambda's, of an event that is invoked asynchronously."""
SQS_TRIES: Final = 5
REMIND_EVERY: Final = 300.0
REMINDED: Final = 2
"""How often the schedule of reviews comes round before a review that people have decided is given up."""
SETTLED_AFTER: Final = 1_000.0
"""Seconds between two rounds of the schedules at the end: longer than a notice may be owed before others send it."""


class TaskFailed(Exception):
    """A task that failed for good. `name`: of the error, as the definition's Catch reads it."""

    def __init__(self, name: str, cause: str) -> None:
        super().__init__(f"{name}: {cause}")
        self.name, self.cause = name, cause


@dataclass
class Play:
    """One release in one world. `people(play, token)` answers a review; `at(play, state)` comes before each state."""

    world: World
    injector: Injector
    cloudwatch: CloudWatch
    people: Callable[[Play, str], None]
    at: Callable[[Play, str], None]
    executions: Executions = field(default_factory=Executions)
    dead: list[str] = field(default_factory=list)
    """What nobody tries again: it would lie in a queue of dead letters."""
    passages: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        world, injector = self.world, self.injector
        stand_ins = {
            "bedrock-agent": world.prompts,
            "cloudtrail": world.trail,
            "lambda": world.invoker,
            "stepfunctions": self.executions,
            "cloudwatch": self.cloudwatch,
        }
        world.services.update({name: Through(injector, name, inner) for name, inner in stand_ins.items()})
        model = Bedrock()
        posted = Through(injector, "bedrock-runtime", model)
        world.monkeypatch.setattr(BedrockTransport, "from_environment", classmethod(lambda cls: posted))
        self._wired: dict[str, Any] = {}

    # --- how AWS calls a function ------------------------------------------------------------------------------------

    def once(self, verb: str, event: Json) -> Json:
        """One invocation; raises what the function raises, or Killed."""
        module = self._wired.get(verb) or self._wired.setdefault(verb, self._made(verb))
        self.injector.function = verb
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                answer = module.handle(json.loads(json.dumps(event)), Context(800_000))
        except Killed:
            forget(self._wired.pop(verb))
            raise
        finally:
            self.injector.function = ""
            self.cloudwatch.routed(self.world.routes.get(PROMPT), self.world.now)
        return json.loads(json.dumps(answer))

    def _made(self, verb: str) -> Any:
        return self.world.function(verb, RESOLUTION_SECONDS="60")

    def deliver(self, verb: str, event: Json, mode: str = "async", tries: int = ASYNC_TRIES) -> Json:
        """An event that Lambda hands over at least once, and again where the function failed."""
        self.injector.function = verb
        again = self.injector.twice(mode)
        self.injector.function = ""
        for attempt in range(tries):
            try:
                answer = self.once(verb, event)
                if mode == "sqs" and answer["batchItemFailures"]:
                    raise RuntimeError("the message was not taken")
            except (Exception, Killed) as error:  # noqa: BLE001 - whatever it is, AWS tries again
                self.world.now += 60.0 * (attempt + 1)
                failed = repr(error)
                continue
            return self.deliver(verb, event, mode, tries) if again and self.injector.kind is Kind.TWICE else answer
        self.dead.append(f"{verb}: {failed}")
        return None

    # --- the whole way -----------------------------------------------------------------------------------------------

    def whole(self, request: Json) -> None:
        """From the message in the intake queue until nothing more is to be done."""
        self._take(request, "AROAEXAMPLEROLEID0001:kim")
        self._run_executions()
        for _ in range(2):
            self._schedules()
            self._run_executions()

    def _schedules(self) -> None:
        self.world.now += SETTLED_AFTER
        self.deliver("remind", {})
        self.deliver("reconcile", {})
        while self.world.invoker.invoked:
            asked = self.world.invoker.invoked.pop(0)
            self.deliver(str(asked["FunctionName"]).replace("lane-", "").replace("-", "_"), asked["Payload"])
        for body in self.world.queued():
            self._take(body, "AROAEXAMPLEROLEID0002:reconcile")

    def _take(self, body: Json, sender: str) -> None:
        record = {"messageId": "m1", "body": json.dumps(body), "attributes": {"SenderId": sender}}
        self.deliver("intake", {"Records": [record]}, "sqs", SQS_TRIES)

    def _run_executions(self) -> None:
        for name, given in list(self.executions.inputs.items()):
            if self.executions.status[name] == "RUNNING" and not self.passages.get(name):
                self.passages[name] += 1
                Machine(self, name, json.loads(given)).go()
                if self.executions.status[name] != "SUCCEEDED":
                    self._status_changed(name)

    def _status_changed(self, name: str) -> None:
        detail = {"name": name, "status": self.executions.status[name], "cause": "as the test says"}
        self.deliver("wind_up", {"detail-type": "Step Functions Execution Status Change", "detail": detail})

    # --- what people and alarms do -----------------------------------------------------------------------------------

    def decide(self, release_id: str, arn: str, decision: str) -> None:
        """A reviewer decides by an IAM identity, and tries again while the API has no answer."""
        candidate = self.world.releases.get(release_id).candidate
        body = {"decision": decision, "reason": "as read", "fingerprint": candidate.fingerprint if candidate else ""}
        event = {
            "rawPath": f"/releases/{release_id}/decision",
            "pathParameters": {"release_id": release_id},
            "requestContext": {
                "http": {"method": "POST", "sourceIp": "203.0.113.7", "userAgent": "promptlane"},
                "authorizer": {"iam": {"userArn": arn}},
            },
            "body": json.dumps(body),
            "isBase64Encoded": False,
        }
        for _ in range(4):
            with contextlib.suppress(Exception, Killed):
                if self.once("decide", event)["statusCode"] < 500:
                    return
            self.world.now += 20.0
        self.dead.append("decide: no answer")

    def alarm(self, track: str) -> None:
        """A fuse alarm goes into ALARM, and SNS hands it to `roll_back`."""
        name = alarm_name(PROMPT, track)
        self.cloudwatch.red[name] = self.world.now
        message = {
            "AlarmArn": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}",
            "NewStateValue": "ALARM",
            "NewStateReason": "3 datapoints were greater",
            "StateChangeTime": iso(self.world.now).replace("Z", "+0000"),
        }
        self.deliver("roll_back", {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(message)}}]})

    def mails(self, email: str) -> int:
        """How many mails a reviewer got."""
        topic = next(t for t in self._topics if reviewer_key(email) in t)
        return len(self.world.told(topic))

    @property
    def _topics(self) -> list[str]:
        from moto.sns.models import sns_backends

        return list(sns_backends[ACCOUNT][REGION].topics)


class Machine(Execution):
    """One execution of the real definition, with its retries and catches, until it ends or somebody stops it."""

    def __init__(self, play: Play, name: str, given: dict[str, Json]) -> None:
        super().__init__(tasks={}, variables={}, now=play.world.now)
        self.play, self.name, self.input = play, name, given
        self.tokens = 0

    def go(self) -> None:
        state = "Admit"
        while self._running:
            self.play.at(self.play, state)
            if not self._running:
                return
            if STATES[state]["Type"] in ("Succeed", "Fail"):
                self.play.executions.status[self.name] = "SUCCEEDED" if STATES[state]["Type"] == "Succeed" else "FAILED"
                return
            self.play.passages[state] += 1
            self.now = self.play.world.now
            state = self._through(state, STATES[state])

    @property
    def _running(self) -> bool:
        return self.play.executions.status[self.name] == "RUNNING"

    def _through(self, name: str, state: Mapping[str, Json]) -> str:
        if state["Type"] not in ("Task", "Map"):
            following = super()._through(name, state)
            self.play.world.now = max(self.play.world.now, self.now)
            return following
        try:
            result = self._tried(name, state)
        except TaskFailed as error:
            for way in state.get("Catch", []):
                if {error.name, "States.ALL"} & set(way["ErrorEquals"]):
                    shown = {"input": self.input, "errorOutput": {"Error": error.name, "Cause": error.cause}}
                    self.variables |= self._value(way.get("Assign", {}), shown)
                    return str(way["Next"])
            self.play.executions.status[self.name] = "FAILED"
            return name
        states = {"result": result, "input": self.input}
        self.variables |= self._value(state.get("Assign", {}), states)
        output = self._value(state.get("Output", self.input), states)
        self.input = output if isinstance(output, dict) else {}
        return str(state["Next"])

    def _tried(self, name: str, state: Mapping[str, Json], more: Mapping[str, Json] | None = None) -> Json:
        entered = iso(self.play.world.now)
        tried: Counter[int] = Counter()
        while True:
            try:
                return self._task(state, entered, more or {}) if state["Type"] == "Task" else self._map(state)
            except TaskFailed as error:
                for number, retrier in enumerate(state.get("Retry", [])):
                    if {error.name, "States.ALL"} & set(retrier["ErrorEquals"]):
                        if tried[number] >= retrier.get("MaxAttempts", 3):
                            raise
                        wait = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** tried[number]
                        self.play.world.now += min(wait, retrier.get("MaxDelaySeconds", wait))
                        tried[number] += 1
                        break
                else:
                    raise

    def _task(self, state: Mapping[str, Json], entered: str, more: Mapping[str, Json]) -> Json:
        self.tokens += 1
        token = f"{self.name} token {self.tokens}"
        waits = str(state["Resource"]).endswith(".waitForTaskToken")
        if waits:
            self.play.executions.waiting.add(token)
        context = {"State": {"EnteredTime": entered}, "Task": {"Token": token}}
        payload = self._value(state["Arguments"]["Payload"], {"input": self.input, "context": context, **more})
        verb = _verb(state["Arguments"]["FunctionName"])
        try:
            answer = self.play.once(verb, payload)
        except Killed:
            raise TaskFailed("Lambda.Unknown", "the process ended") from None
        except Exception as error:
            raise TaskFailed(type(error).__name__, str(error)) from error
        if not waits:
            return {"Payload": answer}
        self.play.people(self.play, token)
        for _ in range(REMINDED):
            if token not in self.play.executions.answers:
                self.play.world.now += REMIND_EVERY
                self.play.deliver("remind", {})
        self.play.executions.waiting.discard(token)
        if token in self.play.executions.answers:
            return self.play.executions.answers[token]
        raise TaskFailed("States.Timeout", "nobody answered")

    def _value(self, template: Json, states: dict[str, Json]) -> Json:
        return super()._value(template, {"input": self.input, **states})

    def _map(self, state: Mapping[str, Json]) -> Json:
        """Batches of the items that the reader names, each tried again as the inner definition says."""
        plan = self.variables["plan"]
        body = self.play.world.objects(plan["bucket"], plan["key"])[plan["key"]]
        items = [json.loads(line) for line in body.splitlines()]
        inner = state["ItemProcessor"]["States"]["RunCases"]
        size = int(plan["batch_size"])
        given = self._value(state["ItemBatcher"]["BatchInput"], {})
        before = self.input
        for first in range(0, len(items), size):
            self.input = {"BatchInput": given, "Items": items[first : first + size]}
            with contextlib.suppress(TaskFailed):  # a tolerated failure: its cases are missing
                self._tried("RunCases", inner)
        self.input = before
        return {}


def _verb(arn: str) -> str:
    """`${RequestReviewFunctionArn}` → `request_review`."""
    name = arn.removeprefix("${").removesuffix("FunctionArn}")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
