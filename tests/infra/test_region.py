"""Models under the names by which a Region offers them; refused at synth where it offers none."""

from dataclasses import replace

import pytest
from aws_cdk import App, Environment, Stack

from promptlane.cdk import Platform, PromptRelease
from promptlane.cdk.checks import problems
from promptlane.domain.errors import InvalidInput
from promptlane.engine.suite import Assertion
from promptlane.project import PromptProject, load
from tests.support.synthesized import ROOT

LITE, PRO = "amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"


def placed(region: str, group: str = "") -> list[PromptProject]:
    projects = [project.called_in(region, group) for project in load(ROOT / "prompts")]
    assert [told for project in projects for told in found(project, region)] == []
    return projects


def found(project: PromptProject, region: str) -> list[str]:
    return problems(project, project.policy, Platform(region=region))


@pytest.mark.parametrize("region", ["", "us-east-1", "us-gov-west-1", "ap-southeast-2", "eu-west-2"])
def test_the_examples_stay_as_they_are_where_their_models_are(region: str) -> None:
    assert placed(region) == load(ROOT / "prompts")


@pytest.mark.parametrize(("region", "group"), [("eu-central-1", "eu"), ("us-west-2", "us"), ("ap-south-1", "apac")])
def test_the_examples_are_deployed_by_profiles_where_these_are_needed(region: str, group: str) -> None:
    for project in placed(region, group):
        assert project.draft.model == f"{group}.{LITE}"
        assert {LITE, f"{group}.{LITE}"} <= {*project.policy.allowed_models}
        assert project.policy.tests.judge_model == f"{group}.{PRO}"
        assert project.policy.tests.embedding_model == "amazon.titan-embed-text-v2:0"


def test_without_the_setting_synth_says_what_the_region_offers() -> None:
    (support, _) = load(ROOT / "prompts")
    model, allowed = found(support, "eu-central-1")
    assert f"support-assistant/prompt.yaml: model: eu-central-1 does not offer {LITE}; it offers eu.{LITE}" in model
    assert "promptlane:inference_profiles" in model
    assert "support-assistant/release.yaml: models.allowed: " in allowed


def test_a_judge_has_to_be_there_if_a_case_asks_it() -> None:
    north = "eu-north-1"  # has Nova Lite itself, and Nova Pro by the profile alone
    (silent, *_) = load(ROOT / "prompts")
    assert found(silent, north) == []
    first, *others = silent.suite.cases
    rubric = replace(first, asserts=(*first.asserts, Assertion("llm-rubric", value="is polite")))
    asking = replace(silent, suite=replace(silent.suite, cases=(rubric, *others)))
    (judge,) = found(asking, north)
    assert "release.yaml: tests.judge_model: eu-north-1 does not offer amazon.nova-pro-v1:0" in judge
    policy = replace(asking.policy, tests=replace(asking.policy.tests, judge_model="another-judge"))
    assert found(replace(asking, policy=policy), north) == []


def test_one_allowed_model_that_is_there_is_enough() -> None:
    (support, _) = load(ROOT / "prompts")
    policy = replace(support.policy, allowed_models=(PRO, LITE))
    assert found(replace(support, policy=policy), "eu-north-1") == []
    (allowed,) = found(replace(support, policy=replace(policy, allowed_models=(PRO,))), "eu-north-1")
    assert "models.allowed: eu-north-1 does not offer amazon.nova-pro-v1:0" in allowed


@pytest.mark.parametrize("said", ["by the stack", "by the platform"])
def test_a_teams_own_stack_is_held_to_its_region(said: str) -> None:
    by_stack = said == "by the stack"
    stack = Stack(App(), "s", env=Environment(region="eu-central-1") if by_stack else None)
    where = "" if by_stack else "eu-central-1"
    with pytest.raises(InvalidInput, match=f"eu-central-1 does not offer {LITE}"):
        PromptRelease(stack, "No", directory=ROOT / "prompts/support-assistant", deployment=Platform(region=where))
    profiles = Platform(region=where, inference_profiles="eu")
    made = PromptRelease(stack, "Yes", directory=ROOT / "prompts/support-assistant", deployment=profiles)
    assert made.project.policy.tests.judge_model == f"eu.{PRO}"
