"""What the three stages of a test step write down and hand on, and each way in which they refuse."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain.errors import InvalidInput, Unavailable
from promptlane.domain.policy import TestPolicy as Policy
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.brief import verdict_shown as shown_of
from promptlane.domain.suite.answers import Answer, CallRefused, ModelRequest
from promptlane.engine.assertions import CaseGrade
from promptlane.engine.parse import parse
from promptlane.engine.plan import Plan, TestPlanRefused, make_plan
from promptlane.engine.records import record_of
from promptlane.engine.report import build
from promptlane.engine.runner import CANDIDATE, STABLE, CaseRun, Retry, Run
from promptlane.engine.targets import Target
from promptlane.fakes import InMemoryTurns
from promptlane.fakes.objects import MemoryObjects, ScriptedJudge, ScriptedModel
from promptlane.lifecycle import test_round as stages
from promptlane.lifecycle.test_round import folder, grade, write_report
from tests.support.admitted import NOW, QUICK, Admitted, draft, question, suite
from tests.support.example_report import HEADING, PLAN, collected
from tests.support.prompt import ARN, ID, RELEASE

BASE = f"releases/{RELEASE}/tests/1"


class Typed(MemoryObjects):
    """Objects that know their content types."""

    def __init__(self) -> None:
        super().__init__()
        self.types: dict[str, str] = {}

    def put(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        super().put(key, body, content_type)
        self.types[key] = content_type


def desk(cases: dict[str, Any] | None = None, **tests: Any) -> Admitted:
    made = Admitted(cases or suite(3), tests=tests)
    made.objects = Typed()
    return made


def items(made: Admitted) -> list[dict[str, int]]:
    return [json.loads(line) for line in made.objects.data[f"{BASE}/items.jsonl"].splitlines()]


def records(made: Admitted, first: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in made.objects.data[f"{BASE}/results/{first:06d}.jsonl"].splitlines()]


def batch(made: Admitted, taken: list[dict[str, int]], model: ScriptedModel, **more: Any) -> dict[str, int]:
    deadline = more.pop("deadline", None)
    return made.runner(model, **more).run(RELEASE, 1, taken, deadline=deadline)


def test_while_another_release_has_the_turn_nothing_is_written_down() -> None:
    made, turns = desk(), InMemoryTurns()
    planner = replace(made.planner, turns=turns, most_functions=2)
    turns.take("another", made.now, made.now + 10_000)
    made.now += 900

    waiting = planner.plan(RELEASE)

    started = made.releases.get(RELEASE).started_at
    assert waiting["wait_seconds"] == max(5, math.ceil((made.now - started) / 60))
    assert made.releases.get(RELEASE).round == 0
    assert f"{BASE}/plan.json" not in made.objects.data
    turns.give_back("another")
    assert planner.plan(RELEASE)["wait_seconds"] == 0
    assert turns.holder == RELEASE


@pytest.mark.parametrize(("most", "at_once"), [(0, 3), (1, 1), (2, 2), (9, 3)])
def test_a_round_runs_in_as_many_functions_as_its_policy_and_the_account_allow(most: int, at_once: int) -> None:
    made = desk(suite(5), max_concurrency=30, repeats=2, batch_size=4)
    planned = replace(made.planner, most_functions=most).plan(RELEASE)
    assert planned["max_concurrency"] == at_once


def test_a_plan_is_written_down_and_the_workflow_gets_keys_and_counts() -> None:
    made = desk(suite(5), repeats=2, max_concurrency=30, batch_size=4, prices={"acme": [1, 2]}, must_pass=["billing"])
    admitted = made.releases.get(RELEASE)
    made.releases.update(replace(admitted, step=3, verdict={"round": 0}, approval={"by": "ana"}))
    handed_on = made.plan()
    assert handed_on == {
        "bucket": "reports",
        "key": f"{BASE}/items.jsonl",
        "count": 5,
        "round": 1,
        "first": False,
        "max_concurrency": 3,
        "wait_seconds": 0,
        "batch_size": 4,
    }
    read = parse(suite(5))
    policy = made.enrolments.policy(admitted.policy_sha256).tests
    new, old = (made.prompts.version(ID, n) for n in (2, 1))
    plan = make_plan(read, policy, Target.of_version(new), Target.of_version(old))
    assert json.loads(made.objects.data[f"{BASE}/plan.json"]) == {
        "plan": plan.to_dict(),
        "policy": {f.name: getattr(policy, f.name) for f in fields(policy)}
        | {"must_pass": ["billing"], "prices": {"acme": [1.0, 2.0]}},
        "candidate": {"label": "version 2", "fingerprint": new.fingerprint, "variant": new.variant, "arn": f"{ARN}:2"},
        "stable": {"label": "version 1", "fingerprint": old.fingerprint, "variant": old.variant, "arn": f"{ARN}:1"},
        "bound": {"candidate": new.fingerprint, "stable": old.fingerprint},
        "notes": [],
        "kinds": ["contains"],
    }
    lines = made.objects.data[f"{BASE}/cases.jsonl"]
    assert [parse({"tests": [json.loads(line)]}).cases[0] for line in lines.splitlines()] == list(read.cases)
    spans = items(made)
    assert [i["i"] for i in spans] == list(range(5))
    assert spans[0]["s"] == 0
    assert b"".join(lines[i["s"] : i["e"]] for i in spans) == lines
    assert [json.loads(lines[i["s"] : i["e"]])["id"] for i in spans] == [f"q{n}" for n in range(5)]
    assert made.objects.types == {  # type: ignore[attr-defined]
        f"{BASE}/plan.json": "application/json",
        f"{BASE}/cases.jsonl": "application/x-ndjson",
        f"{BASE}/items.jsonl": "application/x-ndjson",
    }
    release = made.releases.get(RELEASE)
    assert (release.state, release.round, release.step, release.verdict, release.approval) == ("testing", 1, 0, {}, {})
    assert release.stable == old.ref
    entry = made.releases.timeline(RELEASE)[-1]
    assert (entry.id, entry.release_id, entry.at, entry.event) == (
        f"{RELEASE}/tests/1/planned",
        RELEASE,
        NOW,
        Event.TESTS_PLANNED,
    )
    assert entry.detail == {
        "round": 1,
        "cases": 5,
        "repeats": 2,
        "calls": 20,
        "cost_at_most_usd": float(f"{plan.cost_usd:.6f}"),
        "stable": 1,
        "stable_fingerprint": old.fingerprint,
        "summary": plan.sentence,
        "warnings": list(plan.warnings),
    }


def test_the_notes_and_kinds_of_a_suite_are_kept_for_later_stages() -> None:
    within = {"type": "assert-set", "assert": [{"type": "is-json"}]}
    test = {"vars": {"question": "größer"}, "assert": [{"type": "python", "value": "mine"}, within]}
    cases = {"prompts": ["x"], "tests": [test]}
    made = desk(cases)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("promptlane.engine.plan.unknown", lambda names: [])
        made.plan()
    written = json.loads(made.objects.data[f"{BASE}/plan.json"])
    assert written["kinds"] == ["assert-set", "is-json", "python"]
    assert written["notes"] == ["`prompts` is left out: the published version is what is tested"]
    assert "größer".encode() in made.objects.data[f"{BASE}/cases.jsonl"]


def test_a_first_version_is_planned_without_a_stable_one() -> None:
    made = Admitted(suite(3), first=True)
    base = "releases/PROMPT0001-1-1/tests/1"
    assert made.plan()["first"] is True
    assert json.loads(made.objects.data[f"{base}/plan.json"])["stable"] is None
    assert made.releases.timeline("PROMPT0001-1-1")[-1].detail["stable"] is None
    assert made.releases.get("PROMPT0001-1-1").stable is None


def test_each_round_has_a_folder_of_its_own_and_binds_what_is_stable_then() -> None:
    made = desk()
    made.plan()
    third = made.prompts.publish(draft("Third. {{question}}"), prompt_id=ID)
    route = made.routes.get("support")
    assert route is not None
    made.routes.put(replace(route, stable=third.ref, revision=route.revision + 1), expected=route)
    again = made.plan()
    assert (again["round"], made.releases.get(RELEASE).stable) == (1, route.stable), "the answer was lost: one round"
    made.releases.update(replace(made.releases.get(RELEASE), verdict={"verdict": "pass"}))
    assert made.plan()["round"] == 2
    assert json.loads(made.objects.data[f"releases/{RELEASE}/tests/2/plan.json"])["stable"]["arn"] == f"{ARN}:3"
    assert made.releases.get(RELEASE).stable == third.ref
    planned = [e.id for e in made.releases.timeline(RELEASE) if e.event is Event.TESTS_PLANNED]
    assert planned == [f"{RELEASE}/tests/{n}/planned" for n in (1, 2)]


def changed(made: Admitted, **candidate: Any) -> Admitted:
    release = made.releases.get(RELEASE)
    assert release.candidate is not None
    made.releases.update(replace(release, candidate=replace(release.candidate, **candidate)))
    return made


def refusal(made: Admitted) -> str:
    with pytest.raises(TestPlanRefused) as caught:
        made.plan()
    assert made.objects.data == {}
    assert made.releases.get(RELEASE).round == 0
    return str(caught.value)


def test_what_was_never_admitted_is_not_tested() -> None:
    made = desk()
    made.releases.update(replace(made.releases.get(RELEASE), candidate=None))
    assert refusal(made) == f"release {RELEASE} was never admitted; ask for a new release"


def test_a_version_that_is_gone_or_is_another_now_is_not_tested() -> None:
    gone = refusal(changed(desk(), version=9))
    assert gone == "version 9 cannot be read any more: prompt PROMPT0001 has no version 9"
    made = desk()
    real = made.prompts.version(ID, 2).fingerprint
    assert refusal(changed(made, fingerprint="f" * 64)) == (
        f"version 2 has fingerprint {real[:12]}, not {'f' * 12} as recorded; what is tested must be what is released"
    )


def test_what_is_asked_is_the_arn_that_was_recorded() -> None:
    made = changed(desk(), arn=f"{ARN}-alias:2")
    made.plan()
    model = ScriptedModel(question)
    batch(made, items(made)[:1], model)
    assert {r.model_id for r in model.asked} == {f"{ARN}-alias:2", f"{ARN}:1"}


def test_a_batch_writes_its_results_under_its_first_case() -> None:
    made = desk(suite(5), repeats=2)
    made.plan()
    spans = items(made)
    model = ScriptedModel(lambda r: Answer(f"größer: {question(r)}", "end_turn", 7.0, 30, 4))
    assert batch(made, [spans[2], spans[4], spans[3]], model) == {"done": 3, "missing": 0}
    key = f"{BASE}/results/000002.jsonl"
    assert made.objects.types[key] == "application/x-ndjson"  # type: ignore[attr-defined]
    found = {r["case"]: r for r in records(made, 2)}
    assert found.keys() == {"q2", "q3", "q4"}
    for i in (2, 3, 4):
        run = {
            "output": f"größer: question {i}",
            "stop_reason": "end_turn",
            "latency_ms": 7.0,
            "input_tokens": 30,
            "output_tokens": 4,
            "cost_usd": pytest.approx((30 * 0.06 + 4 * 0.24) / 1e6),
            "passed": True,
            "score": 1.0,
            "asserts": [{"type": "contains", "passed": True, "score": 1.0}],
        }
        assert found[f"q{i}"] == {"case": f"q{i}", "candidate": [run, run], "stable": [run, run]}
    assert "größer".encode() in made.objects.data[key]
    assert len(model.asked) == 12


def test_neighbours_are_read_together_and_others_not() -> None:
    class Counting(Typed):
        ranges: list[tuple[int, int]]

        def get_range(self, key: str, start: int, end: int) -> bytes:
            assert key == f"{BASE}/cases.jsonl"
            self.ranges.append((start, end))
            return super().get_range(key, start, end)

    made = desk(suite(6))
    made.objects = counting = Counting()
    counting.ranges = []
    made.plan()
    s = items(made)
    batch(made, [s[4], s[0], s[1], s[5], s[2]], ScriptedModel(question))
    assert counting.ranges == [(s[0]["s"], s[2]["e"]), (s[4]["s"], s[5]["e"])]
    assert {r["case"] for r in records(made, 4)} == {"q0", "q1", "q2", "q4", "q5"}


def test_a_case_counts_as_missing_when_any_run_of_either_side_does() -> None:
    made = desk(suite(4))
    made.plan()

    def answer(request: ModelRequest) -> str | Exception:
        new, asked = request.model_id.endswith(":2"), question(request)
        gone = (asked == "question 1" and new) or (asked == "question 2" and not new)
        return CallRefused("no") if gone else "wrong" if asked == "question 3" else asked

    assert batch(made, items(made), ScriptedModel(answer)) == {"done": 2, "missing": 2}
    assert batch(made, [], ScriptedModel(lambda _: pytest.fail("asked"))) == {"done": 0, "missing": 0}


def noting(benches: list[Any]) -> Callable[[Any, Any], list[Any]]:
    """In place of `run_cases`: what the cases would be run on."""

    def run(cases: Any, bench: Any) -> list[Any]:
        benches.append(bench)
        return []

    return run


def test_no_call_is_started_in_the_time_that_is_kept_for_writing_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """165 seconds of a batch's time; a fake clock would only tell what the bench is given."""
    made = desk()
    made.plan()
    benches: list[Any] = []
    monkeypatch.setattr(stages, "run_cases", noting(benches))
    settings: tuple[dict[str, Any], ...] = ({"deadline": 1_000.0}, {"retry": Retry()})
    for more in settings:
        batch(made, items(made), ScriptedModel(question), **more)
    assert [b.deadline for b in benches] == [835.0, None]
    assert [b.retry for b in benches] == [QUICK, Retry()]


