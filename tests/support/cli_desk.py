"""A deployment in memory, and a runner that types commands at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner, Result

from promptlane.cli.app import app
from promptlane.cli.deployment import Deployment
from promptlane.cli.operations import Operations, Unreachable
from promptlane.cli.session import Session
from promptlane.domain.names import Phase, release_id
from promptlane.domain.release.prompt import PromptDraft, PromptVersion
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route, first_route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import (
    FakeEnrolments,
    FakePrompts,
    FakeQueue,
    InMemoryIdentities,
    InMemoryQuarantine,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.fakes.counts import FakeCounts
from promptlane.fakes.objects import MemoryObjects
from promptlane.fakes.review import InMemoryReviews
from tests.support.prompt import ID, POLICY

Json = Any
OPERATOR = "arn:aws:sts::111122223333:assumed-role/Operator/kim"


class AuthoredPrompts(FakePrompts):
    """What an author sees of Bedrock: drafts too."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: dict[str, PromptDraft] = {}
        self.meddler: PromptDraft | None = None

    def find(self, name_or_id: str) -> tuple[str, str] | None:
        wanted = name_or_id.rsplit("prompt/", 1)[-1].split(":")[0]
        return next(((i, d.name) for i, d in self.drafts.items() if wanted in (i, d.name)), super().find(name_or_id))

    def draft_variants(self, prompt_id: str) -> list[dict[str, Json]]:
        return self.drafts[prompt_id].variants()

    def write_draft(self, draft: PromptDraft, prompt_id: str | None = None) -> str:
        found = self.find(draft.name)
        prompt_id = prompt_id or (found[0] if found else ID)
        self.drafts[prompt_id] = draft
        return prompt_id

    def publish(self, prompt_id: str, *, description: str = "", **_: Json) -> PromptVersion:  # type: ignore[override]
        return super().publish(self.meddler or self.drafts[prompt_id], prompt_id=prompt_id, description=description)


class Desk:
    """The state of a small deployment, and what its API and functions were asked."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.prompts = AuthoredPrompts()
        self.routes = InMemoryRoutes()
        self.releases = InMemoryReleases()
        self.reviews = InMemoryReviews(self.releases)
        self.objects = MemoryObjects()
        self.identities = InMemoryIdentities()
        self.quarantine = InMemoryQuarantine()
        self.queue = FakeQueue()
        self.counts = FakeCounts()
        self.enrolments = FakeEnrolments({"greeter": POLICY})
        self.posted: list[tuple[str, Json]] = []
        self.answers: list[tuple[int, Json]] = []
        self.invoked: list[tuple[str, Json]] = []
        self.function_answer: Json = {}
        self.api_down = False
        self.guardrails: Json = None
        self.resources = {"operations_url": "https://operations", "roll_back_console": "roll_back:console"}

    def publish(self, template: str = "Greet {{name}}.", *, description: str = "") -> PromptVersion:
        draft = PromptDraft("greeter", "amazon.nova-lite-v1:0", ("name",), template=template)
        self.prompts.write_draft(draft)
        return self.prompts.publish(ID, description=description)

    def serve(self, version: PromptVersion, *, previous: PromptVersion | None = None, **changes: Json) -> Route:
        name = release_id(ID, version.version)
        base = first_route(prompt="greeter", prompt_id=ID, candidate=version.ref, release_id=name, now=self.now, by="x")
        stored = self.routes.get("greeter")
        revision = stored.revision + 1 if stored else 1
        route = replace(base, previous=previous.ref if previous else None, revision=revision, **changes)
        self.routes.put(route, expected=stored)
        return route

    def canary(self, stable: PromptVersion, trial: PromptVersion, weight: int) -> Route:
        name = release_id(ID, trial.version)
        return self.serve(stable, canary=trial.ref, weight=weight, phase=Phase.CANARY, release_id=name)

    def start(self, version: int, **fields: Json) -> Release:
        name = release_id(ID, version)
        release = Release(name, "greeter", self.now, OPERATOR, **fields)
        detail = {"prompt": "greeter", "version": version, "attempt": 1, "explicit": release.explicit}
        entry = TimelineEntry(f"{name}/started", name, self.now, Event.STARTED, OPERATOR, detail)
        self.releases.start(release, entry)
        return release

    def connect(self) -> Deployment:
        deployment = _Deployment("promptlane", self.resources)
        deployment.typed_at = self
        stores = (
            "prompts",
            "routes",
            "releases",
            "quarantine",
            "queue",
            "enrolments",
            "identities",
            "counts",
            "reviews",
            "objects",
            "guardrails",
        )
        for name in stores:
            deployment.__dict__[name] = getattr(self, name)
        deployment.__dict__["caller"] = OPERATOR
        deployment.__dict__["operations"] = Operations("https://operations", self._send)
        return deployment

    def _send(self, method: str, url: str, body: bytes) -> tuple[int, bytes]:
        if self.api_down:
            raise Unreachable("the operations API cannot be reached: connection refused")
        self.posted.append((f"{method} {url.removeprefix('https://operations')}", json.loads(body)))
        status, answer = self.answers.pop(0) if self.answers else (200, {})
        return status, json.dumps(answer).encode()

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def type(self, *words: str) -> Result:
        session = Session(connect=self.connect, clock=lambda: self.now, sleep=self._sleep)
        return CliRunner().invoke(app, list(words), obj=session, catch_exceptions=False)

    def json(self, *words: str, exit_code: int = 0) -> Json:
        result = self.type(*words, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout)


class _Deployment(Deployment):
    typed_at: Desk

    def invoke(self, resource: str, payload: Mapping[str, Json]) -> Json:
        self.typed_at.invoked.append((self.resource(resource), dict(payload)))
        return self.typed_at.function_answer
