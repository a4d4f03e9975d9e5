"""Alarms on ourselves: each can fire, none does in normal operation, and each says what happened and what to do."""

import re
from pathlib import Path

import pytest
from aws_cdk import Duration

from infra.config import DeploymentConfig
from infra.constructs.health import USD_PER_METRIC, Health, counted
from infra.stacks.health import REFUSE_ON_PURPOSE
from local.gaps.alarm_states import ALARM, INSUFFICIENT, OK
from promptlane.domain.names import health_alarm_name
from tests.support.alarm_play import Points, metrics, state
from tests.support.alone import alone, topic
from tests.support.synthesized import ROOT, Json, Synthesized, synthesize, text

PREFIX = health_alarm_name("promptlane")
DOCS = ROOT / "docs"
GAP = None


@pytest.fixture(scope="module")
def alarms(synthesized: Synthesized) -> dict[str, Json]:
    """By their names without the prefix."""
    found = {str(p.get("AlarmName")): p for _, _, p in synthesized.resources("AWS::CloudWatch::Alarm")}
    return {name.removeprefix(PREFIX): alarm for name, alarm in found.items() if name.startswith(PREFIX)}


def every(alarm: Json, *points: float | None) -> Points:
    return dict.fromkeys(metrics(alarm), points)


def first(alarm: Json, *points: float | None) -> Points:
    """The first of its metrics alone: of the others there is nothing."""
    return {metrics(alarm)[0]: points}


Played = tuple[Points, ...]


def play(name: str, alarm: Json) -> tuple[Played, Played]:
    """(sequences in which all is well, sequences that people must hear of). The newest period may be unfinished."""
    last = metrics(alarm)[-1]
    kind = re.sub(r"-\d+$", "", name)
    if kind.startswith("dead-letters"):
        kind = "dead-letters"
    if kind.endswith("-not-running"):
        return played_schedules(kind.removesuffix("-not-running"))
    return {
        "functions-failing": (
            (every(alarm, 0, 0), first(alarm, 2, 2), every(alarm)),
            (first(alarm, 3), {last: (GAP, 4)}, every(alarm, 1)),
        ),
        "functions-throttled": (
            (every(alarm, 0, 0, 0, 0), first(alarm, 90, 0, 0, 0), first(alarm, 5, GAP, GAP, GAP), every(alarm)),
            (first(alarm, 1, 1, 1, 0), {last: (0, 1, 1, 1)}),
        ),
        "roll-back-failing": ((every(alarm, 0), every(alarm)), (first(alarm, 1), {last: (1,)})),
        "fuse-not-delivered": ((every(alarm, 0), every(alarm)), (every(alarm, 1),)),
        "executions-failed": ((every(alarm, 0), every(alarm)), (first(alarm, 1), {last: (1,)})),
        "intake-late": ((every(alarm, 0, 40), every(alarm, 840), every(alarm)), (every(alarm, 1000),)),
        "timeline-late": ((every(alarm, 1500), every(alarm)), (every(alarm, 700_000),)),
        "dead-letters": ((every(alarm, 0), every(alarm)), (every(alarm, 1),)),
        "operations-failing": ((every(alarm, 1), every(alarm)), (first(alarm, 3), {last: (3,)})),
        "gateway-failing": (
            (
                {"faults": (0, 0, 0), "requests": (900, 900, 900)},
                {"faults": (19, 19, 19), "requests": (19, 19, 19)},
                {"faults": (300, 0, 0), "requests": (300, 900, 900)},
                {"faults": (4, 4, 4), "requests": (100, 100, 100)},
            ),
            ({"faults": (0, 5, 90), "requests": (1, 100, 900)},),
        ),
        "tables-throttled": ((every(alarm, 0), every(alarm)), (first(alarm, 1), {last: (GAP, GAP, 2)})),
        "calls-past-the-split": ((every(alarm),), (every(alarm, 1),)),
    }[kind]


def played_schedules(verb: str) -> tuple[Played, Played]:
    """Well: it runs, it was deployed just now, it ran a little early or late, or the clock has stopped, too."""
    if verb == "housekeep":
        daily = [0.0] * 29 + [1.0]
        ticks = {"remind": (4, *([12] * 32))}
        return (
            ({**ticks, "housekeep": (*([GAP] * 23), 1)}, {"remind": (12, 7)}, {**ticks, "housekeep": (GAP, *daily)}),
            (ticks, {**ticks, "housekeep": (0,) * 33}),
        )
    if verb == "reconcile":
        ticks = {"remind": (2, 3, 3, 2, 4, 3)}
        return (
            ({**ticks, "reconcile": (GAP, GAP, 2, 1, 1)}, {"remind": (2, 3)}, {**ticks, "reconcile": (1,) * 6}),
            (ticks, {**ticks, "reconcile": (0,) * 6}),
        )
    runs: dict[str, tuple[float | None, ...]] = {"reconcile": (GAP, 1, 1, 1, 1, 1)}
    return (
        ({**runs, "remind": (3,) * 6}, {"reconcile": (GAP, 1)}, {"reconcile": (1, GAP, 2), "remind": (3, 3, 2)}),
        (runs, {}),
    )


