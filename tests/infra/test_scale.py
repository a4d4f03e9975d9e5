"""Nothing of the platform grows with prompts, and nothing of anything is near a limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import App

from infra.application import add_prompt
from infra.config import ConfigError, DeploymentConfig
from promptlane.cdk.platform import prompt_stack_name
from tests.deployments.scale import breaches, measure
from tests.support.synthesized import Synthesized, context

PROMPTS, PEOPLE = 30, 20


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return measure(tmp_path_factory.mktemp("many"), prompts=PROMPTS, reviewers=PEOPLE)[1]


def of_prompts(made: Synthesized) -> set[str]:
    return {stack for stack in made.templates if stack.startswith("prompt-")}


def test_every_prompt_has_one_stack_and_no_other_template_knows_it(many: Synthesized) -> None:
    assert len(of_prompts(many)) == PROMPTS
    for stack in many.templates.keys() - of_prompts(many):
        assert "prompt-0" not in json.dumps(many.templates[stack]), stack


def test_nothing_is_above_half_of_a_limit(many: Synthesized) -> None:
    assert breaches(many) == []
    assert breaches(many, share=0.001) != []


def test_a_prompts_stack_takes_nothing_from_another_and_nobody_takes_from_it(many: Synthesized) -> None:
    manifest = json.loads((many.directory / "manifest.json").read_text())["artifacts"]
    for stack in of_prompts(many):
        template = many.templates[stack]
        assert "Fn::ImportValue" not in json.dumps(template)
        assert "Export" not in json.dumps(template.get("Outputs", {}))
        assert [p["Default"] for n, p in template["Parameters"].items() if n != "BootstrapVersion"] == [
            "/promptlane/topics/alarms"
        ]
        # For the order of `cdk deploy --all`, which would otherwise be that of the names.
        assert "promptlane-pipeline" in manifest[f"promptlane-{stack}"]["dependencies"]


def test_one_prompt_is_synthesized_without_the_platform_and_without_the_others(
    many: Synthesized, tmp_path: Path
) -> None:
    folder = many.directory.parent / "prompts"
    broken = tmp_path / "prompts"
    broken.mkdir()
    (broken / "anything").symlink_to(folder / "prompt-007")
    (broken / "broken").mkdir()
    (broken / "broken" / "release.yaml").write_text("no policy")
    (tmp_path / "reviewers.yaml").write_text((folder.parent / "reviewers.yaml").read_text())
    app = App(context=context(), outdir=str(tmp_path / "out"))
    add_prompt(app, config=DeploymentConfig(prompts_dir=broken, only="prompt-007"))
    name = prompt_stack_name("promptlane", "prompt-007")
    assert [stack.stack_name for stack in app.synth().stacks] == [name]
    made = json.loads((tmp_path / "out" / f"{name}.template.json").read_text())
    assert made["Resources"].keys() == many.templates[name.removeprefix("promptlane-")]["Resources"].keys()


def test_a_prompt_that_is_not_there_is_named_with_the_remedy(many: Synthesized) -> None:
    folder = many.directory.parent / "prompts"
    with pytest.raises(ConfigError, match=r"no prompt 'prompt-999' below .*: write the `name` of one of its 30 files"):
        add_prompt(App(), config=DeploymentConfig(prompts_dir=folder, only="prompt-999"))


def test_names_with_one_slug_are_two_stacks_and_every_name_makes_one_that_aws_takes() -> None:
    names = ["Support", "support", "sup_port", "sup-port", "9" * 100, "a-" * 50, "A_"]
    stacks = [prompt_stack_name("fifteen-letters", name) for name in names]
    assert len(set(stacks)) == len(names)
    for stack in stacks:
        assert len(stack) <= 80
        assert stack.replace("-", "").isalnum()
        assert "--" not in stack
