"""The fuse as CloudFormation: names, arithmetic, wiring, and what it costs."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_sns as sns
from hypothesis import example, given
from hypothesis import strategies as st

from infra.config import DeploymentConfig
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


def reads(arm: str, metric: str, track: str) -> list[Json]:
    """Bad and all requests of either half of the units on a track."""
    found = []
    for half in "01":
        for count, statistic in (("y", "Sum"), ("n", "SampleCount")):
            values = {"Prompt": "support", "Track": track, "Half": half}
            dimensions = [{"Name": name, "Value": value} for name, value in values.items()]
            read = {"Namespace": "Promptlane", "MetricName": metric, "Dimensions": dimensions}
            stat = {"Metric": read, "Period": 10, "Stat": statistic}
            found.append({"Id": f"{count}{arm}_{half}", "MetricStat": stat, "ReturnData": False})
    return found


def alarm(name: str, threshold: float, rule: str, says: str, trial: str, control: str | None) -> tuple[str, Json]:
    """Everything of an alarm; `trial` is the metric of its own track, `control` "<track>/<metric>" of the other."""
    track = name.partition("/")[0]
    sums = {count: f"{count}_0 + {count}_1" for count in (("y1", "n1", "y0", "n0") if control else ("y1", "n1"))}
    metrics: list[Json] = [
        {"Id": id, "Expression": text, "Label": f"{name} {id}", "ReturnData": id == "excess"}
        for id, text in {**sums, "excess": rule}.items()
    ]
    metrics += reads("1", trial, track)
    if control:
        compared, counted = control.split("/")
        metrics += reads("0", counted, compared)
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


def beyond(part: str, variance: str) -> str:
    """That a part's gap is larger than chance."""
    gap, rate = f"(y1{part} / n1{part} - y0{part} / n0{part})", f"((y0{part} + 1) / (n0{part} + 2))"
    return f"{gap} > 0 && {gap} * {gap} > {variance} * {rate} * (1 - {rate}) / n1{part}"


def test_an_alarm_reads_what_clients_send_of_its_prompt_and_tracks_and_of_nothing_else() -> None:
    stack = alone()
    policy = Policy(review=POLICY.review, fuse=UNLIKE)
    fused = Fuse(stack, "Fuse", deployment="lane", prompt="support", policy=policy, topic=topic(stack), resolution=10)
    one, both = "n1 >= 25 && n1_0 >= 7 && n1_1 >= 7", "n0 >= 25 && n0_0 >= 7 && n0_1 >= 7"
    gaps = ", ".join(f"(y1{part} / n1{part} - y0{part} / n0{part})" for part in ("", "_0", "_1"))
    rates = "MIN([y1 / n1, y1_0 / n1_0, y1_1 / n1_1])"
    chance = f"{beyond('', '56.25')} && {beyond('_0', '14.0625')} && {beyond('_1', '14.0625')}"
    excess = f"IF({one} && {both}, IF({chance}, MIN([{gaps}]), 0))"
    well = "y0 / n0 < 0.11 && y0_0 / n0_0 < 0.11 && y0_1 / n0_1 < 0.11"
    spared = f"IF({one} && {both}, IF({well}, {rates}, 0))"
    often = "in 4 of 5 periods of 10 s with 25 requests or more, 7 in each half of the units, and in both halves"
    acts, waits = f"{often}: rolls the release back", f"{often}: nothing starts or is promoted meanwhile"
    resources = made(stack)
    assert {name: resources[stack_id(made_alarm)]["Properties"] for name, made_alarm in fused.alarms.items()} == dict(
        [
            alarm("canary/Error", 0.11, excess, f"above that of stable {acts}", "Error", "stable/Error"),
            alarm("canary/Refusal", 0.16, excess, f"above that of stable {acts}", "Refusal", "stable/Refusal"),
            alarm("canary/Shielded", 0.55, spared, f"of requests {acts}", "Shielded", "stable/Error"),
            alarm("stable/Error", 0.11, excess, f"above that of holdback {acts}", "Error", "holdback/Error"),
            alarm("stable/Refusal", 0.16, excess, f"above that of holdback {acts}", "Refusal", "holdback/Refusal"),
            alarm("stable/Outage", 0.45, f"IF({one}, {rates})", f"of requests {waits}", "Error", None),
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
    assert read == 44
    assert fuse.monthly_usd(POLICY, 60) == pytest.approx(4.40)
    assert fuse.monthly_usd(POLICY, 10) == pytest.approx(13.20)
    assert fuse.monthly_usd(POLICY, 10) <= DeploymentConfig().budget_usd_per_prompt


def test_an_unknown_resolution_is_refused() -> None:
    stack = cdk.Stack(cdk.App(), "Wrong")
    with pytest.raises(ValueError, match="60 or 10"):
        Fuse(stack, "F", deployment="lane", prompt="p", policy=POLICY, topic=sns.Topic(stack, "T"), resolution=30)


def counted(trial: fuse.Halves, control: fuse.Halves | None = None) -> dict[str, int]:
    """The counts of one period by the ids of the metrics."""
    arms = [("1", trial)] if control is None else [("1", trial), ("0", control)]
    return {
        f"{count}{arm}_{half}": int(value)
        for arm, halves in arms
        for half, pair in enumerate(halves)
        for count, value in zip("ny", pair, strict=True)
    }


def values(alarm: fuse.FuseAlarm, *periods: dict[str, int]) -> dict[int, float]:
    """What the alarm compares with its threshold, by period: as the embedded CloudWatch works it out."""
    given: dict[str, dict[int, float]] = {
        name: {60 * at: float(counts[name]) for at, counts in enumerate(periods) if name in counts}
        for name in alarm.reads
    }
    return metric_math.solve(alarm.expressions, given, [60 * at for at in range(len(periods))], 60)[fuse.RETURNED]


pairs = st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
halves = st.tuples(pairs, pairs)


@given(trial=halves, control=halves, policy=st.sampled_from([POLICY.fuse, UNLIKE]))
@example(trial=((7, 7), (18, 18)), control=((18, 0), (7, 0)), policy=UNLIKE)
@example(trial=((6, 6), (19, 19)), control=((18, 0), (7, 0)), policy=UNLIKE)
@example(trial=((7, 7), (18, 18)), control=((19, 0), (6, 0)), policy=UNLIKE)
@example(trial=((12, 12), (12, 12)), control=((18, 0), (7, 0)), policy=UNLIKE)
def test_metric_math_says_what_the_domain_says(trial: fuse.Halves, control: fuse.Halves, policy: FusePolicy) -> None:
    whole = Policy(review=POLICY.review, fuse=policy)
    wanted = fuse.excess(policy, trial, control)
    found = values(fuse.alarms(whole)[0], counted(trial, control))
    assert found == ({} if wanted is None else {0: pytest.approx(wanted)})


ALARMS = {a.name: a for a in fuse.alarms(POLICY)}
ERROR, SHIELDED, OUTAGE = ALARMS["canary/Error"], ALARMS["canary/Shielded"], ALARMS["stable/Outage"]
STABLE: fuse.Halves = ((200, 2), (200, 2))
GOOD = counted(((20, 0), (20, 0)), STABLE)
BAD = counted(((20, 15), (20, 15)), STABLE)
THIN = counted(((3, 3), (3, 3)))
ONE_HALF = {name: count for name, count in BAD.items() if not name.endswith("_1")}
"""One unit makes all of the traffic."""
SOON = counted(((3, 3), (3, 3)), ((25, 0), (25, 0)))
"""Of a period that has just begun, every canary request so far went wrong."""


def stands(*periods: dict[str, int], current: str = "OK", alarm: fuse.FuseAlarm = ERROR) -> str:
    """The state of an alarm over its counts, oldest period first, as CloudWatch works it out."""
    found = values(alarm, *periods)
    newest_first = [found[60 * at] >= alarm.threshold if 60 * at in found else None for at in range(len(periods))][::-1]
    seen = newest_first[: alarm.looks_at + alarm_states.EXTRA_PERIODS]
    return alarm_states.state(
        seen, periods=alarm.looks_at, to_alarm=POLICY.fuse.periods, missing="notBreaching", current=current
    )


@given(
    st.sampled_from([ERROR, SHIELDED, OUTAGE]),
    st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 1), st.booleans()), min_size=4, max_size=8),
    st.sampled_from([0, 1]),
)
def test_one_unit_at_any_rate_trips_no_alarm(
    alarm: fuse.FuseAlarm, unit: list[tuple[int, float, bool]], half: int
) -> None:
    """It sends what it wants in every period, to the canary or to stable; everybody else is well."""
    periods = []
    for requests, share, on_canary in unit:
        arms: list[list[tuple[int, int]]] = [[(20, 0), (20, 0)], [(200, 2), (200, 2)]]
        n, bad = arms[not on_canary][half]
        arms[not on_canary][half] = (n + requests, bad + round(share * requests))
        trial, control = (tuple(arm) for arm in (arms if alarm is not OUTAGE else arms[::-1]))
        periods.append(counted(trial, control if alarm.control else None))  # type: ignore[arg-type]
    assert stands(*periods, alarm=alarm) == "OK"


