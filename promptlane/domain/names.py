"""Names that several parts must agree on: metrics, dimensions, tracks, alarms, release ids."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from .errors import InvalidInput

NAMESPACE: Final = "Promptlane"
ROUTES_BY_ID: Final = "by_id"
"""The route table's index by `prompt_id`, keys only: the name of a prompt that is given by its id."""
RECEIPT_CONTEXT: Final = "prompt"
"""The key of KMS's encryption context that binds a key for receipts to a prompt's name, as policies test it."""
CONSOLE: Final = "console"
"""The alias of `roll_back` that people invoke. What comes that way is a person's request, whatever it says it is."""
ENROLLED_TAG: Final = "promptlane:enrolled"
"""On prompts and versions that a deployment admitted, with its name: IAM lets applications to no others."""
DRILL_SECONDS: Final = "DrillSeconds"
"""The metric of drills: from the alarm's change to the proof that the route could be written."""
DRILL_NEVER: Final = "DrillNever"
"""The metric of the alarm that drills set; nobody writes it."""
TRIAL_TAG: Final = "promptlane-trial"
"""On buckets that may be emptied. A deployment that is kept from now on takes it off before anything is deleted."""
FULL: Final = 10_000
"""A weight of 100 %, in basis points; also the number of buckets of the split."""


def content_key(prompt: str, fingerprint: str) -> str:
    """Where a version's content lies in the bucket of versions: by prompt, so that policies can tell them apart."""
    return f"{prompt}/{fingerprint}.json"


class Track(StrEnum):
    """What a request was served as. `holdback`: units that stay on `previous` while a promotion is watched."""

    STABLE = "stable"
    CANARY = "canary"
    HOLDBACK = "holdback"


class Phase(StrEnum):
    """Where a route stands."""

    STEADY = "steady"
    CANARY = "canary"
    WATCH = "watch"


ASSIGNED: Final = "Assigned"
INVALID_REQUEST: Final = "InvalidRequest"
"""Metric: requests that Bedrock does not accept whichever version answers; they count for none."""
CANCELLED: Final = "Cancelled"
"""Metric: requests that their caller left before anything of an answer came; they count for no version."""
GROUP: Final = "Group"
"""Dimension of the judge's metrics while a release is in canary or in watch: the unit's group, "0" to "15"."""
UNIT_GROUPS: Final = 16
"""Groups of units by hash, from which the correlation of requests of one unit is estimated."""
HALF: Final = "Half"
"""Dimension of the fuse's metrics: the half of the unit groups that the unit is in, "0" or "1"."""
UNIT_HALVES: Final = ("0", "1")
SHIELDED: Final = "Shielded"
STALE_ROUTE: Final = "StaleRoute"
"""Of a client's refresh that left it with a route which is not the table's, or not known to be: its age in seconds."""
OUTAGE: Final = "Outage"
"""Alarm on stable's own error rate: nothing starts or is promoted while it is red; it never rolls back."""
HARM_EVIDENCE: Final = "HarmEvidence"
ADVANCE_EVIDENCE: Final = "AdvanceEvidence"
SPLIT_EVIDENCE: Final = "SplitEvidence"
WEIGHT: Final = "Weight"
"""What the judge shows of itself on the dashboard, dimension [Prompt]; weight in percent."""


class Outcome(StrEnum):
    """How a release ended. Every release ends in exactly one."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


_RELEASE_ID = re.compile(r"^(?P<prompt_id>[0-9A-Za-z]{10})-(?P<version>[1-9][0-9]{0,4})-(?P<attempt>[1-9][0-9]{0,2})\Z")
_PROMPT_ARN = re.compile(
    r"^arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:prompt/(?P<prompt_id>[0-9A-Za-z]{10})(:[0-9]{1,5})?\Z"
)
_ALARM_ARN = re.compile(
    r"^arn:(?P<partition>aws[a-z-]*):cloudwatch:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):alarm:"
    r"(?P<deployment>[^/]+)/(?P<prompt>[^/]+)/(?P<track>[^/]+)/(?P<metric>[^/]+)\Z"
)


def release_id(prompt_id: str, version: int, attempt: int = 1) -> str:
    """The id of a release, which is also its Step Functions execution name (at most 80 characters)."""
    return f"{prompt_id}-{version}-{attempt}"


def parse_release_id(value: str) -> tuple[str, int, int]:
    """(prompt id, version, attempt) of a release id; InvalidInput when it is not one."""
    match = _RELEASE_ID.match(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInput(
            f"{value!r} is not a release id; one looks like PROMPTID123-4-1 (<prompt id>-<version>-<attempt>). "
            "`promptlane history <prompt>` lists them."
        )
    return match["prompt_id"], int(match["version"]), int(match["attempt"])


def prompt_id_of(arn: str) -> str:
    """The prompt id in the ARN of a prompt or of one of its versions; "" for anything else."""
    match = _PROMPT_ARN.match(arn)
    return match["prompt_id"] if match else ""


def alarm_name(deployment: str, prompt: str, track: Track, metric: str) -> str:
    """The physical name of a fuse alarm. Prompt names hold no slash, so it can be parsed back."""
    return f"{deployment}/{prompt}/{track}/{metric}"


def health_alarm_name(deployment: str, name: str = "") -> str:
    """The physical name of an alarm on the deployment itself; what they all begin with, without a name of its own."""
    return f"{deployment}_health-{name}"  # no deployment's name holds an underscore


def drill_alarm_name(deployment: str) -> str:
    """The physical name of the alarm that drills set; no fuse alarm has so few parts."""
    return f"{deployment}/drill"


def is_drill_alarm(arn: object, *, deployment: str, function_arn: str) -> bool:
    """Whether this is exactly the ARN of the drill alarm, in the account and Region of a function of ours."""
    _, partition, _, region, account, *_ = function_arn.split(":")
    name = drill_alarm_name(deployment)
    return arn == f"arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"


def parse_alarm_arn(arn: str, *, deployment: str, account: str, region: str) -> tuple[str, Track, str]:
    """(prompt, track, metric) of one of our fuse alarms; InvalidInput when the ARN is not one of this deployment's."""
    match = _ALARM_ARN.match(arn)
    if match is None or match["deployment"] != deployment:
        raise InvalidInput(f"{arn!r} is not a fuse alarm of deployment {deployment!r}; ignored.")
    if (match["account"], match["region"]) != (account, region):
        raise InvalidInput(f"{arn!r} belongs to another account or Region than {account}/{region}; ignored.")
    try:
        return match["prompt"], Track(match["track"]), match["metric"]
    except ValueError:
        raise InvalidInput(f"{arn!r} names no track of Promptlane; ignored.") from None
