"""Running cases: who is asked in which order, what is waited for, kept, used again, and given up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from promptlane.domain.errors import Throttled, Unavailable
from promptlane.domain.suite.answers import Answer, CallRefused, ModelRequest, ToolCall
from promptlane.engine.assertions import CaseGrade, Grade, asked_by
from promptlane.engine.runner import Bench, CaseRun, Retry, Run, run_cases
from promptlane.engine.suite import Assertion, Case
from promptlane.engine.targets import Target
from promptlane.fakes.objects import ScriptedJudge, ScriptedModel

NO = "the output does not contain 'yes'"
YES = Assertion("contains", value="yes")
CASES = [Case("a", {"q": "a"}, (YES,)), Case("b", {"q": "b"}, (YES,))]


def target(label: str, model: str, **more: Any) -> Target:
    return Target(
        label, label, {"modelId": model, "templateConfiguration": {"text": {"text": label + " {{q}}"}}, **more}
    )


NEW, OLD = target("new", "acme-new"), target("old", "acme-old")
PRICES = {"acme-new": (1_000.0, 0.0), "acme-old": (0.0, 1_000.0)}


def said(request: ModelRequest) -> str:
    return str(request.body["messages"][0]["content"][0]["text"])


def bench(model: ScriptedModel, **more: Any) -> Bench:
    settings = {"stable": OLD, "concurrency": 1, "retry": Retry(attempts=3, base=0.0), "prices": PRICES, **more}
    return Bench(candidate=NEW, model=model, **settings)


class Store:
    """`AnswerStore` that holds answers by label and case, and keeps what it was asked."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.got: list[tuple[str, str]] = []
        self.kept: dict[tuple[str, str], list[Answer]] = {}

    def get(self, target: Target, case: Case) -> list[Answer]:
        self.got.append((target.label, case.id))
        return self.answers.get(f"{target.label}_{case.id}", [])

    def put(self, target: Target, case: Case, kept: list[Answer]) -> None:
        self.kept[target.label, case.id] = kept


def numbered() -> ScriptedModel:
    """Each answer of its own, with numbers that tell which."""
    count = iter(range(1, 99))

    def answer(request: ModelRequest) -> Answer:
        n = next(count)
        return Answer(f"{n} {said(request)}" + (" yes" if n % 3 else ""), "end_turn", n, 10 * n, n)

    return ScriptedModel(answer)


def run(n: int, words: str, cost: float) -> Run:
    text = f"{n} {words}" + (" yes" if n % 3 else "")
    holds = bool(n % 3)
    grade = Grade("contains", holds, float(holds), "" if holds else NO)
    return Run(Answer(text, "end_turn", n, 10 * n, n, (), cost), CaseGrade(holds, float(holds), (grade,)))


def test_every_repeat_of_both_sides_is_asked_priced_and_graded() -> None:
    assert list(run_cases(CASES, bench(numbered(), repeats=2))) == [
        CaseRun(
            CASES[0],
            candidate=(run(1, "new a", 0.01), run(4, "new a", 0.04)),
            stable=(run(2, "old a", 0.002), run(3, "old a", 0.003)),
        ),
        CaseRun(
            CASES[1],
            candidate=(run(6, "new b", 0.06), run(7, "new b", 0.07)),
            stable=(run(5, "old b", 0.005), run(8, "old b", 0.008)),
        ),
    ]


def test_a_first_version_is_asked_alone() -> None:
    found = list(run_cases(CASES, bench(numbered(), stable=None, prices={})))
    assert [(r.candidate[0].answer, r.stable) for r in found] == [
        (Answer("1 new a yes", "end_turn", 1, 10, 1), None),
        (Answer("2 new b yes", "end_turn", 2, 20, 2), None),
    ]


def test_a_run_has_passed_failed_or_neither() -> None:
    assert Run() == Run(None, None, "", False)
    grades = [None, CaseGrade(True, 1, ()), CaseGrade(False, 0, ())]
    assert [Run(grade=g).passed for g in grades] == [None, True, False]


def test_cases_are_taken_two_ahead_of_each_worker() -> None:
    taken: list[str] = []

    def cases() -> Iterator[Case]:
        for i in range(40):
            taken.append(str(i))
            yield Case(str(i), {"q": "x"}, (YES,))

    found = run_cases(cases(), bench(ScriptedModel(said), concurrency=3))
    next(found)
    assert len(taken) == 6
    next(found)
    assert len(taken) == 7
    assert len(list(found)) == 38