def test_a_batch_has_the_settings_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    made = desk(
        suite(3),
        repeats=3,
        max_concurrency=5,
        fresh_for="30m",
        prices={"acme": [1, 2]},
        judge_model="amazon.nova-lite-v1:0",
    )
    made.plan()
    benches: list[Any] = []
    monkeypatch.setattr(stages, "run_cases", noting(benches))
    model = ScriptedModel(question)
    batch(made, items(made), model)
    [bench] = benches
    assert (bench.repeats, bench.concurrency, bench.prices) == (3, 5, {"acme": (1.0, 2.0)})
    assert (bench.candidate.arn, bench.stable.arn, bench.model) == (f"{ARN}:2", f"{ARN}:1", model)
    assert (bench.judge, bench.embedder, bench.checks) == (None, None, {})
    case = parse(suite(1)).cases[0]
    kept = [Answer("x")]
    bench.store.put(bench.stable, case, kept)
    for later, fresh in ((1_799, kept), (1_800, [])):
        made.now = NOW + later
        assert bench.store.get(bench.stable, case) == fresh


GRADED: dict[str, dict[str, Any]] = {
    "judge": {"type": "llm-rubric", "value": "kind"},
    "embedder": {"type": "similar", "value": "hello"},
    "checks": {"type": "python", "value": "mine"},
}