def told(alarm: Json, points: Points, before: str) -> bool:
    """Whether a mail goes out where the alarm was in the state `before`."""
    after = state(alarm, points, current=before)
    actions = {ALARM: "AlarmActions", OK: "OKActions", INSUFFICIENT: "InsufficientDataActions"}
    return after != before and bool(alarm.get(actions[after]))


def test_each_alarm_fires_when_it_must_and_never_otherwise(alarms: dict[str, Json]) -> None:
    assert len(alarms) == 20
    for name, alarm in alarms.items():
        well, ill = play(name, alarm)
        for points in well:
            for before in (OK, INSUFFICIENT):
                assert not told(alarm, points, before), f"{name} tells of {points}"
        for points in ill:
            assert told(alarm, points, OK), f"{name} is silent about {points}"


def test_an_alarm_that_fired_ends_when_all_is_well_again(alarms: dict[str, Json]) -> None:
    for name, alarm in alarms.items():
        assert any(state(alarm, points, current=ALARM) == OK for points in play(name, alarm)[0]), name


def test_an_alarm_on_what_does_not_run_is_silent_after_the_first_deployment(alarms: dict[str, Json]) -> None:
    """It begins without data; that is no change, and nothing is told."""
    for name, alarm in alarms.items():
        assert not told(alarm, {}, INSUFFICIENT), name


def test_every_alarm_goes_to_the_notices_and_says_where_to_read_on(alarms: dict[str, Json]) -> None:
    sections = re.findall(r"^### `([\w-]+)`$", (DOCS / "runbook.md").read_text(), re.M)
    assert sorted(sections) == sorted(alarms), "one section of the runbook for each alarm"
    for name, alarm in alarms.items():
        assert "Notices" in text(alarm["AlarmActions"])
        assert alarm["AlarmDescription"].endswith(f"More: docs/runbook.md, {name}.")
        assert len(alarm["AlarmDescription"]) <= 1024, "what CloudWatch takes"


def test_every_function_is_watched_and_none_that_refuses_on_purpose_is_said_to_fail(
    synthesized: Synthesized, alarms: dict[str, Json]
) -> None:
    watched = {kind: text([a for n, a in alarms.items() if n.startswith(kind)]) for kind in ("functions", "roll-back")}
    by_a_deployment_alone = {"invocation_logging", "record_renders", "empty_buckets"}  # which fails with them
    for verb in set(synthesized.verbs()) - by_a_deployment_alone - {"drill"}:  # which runs where it has alarms
        _, logical, _ = synthesized.function(verb)
        (kind,) = [kind for kind, read in watched.items() if logical in read]
        assert kind == ("roll-back" if verb == "roll_back" else "functions")
        errors = text([a for n, a in alarms.items() if n.startswith("functions-failing")])
        assert (logical in errors) == (verb not in (*REFUSE_ON_PURPOSE, "roll_back")), verb


def test_watching_ourselves_costs_what_the_docs_say(alarms: dict[str, Json]) -> None:
    read = sum(len(metrics(alarm)) for alarm in alarms.values())
    (row,) = re.findall(r"^\| .*?(\d+) alarms that read (\d+) metrics.*\| ([\d.]+) a month", costs(), re.M)
    assert row == (str(len(alarms)), str(read), f"{read * USD_PER_METRIC:.2f}")


def costs() -> str:
    return (DOCS / "costs.md").read_text().partition("## Watching ourselves")[2].partition("\n## ")[0]


def test_the_construct_counts_what_it_costs_and_refuses_what_cloudwatch_refuses() -> None:
    stack = alone()
    health = Health(stack, "Health", deployment="lane", notices=topic(stack))
    minute = Duration.minutes(1)
    read = {f"m{n}": counted("AWS/Lambda", "Errors", FunctionName=f"f{n}") for n in range(11)}
    with pytest.raises(ValueError, match="reads 11 metrics: an alarm takes 1 to 10"):
        health.tell("much", "So.", "Do.", reads=read, expression="SUM([m0])", period=minute)
    with pytest.raises(ValueError, match="needs an expression"):
        health.tell("two", "So.", "Do.", reads={n: read[n] for n in ("m1", "m2")}, period=minute)
    assert health.usd == 0
    health.tell("one", "So.", "Do.", reads={"m0": read["m0"]}, period=minute)
    assert health.usd == 0.1


def test_without_a_log_of_ours_no_alarm_says_that_it_would_tell_of_calls_past_the_split(tmp_path: Path) -> None:
    made = synthesize(DeploymentConfig(prompts_dir=ROOT / "prompts", invocation_logging="off"), tmp_path)
    names = {str(p.get("AlarmName")) for _, _, p in made.resources("AWS::CloudWatch::Alarm")}
    assert f"{PREFIX}executions-failed" in names
    assert f"{PREFIX}calls-past-the-split" not in names
    assert not list(made.resources("AWS::Logs::MetricFilter"))
