"""Two deployments in one account and Region: each releases its own prompts, and leaves the other's alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local import deploy
from local.demo import mailbox
from local.demo.mailbox import Mailbox
from local.running import EmbeddedAws
from tests.support.deployment import SETTINGS, draft, prompt_folders

pytestmark = [pytest.mark.deployments, pytest.mark.xdist_group("second_deployment")]
MINE = {"promptlane": ("e2e-tested", "e2e-equal"), "lane-two": ("e2e-reviewed", "e2e-equal")}
"""What each enrols; one prompt in both."""


class Lane:
    """One of the deployments, at a terminal."""

    def __init__(self, aws: EmbeddedAws, name: str, home: Path) -> None:
        self._aws, self._name, self.prompts = aws, name, prompt_folders(home / name / "prompts")
        for folder in self.prompts.iterdir():
            if folder.name not in MINE[name]:
                shutil.rmtree(folder)

    def deploy(self, **settings: str) -> dict[str, dict[str, str]]:
        given = {k: v for k, v in SETTINGS.items() if k != "promptlane:applications"}
        given |= {"promptlane:name": self._name, "promptlane:prompts_dir": str(self.prompts)}
        given |= {f"promptlane:{name}": value for name, value in settings.items()}
        return deploy.deploy(
            self._aws.env(), given, outputs=self.prompts.parent / "outputs.json", bootstrap=not settings
        )

    def __call__(self, *arguments: str) -> Any:
        command = [str(Path(sys.executable).with_name("promptlane")), *arguments, "--json"]
        env = {**os.environ, **self._aws.env(), "PROMPTLANE_DEPLOYMENT": self._name}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with EmbeddedAws(home=tmp_path_factory.mktemp("two")) as server:
        yield server


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.5)
    return value


def events(lane: Lane, release: str) -> list[str]:
    """Of a release, as its deployment tells them; none where it knows no such release."""
    told = lane("history", release)
    return [] if isinstance(told, str) else [str(entry["event"]) for entry in told["timeline"]]


def happened(lane: Lane, release: str, event: str) -> bool:
    return event in events(lane, release)


def test_each_releases_its_own_prompts_and_leaves_the_others_alone(aws: EmbeddedAws, tmp_path: Path) -> None:
    first, second = (Lane(aws, name, tmp_path) for name in MINE)
    first.deploy()
    second.deploy(existing_trail="true", invocation_logging="off")
    mail = Mailbox(aws.home / "mail")
    mailbox.confirm(aws.client("sns"), mail.confirmations())

    for lane, prompt, other in ((first, "e2e-tested", second), (second, "e2e-reviewed", first)):
        said = lane("publish", str(lane.prompts / prompt), "--message", "first version")
        release = f"{said['prompt_id']}-1-1"
        until(partial(happened, lane, release, "Review Requested"))
        time.sleep(float(SETTINGS["promptlane:trail_late_seconds"]) + 1)
        for invitation in until(partial(mail.invitations, release)):
            mail.approve(invitation, "Looks right.")
        until(partial(happened, lane, release, "Release Promoted"))
        assert events(other, release) == []

    alarms = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    named = {alarm["AlarmName"].partition("/")[0] for alarm in alarms if "/" in alarm["AlarmName"]}
    assert named == set(MINE)

    agent = aws.client("bedrock-agent")
    shared = agent.create_prompt(name="e2e-equal", variants=draft("equal").variants(), defaultVariant="default")
    agent.tag_resource(resourceArn=shared["arn"], tags={"promptlane:enrolled": "promptlane"})
    said = first("publish", str(first.prompts / "e2e-equal"), "--message", "enrolled in both")
    release = f"{said['prompt_id']}-1-1"
    until(partial(happened, first, release, "Review Requested"))
    until(partial(happened, second, release, "Release Ended"))
    assert "promptlane:enrolled=promptlane: that deployment releases it" in json.dumps(second("history", release))
    assert agent.list_tags_for_resource(resourceArn=shared["arn"])["tags"] == {"promptlane:enrolled": "promptlane"}