def test_workers_end_with_the_process_and_are_as_many_as_asked_for() -> None:
    seen: set[tuple[str, bool]] = set()
    gate = threading.Barrier(3)

    def answer(request: ModelRequest) -> str:
        thread = threading.current_thread()
        seen.add((thread.name, thread.daemon))
        gate.wait(10)
        return "yes"

    assert len(list(run_cases(CASES * 3, bench(ScriptedModel(answer), stable=None, concurrency=3)))) == 6
    assert seen == {("case-0", True), ("case-1", True), ("case-2", True)}


def test_kept_answers_of_the_stable_version_serve_at_todays_price_and_are_graded_anew() -> None:
    rubric = Assertion("llm-rubric", value="kind")
    judge = ScriptedJudge(lambda user: {"pass": True, "score": 0.75, "reason": "so"})
    store = Store(old_a=[Answer("kept", output_tokens=3, cost_usd=9.0)])
    [found] = run_cases([Case("a", {"q": "a"}, (rubric,))], bench(ScriptedModel(said), judge=judge, store=store))
    assert found.stable == (
        Run(
            Answer("kept", output_tokens=3, cost_usd=0.003),
            CaseGrade(True, 0.75, (Grade("llm-rubric", True, 0.75, ""),)),
            reused=True,
        ),
    )
    assert found.candidate[0].grade == CaseGrade(True, 0.75, (Grade("llm-rubric", True, 0.75, ""),))
    assert found.candidate[0].answer is not None
    assert store.got == [("old", "a")]
    assert store.kept == {("new", "a"): [found.candidate[0].answer]}
    assert len(judge.asked) == 2


def test_repeats_that_were_not_kept_are_asked_for_and_all_are_kept_together() -> None:
    store = Store(old_a=[Answer("kept yes")], old_b=[Answer("one"), Answer("two")])
    model = ScriptedModel(said)
    first, second = run_cases(CASES, bench(model, repeats=2, store=store))
    assert [r.reused for r in first.stable or ()] == [True, False]
    assert [r.reused for r in second.stable or ()] == [True, True]
    assert [said(r) for r in model.asked] == ["new a", "old a", "new a", "new b", "new b"]
    assert store.got == [("old", "a"), ("old", "b")]
    assert {key: [k.text for k in kept] for key, kept in store.kept.items()} == {
        ("new", "a"): ["new a", "new a"],
        ("old", "a"): ["kept yes", "old a"],
        ("new", "b"): ["new b", "new b"],
    }


def test_a_case_that_asserts_on_latency_is_asked_anew_but_kept() -> None:
    within = Assertion("assert-set", children=(Assertion("latency", threshold=100),))
    store = Store(old_a=[Answer("kept")])
    [found] = run_cases([Case("a", {"q": "a"}, (within,))], bench(ScriptedModel(said), store=store))
    assert found.stable is not None
    assert not found.stable[0].reused
    assert store.got == []
    assert store.kept.keys() == {("new", "a"), ("old", "a")}


def test_what_is_not_complete_is_not_kept_but_what_cannot_be_graded_is() -> None:
    failing = iter([True, False])

    def answer(request: ModelRequest) -> str | Exception:
        return CallRefused("no") if said(request) == "old a" and next(failing) else said(request)

    store = Store()
    case = Case("a", {"q": "a"}, (Assertion("llm-rubric", value="kind"),))
    [found] = run_cases([case], bench(ScriptedModel(answer), repeats=2, store=store))
    assert [r.missing for r in found.stable or ()] == ["no", "no judge model is configured"]
    assert [r.missing for r in found.candidate] == ["no judge model is configured"] * 2
    assert store.kept.keys() == {("new", "a")}


def test_both_sides_are_compared_repeat_by_repeat() -> None:
    """Of the first repeat the candidate's answer is better, of the second the stable version's."""
    best = {"1 new a": "A", "3 old a": "A"}
    firsts: list[str] = []

    def better(user: str) -> Any:
        first = user.split("<answer-a-")[1].split("\n")[1]
        firsts.append(first)
        return {"reason": "so", "better": best.get(first, "B")}

    count = iter(range(1, 9))
    model = ScriptedModel(lambda r: f"{next(count)} {said(r)}")
    judge = ScriptedJudge(better)
    case = Case("a", {"q": "a"}, (Assertion("select-best", value="kind"),))
    [found] = run_cases([case], bench(model, repeats=2, judge=judge))
    assert [r.passed for r in found.candidate] == [True, False]
    assert [r.passed for r in found.stable or ()] == [False, True]
    assert firsts == ["1 new a", "2 old a", "4 new a", "3 old a"]


