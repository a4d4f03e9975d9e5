"""The fuse as CloudFormation: names, arithmetic, wiring, and what it costs."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_sns as sns
from hypothesis import example, given
from hypothesis import strategies as st

from local.gaps import alarm_states, metric_math
from promptlane.cdk.fuse import Fuse
from promptlane.domain.canary import fuse
from promptlane.domain.canary.plan import at_synth
from promptlane.domain.names import Track, parse_alarm_arn
from promptlane.domain.policy import FusePolicy, Policy, RequestPolicy, Reviewer, ReviewPolicy, WatchPolicy
from tests.support.alone import alone, made, topic
from tests.support.synthesized import Json

POLICY = Policy(review=ReviewPolicy((Reviewer("support-lead", "support-lead@example.com"),)))
UNLIKE = FusePolicy(error=0.11, refusal=0.16, shielded=0.55, outage=0.45, sigmas=7.5, min_requests=25, periods=4)
"""Each value unlike every other."""


@pytest.fixture(scope="module")
def template() -> assertions.Template:
    stack = cdk.Stack(cdk.App(), "Observability")
    told = sns.Topic(stack, "Topic")
    Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=POLICY, topic=told, resolution=60)
    return assertions.Template.from_stack(stack)


def alarms(template: assertions.Template) -> dict[str, dict[str, object]]:
    found = template.find_resources("AWS::CloudWatch::Alarm")
    return {r["Properties"]["AlarmName"]: r["Properties"] for r in found.values()}


def reads(id: str, metric: str, track: str, statistic: str) -> Json:
    dimensions = [{"Name": "Prompt", "Value": "support"}, {"Name": "Track", "Value": track}]
    read = {"Namespace": "Promptlane", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": id, "MetricStat": {"Metric": read, "Period": 10, "Stat": statistic}, "ReturnData": False}


def alarm(name: str, threshold: float, rule: str, says: str, trial: str, control: str | None) -> tuple[str, Json]:
    """Everything of an alarm; `trial` is the metric of its own track, `control` "<track>/<metric>" of the other."""
    track, metric = name.split("/")
    metrics = [{"Id": "expr_1", "Expression": rule, "Label": f"{track} {metric}", "ReturnData": True}]
    metrics += [reads("y1", trial, track, "Sum"), reads("n1", trial, track, "SampleCount")]
    if control:
        compared, counted = control.split("/")
        metrics += [reads("y0", counted, compared, "Sum"), reads("n0", counted, compared, "SampleCount")]
    acts = {"AlarmActions": ["arn:aws:sns:eu-west-1:111122223333:notices"]} if "rolls" in says else {}
    return name, {
        "AlarmName": f"lane/support/{name}",
        "AlarmDescription": f"support: {trial} on {track} at least {threshold:.0%} {says}.",
        "Metrics": metrics,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "EvaluationPeriods": 5,
        "DatapointsToAlarm": 4,
        "TreatMissingData": "notBreaching",
        **acts,
    }


def test_an_alarm_reads_what_clients_send_of_its_prompt_and_tracks_and_of_nothing_else() -> None:
    stack = alone()
    policy = Policy(review=POLICY.review, fuse=UNLIKE)
    fused = Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=policy, topic=topic(stack), resolution=10)
    gap, rate = "(y1 / n1 - y0 / n0)", "((y0 + 1) / (n0 + 2))"
    both = "n1 >= 25 && n0 >= 25"
    excess = f"IF({both}, IF({gap} > 0 && {gap} * {gap} > 56.25 * {rate} * (1 - {rate}) / n1, {gap}, 0))"
    spared = f"IF({both}, IF(y0 / n0 < 0.11, y1 / n1, 0))"
    often = "in 4 of 5 periods of 10 s with 25 requests or more"
    acts, waits = f"{often}: rolls the release back", f"{often}: nothing starts or is promoted meanwhile"
    resources = made(stack)
    assert {name: resources[stack_id(made_alarm)]["Properties"] for name, made_alarm in fused.alarms.items()} == dict(
        [
            alarm("canary/Error", 0.11, excess, f"above that of stable {acts}", "Error", "stable/Error"),
            alarm("canary/Refusal", 0.16, excess, f"above that of stable {acts}", "Refusal", "stable/Refusal"),
            alarm("canary/Shielded", 0.55, spared, f"of requests {acts}", "Shielded", "stable/Error"),
            alarm("stable/Error", 0.11, excess, f"above that of holdback {acts}", "Error", "holdback/Error"),
            alarm("stable/Refusal", 0.16, excess, f"above that of holdback {acts}", "Refusal", "holdback/Refusal"),
            alarm("stable/Outage", 0.45, "IF(n1 >= 25, y1 / n1)", f"of requests {waits}", "Error", None),
        ]
    )
    assert fused.monthly_usd == fuse.monthly_usd(policy, 10)


def stack_id(construct: cdk.CfnElement) -> str:
    """The logical id of a resource, without its hash."""
    return construct.node.path.removeprefix("Alone/").replace("/", "")


@pytest.mark.parametrize(("per_minute", "level"), [(10_000.0, "info"), (0.01, "warning")])
def test_synth_says_whether_a_good_release_finishes_with_the_traffic_there_is(per_minute: float, level: str) -> None:
    stack = alone()
    policy = Policy(review=POLICY.review, request=RequestPolicy(per_minute=per_minute))
    Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=policy, topic=topic(stack), resolution=60)
    notes, anything = assertions.Annotations.from_stack(stack), assertions.Match.any_value()
    found = {"info": notes.find_info("*", anything), "warning": notes.find_warning("*", anything)}
    (said,) = found.pop(level)
    assert list(found.values()) == [[]]
    assert str(said.entry.data) == f"support: {at_synth(policy)[1]} [ack: promptlane:plan-support]"


def test_prompt_track_and_metric_can_be_read_back_from_every_alarm(template: assertions.Template) -> None:
    for name in alarms(template):
        arn = f"arn:aws:cloudwatch:eu-central-1:111122223333:alarm:{name}"
        prompt, track, metric = parse_alarm_arn(arn, deployment="lane", account="111122223333", region="eu-central-1")
        assert (prompt, f"lane/support/{track}/{metric}") == ("support", name)


def test_the_alarms_that_roll_back_tell_the_topic_and_the_outage_alarm_does_not(template: assertions.Template) -> None:
    telling = {name for name, p in alarms(template).items() if p.get("AlarmActions")}
    assert set(alarms(template)) - telling == {"lane/support/stable/Outage"}


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


@given(trial=counts, control=counts, policy=st.sampled_from([POLICY.fuse, UNLIKE]))
@example(trial=(25, 25), control=(25, 0), policy=UNLIKE)
@example(trial=(24, 24), control=(25, 0), policy=UNLIKE)
@example(trial=(25, 25), control=(24, 0), policy=UNLIKE)
def test_metric_math_says_what_the_domain_says(
    trial: tuple[int, int], control: tuple[int, int], policy: FusePolicy
) -> None:
    whole = Policy(review=POLICY.review, fuse=policy)
    text = fuse.alarms(whole)[0].expression.replace("&&", " and ")
    names: Json = {"n1": trial[0], "y1": trial[1], "n0": control[0], "y0": control[1]}
    names["IF"] = lambda c, a, b=None: a if c else b
    wanted = fuse.excess(policy, trial, control)
    try:
        found = eval(text, {}, names)
    except ZeroDivisionError:  # CloudWatch has no value then
        found = None
    assert found == (wanted if wanted is None else pytest.approx(wanted))


ERROR = fuse.alarms(POLICY)[0]
GOOD, BAD, THIN = {"n1": 40, "y1": 0, "n0": 400, "y0": 4}, {"n1": 40, "y1": 30, "n0": 400, "y0": 4}, {"n1": 3, "y1": 3}
SOON = {"n1": 5, "y1": 5, "n0": 50, "y0": 0}
"""Of a period that has just begun, every canary request so far went wrong."""


def stands(*periods: dict[str, int], current: str = "OK") -> str:
    """The state of the canary's error alarm over its counts, oldest period first, as CloudWatch works it out."""
    given: dict[str, dict[int, float]] = {
        name: {60 * at: float(counts[name]) for at, counts in enumerate(periods) if name in counts}
        for name in ("n1", "y1", "n0", "y0")
    }
    timeline = [60 * at for at in range(len(periods))]
    values = metric_math.solve({"rate": ERROR.expression}, given, timeline, 60)["rate"]
    newest_first = [values[at] >= ERROR.threshold if at in values else None for at in reversed(timeline)]
    seen = newest_first[: ERROR.looks_at + alarm_states.EXTRA_PERIODS]
    return alarm_states.state(
        seen, periods=ERROR.looks_at, to_alarm=POLICY.fuse.periods, missing="notBreaching", current=current
    )


