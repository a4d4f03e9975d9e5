"""The embedded AWS of `make up` is killed in the middle of a review and of a canary, and started again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptlane.domain.names import Outcome, Phase
from promptlane.domain.release.timeline import Event, chain_problems
from tests.support.deployment import Deployment, draft

pytestmark = pytest.mark.deployments
ROLE = "reviewed"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("kept")
    with Deployment(home, shared=shared, roles=(ROLE,), keep=True) as deployment:
        yield deployment


def killed(deployment: Deployment) -> None:
    """Once everything until now was saved: what was done in the last second may be lost."""
    saved, now = deployment.home / "state" / "saved", time.time()
    deployment.wait(lambda: saved.stat().st_mtime > now + 2, "nothing was saved")
    assert deployment.aws.pid is not None
    os.kill(deployment.aws.pid, signal.SIGKILL)
    deployment.aws.stop()
    deployment.aws.start()


def test_a_review_goes_on_and_what_was_at_work_is_wound_up(kept: Deployment) -> None:
    first = kept.publish(draft(ROLE))
    kept.wait(lambda: kept.mail.invitations(first), "nobody was asked")
    before = [entry.id for entry in kept.timeline(first)]

    killed(kept)

    assert [entry.id for entry in kept.timeline(first)] == before
    kept.approve(first)
    assert kept.ended(first).outcome is Outcome.PROMOTED
    route = kept.route(ROLE)
    assert route is not None
    assert route.stable.version == 1

    second = kept.in_canary(ROLE, "Be brief.")
    killed(kept)

    release = kept.ended(second)
    assert release.outcome is Outcome.FAILED
    assert "was stopped while this execution was in its state" in release.reason
    route = kept.route(ROLE)
    assert route is not None
    assert (route.stable.version, route.phase, route.canary) == (1, Phase.STEADY, None)
    for each in (first, second):
        assert chain_problems(kept.timeline(each)) == []
        assert [e.event for e in kept.timeline(each)].count(Event.ENDED) == 1
    listed = kept.promptlane("status", f"e2e-{ROLE}")
    assert listed["prompts"][0]["route"]["stable"] == 1
