"""One row makes a new fuse alarm or a guard metric on the dashboard: deployed, read, priced and obeyed."""

import json

import pytest

from promptlane.cdk.dashboard import PromptDashboard
from promptlane.cdk.fuse import Fuse
from promptlane.domain.canary import fuse
from promptlane.domain.errors import InvalidInput
from promptlane.domain.metrics import GUARD_METRICS, GUARDRAIL, GuardMetric
from promptlane.domain.names import Track
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy
from promptlane.lifecycle.rollback import read_alarm
from tests.support.alone import alone, made, topic
from tests.support.synthesized import Json

ACTING = fuse.AlarmRow(Track.CANARY, GUARDRAIL.name, lambda policy: 0.25)
WATCHING = fuse.AlarmRow(Track.STABLE, "Silenced", lambda policy: 0.6, source=GUARDRAIL.name, rule=None, acts=False)


def deployed() -> dict[str, Json]:
    policy, stack = Policy(ReviewPolicy((Reviewer("lead", "lead@example.com"),))), alone()
    found = Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=policy, topic=topic(stack), resolution=60)
    PromptDashboard(stack, "Seen", deployment="lane", prompt="support", policy=policy, fuse=found, resolution=60)
    return {name: one["Properties"] for name, one in made(stack).items()}


def tripped(name: str) -> Json:
    arn = f"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:{name}"
    return {"AlarmArn": arn, "NewStateValue": "ALARM", "StateChangeTime": "2026-01-01T00:00:00.000+0000"}


def test_an_alarm_of_one_row_is_deployed_priced_shown_and_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy(ReviewPolicy((Reviewer("lead", "lead@example.com"),)))
    usd = fuse.monthly_usd(policy, 60)
    monkeypatch.setattr(fuse, "ALARMS", [*fuse.ALARMS, ACTING, WATCHING])
    monkeypatch.setitem(GUARD_METRICS, GUARDRAIL.name, GUARDRAIL._replace(fused=True))
    assert fuse.monthly_usd(policy, 60) == round(usd + 1.2, 2)
    found = deployed()
    acting, watching = found["FuseCanaryGuardrail"], found["FuseStableSilenced"]
    assert (acting["AlarmName"], acting["Threshold"]) == ("lane/support/canary/Guardrail", 0.25)
    read = [m["MetricStat"]["Metric"]["MetricName"] for m in acting["Metrics"] if "MetricStat" in m]
    assert read == ["Guardrail"] * 8
    assert "Guardrail on canary at least 25% above that of stable" in acting["AlarmDescription"]
    assert "Guardrail on stable at least 60% of requests" in watching["AlarmDescription"]
    assert ("AlarmActions" in acting, "AlarmActions" in watching) == (True, False)
    shown = json.loads(found["SeenDashboard"]["DashboardBody"])["widgets"][-1]["properties"]["alarms"]
    assert {"<FuseCanaryGuardrail.Arn>", "<FuseStableSilenced.Arn>"} < set(shown)
    here = {"deployment": "lane", "account": "111122223333", "region": "eu-west-1"}
    assert read_alarm(tripped(acting["AlarmName"]), **here).metric == "Guardrail"
    with pytest.raises(InvalidInput, match="condemns none"):
        read_alarm(tripped(watching["AlarmName"]), **here)


def test_a_guard_metric_of_one_row_is_on_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    row = GuardMetric("EmptyAnswer", "empty answers", "were empty", lambda call: not call.text, watched=True)
    monkeypatch.setitem(GUARD_METRICS, row.name, row)
    widgets = json.loads(deployed()["SeenDashboard"]["DashboardBody"])["widgets"]
    assert "EmptyAnswer: rate by track" in [w["properties"].get("title") for w in widgets]
