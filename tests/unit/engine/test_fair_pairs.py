"""Running cases: fair pairs, patience, bounds, and what a page says of it all."""

from __future__ import annotations

import json
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import pytest

from promptlane.domain.errors import Unavailable
from promptlane.domain.policy import TestPolicy as Policy
from promptlane.domain.suite.answers import Answer, CallRefused, ModelNotEnabled, ModelRequest
from promptlane.engine.junit import junit
from promptlane.engine.parse import parse
from promptlane.engine.plan import TestPlanRefused, make_plan
from promptlane.engine.prices import price_of
from promptlane.engine.records import Collector, record_of
from promptlane.engine.report import Heading, build
from promptlane.engine.runner import Bench, CaseRun, Retry, run_cases
from promptlane.engine.suite import Case, Suite
from promptlane.engine.targets import Target
from promptlane.fakes.objects import ScriptedJudge, ScriptedModel
from promptlane.pages.test_report import highlighted, page
from tests.support.prompt import ARN

MODEL = "amazon.nova-lite-v1:0"


def target(label: str, text: str = "{{q}}", model: str = MODEL, **more: Any) -> Target:
    variant = {"modelId": model, "templateConfiguration": {"text": {"text": f"{label}: {text}"}}, **more}
    return Target.of_draft(label, [variant])


def suite(n: int, **more: Any) -> Suite:
    tests = [{"id": f"q{i}", "vars": {"q": f"question {i}"}} for i in range(n)]
    return parse({"defaultTest": {"assert": [{"type": "contains", "value": "{{q}}"}], **more}, "tests": tests})


def said(request: ModelRequest) -> str:
    return str(request.body["messages"][0]["content"][0]["text"])


def bench(model: ScriptedModel, **more: Any) -> Bench:
    settings = {"concurrency": 1, "retry": Retry(attempts=3, base=0.0), **more}
    return Bench(candidate=target("new"), stable=target("old"), model=model, **settings)


def runs(cases: Suite, made: Bench) -> list[CaseRun]:
    return list(run_cases(cases.cases, made))


def test_pairs_stand_together_and_take_turns_in_going_first() -> None:
    model = ScriptedModel(said)
    runs(suite(4), bench(model))
    asked = [said(r).split(":")[0] for r in model.asked]
    assert asked == ["new", "old", "old", "new", "new", "old", "old", "new"]


def test_no_more_calls_are_in_flight_than_allowed_and_cases_are_taken_as_needed() -> None:
    lock, most, now = threading.Lock(), [0], [0]
    barrier = threading.Event()

    def answer(request: ModelRequest) -> str:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        barrier.wait(0.002)
        with lock:
            now[0] -= 1
        return said(request)

    taken = [0]

    def cases() -> Iterator[Case]:
        for case in suite(60).cases:
            taken[0] += 1
            yield case

    found = run_cases(cases(), bench(ScriptedModel(answer), concurrency=4))
    next(found)
    assert taken[0] <= 8
    assert len(list(found)) == 59
    assert most[0] <= 4


def test_a_run_that_is_given_up_stops_its_workers() -> None:
    before = threading.active_count()
    found = run_cases(suite(50).cases, bench(ScriptedModel(said), concurrency=4))
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_transient_errors_are_waited_out_with_jitter_below_a_growing_bound() -> None:
    waits: list[float] = []
    model = ScriptedModel(lambda r: Unavailable("busy"))
    made = bench(model, retry=Retry(attempts=4, base=1.0, longest=3.0), sleep=waits.append, dice=lambda: 1.0)
    run = runs(suite(1), made)[0]
    assert waits == [1.0, 2.0, 3.0] * 2
    assert run.candidate[0].missing == "gave up after 4 attempts: busy"
    assert run.candidate[0].passed is None


def test_after_the_deadline_nothing_is_asked_and_everything_is_missing() -> None:
    model = ScriptedModel(said)
    run = runs(suite(1), bench(model, deadline=100.0, clock=lambda: 100.0))[0]
    assert model.asked == []
    assert "the time was up" in run.candidate[0].missing


def test_a_refused_call_is_missing_at_once_and_a_closed_model_is_not_asked_again() -> None:
    refused = ScriptedModel(lambda r: CallRefused("too long"))
    assert runs(suite(2), bench(refused))[0].candidate[0].missing == "too long"
    assert len(refused.asked) == 4
    closed = ScriptedModel(lambda r: ModelNotEnabled("enable it") if said(r).startswith("new") else said(r))
    found = runs(suite(5), bench(closed))
    assert [r.candidate[0].missing for r in found] == ["enable it"] * 5
    assert [r.stable[0].passed for r in found if r.stable] == [True] * 5
    assert sum(said(r).startswith("new") for r in closed.asked) == 1


def test_what_one_answer_makes_of_the_code_costs_that_run_and_no_other() -> None:
    def odd(request: ModelRequest) -> Answer | str:
        return Answer("x", input_tokens=None) if said(request) == "new: question 1" else said(request)  # type: ignore[arg-type]

    found = {run.case.id: run for run in runs(suite(3), bench(ScriptedModel(odd)))}
    assert "could not be made or read (TypeError: " in found["q1"].candidate[0].missing
    assert [run.candidate[0].passed for run in found.values()].count(True) == 2
    assert all(run.stable and run.stable[0].passed for run in found.values())


def test_a_defect_outside_of_any_case_reaches_the_caller() -> None:
    class Broken:
        def get(self, target: Target, case: Case) -> list[Answer]:
            return []

        def put(self, target: Target, case: Case, answers: list[Answer]) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runs(suite(3), bench(ScriptedModel(said), store=Broken()))


