"""Two in the afternoon: users are turned away. What changed, who did it, and how does it end?

A version with a subtle regression passes its tests (no case asks about gift cards) and a canary whose thresholds are
set far too lax, and is promoted. The runbook (docs/runbook.md) is then followed with the command line alone.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.demo.crowd import Crowd
from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.prompt import PromptDraft
from promptlane.domain.release.timeline import Event
from promptlane.project import load_draft
from tests.support.deployment import PROMPTS, Deployment

pytestmark = pytest.mark.deployments

NAME = "e2e-investigated"
ROOT = "arn:aws:iam::000000000000:root"


def version(folder: Path) -> PromptDraft:
    return replace(load_draft(folder), name=NAME)


@pytest.fixture(scope="module")
def afternoon(busy: Deployment) -> Iterator[str]:
    """Version 2 promoted under live traffic; its release id."""
    first = busy.publish(version(PROMPTS / "support-assistant"), "The first one")
    busy.approve(first)
    assert busy.ended(first).outcome is Outcome.PROMOTED
    state = busy.outputs["promptlane-state"]
    environment = {
        **busy.shell(),
        "PROMPTLANE_ROUTE_TABLE": state["RouteTable"],
        "PROMPTLANE_FEEDBACK_TABLE": state["FeedbackTable"],
        "PROMPTLANE_RECEIPT_KMS_KEY": state["ReceiptKey"],
        "PROMPTLANE_RESOLUTION": "10",
    }
    crowd = Crowd(environment, prompt=NAME, users=400, rate=16, processes=1)
    crowd.start()
    try:
        busy.wait(lambda: crowd.totals()["by_version"].get("1", 0) >= 150, "no traffic on version 1")
        second = busy.publish(version(PROMPTS.parent / "local" / "demo" / "v3"), "Stop made-up discounts")
        busy.approve(second)
        busy.wait(
            lambda: [e for e in busy.timeline(second) if e.event is Event.PROMOTED],
            "version 2 was not promoted",
            seconds=240,
        )
        busy.wait(lambda: crowd.totals()["by_version"].get("2", 0) >= 400, "no traffic on version 2", seconds=120)
        yield second
    finally:
        crowd.stop()


def test_investigate_names_the_change_its_people_its_harm_and_its_end(
    busy: Deployment, afternoon: str, tmp_path: Path
) -> None:
    report = tmp_path / "two-pm.html"

    def found() -> Any:
        answer = busy.promptlane("investigate", NAME, "--since", "20m", "--html", str(report))
        return answer if answer["causes"] and answer["causes"][0]["shown"] else None

    answer = busy.wait(found, "investigate shows no cause", seconds=60)

    lead = answer["causes"][0]
    assert (lead["kind"], lead["version"], lead["contrast"]["metric"]) == ("version", 2, "Refusal")
    assert lead["contrast"]["exposed"]["rate"] > 3 * max(0.01, lead["contrast"]["others"]["rate"])
    story = next(v for v in answer["versions"] if v["version"] == 2)
    assert (story["published_by"], story["approved_by"]) == (ROOT, ["investigated@example.com"])
    assert (story["release_id"], story["description"]) == (afternoon, "Stop made-up discounts")
    assert any("gift card" in line and line.startswith("+") for line in answer["diff"])
    assert (answer["before"], answer["after"]) == (1, 2)

    conversations = answer["conversations"]
    assert len(conversations) == 3
    for pair in conversations:
        assert "Refusal" in pair["bad"]["bad"]
        assert "can't help with that" in pair["bad"]["answer"]
        assert pair["bad"]["variables"]["question"]
        assert pair["good"]["version"] == "1"
        assert pair["good"]["bad"] == []
        assert pair["good"]["answer"]

    sources = {event["source"] for event in answer["timeline"]}
    assert {"cloudtrail", "release"} <= sources
    whats = " ".join(event["what"] for event in answer["timeline"])
    assert "CreatePromptVersion of version 2" in whats
    assert "Release Promoted: version 2" in whats
    assert not [m for m in answer["missing"] if m["source"] == "invocation log"]
    assert {c["version"] for c in answer["calls"]} == {"1", "2"}
    assert {r["version"] for r in answer["rendered"]} == {1, 2}, "the trail's log files were not read"
    page = report.read_text()
    assert "<polyline" in page
    assert "<script" not in page


def test_the_command_it_names_ends_it(busy: Deployment, afternoon: str) -> None:
    answer = busy.promptlane("investigate", NAME, "--since", "20m")
    command = shlex.split(answer["remedy"]["command"])
    assert command[:3] == ["promptlane", "rollback", NAME]

    done = subprocess.run(
        [str(Path(sys.executable).with_name("promptlane")), *command[1:], "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=busy.shell(),
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["result"] == "rolled_back"
    route = busy.route("investigated")
    assert route is not None
    assert (route.stable.version, route.phase) == (1, Phase.STEADY)
    ended = busy.ended(afternoon)
    assert ended.outcome is Outcome.ROLLED_BACK
    again = busy.promptlane("investigate", NAME, "--since", "20m")
    assert again["remedy"]["command"] is None
    assert "no traffic any more" in again["remedy"]["says"]


def test_the_timelines_agree_with_their_locked_copies(busy: Deployment, afternoon: str) -> None:
    def copied() -> Any:
        answer = busy.promptlane("history", afternoon, "--verify")
        return answer if answer["locked_copy"]["not_copied_yet"] == 0 else None

    answer = busy.wait(copied, "the timeline was not copied to the audit bucket")

    assert answer["verified"] is True
    assert answer["locked_copy"]["agree"] == len(answer["timeline"])


def test_what_housekeeping_archived_can_be_restored(busy: Deployment, afternoon: str) -> None:
    answer = busy.client("lambda").invoke(FunctionName=busy.resources["housekeep_function"], Payload=b"{}")
    done = json.loads(answer["Payload"].read())
    assert not [failure for failure in done["failed"] if failure.startswith(NAME)], done
    assert f"{NAME} 1" not in done["archived"], "it was archived when its release started"
    assert not [gone for gone in done["deleted"] if gone.startswith(f"{NAME} ")]

    restored = busy.promptlane("restore", NAME, "1")

    assert (restored["version"], restored["published"]) == (1, False)
