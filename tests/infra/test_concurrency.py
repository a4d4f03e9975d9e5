"""A fresh account runs ten functions at once, whosever: what the templates let run leaves two for a rollback."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

from aws_cdk import App
from aws_cdk.assertions import Annotations, Match

from infra.application import add_stacks
from infra.config import DeploymentConfig
from infra.constructs.bounds import FRESH_QUOTA, bounds, explained
from infra.constructs.workflow import DEFINITION
from tests.support.synthesized import Json, Synthesized, context, text

FREE = 2
HELD = {"review": 0.15, "decide": 0.3, "operate": 0.3, "roll_back": 0.3, "gateway": 0.05}
"""Seconds that a request holds a function, warm and without a model call: assumed, since nothing was measured on AWS
(docs/live-checks.md, `held-seconds`). Time-outs say what one request may take at the worst, not what many come to; what
may really take that long, a model call, counts with its time-out."""
RELEASES, STEP, BETWEEN = 3, 2.0, 60.0
"""Prompts of the sample under release at once, each with a step of two seconds a minute."""
MOMENTARY = {"wind_up": "once for an execution that died", "housekeep": "once for a release that starts"}
"""Called by events that are seldom and leave within seconds; Lambda tries them again, as it does a rollback."""
BY_SETTING = {"drill"}
"""On a schedule of hours, where a deployment asks for it."""
AT_DEPLOYMENT = {"enrol", "invocation_logging", "record_renders"}
SCHEDULE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


def verbs(made: Synthesized) -> dict[str, tuple[str, Json]]:
    """Verb and properties of every function by its logical id."""
    return {
        logical: (p["Handler"].split(".")[1], p)
        for _, logical, p in made.resources("AWS::Lambda::Function")
        if p.get("Handler", "").startswith("functions.")
    }


def called(made: Synthesized, value: Json) -> str:
    """The verb of the function that a value names."""
    return next(verb for logical, (verb, _) in verbs(made).items() if f'"{logical}"' in text(value))


def queues_and_streams(made: Synthesized) -> dict[str, float]:
    found = {}
    for _, _, mapping in made.resources("AWS::Lambda::EventSourceMapping"):
        at_once = mapping.get("ScalingConfig", {}).get("MaximumConcurrency") or mapping.get("ParallelizationFactor", 1)
        found[f"{called(made, mapping['FunctionName'])}, from its queue or stream"] = float(at_once)
    return found


def schedules(made: Synthesized) -> dict[str, float]:
    """How long each may run of the time between two."""
    found = {}
    by_verb = dict(verbs(made).values())
    for _, _, rule in made.resources("AWS::Events::Rule"):
        if match := SCHEDULE.fullmatch(rule.get("ScheduleExpression", "")):
            verb = called(made, rule["Targets"])
            found[f"{verb}, by its schedule"] = by_verb[verb]["Timeout"] / (int(match[1]) * SECONDS[match[2]])
    return found


def requests(made: Synthesized, *, slower: float = 1.0) -> dict[str, float]:
    """For each route its rate times what a request takes: HTTP APIs bound no concurrency. `slower`: than `HELD`."""
    stages = {text(p["ApiId"]): p for _, _, p in made.resources("AWS::ApiGatewayV2::Stage")}
    integrations = {logical: p for _, logical, p in made.resources("AWS::ApiGatewayV2::Integration")}
    by_verb = dict(verbs(made).values())
    found = {}
    for _, _, route in made.resources("AWS::ApiGatewayV2::Route"):
        target = next(i for i in integrations if i in text(route["Target"]))
        verb = called(made, integrations[target])
        stage = stages[text(route["ApiId"])]
        limit = stage.get("RouteSettings", {}).get(route["RouteKey"], stage["DefaultRouteSettings"])
        if "/converse" in route["RouteKey"]:
            # Strictly: in the time that one may take, its burst and what the rate adds.
            held = by_verb[verb]["Timeout"]
            at_once = limit["ThrottlingBurstLimit"] + limit["ThrottlingRateLimit"] * held
        else:
            at_once = limit["ThrottlingRateLimit"] * HELD[verb] * slower
        found[route["RouteKey"]] = at_once
    return found


def rounds_of_tests(made: Synthesized) -> dict[str, float]:
    (environment,) = [p["Environment"]["Variables"] for v, p in verbs(made).values() if v == "plan_tests"]
    return {"run_cases, in the one round that has the turn": float(environment["MOST_CASE_FUNCTIONS"])}


def all_at_once(made: Synthesized, *, slower: float = 1.0) -> dict[str, float]:
    return (
        queues_and_streams(made)
        | schedules(made)
        | requests(made, slower=slower)
        | rounds_of_tests(made)
        | {"the other steps of releases": RELEASES * STEP / BETWEEN}
    )


def test_the_sum_of_what_runs_at_once_leaves_two_of_ten(synthesized: Synthesized) -> None:
    at_once = all_at_once(synthesized)
    assert all(0 < n <= 2 for n in at_once.values()), at_once
    assert sum(at_once.values()) <= FRESH_QUOTA - FREE, at_once
    assert len(at_once) >= 18, "a kind of starter was not found"


def test_what_is_assumed_of_requests_may_be_wrong_by_half_and_one_stays_free(synthesized: Synthesized) -> None:
    assert sum(all_at_once(synthesized, slower=1.5).values()) <= FRESH_QUOTA - 1


def test_a_burst_of_requests_is_over_before_anybody_would_notice(synthesized: Synthesized) -> None:
    """What comes at once, at the worst on all routes, keeps eight executions for less than half a second."""
    stages = [p for _, _, p in synthesized.resources("AWS::ApiGatewayV2::Stage")]
    routes = [p for _, _, p in synthesized.resources("AWS::ApiGatewayV2::Route")]
    slowest = max(HELD.values())
    burst = 0
    for route in routes:
        (stage,) = [s for s in stages if s["ApiId"] == route["ApiId"]]
        limit = stage.get("RouteSettings", {}).get(route["RouteKey"], stage["DefaultRouteSettings"])
        burst += limit["ThrottlingBurstLimit"]
    assert burst * slowest / (FRESH_QUOTA - FREE) < 2


def test_every_starter_is_one_that_was_counted(synthesized: Synthesized) -> None:
    by_events = set()
    for _, _, rule in synthesized.resources("AWS::Events::Rule"):
        if "EventPattern" in rule and "Function" in text(rule["Targets"]):
            by_events.add(called(synthesized, rule["Targets"]))
    assert by_events == set(MOMENTARY)
    by_topics = {
        called(synthesized, p["Endpoint"])
        for _, _, p in synthesized.resources("AWS::SNS::Subscription")
        if p["Protocol"] == "lambda"
    }
    assert by_topics == {"roll_back"}
    in_workflow = set(re.findall(r"\$\{(\w+)FunctionArn\}", DEFINITION.read_text()))
    counted = {label.split(",")[0] for label in queues_and_streams(synthesized) | schedules(synthesized)}
    counted |= {"".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_") for name in in_workflow}
    routed = {"review", "decide", "operate", "roll_back", "gateway"}
    assert {v for v, _ in verbs(synthesized).values()} == counted | set(MOMENTARY) | routed | AT_DEPLOYMENT | BY_SETTING


def test_a_round_waits_for_its_turn_and_gives_it_back() -> None:
    states = json.loads(DEFINITION.read_text())["States"]
    assert states["PlanTests"]["Next"] == "Planned"
    (choice,) = states["Planned"]["Choices"]
    assert (choice["Next"], states["Planned"]["Default"]) == ("WaitForTests", "RunTests")
    assert states["WaitForTests"]["Next"] == "PlanTests"


def test_synth_explains_what_is_reserved_and_what_that_needs(config: DeploymentConfig, tmp_path: Path) -> None:
    app = App(context=context(), outdir=str(tmp_path))
    reserving = replace(config, reserved_concurrency=7)
    stacks = add_stacks(app, config=reserving)
    said = Annotations.from_stack(stacks.pipeline).find_info("*", Match.string_like_regexp("must be 114 or more"))
    assert len(said) == 1
    app.synth()
    made = Synthesized(tmp_path)
    made.templates["pipeline"] = json.loads((tmp_path / "promptlane-pipeline.template.json").read_text())
    kept = {v: p.get("ReservedConcurrentExecutions") for v, p in verbs(made).values()}
    assert {v: n for v, n in kept.items() if n} == {"roll_back": 7, "decide": 7}
    fresh = explained(config)
    assert all(word in fresh for word in ("has 10", "L-B99A9384", "110 or more", "reserved_concurrency=5"))


def test_with_a_reservation_nothing_is_bounded_for_the_sake_of_ten() -> None:
    kept = bounds(DeploymentConfig(reserved_concurrency=5))
    fresh = bounds(DeploymentConfig())
    assert (kept.case_functions, fresh.case_functions) == (0, 1)
    assert kept.converse.rate == 1000
    assert math.isclose(fresh.converse.rate * 30, 1)
    for name in ("page", "decision_by_link", "part", "report", "operations", "decision", "gateway"):
        assert getattr(kept, name).rate > getattr(fresh, name).rate
