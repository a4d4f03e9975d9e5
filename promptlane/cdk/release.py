"""A prompt's own part of a deployment: what counts for it, what rolls it back, what shows it."""

from dataclasses import replace
from pathlib import Path

from aws_cdk import Stack, Token
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from promptlane.cdk.checks import problems
from promptlane.cdk.dashboard import PromptDashboard
from promptlane.cdk.enrolment import Enrolment
from promptlane.cdk.fuse import Fuse
from promptlane.cdk.platform import Platform
from promptlane.domain.errors import InvalidInput
from promptlane.project import PromptProject, load_one


class PromptRelease(Construct):
    """Enrols one prompt with a deployment of Promptlane in the same account and Region, with its fuse and dashboard.

    directory: the prompt's folder (prompt.yaml, release.yaml, suite.yaml), or what was read from it.
    deployment: its name, or a `Platform` where its settings are not the defaults.
    Raises InvalidInput with file and field of everything wrong with the prompt by itself; what only the deployment
    knows (its floor, who owns the prompt's name) is checked by `enrol`, and fails the deployment of this stack.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        directory: Path | str | PromptProject,
        deployment: Platform | str = "promptlane",
    ) -> None:
        super().__init__(scope, id)
        platform = Platform(deployment=deployment) if isinstance(deployment, str) else deployment
        region = Stack.of(self).region
        if not platform.region and not Token.is_unresolved(region):
            platform = replace(platform, region=region)
        read = directory if isinstance(directory, PromptProject) else load_one(directory)
        self.project = read.called_in(platform.region, platform.inference_profiles)
        name, policy = self.project.name, self.project.policy.scaled(platform.time_scale)
        if wrong := problems(self.project, policy, platform):
            raise InvalidInput("\n".join(wrong))
        Enrolment(self, "Enrolment", project=self.project, policy=policy, platform=platform)
        # Read anew at every deployment: a topic that was replaced is found by deploying the prompt again.
        topic = ssm.StringParameter.value_for_string_parameter(self, platform.alarms_parameter)
        self.fuse = Fuse(
            self,
            "Fuse",
            deployment=platform.deployment,
            prompt=name,
            policy=policy,
            topic=sns.Topic.from_topic_arn(self, "Alarms", topic),
            resolution=platform.resolution_seconds,
        )
        self.dashboard = PromptDashboard(
            self,
            "Dashboard",
            deployment=platform.deployment,
            prompt=name,
            policy=policy,
            fuse=self.fuse,
            resolution=platform.resolution_seconds,
        )