def test_tools_and_checks_are_those_of_the_version_and_of_the_bench() -> None:
    def with_tool(label: str, kind: str) -> Target:
        schema = {"type": "object", "properties": {"n": {"type": kind}}}
        tools = {"tools": [{"toolSpec": {"name": "add", "inputSchema": {"json": schema}}}]}
        return Target(label, label, {"modelId": "m", "templateConfiguration": {"chat": {"toolConfiguration": tools}}})

    calls = Answer("", tool_calls=(ToolCall("add", {"n": 1}),))
    case = Case("a", {}, (Assertion("is-valid-tool-call"), Assertion("python", value="mine")))
    made = Bench(
        candidate=with_tool("new", "string"),
        stable=with_tool("old", "integer"),
        model=ScriptedModel(lambda r: calls),
        checks={"mine": lambda output, variables: True},
    )
    [found] = run_cases([case], made)
    assert (found.candidate[0].passed, found.stable and found.stable[0].passed) == (False, True)


class Embedder:
    """`Embedder` that is busy at first and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, text: str) -> Sequence[float]:
        self.asked.append(text)
        if len(self.asked) == 1:
            raise Unavailable("busy")
        return [1.0]


def test_an_embedder_is_waited_for_and_asked_once_about_the_same_text() -> None:
    embedder = Embedder()
    cases = [Case(str(i), {"q": "x"}, (Assertion("similar", value=["like"]),)) for i in range(3)]
    found = list(run_cases(cases, bench(ScriptedModel(lambda r: "answer"), embedder=embedder)))
    assert [r.candidate[0].passed for r in found] == [True] * 3
    assert embedder.asked == ["answer", "answer", "like"]


def test_an_embedder_remembers_the_last_two_hundred_texts() -> None:
    embedder = Embedder()
    texts = [str(i) for i in range(199)]
    cases = [
        Case("0", {"q": "x"}, (Assertion("similar", value=texts),)),
        Case("1", {"q": "x"}, (Assertion("similar", value=["0", "more"]),)),
        Case("2", {"q": "x"}, (Assertion("similar", value=["more", "1"]),)),
    ]
    list(run_cases(cases, bench(ScriptedModel(lambda r: "answer"), stable=None, embedder=embedder)))
    assert embedder.asked == ["answer", "answer", *texts, "more", "answer", "1"]


def test_waiting_doubles_up_to_a_bound_and_is_a_share_of_it_by_chance() -> None:
    assert Retry() == Retry(attempts=8, base=0.5, longest=20.0)
    assert [Retry().wait(n, lambda: 0.5) for n in range(8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_calls_wait_only_between_attempts_and_for_what_may_pass() -> None:
    waits: list[float] = []
    busy = iter([Throttled("one"), Unavailable("two")])
    model = ScriptedModel(lambda r: next(busy, said(r)))
    made = bench(model, stable=None, retry=Retry(attempts=3, base=1.0), sleep=waits.append, dice=lambda: 0.25)
    [found] = run_cases(CASES[:1], made)
    assert found.candidate[0].answer is not None
    assert waits == [0.25, 0.5]
    assert len(model.asked) == 3


@pytest.mark.parametrize(
    ("times", "missing", "asked"),
    [
        ([10.0], "the time was up before it was its turn", 0),
        ([9.9, 10.0], "the time was up after: busy", 1),
        ([9.7, 9.8, 9.9], "gave up after 3 attempts: busy", 3),
    ],
)
def test_at_the_deadline_no_call_is_started(times: list[float], missing: str, asked: int) -> None:
    model, now = ScriptedModel(lambda r: Unavailable("busy")), iter(times)
    made = bench(model, stable=None, deadline=10.0, clock=lambda: next(now), sleep=lambda s: None)
    [found] = run_cases(CASES[:1], made)
    assert found == CaseRun(CASES[0], (Run(missing=missing),), None)
    assert len(model.asked) == asked


def test_a_bench_has_usual_settings() -> None:
    model = ScriptedModel(said)
    bench = Bench(NEW, None, model)
    assert bench == Bench(
        NEW, None, model, 1, 8, None, None, {}, {}, None, Retry(), None, time.monotonic, time.sleep, random.random
    )
    assert len(list(run_cases(CASES, bench))) == len(model.asked) == 2


@pytest.mark.parametrize(
    ("kinds", "asked"),
    [
        (("contains", "python"), set()),
        (("contains", "llm-rubric"), {"judge"}),
        (("select-best",), {"judge"}),
        (("similar", "llm-rubric"), {"judge", "embedder"}),
        (("similar",), {"embedder"}),
    ],
)
def test_assertions_say_which_models_they_ask(kinds: tuple[str, ...], asked: set[str]) -> None:
    made = tuple(Assertion(k, value="x") for k in kinds)
    assert set(asked_by(made)) == set(asked_by(iter([Assertion("assert-set", children=made)]))) == asked
