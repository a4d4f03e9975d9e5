"""`promptlane publish` and `diff`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from promptlane.aws.guardrails import SsmGuardrails
from promptlane.domain.release.guardrail import Guardrail
from promptlane.project import load_one
from tests.support.cli_desk import Desk
from tests.support.prompt import ID

Json = Any
YAML = """\
name: greeter
model: amazon.nova-lite-v1:0
variables: [name]
template: "{template}"
"""


@pytest.fixture
def desk() -> Desk:
    return Desk()


def folder(tmp_path: Path, template: str = "Greet {{name}}.") -> str:
    (tmp_path / "prompt.yaml").write_text(YAML.replace("{template}", template), encoding="utf-8")
    return str(tmp_path)


def test_a_new_prompt_is_created_and_published(desk: Desk, tmp_path: Path) -> None:
    said = desk.json("publish", folder(tmp_path), "-m", "first version")

    assert (said["result"], said["version"], said["draft"], said["enrolled"]) == ("published", 1, "created", True)
    assert desk.prompts.version(said["prompt_id"], 1).description == "first version"


def test_a_model_that_the_region_has_by_profile_alone_is_published_by_its_profile(desk: Desk, tmp_path: Path) -> None:
    machine = "arn:aws:states:eu-central-1:111122223333:stateMachine:promptlane-release"
    desk.resources |= {"state_machine_arn": machine, "inference_profiles": "eu"}
    said = desk.json("publish", folder(tmp_path), "-m", "first version")
    assert desk.prompts.version(said["prompt_id"], 1).model == "eu.amazon.nova-lite-v1:0"
    assert desk.json("publish", folder(tmp_path))["result"] == "unchanged"


class Guardrails:
    """Those that a deployment knows."""

    def __init__(self, **known: str) -> None:
        self.known = known

    def get_parameter(self, *, Name: str) -> Json:  # noqa: N803 - the SDK's name
        value = self.known.get(Name.removeprefix("/promptlane/guardrails/"))
        if value is None:
            raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": ""}}, "GetParameter")
        return {"Parameter": {"Value": value}}


def test_a_guardrail_called_by_name_is_published_as_the_version_that_the_deployment_knows(
    desk: Desk, tmp_path: Path
) -> None:
    known = Guardrails(support="gr1234567890:1\n", draft="gr1234567890:DRAFT")
    desk.guardrails = SsmGuardrails(known, "promptlane")
    there = folder(tmp_path)

    def named(name: str) -> str:
        (tmp_path / "prompt.yaml").write_text(
            YAML.replace("{template}", "Hi {{name}}") + f"guardrail: {{name: {name}}}\n"
        )
        return there

    said = desk.json("publish", named("support"), "-m", "guarded")
    assert desk.prompts.version(said["prompt_id"], 1).guardrail == Guardrail("gr1234567890", "1")
    assert desk.json("publish", there)["result"] == "unchanged"

    known.known["support"] = "gr1234567890:2"
    assert desk.json("publish", there, "-m", "a new version of the guardrail")["version"] == 2
    for name, says in (
        ("draft", "is DRAFT, which can change"),
        ("gone", "there is no SSM parameter /promptlane/guard"),
    ):
        refused = desk.type("publish", named(name), "-m", "x")
        assert refused.exit_code == 1
        assert says in refused.output.replace("\n", " ")
    assert desk.prompts.versions(said["prompt_id"]) == [1, 2]


def test_an_unchanged_prompt_publishes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.json("publish", folder(tmp_path), "-m", "first version")

    said = desk.json("publish", folder(tmp_path))

    assert (said["result"], said["version"], said["draft"]) == ("unchanged", 1, "unchanged")
    assert len(desk.prompts.versions(said["prompt_id"])) == 1


def test_a_changed_prompt_becomes_the_next_version(desk: Desk, tmp_path: Path) -> None:
    desk.json("publish", folder(tmp_path), "-m", "first version")

    said = desk.json("publish", folder(tmp_path, "Welcome {{name}}."), "-m", "warmer")

    assert (said["result"], said["version"], said["draft"]) == ("published", 2, "updated")


@pytest.mark.parametrize("template", ["Greet {{name}}.", "Welcome {{name}}."])
def test_a_draft_that_was_edited_elsewhere_is_overwritten_by_force_alone(
    template: str, desk: Desk, tmp_path: Path
) -> None:
    desk.publish("Greet {{name}}.")
    desk.prompts.write_draft(desk.prompts.drafts[ID].__class__("greeter", "m", ("name",), template="{{name}}?"))

    error = desk.json("publish", folder(tmp_path, template), "-m", "warmer", exit_code=1)["error"]
    assert error["type"] == "Conflict"
    assert "promptlane diff greeter 1 draft" in error["message"]
    assert desk.prompts.drafts[ID].template == "{{name}}?"

    said = desk.json("publish", folder(tmp_path, template), "-m", "warmer", "--force")
    assert said["draft"] == "updated"
    assert desk.prompts.drafts[ID].template == template


def test_a_version_needs_a_reason_and_nothing_is_written_without_one(desk: Desk, tmp_path: Path) -> None:
    desk.publish("Greet {{name}}.")

    result = desk.type("publish", folder(tmp_path, "Welcome {{name}}."))

    assert result.exit_code == 1
    assert "say why with --message" in result.stderr
    assert desk.prompts.drafts[ID].template == "Greet {{name}}."


def test_a_draft_that_somebody_changed_at_the_same_moment_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.publish("Greet {{name}}.")
    desk.prompts.meddler = desk.prompts.drafts[ID].__class__("greeter", "m", ("name",), template="{{name}}!")

    error = desk.json("publish", folder(tmp_path, "Welcome {{name}}."), "-m", "warmer", exit_code=1)["error"]

    assert error["type"] == "Conflict"
    assert "somebody changed the draft" in error["message"]


def test_a_bad_file_is_reported_with_its_lines_before_anything_is_asked(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "prompt.yaml").write_text("name: greeter\nmodell: x\n", encoding="utf-8")

    error = desk.json("publish", str(tmp_path), "-m", "x", exit_code=1)["error"]

    assert any("prompt.yaml:2:1: modell: unknown key" in problem for problem in error["problems"])


def test_a_prompt_that_is_not_enrolled_is_published_and_said_so(desk: Desk, tmp_path: Path) -> None:
    desk.enrolments.deployed.clear()

    result = desk.type("publish", folder(tmp_path), "-m", "first")

    assert result.exit_code == 0
    assert "not enrolled" in result.stdout


def test_diff_compares_stable_with_the_newest_version(desk: Desk) -> None:
    desk.serve(desk.publish("Greet {{name}}."))
    desk.publish("Greet {{name}} warmly.")

    said = desk.json("diff", "greeter")

    assert (said["old"]["version"], said["new"]["version"]) == ("1", "2")
    assert said["changed"] == ["template"]
    assert any(line.startswith("+Greet {{name}} warmly.") for line in said["diff"])


def test_diff_of_equal_versions_says_so(desk: Desk) -> None:
    desk.serve(desk.publish())

    assert "no difference" in desk.type("diff", "greeter", "1", "stable").stdout


def test_diff_without_a_stable_version_shows_everything_as_new(desk: Desk) -> None:
    desk.publish()

    assert desk.json("diff", "greeter")["old"]["version"].startswith("nothing")


def test_markup_in_a_prompt_is_shown_as_text(desk: Desk) -> None:
    desk.serve(desk.publish("[bold]Greet[/bold] {{name}}"))
    desk.publish("[red]Greet[/red] {{name}}")

    assert "+[red]Greet[/red] {{name}}" in desk.type("diff", "greeter").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("diff", "nobody"), "there is no prompt 'nobody' in Bedrock; enrolled prompts: greeter"),
        (("diff", "greeter", "1", "nine"), "'nine' is not a version"),
        (("diff", "greeter", "1", "9"), "has no version 9"),
    ],
)
def test_what_does_not_exist_is_named(desk: Desk, words: tuple[str, ...], expected: str) -> None:
    desk.publish()

    result = desk.type(*words)

    assert result.exit_code == 1
    assert expected in result.stderr


def test_publishing_tells_where_policy_or_suite_are_not_the_deployed_ones(desk: Desk, tmp_path: Path) -> None:
    assert desk.json("publish", folder(tmp_path), "-m", "first version")["warnings"] == []
    (tmp_path / "release.yaml").write_text("review: {reviewers: [{name: support-lead, email: lead@example.com}]}")
    (tmp_path / "suite.yaml").write_text('tests: [{vars: {name: Bo}, assert: [{type: contains, value: "{{name}}"}]}]')
    policy, suite = desk.json("publish", str(tmp_path))["warnings"]
    assert policy.startswith("release.yaml is not the deployed one (here ")
    assert suite.startswith("suite.yaml is not the deployed one (here ")
    assert suite in desk.type("publish", str(tmp_path)).stdout
    project = load_one(tmp_path)
    desk.enrolments.deployed["greeter"] = project.policy
    desk.enrolments.deployed_suite = project.suite.to_dict()
    assert desk.json("publish", str(tmp_path))["warnings"] == []
    (tmp_path / "suite.yaml").write_text("tests: []")
    [broken] = desk.json("publish", str(tmp_path))["warnings"]
    assert "cannot be compared with the deployed ones: " in broken
    desk.enrolments.deployed.clear()
    (tmp_path / "suite.yaml").unlink()
    (tmp_path / "release.yaml").unlink()
    assert desk.json("publish", str(tmp_path))["warnings"] == []
