"""A team's own app, from the wheel alone, beside a deployment of the platform: deployed, and released by."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from local.deploy import CDK
from promptlane.domain.names import Outcome
from promptlane.domain.release.prompt import PromptDraft
from tests.support.deployment import POLICY, STEPS, SUITE, Deployment
from tests.support.foreign_app import make

NAME = "of-a-team"
CONTENT = PromptDraft(
    name=NAME, model="amazon.nova-lite-v1:0", template="You sell tea. {{question}}", variables=("question",)
)


pytestmark = pytest.mark.deployments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prompt whose reviewer the platform declared."""
    made = tmp_path / "prompt"
    made.mkdir()
    draft = {"name": NAME, "model": CONTENT.model, "template": CONTENT.template, "variables": ["question"]}
    (made / "prompt.yaml").write_text(json.dumps(draft))
    policy = POLICY.format(role="of-a-team", expires="1d", concurrency=10, steps=STEPS)
    named = policy.replace("[{name: of-a-team-review, email: of-a-team@example.com}]", "[helpdesk-lead]")
    assert named != policy
    (made / "release.yaml").write_text(named)
    (made / "suite.yaml").write_text(SUITE)
    return made


def test_a_prompt_of_another_app_is_released_by_the_platform(
    deployed: Deployment, folder: Path, tmp_path: Path
) -> None:
    app = make(tmp_path, folder)
    synth = app.synth()
    assert synth.returncode == 0, synth.stderr[-2000:]
    command = [str(CDK), "deploy", "--all", "--app", str(app.assembly), "--require-approval", "never"]
    done = subprocess.run(command, cwd=app.folder, env=deployed.shell(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    release_id = deployed.publish(CONTENT)
    deployed.approve(release_id)
    release = deployed.ended(release_id)
    assert (release.prompt, release.outcome) == (NAME, Outcome.PROMOTED)
    alarms = deployed.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"promptlane/{NAME}/")["MetricAlarms"]
    topic = deployed.resources["alarms_topic"]
    assert {action for alarm in alarms for action in alarm["AlarmActions"]} == {topic}
