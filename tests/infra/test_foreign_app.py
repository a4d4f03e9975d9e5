"""The construct in a team's own app: from the wheel alone, with no more than it needs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.foreign_app import ROOT, ForeignApp, make


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> ForeignApp:
    return make(tmp_path_factory.mktemp("team"), ROOT / "prompts" / "support-assistant")


def test_the_wheel_alone_makes_a_stack_of_enrolment_fuse_and_dashboard(app: ForeignApp) -> None:
    asked = [str(app.python), "-c", "import promptlane; print(promptlane.__file__)"]
    where = subprocess.run(asked, cwd=app.folder, check=True, capture_output=True, text=True, env={}).stdout
    assert str(ROOT) not in where
    done = app.synth()
    assert done.returncode == 0, done.stderr[-2000:]
    template = json.loads((app.assembly / "SupportTeam.template.json").read_text())
    assert sorted({r["Type"] for r in template["Resources"].values()} - {"AWS::CDK::Metadata"}) == [
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
        "Custom::PromptlaneEnrolment",
    ]
    assert template["Parameters"].keys() > {"BootstrapVersion"}
    assert "Fn::ImportValue" not in json.dumps(template)


def test_a_mistake_stops_the_synth_with_file_and_field(app: ForeignApp) -> None:
    policy: Path = app.folder / "prompts" / "ours" / "release.yaml"
    right = policy.read_text()
    policy.write_text(right.replace("quorum: 2", "quorum: 200"))
    try:
        done = app.synth()
    finally:
        policy.write_text(right)
    assert done.returncode != 0
    assert "release.yaml:" in done.stderr
    assert "quorum" in done.stderr