def test_a_judge_that_is_throttled_is_asked_again() -> None:
    said_by_judge = iter([Unavailable("busy"), {"pass": True, "score": 1, "reason": ""}] * 2)
    judge = ScriptedJudge(lambda user: next(said_by_judge))
    cases = parse({"tests": [{"vars": {"q": "a"}, "assert": [{"type": "llm-rubric", "value": "fine"}]}]})
    run = runs(cases, bench(ScriptedModel(said), judge=judge))[0]
    assert run.candidate[0].passed is True
    assert len(judge.asked) == 4


def test_a_chat_prompt_is_rendered_with_its_settings_and_tools() -> None:
    tool = {"toolSpec": {"name": "lookup", "inputSchema": {"json": {"type": "object"}}}}
    chat = {
        "system": [{"text": "Be kind to {{name}}."}],
        "messages": [{"role": "user", "content": [{"text": "{{ q }}"}, {"cachePoint": {"type": "default"}}]}],
        "toolConfiguration": {"tools": [tool]},
    }
    made = Target.of_draft(
        "x",
        [
            {
                "modelId": MODEL,
                "templateConfiguration": {"chat": chat},
                "inferenceConfiguration": {"text": {"temperature": 0.2, "maxTokens": 50}},
                "additionalModelRequestFields": {"top_k": 5},
            }
        ],
    )
    case = Case("c", {"name": "Ana", "q": "{{name}}?", "only_asserts": "1"}, ())
    request = made.request(case)
    assert request.model_id == MODEL
    assert request.body["system"] == [{"text": "Be kind to Ana."}]
    assert request.body["messages"][0]["content"] == [{"text": "{{name}}?"}, {"cachePoint": {"type": "default"}}]
    assert request.body["inferenceConfig"] == {"temperature": 0.2, "maxTokens": 50}
    assert request.body["additionalModelRequestFields"] == {"top_k": 5}
    assert made.tools == {"lookup": {"type": "object"}}
    arn = f"{ARN}:2"
    by_arn = Target("v2", "f", made.variant, arn).request(case)
    assert by_arn == ModelRequest(arn, {"promptVariables": {"name": {"text": "Ana"}, "q": {"text": "{{name}}?"}}})


def test_a_plan_needs_prices_and_says_what_it_can_show() -> None:
    plan = make_plan(suite(100), Policy(repeats=3, max_concurrency=40), target("new"), target("old"))
    assert (plan.calls, plan.threads, plan.parallel) == (600, 8, 5)
    assert plan.detectable is not None
    assert "finds drops from" in plan.sentence
    with pytest.raises(TestPlanRefused, match="no price is known for model 'acme'"):
        make_plan(suite(5), Policy(), target("new", model="acme"), None)
    assert make_plan(suite(5), Policy(prices={"acme": (1, 2)}), target("new", model="acme"), None).cost_usd > 0


@pytest.mark.parametrize("model", [MODEL, f"us.{MODEL}", f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"])
def test_prices_know_profiles_and_arns(model: str) -> None:
    assert price_of(model, {}) == (0.06, 0.24)
    assert price_of(model, {"amazon.nova-lite-v1": (1.0, 2.0)}) == (1.0, 2.0)


def report(answer: Any, n: int = 60, *, stable: bool = True) -> dict[str, Any]:
    cases, policy = suite(n, metadata={"tags": ["<b>tag</b>"]}), Policy()
    new, old = target("<script>new</script>"), target("old") if stable else None
    made = Bench(candidate=new, stable=old, model=ScriptedModel(answer), concurrency=2)
    collector = Collector((case.id for case in cases.cases), repeats=1, absolute=old is None)
    for run in run_cases(cases.cases, made):
        collector.add(run.case, json.loads(json.dumps(record_of(run))))
    heading = Heading(
        "support",
        1.8e9,
        new.label,
        new.fingerprint,
        MODEL,
        old.label if old else None,
        old.fingerprint if old else None,
        MODEL,
    )
    return build(heading, make_plan(cases, policy, new, old), policy, collector, notes=["<note>"])


def test_the_page_escapes_everything_and_loads_nothing() -> None:
    hostile = '<img src=x onerror="alert(1)">\x00\ud800'
    made = report(lambda r: said(r) if said(r).startswith("old") else Answer(hostile))
    text = page(made).decode()
    assert made["verdict"] == "fail"
    assert "<img" not in text
    assert "<script" not in text
    assert "<b>tag</b>" not in text
    assert "http" not in text
    assert "&lt;" in text
    root = ElementTree.fromstring(junit(made))
    assert root.get("failures") == "61"
    assert len(root.findall("testsuite/testcase")) == 61


@pytest.mark.parametrize("stable", [True, False])
def test_the_page_says_the_verdict_first(stable: bool) -> None:
    text = page(report(said, stable=stable)).decode()
    assert text.index("✓ Pass") < text.index("Slices") < text.index("What was compared")
    assert "newly failing (" not in text
    root = ElementTree.fromstring(junit(report(said, 8)))
    assert root.find("testsuite/testcase[@name='verdict']/failure").get("message") == "inconclusive"  # type: ignore[union-attr]


def test_differences_are_marked_by_words() -> None:
    left, right = highlighted("Refunds take 5 days.", "Refunds take <9> days.")
    assert left == "Refunds take <del>5</del> days."
    assert right == "Refunds take <ins>&lt;9&gt;</ins> days."
    long = "word " * 5_000
    assert highlighted(long, long + "x")[1] == f"<ins>{long}x</ins>"
