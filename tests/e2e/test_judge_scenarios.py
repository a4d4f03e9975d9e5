"""Releases judged on the deployed stacks by what applications counted: a subtle regression, an equal, a quiet one.

Requests go through the client that applications use, with the deployed route table and CloudWatch; only the model is
a stand-in that refuses as often as told.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from promptlane.client.testing import FakeBedrock, client_over
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.timeline import Event, TimelineEntry
from tests.support.deployment import Deployment

pytestmark = pytest.mark.deployments
REFUSAL = "I'm sorry, but I can't help with that request."
ANSWER = "Your order left our warehouse this morning and arrives on Friday."


class Applications:
    """`rate` requests a second for one prompt, of which a share by version is refused."""

    def __init__(self, deployed: Deployment, role: str, *, rate: float, refused: dict[int, float]) -> None:
        self._luck, self._refused, self._rate = Random(20_261_122), refused, rate
        self._prompt, self._over = f"e2e-{role}", threading.Event()
        self._client = client_over(
            route_table=deployed.resources["route_table"],
            session=deployed.aws.session(),
            refresh=0.5,
            timeout=2,
            slow_after=1,
            resolution=10,
            receipt_key="a key",
            bedrock=lambda timeout: FakeBedrock(self._reply),
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _reply(self, request: Any) -> str:
        version = int(str(request["modelId"]).rpartition(":")[2])
        return REFUSAL if self._luck.random() < self._refused[version] else ANSWER

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._over.wait(0.05):
            while sent < (time.monotonic() - began) * self._rate:
                self._client.converse(self._prompt, unit=f"user-{sent}", variables={"question": "Where is it?"})
                sent += 1

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()


class Scenario:
    """A role's second version in canary, with traffic from before its first shift on."""

    def __init__(self, deployed: Deployment, role: str, *, rate: float, refused: dict[int, float]) -> None:
        self.deployed, self.role, self.prompt = deployed, role, f"e2e-{role}"
        self.applications = Applications(deployed, role, rate=rate, refused=refused)
        self.release_id = deployed.in_canary(role, "Answer in one sentence.")

    def looks(self) -> list[TimelineEntry]:
        return [e for e in self.deployed.timeline(self.release_id) if e.event is Event.CANARY_JUDGED]


@pytest.fixture(scope="module")
def scenarios(busy: Deployment) -> Iterator[dict[str, Scenario]]:
    """All three at the same time, so that they wait for the judge together."""
    yesterday(busy, "thin")
    wanted: dict[str, tuple[float, dict[int, float]]] = {
        "regressed": (400, {1: 0.02, 2: 0.05}),
        "equal": (400, {1: 0.02, 2: 0.02}),
        "thin": (3, {1: 0.02, 2: 0.02}),
    }
    made: dict[str, Scenario] = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in busy.aws.env().items():
            patch.setenv(name, value)
        try:
            for role in wanted:
                busy.first_version(role)
            for role, (rate, refused) in wanted.items():
                made[role] = Scenario(busy, role, rate=rate, refused=refused)
            yield made
        finally:
            for scenario in made.values():
                scenario.applications.stop()


def yesterday(deployed: Deployment, role: str) -> None:
    """An hour of the past in which version 1 had one request a minute."""
    hour = (time.time() // 3600 - 3) * 3600
    for metric in ("Error", "Refusal", "Empty", "Guardrail", "Truncation", "Slow"):
        deployed.client("cloudwatch").put_metric_data(
            Namespace="Promptlane",
            MetricData=[
                {
                    "MetricName": metric,
                    "Timestamp": hour,
                    "Values": [0.0],
                    "Counts": [60.0],
                    "Unit": "Count",
                    "Dimensions": [{"Name": "Prompt", "Value": f"e2e-{role}"}, {"Name": "Version", "Value": "1"}],
                }
            ],
        )


def test_a_subtle_regression_is_rolled_back_by_the_judge(scenarios: dict[str, Scenario]) -> None:
    scenario = scenarios["regressed"]
    deployed = scenario.deployed
    release = deployed.ended(scenario.release_id, 120)
    assert release.outcome is Outcome.ROLLED_BACK
    rolled = next(e for e in deployed.timeline(scenario.release_id) if e.event is Event.ROLLED_BACK)
    assert rolled.detail["cause"] == "judge"
    assert rolled.detail["reason"].startswith("Refusal: ")
    counted = rolled.detail["evidence"]["metrics"]["Refusal"]
    control, trial = (bad / n for n, bad in (counted["control"], counted["trial"]))
    assert 0.01 < trial - control < 0.06
    assert rolled.detail["evidence"]["harm"] >= 20
    # The fuse did not see it: no alarm of this prompt ever went off.
    for alarm in deployed.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"promptlane/{scenario.prompt}/")[
        "MetricAlarms"
    ]:
        history = deployed.client("cloudwatch").describe_alarm_history(
            AlarmName=alarm["AlarmName"], HistoryItemType="StateUpdate"
        )
        assert "to ALARM" not in json.dumps([item["HistorySummary"] for item in history["AlarmHistoryItems"]])
    route = deployed.route(scenario.role)
    assert route is not None
    assert (route.stable.version, route.canary, route.phase) == (1, None, Phase.STEADY)
    subject = f"{scenario.prompt}: version 2 rolled back"
    (mail,) = deployed.wait(
        lambda: [m for m in deployed.mail.messages() if subject in str(m["Subject"])], "nobody was told", 20
    )
    assert mail["To"] == "on-call@example.com"
    assert "\n  Refusal: " in mail.get_content()
    replayed = deployed.promptlane("judge", "--replay", scenario.release_id)
    assert len(replayed["looks"]) == len(scenario.looks())
    assert all(look["same"] for look in replayed["looks"])


def test_an_equal_version_is_promoted(scenarios: dict[str, Scenario]) -> None:
    scenario = scenarios["equal"]
    deployed = scenario.deployed
    deployed.wait(lambda: deployed.release(scenario.release_id).state != "canary", "neither promoted nor ended", 150)
    assert deployed.release(scenario.release_id).state == "watch"
    route = deployed.route(scenario.role)
    assert route is not None
    assert (route.stable.version, route.phase) == (2, Phase.WATCH)
    advanced = [e.detail for e in scenario.looks() if e.detail["judgement"] == "advance"]
    assert {a["cause"] for a in advanced} == {"judge"}
    assert all(m["advance"] is None or m["advance"] >= 20 for a in advanced for m in a["metrics"].values())
    assert "Proved within the margin on Error, Refusal" in advanced[-1]["reason"]


def test_a_quiet_version_is_held_and_explained(scenarios: dict[str, Scenario]) -> None:
    scenario = scenarios["thin"]
    deployed = scenario.deployed

    def counted() -> bool:
        looks = scenario.looks()
        return bool(looks) and looks[-1].detail["metrics"]["Error"]["control"][0] > 40

    deployed.wait(counted, "no look has seen any request", 90)
    assert {look.detail["judgement"] for look in scenario.looks()} == {"hold"}
    route = deployed.route(scenario.role)
    assert route is not None
    assert route.canary is not None
    (standing,) = deployed.promptlane("status", scenario.prompt)["prompts"]
    evidence = "\n".join(standing["release"]["evidence"])
    assert "judge: hold. " in evidence
    assert "Neither harmful nor proved within the margin yet" in evidence or "No data yet" in evidence
    assert any("a good release will not finish" in note for note in standing["notes"]), standing["notes"]
