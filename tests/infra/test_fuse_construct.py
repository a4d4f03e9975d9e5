"""The fuse as CloudFormation: names, arithmetic, wiring, and what it costs."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_sns as sns
from hypothesis import given
from hypothesis import strategies as st

from infra.constructs.dashboard import PromptDashboard
from infra.constructs.fuse import Fuse, expression
from promptlane.domain import fuse
from promptlane.domain.names import Track, parse_alarm_arn
from promptlane.domain.policy import Policy, Reviewer, ReviewPolicy, WatchPolicy

POLICY = Policy(review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)))


@pytest.fixture(scope="module")
def template() -> assertions.Template:
    stack = cdk.Stack(cdk.App(), "Observability")
    topic = sns.Topic(stack, "Topic")
    made = Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=POLICY, topic=topic, resolution=60)
    PromptDashboard(stack, "Seen", deployment="lane", prompt="support", policy=POLICY, fuse=made, resolution=60)
    return assertions.Template.from_stack(stack)


def alarms(template: assertions.Template) -> dict[str, dict[str, object]]:
    found = template.find_resources("AWS::CloudWatch::Alarm")
    return {r["Properties"]["AlarmName"]: r["Properties"] for r in found.values()}


def test_prompt_track_and_metric_can_be_read_back_from_every_alarm(template: assertions.Template) -> None:
    for name in alarms(template):
        arn = f"arn:aws:cloudwatch:eu-central-1:111122223333:alarm:{name}"
        prompt, track, metric = parse_alarm_arn(arn, deployment="lane", account="111122223333", region="eu-central-1")
        assert (prompt, f"lane/support/{track}/{metric}") == ("support", name)


def test_the_alarms_that_roll_back_tell_the_topic_and_the_outage_alarm_does_not(template: assertions.Template) -> None:
    telling = {name for name, p in alarms(template).items() if p.get("AlarmActions")}
    assert set(alarms(template)) - telling == {"lane/support/stable/Outage"}


def test_missing_data_never_trips_and_every_period_must(template: assertions.Template) -> None:
    for properties in alarms(template).values():
        assert properties["TreatMissingData"] == "notBreaching"
        assert properties["DatapointsToAlarm"] == properties["EvaluationPeriods"] == POLICY.fuse.periods


def test_the_canary_is_compared_with_stable_and_stable_with_the_holdback(template: assertions.Template) -> None:
    def tracks(name: str) -> set[str]:
        queries = [q["MetricStat"] for q in alarms(template)[name]["Metrics"] if "MetricStat" in q]  # type: ignore[attr-defined]
        return {d["Value"] for q in queries for d in q["Metric"]["Dimensions"] if d["Name"] == "Track"}

    assert tracks("lane/support/canary/Error") == {"canary", "stable"}
    assert tracks("lane/support/stable/Error") == {"stable", "holdback"}


def test_a_prompt_costs_what_the_docs_say_and_no_more(template: assertions.Template) -> None:
    read = sum("MetricStat" in q for p in alarms(template).values() for q in p["Metrics"])  # type: ignore[attr-defined]
    assert read == 22
    assert fuse.monthly_usd(POLICY, 60) == pytest.approx(2.20)
    assert fuse.monthly_usd(POLICY, 10) == pytest.approx(6.60)
    assert fuse.monthly_usd(POLICY, 10) <= 10, "the default budget of a prompt"


def test_an_unknown_resolution_is_refused() -> None:
    stack = cdk.Stack(cdk.App(), "Wrong")
    with pytest.raises(ValueError, match="60 or 10"):
        Fuse(stack, "F", deployment="lane", prompt="p", policy=POLICY, topic=sns.Topic(stack, "T"), resolution=30)


counts = st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(trial=counts, control=counts)
def test_metric_math_says_what_the_domain_says(trial: tuple[int, int], control: tuple[int, int]) -> None:
    alarm = fuse.alarms(POLICY)[0]
    text = expression(alarm, POLICY).replace("&&", " and ")
    names = {"n1": trial[0], "y1": trial[1], "n0": control[0], "y0": control[1], "IF": lambda c, a, b: a if c else b}
    wanted = fuse.excess(POLICY.fuse, trial, control)
    try:
        found = eval(text, {}, names)
    except ZeroDivisionError:  # CloudWatch has no value then, which does not breach
        found = 0.0
    assert found == pytest.approx(wanted)


def test_without_a_holdback_stable_is_judged_by_its_own_rate() -> None:
    bare = Policy(review=POLICY.review, watch=WatchPolicy(holdback=0))
    stable = [a for a in fuse.alarms(bare) if a.track is Track.STABLE]
    assert all(a.control is None for a in stable)
    assert fuse.monthly_usd(bare, 60) < fuse.monthly_usd(POLICY, 60)


def test_the_dashboard_shows_weight_evidence_rates_versions_and_alarms(template: assertions.Template) -> None:
    [dashboard] = template.find_resources("AWS::CloudWatch::Dashboard").values()
    body = str(dashboard["Properties"]["DashboardBody"])
    for wanted in ("Share of the version on trial", "Evidence", "Requests by version", "Error: rate by track", "Fuse"):
        assert wanted in body
