"""From an alarm's state change to the safe route, beside a bare SNS -> Lambda -> PutItem, on the embedded AWS.

    make bench-rollback     writes .local/bench/rollback.json

Every stack is deployed by the CDK CLI. Both sides start with the same call, SetAlarmState, on an alarm whose action is
their topic; both end when a consistent read, repeated every few milliseconds by the same observer, shows what was
written. They take turns, and every second turn of both starts with a cold function. `ours_ms` and `bare_ms` are over
all turns; `cold` and `warm` hold both sides apart. The embedded AWS delivers within one machine: what the figures can
show is what our code adds to the services, not how fast the services are.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from local import deploy
from local.running import EmbeddedAws
from promptlane.aws.dynamodb import SignedDynamo
from promptlane.aws.routes import DynamoRoutes
from promptlane.aws.signed_routes import SignedRoutes
from promptlane.client import PromptClient
from promptlane.domain.names import Phase, Track, alarm_name, release_id
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.route import Approved, Route, first_route, shift
from promptlane.lifecycle.rollback import PATH_CALLS, Wish, restore_safe_route

OUT = Path(".local/bench/rollback.json")
PROMPT, PROMPT_ID = "support-assistant", "BENCHMARK0"
TURNS = 30
SETTINGS = {"promptlane:lambda_target": "host", "promptlane:trial": "true"}
_BARE = """
import json, os, time
import boto3
client = boto3.client("dynamodb")
def handle(event, context):
    entered = time.time()
    message = json.loads(event["Records"][0]["Sns"]["Message"])
    client.put_item(TableName=os.environ["TABLE"], Item={"prompt": {"S": "bare"},
        "turn": {"S": message["NewStateReason"]}, "entered": {"N": repr(entered)}})
"""


class Stage:
    """A deployment with a prompt in canary as often as wanted, and a bare function beside it."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.cloudwatch, self.functions = aws.client("cloudwatch"), aws.client("lambda")
        self.dynamodb = aws.client("dynamodb")
        self.resources = self._resources()
        table = aws.session().resource("dynamodb", endpoint_url=aws.url).Table(self.resources["route_table"])
        self.routes = DynamoRoutes(table)
        signed = SignedDynamo.from_environment(aws.env())
        assert signed is not None
        self.signed = signed
        self.alarm = alarm_name("promptlane", PROMPT, Track.CANARY, "Error")
        self.version = 1
        ref = self._ref(1)
        first = first_route(
            prompt=PROMPT,
            prompt_id=PROMPT_ID,
            candidate=ref,
            release_id=release_id(PROMPT_ID, 1),
            now=time.time(),
            by="benchmark",
        )
        self.routes.put(first, expected=None)
        self._bare()

    def _resources(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for page in (
            self.aws.client("ssm").get_paginator("get_parameters_by_path").paginate(Path="/promptlane/resources")
        ):
            for parameter in page["Parameters"]:
                found |= json.loads(parameter["Value"])
        return found

    def _ref(self, version: int) -> VersionRef:
        return VersionRef(
            version, f"{version:064d}", f"arn:aws:bedrock:us-east-1:000000000000:prompt/{PROMPT_ID}:{version}"
        )

    def _bare(self) -> None:
        """Topic, alarm, table and function without anything of ours; as large as roll_back, with its boto3."""
        topic = self.aws.client("sns").create_topic(Name="bare")["TopicArn"]
        self.dynamodb.create_table(
            TableName="bare",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "prompt", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "prompt", "KeyType": "HASH"}],
        )
        like = self.functions.get_function_configuration(FunctionName=self.resources["roll_back_function"])
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("bare.py", _BARE)
        arn = self.functions.create_function(
            FunctionName="bare",
            Runtime=like["Runtime"],
            Handler="bare.handle",
            Role=like["Role"],
            MemorySize=like["MemorySize"],
            Timeout=30,
            Code={"ZipFile": body.getvalue()},
            Layers=[layer["Arn"] for layer in like["Layers"]],
            Environment={"Variables": {"TABLE": "bare"}},
        )["FunctionArn"]
        self.aws.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
        self.cloudwatch.put_metric_alarm(
            AlarmName="bare",
            Namespace="Bare",
            MetricName="Bad",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
            AlarmActions=[topic],
        )

    def cold(self, function: str, turn: int) -> None:
        """A changed configuration gives the next call a new environment, as on AWS."""
        self.functions.update_function_configuration(FunctionName=function, Timeout=30 + turn % 60)

    def to_canary(self) -> Route:
        """The next version on trial with half of the traffic."""
        self.version += 1
        route = self.routes.get(PROMPT)
        assert route is not None
        clean = replace(route, pending=(), quarantined={})  # as others leave it; or it would grow with every turn
        moved = shift(
            clean,
            Approved(release_id(PROMPT_ID, self.version), self._ref(self.version), route.stable.fingerprint),
            weight=5000,
            now=time.time(),
            explicit=True,
        )
        self.routes.put(moved, expected=route)
        return moved

    def trip(self, alarm: str, turn: int) -> float:
        """Epoch seconds just before the alarm changed."""
        self.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="before the turn")
        began = time.time()
        self.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason=f"turn {turn}")
        return began

    def seen(self, table: str, prompt: str, done: Callable[[dict[str, Any]], bool]) -> tuple[float, dict[str, Any]]:
        """When a consistent read first shows what was written, and the item."""
        deadline = time.time() + 30
        while time.time() < deadline:
            item = self.dynamodb.get_item(TableName=table, Key={"prompt": {"S": prompt}}, ConsistentRead=True).get(
                "Item"
            )
            if item and done(item):
                return time.time(), item
            time.sleep(0.003)
        raise RuntimeError(f"nothing was written to {table} within 30 s")


