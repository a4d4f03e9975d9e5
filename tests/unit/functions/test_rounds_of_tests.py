"""A round of regression tests: planned, run batch by batch, graded."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from promptlane.aws.transport import BedrockTransport
from promptlane.domain.errors import NotFound
from promptlane.domain.release.timeline import Event
from promptlane.engine.plan import TestPlanRefused
from promptlane.lifecycle.test_round import BatchRunner
from tests.support.functions import NOW, POLICY, REPORTS, Context, World, version_arn
from tests.support.prompt import ID, RELEASE

Json = Any
TESTED = replace(
    POLICY,
    tests=replace(
        POLICY.tests,
        max_concurrency=24,
        batch_size=3,
        judge_model="a-judge",
        embedding_model="an-embedder",
        prices={"amazon.nova-lite-v1:0": (1.0, 2.0), "a-judge": (3.0, 4.0), "an-embedder": (5.0, 0.0)},
    ),
)
SUITE: dict[str, Json] = {
    "tests": [
        {"id": "greets", "vars": {"question": "hello"}, "assert": [{"type": "contains", "value": "from 2"}]},
        {"id": "kind", "vars": {"question": "help"}, "assert": [{"type": "llm-rubric", "value": "is kind"}]},
        {
            "id": "alike",
            "vars": {"question": "refund"},
            "assert": [{"type": "similar", "value": "an answer", "threshold": 0.9}],
        },
    ]
}


class Bedrock:
    """Answers with the number of the version; its judge is content, and everything is alike to its embedder."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def post(self, model_id: str, operation: str, body: Mapping[str, Json]) -> tuple[int, str, bytes]:
        self.asked.append((model_id, operation))
        text = f"an answer from {model_id.rpartition(':')[2]}"
        content: list[Json] = [{"text": text}]
        if model_id == "a-judge":
            content = [{"toolUse": {"name": "verdict", "input": {"reason": "kind", "pass": True, "score": 1.0}}}]
        answer: Json = {"output": {"message": {"content": content}}, "stopReason": "end_turn"}
        return 200, "", json.dumps({"embedding": [0.6, 0.8]} if operation == "invoke" else answer).encode()


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Bedrock:
    made = Bedrock()
    monkeypatch.setattr(BedrockTransport, "from_environment", classmethod(lambda cls: made))
    return made


def admitted(world: World, **changed: Any) -> None:
    policy, suite = world.enrol(TESTED, SUITE)
    stable, candidate = world.publish(1), world.publish(2)
    world.route(stable)
    world.start(2, state="admitted", candidate=candidate, policy_sha256=policy, suite_sha256=suite, **changed)


def plan(world: World) -> dict[str, Json]:
    return dict(world.function("plan_tests").handle({"release_id": RELEASE}, Context()))


def items(world: World) -> list[dict[str, int]]:
    lines = world.objects(prefix=f"releases/{RELEASE}/tests/")[f"releases/{RELEASE}/tests/1/items.jsonl"].splitlines()
    return [json.loads(line) for line in lines]


def run(world: World, asked: list[dict[str, int]], *left: int) -> dict[str, int]:
    event = {"release_id": RELEASE, "round": "1", "items": asked}
    return dict(world.function("run_cases").handle(event, Context(*left or (800_000,))))


def grade(world: World) -> dict[str, Json]:
    return dict(world.function("grade").handle({"release_id": RELEASE, "round": "1"}, Context()))


def test_a_round_is_laid_out_and_bound_to_the_stable_version_of_now(world: World) -> None:
    admitted(world, step=2)
    before = world.releases.get(RELEASE)
    base = f"releases/{RELEASE}/tests/1"

    assert plan(world) == {
        "bucket": REPORTS,
        "key": f"{base}/items.jsonl",
        "count": 3,
        "round": 1,
        "first": False,
        "max_concurrency": 4,
        "wait_seconds": 0,
        "batch_size": 3,
    }

    assert world.releases.get(RELEASE) == replace(
        before, state="testing", round=1, step=0, stable=world.current.stable, revision=2
    )
    ((event, by, detail),) = world.entries(RELEASE)
    assert (event, by) == (Event.TESTS_PLANNED, "promptlane")
    assert {k: detail[k] for k in ("round", "cases", "repeats", "stable")} == {
        "round": 1,
        "cases": 3,
        "repeats": 1,
        "stable": 1,
    }
    assert world.releases.timeline(RELEASE)[-1].at == NOW
    assert [item["i"] for item in items(world)] == [0, 1, 2]
    assert set(world.objects(prefix=base)) == {f"{base}/{name}" for name in ("cases.jsonl", "items.jsonl", "plan.json")}


