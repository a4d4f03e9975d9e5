"""Enrols a prompt from an AWS CDK app, that of the platform or a team's own: `pip install "promptlane[cdk]"`.

    PromptRelease(self, "Support", directory="prompts/support-assistant")

docs/enrol.md says what else a team needs.
"""

from promptlane.cdk.dashboard import PromptDashboard
from promptlane.cdk.enrolment import Enrolment
from promptlane.cdk.fuse import Fuse
from promptlane.cdk.platform import Platform
from promptlane.cdk.release import PromptRelease

__all__ = ["Enrolment", "Fuse", "Platform", "PromptDashboard", "PromptRelease"]