@pytest.mark.parametrize("needed", GRADED)
def test_only_what_a_batch_needs_is_made(needed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptlane.engine.plan.unknown", lambda names: [])
    monkeypatch.setattr(stages, "load", lambda: {"mine": lambda output, variables: True})
    plain = {"id": "plain", "vars": {"question": "x"}, "assert": [{"type": "contains", "value": "x"}]}
    graded = {"id": "graded", "vars": {"question": "y"}, "assert": [GRADED[needed]]}
    made = desk({"tests": [plain, graded]}, judge_model="amazon.nova-micro-v1:0")
    made.plan()
    judge = ScriptedJudge(lambda user: {"pass": True, "score": 1, "reason": ""})
    asked: list[tuple[str, str]] = []

    def making(what: str, port: Any) -> Any:
        def make(model_id: str) -> Any:
            asked.append((what, model_id))
            return port

        return make

    class Same:
        def embed(self, text: str) -> list[float]:
            return [1.0]

    ports = {"judge": making("judge", judge), "embedder": making("embedder", Same())}
    first, second = items(made)
    assert batch(made, [first], ScriptedModel(question), **ports) == {"done": 1, "missing": 0}
    assert asked == []
    assert batch(made, [second], ScriptedModel(question), **ports) == {"done": 1, "missing": 0}
    models = {"judge": "amazon.nova-micro-v1:0", "embedder": "amazon.titan-embed-text-v2:0"}
    assert asked == ([(needed, models[needed])] if needed in models else [])


def test_a_first_version_is_run_alone_and_one_that_cannot_be_run_is_missing() -> None:
    made = Admitted(suite(2), first=True)
    release_id = made.release_id
    made.plan()
    spans = [json.loads(line) for line in made.objects.data[f"{folder(release_id, 1)}/items.jsonl"].splitlines()]
    model = ScriptedModel(lambda r: Unavailable("down") if question(r) == "question 1" else question(r))
    found = made.runner(model).run(release_id, 1, spans)
    assert found == {"done": 1, "missing": 1}
    result = grade(release_id, 1, releases=made.releases, objects=made.objects, clock=lambda: NOW)
    report = json.loads(made.objects.data[result["report_key"]])
    assert (report["absolute"], report["stable"], report["cases"][1]["reason"]) == (
        True,
        None,
        "candidate: gave up after 3 attempts: down",
    )
    assert made.releases.get(release_id).verdict["stable"] is None


def graded(made: Admitted, at: float = NOW + 60) -> dict[str, Any]:
    return grade(RELEASE, 1, releases=made.releases, objects=made.objects, clock=lambda: at)


def test_the_verdict_is_bound_to_what_was_tested_and_told_once() -> None:
    made = desk(suite(60, broken=3))
    made.plan()
    batch(made, items(made), ScriptedModel(lambda r: "no" if r.model_id.endswith(":2") else question(r)))
    handed_on = graded(made)
    report = json.loads(made.objects.data[f"{BASE}/report.json"])
    assert handed_on == {
        "verdict": "fail",
        "proceed": False,
        "reason": f"tests fail: {report['reason']}",
        "report_key": f"{BASE}/report.json",
    }
    release, plan = made.releases.get(RELEASE), json.loads(made.objects.data[f"{BASE}/plan.json"])
    assert release.candidate is not None
    assert release.stable is not None
    assert release.verdict == {
        "verdict": "fail",
        "proceed": False,
        "reason": report["reason"],
        "round": 1,
        "candidate": release.candidate.fingerprint,
        "stable": release.stable.fingerprint,
        "report_key": f"{BASE}/report.json",
    }
    entries = made.releases.timeline(RELEASE)
    last: TimelineEntry = entries[-1]
    assert (last.id, last.release_id, last.at, last.event) == (
        f"{RELEASE}/tests/1/finished",
        RELEASE,
        NOW + 60,
        Event.TESTS_FINISHED,
    )
    assert last.detail == {
        "round": 1,
        "verdict": "fail",
        "proceed": False,
        "reason": report["reason"],
        "candidate": release.candidate.fingerprint,
        "stable": release.stable.fingerprint,
        "counts": report["counts"],
        "cost_usd": float(f"{report['cost_usd']:.6f}"),
        "report": f"{BASE}/report.html",
        "sha256": {
            f"{BASE}/{name}": hashlib.sha256(made.objects.data[f"{BASE}/{name}"]).hexdigest()
            for name in ("report.json", "report.html", "junit.xml")
        },
    }
    assert {
        k: report[k]
        for k in (
            "prompt",
            "at",
            "candidate",
            "candidate_fingerprint",
            "candidate_model",
            "stable",
            "stable_fingerprint",
            "stable_model",
            "release_id",
            "round",
            "plan",
        )
    } == {
        "prompt": "support",
        "at": NOW + 60,
        "candidate": "version 2",
        "candidate_fingerprint": plan["candidate"]["fingerprint"],
        "candidate_model": "amazon.nova-lite-v1:0",
        "stable": "version 1",
        "stable_fingerprint": plan["stable"]["fingerprint"],
        "stable_model": "amazon.nova-lite-v1:0",
        "release_id": RELEASE,
        "round": 1,
        "plan": plan["plan"],
    }
    assert report["rules"]["must_pass"] == []
    written = dict(made.objects.data)
    assert graded(made, NOW + 90) == handed_on
    assert made.objects.data == written, "what the timeline names is not written anew"
    assert made.releases.timeline(RELEASE) == entries
    assert made.releases.get(RELEASE) == release


def test_a_run_without_a_price_costs_nobody_knows_what() -> None:
    made = desk(suite(2), prices={"amazon.nova-lite-v1:0": [1, 2]})
    made.plan()
    written = json.loads(made.objects.data[f"{BASE}/plan.json"])
    unpriced = {**written, "candidate": {**written["candidate"], "variant": {"modelId": "acme"}}}
    made.objects.data[f"{BASE}/plan.json"] = json.dumps(unpriced).encode()
    batch(made, items(made), ScriptedModel(lambda r: "x"))
    graded(made)
    assert made.releases.timeline(RELEASE)[-1].detail["cost_usd"] is None


def test_a_long_reason_is_cut_for_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    made = desk(suite(2))
    made.plan()
    report = {"verdict": "fail", "proceed": False, "reason": "x" * 2_000, "counts": {}, "cost_usd": 0.0}
    monkeypatch.setattr(stages, "grade_results", lambda *_: report)
    monkeypatch.setattr(stages, "write_report", lambda *_: None)
    assert graded(made)["reason"] == ("tests fail: " + "x" * 2_000)[:1_500]


def test_results_make_the_same_report_however_the_threads_ended() -> None:
    """Two batches, each in an order of its own, one case twice, one unknown, one batch without results."""
    made = desk(suite(9))
    made.plan()
    cases = {c.id: c for c in parse(suite(9)).cases}

    def line(case: str, *passed: bool) -> bytes:
        new, old = (Run(Answer(case), CaseGrade(p, float(p), ())) for p in passed)
        return json.dumps(record_of(CaseRun(cases.get(case, cases["q0"]), (new,), (old,))) | {"case": case}).encode()

    def reported(*results: tuple[int, list[bytes]]) -> dict[str, Any]:
        for first, lines in results:
            made.objects.data[f"{BASE}/results/{first:06d}.jsonl"] = b"\n".join(lines)
        graded(made)
        found: dict[str, Any] = json.loads(made.objects.data[f"{BASE}/report.json"])
        return found

    early = [line("q0", False, True), line("q1", False, True), line("q2", True, False)]
    late = [line("q6", False, True), line("q7", True, True), line("q8", False, True)]
    found = reported((0, early), (6, late))
    assert found == reported(
        (0, [early[2], early[0], early[1]]), (6, [*late[::-1], line("q0", True, True), line("x", True, True)])
    )
    assert [c["case"] for c in found["cases"]] == list(cases)
    assert {change: [d["case"] for d in details] for change, details in found["shown"].items()} == {
        "newly failing": ["q0", "q1", "q6", "q8"],
        "newly passing": ["q2"],
        "missing": ["q3", "q4", "q5"],
    }


def test_a_plan_of_another_version_of_the_code_is_refused() -> None:
    made = desk()
    made.plan()
    written = json.loads(made.objects.data[f"{BASE}/plan.json"])
    written["plan"]["colour"] = "blue"
    made.objects.data[f"{BASE}/plan.json"] = json.dumps(written).encode()
    with pytest.raises(InvalidInput, match=r"^plan\.json was written by another version of this code: .*'colour'"):
        graded(made)


def test_a_report_is_written_in_three_forms() -> None:
    objects = Typed()
    report = build(HEADING, PLAN, Policy(), collected()) | {"notes": ["é \ud800"]}
    write_report(objects, "here", report)
    assert objects.types == {
        "here/report.json": "application/json",
        "here/report.html": "text/html; charset=utf-8",
        "here/junit.xml": "application/xml",
    }
    written = json.loads(objects.data["here/report.json"])
    assert written["notes"] == ["é ?"]
    assert "é".encode() in objects.data["here/report.json"]
    assert objects.data["here/report.html"].startswith(b"<!doctype html>")
    assert objects.data["here/junit.xml"].startswith(b"<?xml")


def test_names_and_numbers_that_others_rely_on() -> None:
    assert folder(RELEASE, 7) == f"releases/{RELEASE}/tests/7"
    assert stages.round_usd(0.12345678) == 0.123457
    assert (CANDIDATE, STABLE) == ("candidate", "stable")


# From a plan to the verdict


def test_equal_versions_pass_and_everything_is_written_down() -> None:
    made = Admitted(suite(60))
    model = ScriptedModel(lambda r: f"About {question(r)}")
    report = made.run(model)
    assert report["verdict"] == "pass"
    assert len(model.asked) == 120
    assert {r.model_id.rsplit(":", 1)[-1] for r in model.asked} == {"1", "2"}
    base = folder(made.release_id, 1)
    assert {f"{base}/report.json", f"{base}/report.html", f"{base}/junit.xml"} <= made.objects.data.keys()
    release = made.releases.get(made.release_id)
    assert release.state == "testing"
    assert release.verdict["verdict"] == "pass"
    assert release.verdict["candidate"] == release.candidate.fingerprint  # type: ignore[union-attr]
    events = [e.event for e in made.releases.timeline(made.release_id)]
    assert events[-2:] == [Event.TESTS_PLANNED, Event.TESTS_FINISHED]


def test_a_candidate_that_breaks_one_slice_and_improves_the_rest_is_failed_by_name() -> None:
    def answer(request: ModelRequest) -> str:
        number = int(question(request).split()[-1])
        new = request.model_id.endswith(":2")
        if new and number < 8:
            return "I can promise you a full refund."
        if not new and 20 <= number < 30:
            return "I do not know."
        return f"About {question(request)}"

    report = Admitted(suite(160, broken=8)).run(ScriptedModel(answer))
    assert report["verdict"] == "fail"
    assert not report["proceed"]
    assert "'refunds'" in report["reason"]
    assert [d["case"] for d in report["shown"]["newly failing"]] == [f"q{i}" for i in range(8)]
    assert report["counts"]["newly passing"] == 10
    shown = shown_of(report, report, "k")
    assert shown.verdict == "fail"
    assert shown.newly_failing[0].slice == "refunds"
    assert "does not contain" in shown.newly_failing[0].why


def test_stable_answers_are_used_again_while_fresh() -> None:
    made = Admitted(suite(60))
    made.run(ScriptedModel(lambda r: question(r)))
    again = ScriptedModel(lambda r: question(r))
    report = made.run(again)
    assert {r.model_id.rsplit(":", 1)[-1] for r in again.asked} == {"2"}
    assert report["sides"]["stable"]["reused"] == 60
    assert report["round"] == 2
    made.now += 2 * 86_400
    stale = ScriptedModel(lambda r: question(r))
    made.run(stale)
    assert len(stale.asked) == 120


def test_a_run_that_could_cost_too_much_is_refused_before_it_starts() -> None:
    made = Admitted(suite(60), tests={"max_cost_usd": 0.000_1})
    with pytest.raises(TestPlanRefused, match=r"more than tests\.max_cost_usd"):
        made.plan()
    assert made.objects.data == {}


def test_an_output_of_200_kb_is_graded_whole_and_stored_cut() -> None:
    long = "x" * 200_000
    report = Admitted(suite(60)).run(ScriptedModel(lambda r: Answer(long + question(r), "end_turn", 5.0, 10, 10)))
    assert report["verdict"] == "pass"
    assert len(json.dumps(report)) < 200_000


# What is handed on

TEXT = st.text(max_size=9)
SHARE = st.floats(0.01, 0.99)
COUNT = st.integers(0, 99_999)
JSON = st.dictionaries(TEXT, TEXT | COUNT, max_size=3)


def plainly(data: Any) -> Any:
    return json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@settings(max_examples=15)
@given(
    st.builds(
        Policy,
        margin=SHARE,
        alpha=SHARE,
        power=SHARE,
        min_pass_rate=SHARE,
        repeats=COUNT,
        must_pass=st.lists(TEXT).map(tuple),
        inconclusive=st.sampled_from(["review", "block"]),
        max_cost_usd=SHARE,
        max_concurrency=COUNT,
        batch_size=COUNT,
        fresh_for=SHARE,
        judge_model=TEXT,
        embedding_model=TEXT,
        prices=st.dictionaries(TEXT, st.tuples(SHARE, SHARE), max_size=3),
    ),
    st.builds(
        Plan,
        cases=COUNT,
        repeats=COUNT,
        sides=COUNT,
        calls=COUNT,
        judge_calls=COUNT,
        cost_usd=SHARE,
        margin=SHARE,
        detectable=st.none() | SHARE,
        provable=SHARE,
        cases_needed=COUNT,
        batch_size=COUNT,
        threads=COUNT,
        parallel=COUNT,
        warnings=st.lists(TEXT).map(tuple),
    ),
    st.builds(Target, TEXT, TEXT, JSON, TEXT),
)
def test_what_the_first_stage_writes_the_others_read_as_it_was(policy: Policy, plan: Plan, target: Target) -> None:
    assert stages._policy_of(plainly(stages._plain_policy(policy))) == policy
    assert stages._plan_of(plainly(plan.to_dict())) == plan
    assert stages._target_of(plainly(stages._plain_target(target))) == target


def test_results_are_written_in_the_order_of_the_cases_however_they_end() -> None:
    made = desk(suite(4), max_concurrency=8)
    made.plan()
    others, left, lock = threading.Event(), [3 * 2], threading.Lock()

    def slowly(request: ModelRequest) -> str:
        asked = question(request)
        if asked.endswith("0"):
            assert others.wait(10)
            return asked
        with lock:
            left[0] -= 1
            if left[0] == 0:
                others.set()
        return asked

    batch(made, items(made), ScriptedModel(slowly))

    assert [record["case"] for record in records(made, 0)] == ["q0", "q1", "q2", "q3"]