class Application:
    """One client as applications hold it, asked for the same unit all the time."""

    def __init__(self, table: str) -> None:
        self.client = PromptClient(route_table=table, sink=_Nothing())
        self.unit = ""

    def wait(self, track: Track) -> float:
        """When the client first decides for `track`; for the canary a unit is looked for that gets it."""
        deadline = time.time() + 30
        while time.time() < deadline:
            for unit in [self.unit] if track is not Track.CANARY else map(str, range(50)):
                if self.client.route(PROMPT, unit).track == track:
                    self.unit = unit
                    return time.time()
            time.sleep(0.002)
        raise RuntimeError(f"no decision for {track} within 30 s")

    def watch(self) -> Callable[[], float]:
        """Begin to wait for stable; the result of the call is when that was."""
        seen: list[float] = []
        thread = threading.Thread(target=lambda: seen.append(self.wait(Track.STABLE)))
        thread.start()

        def over() -> float:
            thread.join()
            return seen[0]

        return over


class _Nothing:
    def emit(self, document: Any) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def after_fork(self) -> None: ...


def rolled_back(stage: Stage) -> None:
    """By the requests that `roll_back` sends."""
    wish = Wish(prompt=PROMPT, cause="operator", reason="measured", by="benchmark")
    routes = SignedRoutes(stage.signed, stage.resources["route_table"])
    restore_safe_route(routes, wish, clock=time.time, keep_trying=lambda attempt: False)


def network_calls(stage: Stage) -> int:
    """Requests that a rollback sends until the route is safe."""
    stage.to_canary()
    sent: list[str] = []
    send = SignedDynamo._exchange

    def counted(signed: SignedDynamo, connection: Any, operation: str, body: bytes) -> tuple[int, bytes]:
        sent.append(operation)
        return send(signed, connection, operation, body)

    with patch.object(SignedDynamo, "_exchange", counted):
        rolled_back(stage)
    return len(sent)


def write_ms(stage: Stage) -> float:
    """Median of the path without SNS and Lambda: one read and one conditional write."""
    spent = []
    for _ in range(15):
        stage.to_canary()
        began = time.perf_counter()
        rolled_back(stage)
        spent.append((time.perf_counter() - began) * 1000)
    return statistics.median(spent)


def _of_turn(turn: int, item: dict[str, Any]) -> bool:
    return bool(item["turn"]["S"] == f"turn {turn}")


def turns(stage: Stage, application: Application) -> list[dict[str, Any]]:
    rows = []
    for turn in range(TURNS + 2):  # the first two warm everything up and are not counted
        cold = turn % 2 == 1
        stage.to_canary()
        application.wait(Track.CANARY)
        if cold:
            stage.cold(stage.resources["roll_back_function"], turn)
            stage.cold("bare", turn)
        # Whether the client refreshes just before or just after the write is luck; the turns spread over its period.
        time.sleep(0.1 + 2.0 * turn / TURNS)
        began = stage.trip(stage.alarm, turn)
        waiting = application.watch()
        ours, item = stage.seen(stage.resources["route_table"], PROMPT, lambda i: i["phase"]["S"] == Phase.STEADY)
        noticed = waiting()
        bare_began = stage.trip("bare", turn)
        bare, bare_item = stage.seen("bare", "bare", partial(_of_turn, turn))
        rows.append(
            {
                "cold": cold,
                "ours": (ours - began) * 1000,
                "bare": (bare - bare_began) * 1000,
                "sns_and_invoke": (float(bare_item["entered"]["N"]) - bare_began) * 1000,
                "until_write": (float(item["phase_since"]["N"]) - began) * 1000,
                "client": max(0.0, (noticed - ours) * 1000),
            }
        )
    return rows[2:]


def spread(values: list[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(values), 1), "p95": round(statistics.quantiles(values, n=20)[-1], 1)}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def of(name: str, *, cold: bool | None = None) -> dict[str, float]:
        return spread([r[name] for r in rows if cold is None or r["cold"] is cold])

    return {
        "rollbacks": len(rows),
        "ours_ms": of("ours"),
        "bare_ms": of("bare"),
        "warm": {"ours_ms": of("ours", cold=False), "bare_ms": of("bare", cold=False)},
        "cold": {"ours_ms": of("ours", cold=True), "bare_ms": of("bare", cold=True)},
        "split_ms": {
            "sns_and_warm_invoke": of("sns_and_invoke", cold=False),
            "sns_and_cold_invoke": of("sns_and_invoke", cold=True),
            "alarm_to_write_warm": of("until_write", cold=False),
            "alarm_to_write_cold": of("until_write", cold=True),
            "client_refresh": of("client"),
        },
    }


def main() -> None:
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="promptlane-bench-") as home, EmbeddedAws(home=Path(home)) as aws:
        print("deploying every stack ...", file=sys.stderr)
        deploy.deploy(aws.env(), SETTINGS, outputs=Path(home) / "outputs.json")
        os.environ.update(aws.env())
        stage = Stage(aws)
        print(f"{TURNS} rollbacks, in turns with the bare function ...", file=sys.stderr)
        rows = turns(stage, Application(stage.resources["route_table"]))
        result = summary(rows)
        result["split_ms"]["read_and_write"] = round(write_ms(stage), 1)
        result["network_calls"] = network_calls(stage)
    if result["network_calls"] != PATH_CALLS:
        raise SystemExit(f"the path takes {result['network_calls']} network calls, not {PATH_CALLS}")
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
