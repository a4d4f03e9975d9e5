"""What belongs to one prompt, so that a change of it deploys nothing else."""

from aws_cdk import Stack
from constructs import Construct

from promptlane.cdk import Platform, PromptRelease
from promptlane.cdk.platform import prompt_stack_name
from promptlane.project import PromptProject


class PromptStack(Stack):
    """`<deployment>-prompt-<slug>-<hash>`."""

    def __init__(self, scope: Construct, *, platform: Platform, project: PromptProject) -> None:
        name = project.name
        super().__init__(scope, prompt_stack_name(platform.deployment, name), description=f"Promptlane: prompt {name}")
        self.release = PromptRelease(self, "Release", directory=project, deployment=platform)