def test_twenty_points_of_harm_trip_it_in_the_third_period_as_they_did_before_halves() -> None:
    """240 canary requests a period, halves as uneven as chance makes them in one period of a hundred."""
    for left in (102, 120, 138):
        right = 240 - left
        bad = counted(((left, round(0.22 * left)), (right, round(0.22 * right))), ((360, 7), (360, 7)))
        assert [stands(*[bad] * periods) for periods in (1, 2, 3)] == ["OK", "OK", "ALARM"]


def test_all_alarms_trip_where_both_halves_are_as_bad_as_their_threshold() -> None:
    sent_away = counted(((20, 10), (20, 10)), STABLE)
    assert stands(sent_away, sent_away, sent_away, alarm=SHIELDED) == "ALARM"
    everything = counted(((20, 15), (20, 15)), ((200, 150), (200, 150)))
    assert stands(everything, everything, everything, alarm=SHIELDED) == "OK", "the breaker says nothing then"
    down = counted(((100, 50), (100, 50)))
    assert stands(down, down, down, alarm=OUTAGE) == "ALARM"


@pytest.mark.parametrize(
    "newest", [{}, THIN, ONE_HALF, SOON, GOOD], ids=["empty", "one arm", "one half", "just begun", "well so far"]
)
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
    assert stands(ONE_HALF, ONE_HALF, ONE_HALF, ONE_HALF) == "OK"


def test_after_a_rollback_there_is_no_canary_and_the_alarm_is_well_again() -> None:
    stable = {name: count for name, count in GOOD.items() if name[1] == "0"}
    assert stands(BAD, BAD, BAD, *[stable] * 6, current="ALARM") == "OK"


def test_without_a_holdback_stable_is_judged_by_its_own_rate() -> None:
    bare = Policy(review=POLICY.review, watch=WatchPolicy(holdback=0))
    stable = [a for a in fuse.alarms(bare) if a.row.track is Track.STABLE]
    assert all(a.control is None for a in stable)
    assert fuse.monthly_usd(bare, 60) < fuse.monthly_usd(POLICY, 60)