def test_a_first_version_is_tested_alone(world: World) -> None:
    policy, suite = world.enrol(TESTED, SUITE)
    world.start(2, state="admitted", candidate=world.publish(2), policy_sha256=policy, suite_sha256=suite)

    assert plan(world)["first"] is True


def test_what_was_never_admitted_or_reads_otherwise_is_not_tested(world: World) -> None:
    admitted(world)
    released = world.releases.get(RELEASE)
    world.publish(2, text="Another answer to {{question}}")
    with pytest.raises(TestPlanRefused, match="what is tested must be what is released"):
        plan(world)
    del world.prompts.answers[ID, 2]
    with pytest.raises(TestPlanRefused, match="version 2 cannot be read any more"):
        plan(world)
    world.releases.update(replace(released, candidate=None))
    with pytest.raises(TestPlanRefused, match="was never admitted"):
        plan(world)
    assert world.entries(RELEASE) == []


def test_batches_ask_each_model_that_their_cases_need_and_are_graded_together(world: World, bedrock: Bedrock) -> None:
    admitted(world)
    plan(world)
    greets, *others = items(world)

    assert run(world, [greets]) == {"done": 1, "missing": 0}
    assert sorted(bedrock.asked) == [(version_arn(1), "converse"), (version_arn(2), "converse")]
    bedrock.asked.clear()
    assert run(world, others) == {"done": 2, "missing": 0}
    assert set(bedrock.asked) == {
        (version_arn(1), "converse"),
        (version_arn(2), "converse"),
        ("a-judge", "converse"),
        ("an-embedder", "invoke"),
    }

    base = f"releases/{RELEASE}/tests/1"
    results = world.objects(prefix=f"{base}/results/")
    assert {key: len(body.splitlines()) for key, body in results.items()} == {
        f"{base}/results/000000.jsonl": 1,
        f"{base}/results/000001.jsonl": 2,
    }
    before, stable = world.releases.get(RELEASE), world.current.stable
    answer = grade(world)
    report = json.loads(world.objects(prefix=base)[f"{base}/report.json"])
    assert answer == {
        "verdict": report["verdict"],
        "proceed": report["proceed"],
        "reason": f"tests {report['verdict']}: {report['reason']}",
        "report_key": f"{base}/report.json",
    }
    assert report["verdict"] in ("pass", "inconclusive")
    assert before.candidate is not None
    assert world.releases.get(RELEASE) == replace(
        before,
        revision=before.revision + 1,
        verdict={
            "verdict": report["verdict"],
            "proceed": report["proceed"],
            "reason": report["reason"],
            "round": 1,
            "candidate": before.candidate.fingerprint,
            "stable": stable.fingerprint,
            "report_key": f"{base}/report.json",
        },
    )
    event, by, detail = world.entries(RELEASE)[-1]
    assert (event, by, detail["report"]) == (Event.TESTS_FINISHED, "promptlane", f"{base}/report.html")
    assert world.releases.timeline(RELEASE)[-1].at == NOW
    assert {f"{base}/report.html", f"{base}/junit.xml"} < set(world.objects(prefix=base))


def test_an_answer_of_stable_that_is_kept_is_not_asked_for_again(world: World, bedrock: Bedrock) -> None:
    admitted(world)
    plan(world)
    asked = items(world)[:1]
    run(world, asked)
    bedrock.asked.clear()

    run(world, asked)
    assert (version_arn(1), "converse") not in bedrock.asked
    world.now += TESTED.tests.fresh_for + 1
    run(world, asked)
    assert (version_arn(1), "converse") in bedrock.asked


def test_nothing_is_begun_for_which_no_time_is_left(
    world: World, bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted(world)
    plan(world)
    told: list[Json] = []
    ran = BatchRunner.run

    def noting(*given: Any, deadline: float) -> dict[str, int]:
        told.append(deadline)
        return ran(*given, deadline=deadline)

    monkeypatch.setattr(BatchRunner, "run", noting)
    monkeypatch.setattr(time, "monotonic", lambda: -500.0)

    assert run(world, items(world), 44_000) == {"done": 0, "missing": 3}
    assert told == [-456.0]
    assert bedrock.asked == []


def test_a_batch_or_a_round_that_was_never_planned_is_named(world: World, bedrock: Bedrock) -> None:
    admitted(world)
    assert run(world, []) == {"done": 0, "missing": 0}
    with pytest.raises(NotFound, match=f"reading releases/{RELEASE}/tests/1/plan.json"):
        run(world, [{"i": 0, "s": 0, "e": 1}])
    with pytest.raises(NotFound, match=f"reading releases/{RELEASE}/tests/1/plan.json"):
        grade(world)
