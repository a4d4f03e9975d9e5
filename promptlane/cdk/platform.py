"""The deployment of Promptlane that a prompt is released by, as the prompt's stack knows it: by names alone.

No stack of a prompt imports anything of a stack of the platform, so either can be deployed, changed or removed without
the other, from another app and repository too.
"""

import hashlib
import re
from dataclasses import dataclass, field

from promptlane.domain.enrolment.floor import Floor
from promptlane.domain.trail import TRAIL_LATE

_LONGEST_SLUG = 40


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The deployment's settings, each as its `promptlane:` context says, with the same defaults.

    deployment: its name. resolution_seconds: of the metrics that applications publish, and so the alarms' period.
    time_scale: factor on every duration of the policy; below 1 for drills. trail_late_seconds: how long after a
    version's publication nothing is approved. budget_usd_per_prompt: what the alarms of a prompt may cost a month.
    region: where the stacks go; the stack's own, if it names one. inference_profiles: the group of Regions by whose
    profiles models are called that the Region does not offer itself.
    floor: what no policy or suite may go below; `enrol` holds every stack to the deployment's, whatever is said here.
    """

    deployment: str = "promptlane"
    resolution_seconds: int = 60
    time_scale: float = 1.0
    trail_late_seconds: float = TRAIL_LATE
    budget_usd_per_prompt: float = 15.0
    region: str = ""
    inference_profiles: str = ""
    floor: Floor = field(default_factory=Floor)

    @property
    def enrol_function(self) -> str:
        return enrol_function_name(self.deployment)

    @property
    def alarms_parameter(self) -> str:
        return alarms_parameter(self.deployment)


def enrol_function_name(deployment: str) -> str:
    """Fixed, since a custom resource may never change whom it calls, and stacks of other apps call it by its name."""
    return f"{deployment}-pipeline-enrol"


def alarms_parameter(deployment: str) -> str:
    """The SSM parameter with the ARN of the topic where `roll_back` listens."""
    return f"/{deployment}/topics/alarms"


def prompt_stack_name(deployment: str, prompt: str) -> str:
    """`<deployment>-prompt-<slug>-<hash>`, at most 80 characters; the hash because two names may have one slug."""
    slug = re.sub(r"[^a-z0-9]+", "-", prompt.lower())[:_LONGEST_SLUG].strip("-")
    return f"{deployment}-prompt-{slug}-{hashlib.sha256(prompt.encode()).hexdigest()[:8]}"
