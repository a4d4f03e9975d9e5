"""An admitted release, its prompt, suite and objects in memory, and the three stages of its test step."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from promptlane.domain.policy import Policy
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import first_route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.domain.suite.answers import Model, ModelRequest
from promptlane.engine.runner import Retry
from promptlane.fakes.objects import MemoryObjects, ScriptedModel
from promptlane.fakes.stores import InMemoryReleases, InMemoryRoutes
from promptlane.fakes.world import FakeEnrolments, FakePrompts
from promptlane.lifecycle.test_round import BatchRunner, Planner, grade
from tests.support.prompt import ID

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


class Admitted:
    """An admitted release with everything around it."""

    def __init__(self, suite: dict[str, Any], *, tests: dict[str, Any] | None = None, first: bool = False) -> None:
        policy = Policy.from_dict({"review": REVIEW, "tests": tests or {}})
        self.prompts, self.routes, self.releases = FakePrompts(), InMemoryRoutes(), InMemoryReleases()
        self.enrolments = FakeEnrolments({"support": policy}, suite)
        self.objects = MemoryObjects()
        self.now = NOW
        stable = self.prompts.publish(draft("Old. {{question}}"), prompt_id=ID)
        candidate = stable if first else self.prompts.publish(draft("New. {{question}}"), prompt_id=ID)
        policy_sha256, suite_sha256 = self.enrolments.capture("support")
        self.release_id = f"{ID}-{candidate.version}-1"
        if not first:
            route = first_route(
                prompt="support",
                prompt_id=ID,
                candidate=stable.ref,
                release_id=f"{ID}-1-1",
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

    @property
    def planner(self) -> Planner:
        return Planner(
            releases=self.releases,
            routes=self.routes,
            prompts=self.prompts,
            enrolments=self.enrolments,
            objects=self.objects,
            clock=lambda: self.now,
        )

    def plan(self) -> dict[str, Any]:
        return self.planner.plan(self.release_id)

    def runner(self, model: Model, **more: Any) -> BatchRunner:
        given = {"judge": _none, "embedder": _none, "clock": lambda: self.now, "retry": QUICK, **more}
        return BatchRunner(objects=self.objects, model=model, **given)

    def run(self, model: ScriptedModel) -> dict[str, Any]:
        """Plan, every batch, verdict: the report, and under "result" what the workflow gets."""
        plan = self.plan()
        items = [json.loads(line) for line in self.objects.get(plan["key"]).splitlines()]
        size = plan["batch_size"]
        for start in range(0, len(items), size):
            self.runner(model).run(self.release_id, plan["round"], items[start : start + size])
        result = grade(
            self.release_id, plan["round"], releases=self.releases, objects=self.objects, clock=lambda: self.now
        )
        report: dict[str, Any] = json.loads(self.objects.get(result["report_key"]))
        return {**report, "result": result}


def _none(model_id: str) -> Any:
    raise AssertionError("no judge is needed here")


def question(request: ModelRequest) -> str:
    return str(request.body["promptVariables"]["question"]["text"])
