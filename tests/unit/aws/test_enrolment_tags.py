"""Whose tag a prompt carries."""

from promptlane.aws.enrolment_tags import BedrockEnrolmentTags
from tests.support.functions import PromptService
from tests.support.prompt import ARN


def test_the_tag_of_another_deployment_is_told_by_its_name() -> None:
    agent, version = PromptService(), f"{ARN}:1"
    first, second = (BedrockEnrolmentTags(agent, name) for name in ("promptlane", "second-lane"))
    assert (first.elsewhere(version), second.elsewhere(version)) == ("", "")
    first.tag(version)
    assert (first.elsewhere(version), second.elsewhere(version)) == ("", "promptlane")
    assert (first.tagged(version), second.tagged(version)) == (True, False)


def test_of_a_version_that_somebody_tagged_its_prompt_tells_who_releases_it() -> None:
    """Publishers may tag at creation; applications go by either, the deployment by the prompt's."""
    agent, version = PromptService(), f"{ARN}:1"
    agent.tag_resource(resourceArn=version, tags={"promptlane:enrolled": "another"})
    assert BedrockEnrolmentTags(agent, "promptlane").elsewhere(version) == ""