@pytest.mark.parametrize("newest", [{}, THIN, SOON, GOOD], ids=["empty", "one arm", "just begun", "well so far"])
def test_a_period_that_is_not_over_neither_vetoes_nor_trips(newest: dict[str, int]) -> None:
    assert stands(GOOD, BAD, BAD, BAD, newest) == "ALARM"
    assert stands(GOOD, GOOD, BAD, BAD, newest) == "OK"
    assert stands(GOOD, GOOD, GOOD, GOOD, newest) == "OK"


def test_so_many_bad_periods_trip_whatever_is_thin_between_them() -> None:
    assert POLICY.fuse.periods == 3
    assert stands(BAD, BAD, BAD) == "ALARM"
    assert stands(GOOD, BAD, THIN, BAD, BAD) == "ALARM"
    assert stands(BAD, GOOD, BAD, GOOD, BAD) == "OK"
    assert stands(THIN, THIN, THIN, THIN) == stands({}, {}, {}, {}) == "OK"


def test_after_a_rollback_there_is_no_canary_and_the_alarm_is_well_again() -> None:
    stable = {"n0": 400, "y0": 4}
    assert stands(BAD, BAD, BAD, *[stable] * 6, current="ALARM") == "OK"


def test_without_a_holdback_stable_is_judged_by_its_own_rate() -> None:
    bare = Policy(review=POLICY.review, watch=WatchPolicy(holdback=0))
    stable = [a for a in fuse.alarms(bare) if a.row.track is Track.STABLE]
    assert all(a.control is None for a in stable)
    assert fuse.monthly_usd(bare, 60) < fuse.monthly_usd(POLICY, 60)
