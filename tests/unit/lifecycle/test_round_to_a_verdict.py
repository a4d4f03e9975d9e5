"""The three stages of the test step, over fakes: from an admitted release to a verdict and a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptlane.domain.errors import Throttled
from promptlane.domain.policy import Policy
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import first_route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.review.brief import verdict_shown as shown_of
from promptlane.domain.suite.answers import Answer, Model, ModelNotEnabled, Request
from promptlane.engine.plan import TestPlanRefused
from promptlane.engine.runner import Retry
from promptlane.fakes.objects import MemoryObjects, ScriptedModel
from promptlane.fakes.stores import InMemoryReleases, InMemoryRoutes
from promptlane.fakes.world import FakeEnrolments, FakePrompts
from promptlane.lifecycle.test_round import BatchRunner, Planner, folder, grade

REVIEW = {"reviewers": [{"name": "support-lead", "email": "support-lead@example.com"}]}
QUICK = Retry(attempts=3, base=0.0)
NOW = 1_800_000_000.0


def draft(template: str) -> PromptDraft:
    return PromptDraft.from_dict(
        {
            "name": "support",
            "model": "amazon.nova-lite-v1:0",
            "template": template,
            "variables": ["question"],
            "inference": {"max_tokens": 100},
        }
    )


def suite(n: int, broken: int = 0) -> dict[str, Any]:
    tests = [
        {"id": f"q{i}", "vars": {"question": f"question {i}"}, "tags": ["refunds" if i < broken else "billing"]}
        for i in range(n)
    ]
    return {"defaultTest": {"assert": [{"type": "contains", "value": "{{question}}"}]}, "tests": tests}


class Desk:
    """An admitted release with everything around it."""

    def __init__(self, suite: dict[str, Any], *, tests: dict[str, Any] | None = None, first: bool = False) -> None:
        policy = Policy.from_dict({"review": REVIEW, "tests": tests or {}})
        self.prompts, self.routes, self.releases = FakePrompts(), InMemoryRoutes(), InMemoryReleases()
        self.enrolments = FakeEnrolments({"support": policy}, suite)
        self.objects = MemoryObjects()
        self.now = NOW
        stable = self.prompts.publish(draft("Old. {{question}}"), prompt_id="PROMPT0001")
        candidate = stable if first else self.prompts.publish(draft("New. {{question}}"), prompt_id="PROMPT0001")
        policy_sha256, suite_sha256 = self.enrolments.capture("support")
        self.release_id = f"PROMPT0001-{candidate.version}-1"
        if not first:
            route = first_route(
                prompt="support",
                prompt_id="PROMPT0001",
                candidate=stable.ref,
                release_id="PROMPT0001-1-1",
                now=1.0,
                by="author",
            )
            self.routes.put(route, expected=None)
        release = Release(self.release_id, "support", self.now, "author", state="started")
        self.releases.start(release, TimelineEntry("s", self.release_id, self.now, Event.STARTED))
        self.releases.update(
            replace(
                self.releases.get(self.release_id),
                state="admitted",
                candidate=candidate.ref,
                stable=None if first else stable.ref,
                policy_sha256=policy_sha256,
                suite_sha256=suite_sha256,
            )
        )

    def plan(self) -> dict[str, Any]:
        planner = Planner(
            releases=self.releases,
            routes=self.routes,
            prompts=self.prompts,
            enrolments=self.enrolments,
            objects=self.objects,
            clock=lambda: self.now,
        )
        return planner.plan(self.release_id)

    def runner(self, model: Model, **more: Any) -> BatchRunner:
        given = {"judge": _none, "embedder": _none, "clock": lambda: self.now, "retry": QUICK, **more}
        return BatchRunner(objects=self.objects, model=model, **given)

    def run(self, model: ScriptedModel, *, batches: Callable[[int], bool] = lambda i: True) -> dict[str, Any]:
        plan = self.plan()
        items = [json.loads(line) for line in self.objects.get(plan["key"]).splitlines()]
        size = plan["batch_size"]
        for start in range(0, len(items), size):
            if batches(start // size):
                self.runner(model).run(self.release_id, plan["round"], items[start : start + size])
        result = grade(
            self.release_id, plan["round"], releases=self.releases, objects=self.objects, clock=lambda: self.now
        )
        report: dict[str, Any] = json.loads(self.objects.get(result["report_key"]))
        return {**report, "result": result}


def _none(model_id: str) -> Any:
    raise AssertionError("no judge is needed here")


def question(request: Request) -> str:
    return str(request.body["promptVariables"]["question"]["text"])


def test_equal_versions_pass_and_everything_is_written_down() -> None:
    desk = Desk(suite(60))
    model = ScriptedModel(lambda r: f"About {question(r)}")
    report = desk.run(model)
    assert report["verdict"] == "pass"
    assert len(model.asked) == 120
    assert {r.model_id.rsplit(":", 1)[-1] for r in model.asked} == {"1", "2"}
    base = folder(desk.release_id, 1)
    assert {f"{base}/report.json", f"{base}/report.html", f"{base}/junit.xml"} <= desk.objects.data.keys()
    release = desk.releases.get(desk.release_id)
    assert release.state == "testing"
    assert release.verdict["verdict"] == "pass"
    assert release.verdict["candidate"] == release.candidate.fingerprint  # type: ignore[union-attr]
    events = [e.event for e in desk.releases.timeline(desk.release_id)]
    assert events[-2:] == [Event.TESTS_PLANNED, Event.TESTS_FINISHED]


def test_a_candidate_that_breaks_one_slice_and_improves_the_rest_is_failed_by_name() -> None:
    def answer(request: Request) -> str:
        number = int(question(request).split()[-1])
        new = request.model_id.endswith(":2")
        if new and number < 8:
            return "I can promise you a full refund."
        if not new and 20 <= number < 30:
            return "I do not know."
        return f"About {question(request)}"

    report = Desk(suite(160, broken=8)).run(ScriptedModel(answer))
    assert report["verdict"] == "fail"
    assert not report["proceed"]
    assert "'refunds'" in report["reason"]
    assert [d["case"] for d in report["shown"]["newly failing"]] == [f"q{i}" for i in range(8)]
    assert report["counts"]["newly passing"] == 10
    shown = shown_of(report, report, "k")
    assert shown.verdict == "fail"
    assert shown.newly_failing[0].slice == "refunds"
    assert "does not contain" in shown.newly_failing[0].why


@pytest.mark.parametrize(("policy", "proceed"), [("block", False), ("review", True)])
def test_a_small_suite_is_inconclusive_and_the_policy_says_what_that_means(policy: str, proceed: bool) -> None:
    report = Desk(suite(8), tests={"inconclusive": policy}).run(ScriptedModel(lambda r: question(r)))
    assert report["verdict"] == "inconclusive"
    assert report["result"]["proceed"] is proceed
    assert "8 cases are too few" in report["reason"]


def test_a_batch_that_never_finished_is_missing_and_not_a_pass() -> None:
    report = Desk(suite(60)).run(ScriptedModel(lambda r: question(r)), batches=lambda i: i != 2)
    assert report["counts"]["missing"] == 10
    assert report["verdict"] == "inconclusive"


def test_no_answer_at_all_is_inconclusive_and_names_the_remedy() -> None:
    report = Desk(suite(60)).run(ScriptedModel(lambda r: ModelNotEnabled("enable the model")))
    assert report["verdict"] == "inconclusive"
    assert report["cases"][0]["reason"].startswith("candidate: enable the model")


def test_throttling_is_waited_out_and_never_graded() -> None:
    seen: dict[str, int] = {}

    def answer(request: Request) -> str | Exception:
        key = request.model_id + question(request)
        seen[key] = seen.get(key, 0) + 1
        return Throttled("slow down") if seen[key] < 3 else question(request)

    report = Desk(suite(60)).run(ScriptedModel(answer))
    assert report["verdict"] == "pass"
    assert report["counts"]["missing"] == 0


def test_stable_answers_are_used_again_while_fresh() -> None:
    desk = Desk(suite(60))
    desk.run(ScriptedModel(lambda r: question(r)))
    again = ScriptedModel(lambda r: question(r))
    report = desk.run(again)
    assert {r.model_id.rsplit(":", 1)[-1] for r in again.asked} == {"2"}
    assert report["sides"]["stable"]["reused"] == 60
    assert report["round"] == 2
    desk.now += 2 * 86_400
    stale = ScriptedModel(lambda r: question(r))
    desk.run(stale)
    assert len(stale.asked) == 120


def test_a_first_version_is_tested_by_itself() -> None:
    report = Desk(suite(60), first=True).run(ScriptedModel(lambda r: question(r)))
    assert report["absolute"]
    assert report["stable"] is None
    assert report["verdict"] == "pass"


def test_a_run_that_could_cost_too_much_is_refused_before_it_starts() -> None:
    desk = Desk(suite(60), tests={"max_cost_usd": 0.000_1})
    with pytest.raises(TestPlanRefused, match=r"more than tests\.max_cost_usd"):
        desk.plan()
    assert desk.objects.data == {}


def test_an_output_of_200_kb_is_graded_whole_and_stored_cut() -> None:
    long = "x" * 200_000
    report = Desk(suite(60)).run(ScriptedModel(lambda r: Answer(long + question(r), "end_turn", 5.0, 10, 10)))
    assert report["verdict"] == "pass"
    assert len(json.dumps(report)) < 200_000
