"""The judge's function: what the state machine gets, and the metrics it leaves for the dashboard."""

from __future__ import annotations

import json
import time

import pytest

from functions.judge import handler
from promptlane.domain.names import Phase
from promptlane.domain.policy import Policy
from promptlane.domain.release.prompt import VersionRef
from promptlane.domain.release.release import Release
from promptlane.domain.release.route import Route
from promptlane.domain.release.timeline import Event, TimelineEntry
from promptlane.fakes import (
    FakeAlarms,
    FakeCounts,
    FakeEnrolments,
    FakeNotices,
    InMemoryBlocks,
    InMemoryReleases,
    InMemoryRoutes,
)
from promptlane.lifecycle.judge_step import Ports

NOW, RELEASE = 1_700_000_000.0, "ABCDEFGHIJ-2-1"
POLICY = Policy.from_dict({"review": {"reviewers": [{"name": "support-lead", "email": "support-lead@example.com"}]}})


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    enrolments = FakeEnrolments({"support": POLICY})
    sha, _ = enrolments.capture("support")
    stable, canary = (
        VersionRef(v, f"f{v}" * 32, f"arn:aws:bedrock:us-east-1:111122223333:prompt/P:{v}") for v in (1, 2)
    )
    releases, routes = InMemoryReleases(), InMemoryRoutes()
    release = Release(RELEASE, "support", NOW - 900, "operator", state="canary", policy_sha256=sha)
    releases.start(release, TimelineEntry("started", RELEASE, NOW - 900, Event.STARTED))
    route = Route(
        "support",
        "ABCDEFGHIJ",
        stable,
        canary=canary,
        weight=500,
        release_id=RELEASE,
        phase=Phase.CANARY,
        phase_since=NOW - 600,
        shifts=((NOW - 600, 500),),
    )
    routes.put(route, expected=None)
    made = Ports(routes, releases, enrolments, FakeCounts(), InMemoryBlocks(), FakeAlarms(), FakeNotices())
    monkeypatch.setattr(handler, "wire", lambda: made)
    monkeypatch.setattr(time, "time", lambda: NOW)
    return made


def test_a_look_answers_the_machine_and_publishes_its_evidence(
    ports: Ports, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = handler.handle({"release_id": RELEASE, "phase": "canary", "step": 0}, None)
    assert answer["judgement"] == "hold"
    assert "No data" in answer["reason"]
    assert answer["wait_seconds"] == 60
    published = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    [metrics] = published
    declared = {m["Name"] for m in metrics["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert declared == {"Weight", "HarmEvidence", "AdvanceEvidence", "SplitEvidence"}
    assert (metrics["Prompt"], metrics["Weight"], metrics["HarmEvidence"]) == ("support", 5.0, 1.0)


def test_a_release_that_lost_the_route_is_gone_and_publishes_nothing(
    ports: Ports, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = handler.handle({"release_id": RELEASE, "phase": "watch", "step": 0}, None)
    assert (answer["judgement"], answer["wait_seconds"]) == ("gone", 0)
    assert "_aws" not in capsys.readouterr().out
