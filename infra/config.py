"""The deployment's settings, read from CDK context (`-c promptlane:<field>=<value>` or cdk.json).

Every wrong value is reported at once, each with its name, what was found and what to write instead.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_logs as logs

from promptlane.cdk import Platform
from promptlane.domain.enrolment.floor import Floor
from promptlane.domain.errors import FloorInvalid
from promptlane.domain.model_regions import GROUPS

PREFIX = "promptlane:"
REVIEWERS_FILE = "reviewers.yaml"
DUTIES = ("author", "reviewer", "operator", "runtime", "auditor")
"""The roles of the Access stack."""
MAX_PROMPTS, MAX_NAMES = 10, 220
"""Of one application, and their characters: a managed policy has 6,144, and each name stands in it five times."""

MAX_PROMPT_KEYS = 3
"""For the same reason: each has 75 characters."""

LambdaTarget = Literal["aws", "host"]
InvocationLogging = Literal["off", "on"]


class ConfigError(Exception):
    """One or more context values cannot be used; the message lists each with its remedy."""


@dataclass(frozen=True, kw_only=True)
class DeploymentConfig:
    """What differs between two deployments of Promptlane.

    name: prefix of stacks, SSM parameters, alarms and the state machine.
    region: where the stacks go, which decides how models are called there; the CDK says it where it knows.
    inference_profiles: the group of Regions (us, eu, apac, ca) in which requests may be answered, for models that the
        Region does not offer itself; they are called by the group's inference profile. Without any, models are called
        as they are named.
    prompts_dir: folder with one `prompts/<name>/` per enrolled prompt.
    only: the one prompt to synthesize, without the platform's stacks; "" is everything.
    reviewers_file: who may review, each declared once; `reviewers.yaml` beside `prompts_dir`, where there is one.
    existing_trail: the account already has a trail of management events, so none is made.
    render_events: record every rendering of a prompt version as a CloudTrail data event ($1 per million).
    lambda_target: `aws` packages for arm64 Linux and Python 3.13, `host` for this machine's interpreter.
    resolution_seconds: period of metrics and alarms; 10 makes the alarms high-resolution (dearer).
    arrival_seconds: when the judge may take the counts of a past minute for complete, on top of the longest request;
        0 leaves it at two minutes (20 s at a resolution of 10), which is right for CloudWatch; less is for drills.
    trail_late_seconds: how long after a version's publication CloudTrail may still deliver edits of it: until then no
        review is approved. AWS says 15 minutes; less is for drills on an AWS that delivers at once.
    time_scale: factor on every duration of the policies; below 1 for drills.
    log_retention_days: for every log group.
    reserved_concurrency: executions reserved for `roll_back`, and as many for `decide`; 0 reserves none, and bounds
        what starts functions so that two of the ten of a fresh account stay free (infra/concurrency.py).
    reconcile_minutes: how often missed events and dead executions are looked for.
    trial: nothing outlives its stack: no deletion protection, nothing retained, buckets emptied, keys gone after a
        week, and a lock of the audit bucket that the account itself can lift.
    budget_usd_per_prompt: what the fuse alarms of one prompt may cost a month before synth fails.
    invocation_logging: `on` lets the Audit stack set up Bedrock's model invocation logging.
    mask_personal_data: mask e-mail addresses, phone and card numbers in the invocation log's log group; bodies that are
        too large for it lie unmasked in its bucket.
    audit_retention_days: Object Lock of the audit bucket.
    on_call: e-mail addresses that get every notice (rollbacks with their evidence, ends of releases, dead letters).
    bypass_exceptions: ARNs of principals that may call prompts without the client (people who try prompts in the
        console, another system's tests), each with at most one `*`, at its end: no alarm tells of their calls.
    bypass_models: ids or ARNs of models, each with at most one `*`, at its end, of which every call without the
        client's metadata is told, too: for accounts whose log names the model and not the prompt.
    subscription_admins: patterns of the principal ARNs that may change reviewers' topics; without any, the execution
        roles of the CDK bootstrap.
    duty_principals: who may take on a duty's role, as patterns of principal ARNs by duty; where a duty has none,
        whoever the account allows `sts:AssumeRole` on the role.
    applications: applications that may use some prompts and no others, with the names of these; each gets a managed
        policy of its own in the Runtime stack.
    floor: the platform floor, which binds every team's policy and suite (docs/write-a-policy.md); empty without one.
    prompt_keys: ARNs of the customer-managed keys under which prompts are encrypted; whoever reads prompts or answers
        with them may use these keys for that, and for nothing else.
    keep_versions: how many versions of a prompt `housekeep` leaves in Bedrock; all are archived in the report bucket.
    version_quota: how many versions of a prompt the account may have (Service Quotas); a notice comes before it is met.
    """

    name: str = "promptlane"
    region: str = ""
    inference_profiles: str = ""
    prompts_dir: Path = Path("prompts")
    only: str = ""
    reviewers_file: Path | None = None
    existing_trail: bool = False
    render_events: bool = True
    lambda_target: LambdaTarget = "aws"
    resolution_seconds: int = 60
    arrival_seconds: int = 0
    trail_late_seconds: int = 900
    time_scale: float = 1.0
    log_retention_days: int = 90
    reserved_concurrency: int = 0
    reconcile_minutes: int = 15
    trial: bool = False
    budget_usd_per_prompt: float = 10.0
    invocation_logging: InvocationLogging = "on"
    mask_personal_data: bool = False
    audit_retention_days: int = 365
    on_call: tuple[str, ...] = ()
    bypass_exceptions: tuple[str, ...] = ()
    bypass_models: tuple[str, ...] = ()
    subscription_admins: tuple[str, ...] = ()
    duty_principals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    applications: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    floor: Floor = field(default_factory=Floor)
    prompt_keys: tuple[str, ...] = ()
    keep_versions: int = 5
    version_quota: int = 10

    @property
    def state_machine_name(self) -> str:
        """Fixed by us, so that the functions' permissions need no reference to the machine that calls them."""
        return f"{self.name}-release"

    @property
    def platform(self) -> Platform:
        """What a prompt's stack has to know of this deployment."""
        return Platform(
            deployment=self.name,
            resolution_seconds=self.resolution_seconds,
            time_scale=self.time_scale,
            trail_late_seconds=self.trail_late_seconds,
            budget_usd_per_prompt=self.budget_usd_per_prompt,
            region=self.region,
            inference_profiles=self.inference_profiles,
            floor=self.floor,
        )

    @property
    def reviewers(self) -> Path:
        """Where reviewers are declared; there need be no such file."""
        return self.reviewers_file or self.prompts_dir.parent / REVIEWERS_FILE

    @property
    def parameter_prefix(self) -> str:
        return f"/{self.name}"

    @property
    def log_retention(self) -> logs.RetentionDays:
        return _RETENTION[self.log_retention_days]

    @property
    def removal(self) -> RemovalPolicy:
        """Of what outlives its stack, unless it is a trial. What a create made that failed never stays: it may be tried
        again."""
        return RemovalPolicy.DESTROY if self.trial else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE

    @property
    def key_pending(self) -> Duration | None:
        """How long KMS keeps a key after its deletion was asked for; None is its own 30 days."""
        return Duration.days(7) if self.trial else None


_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}


def read_config(context: Mapping[str, Any], *, root: Path) -> DeploymentConfig:
    """The deployment described by the `promptlane:` keys of a CDK context.

    Relative `prompts_dir` is taken from root. Raises ConfigError naming every wrong key at once.
    """
    given = {key.removeprefix(PREFIX): value for key, value in context.items() if key.startswith(PREFIX)}
    wrong = [
        f"{PREFIX}{key}: {_GONE.get(key) or 'no such setting; the settings are ' + ', '.join(sorted(_READERS))}"
        for key in sorted(given.keys() - _READERS.keys())
    ]
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        if key not in given:
            continue
        try:
            values[key] = read(given[key])
        except ValueError as error:
            wrong.append(f"{PREFIX}{key} is {given[key]!r}: {error}")
    prompts_dir = root / values.get("prompts_dir", DeploymentConfig.prompts_dir)
    if not prompts_dir.is_dir():
        wrong.append(
            f"{PREFIX}prompts_dir: there is no folder {prompts_dir}; write the folder that holds <prompt>/release.yaml"
        )
    if (reviewers := values.get("reviewers_file")) and not (root / reviewers).is_file():
        wrong.append(
            f"{PREFIX}reviewers_file: there is no file {root / reviewers}; write the one that declares reviewers"
        )
    keep, quota = (values.get(k, getattr(DeploymentConfig, k)) for k in ("keep_versions", "version_quota"))
    if keep >= quota:
        wrong.append(
            f"{PREFIX}keep_versions is {keep} and {PREFIX}version_quota {quota}: write a lower keep_versions, or "
            "the account's quota is met before any version is deleted"
        )
    group, region = (values.get(k, "") for k in ("inference_profiles", "region"))
    if group and region not in GROUPS[group]:
        wrong.append(
            f"{PREFIX}inference_profiles is {group!r}, whose profiles are called from {', '.join(GROUPS[group])}; this "
            f"deployment's Region is {region or 'not known'}: write {PREFIX}region, or another group"
        )
    if wrong:
        raise ConfigError("the deployment's settings cannot be used:\n  " + "\n  ".join(wrong))
    if reviewers:
        values["reviewers_file"] = root / reviewers
    return DeploymentConfig(**{**values, "prompts_dir": prompts_dir})


def _name(value: Any) -> str:
    # CloudFormation shortens names of roles; with more, `<name>-pipeline-…` in resource policies may not match them.
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9-]{1,13}[a-z0-9]", value):
        raise ValueError("write 3 to 15 lower-case letters, digits and single hyphens, beginning with a letter")
    refused = next((says for begins, says in _NOT_NAMES if re.search(begins, value)), "")
    if refused:
        raise ValueError(f"{refused}; write another, such as prompts-{value[:5].strip('-')}")
    return value


def _region(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]{2}(-[a-z]+){1,3}-[0-9]", value):
        raise ValueError("write a Region's code, as eu-central-1")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("write a path, absolute or relative to cdk.json")
    return Path(value)


def _prompt(value: Any) -> str:
    if not isinstance(value, str) or not PROMPT_NAME.fullmatch(value):
        raise ValueError("write the name of a prompt, as its prompt.yaml has it")
    return value


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise ValueError("write true or false")


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"write one of {', '.join(allowed)}")
        return str(value)

    return read


def _whole(*, low: int, high: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise ValueError(f"write a whole number from {low} to {high}")
        return number

    return read


def _whole_of(*allowed: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if str(value) not in {str(number) for number in allowed}:
            raise ValueError(f"write one of {', '.join(str(number) for number in allowed)}")
        return int(value)

    return read


def _number(*, above: float, up_to: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or not above < number <= up_to:
            raise ValueError(f"write a number above {above:g} and at most {up_to:g}")
        return number

    return read


def _patterns(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not given or not all(_ARN_PATTERN.fullmatch(str(one)) for one in given):
        raise ValueError("write ARN patterns such as arn:aws:iam::123456789012:role/deployer-*, separated by commas")
    return tuple(str(one) for one in given)


def _callers(value: Any) -> tuple[str, ...]:
    found = _patterns(value)
    if wrong := [one for one in found if "*" in one[:-1] or one.endswith(":*")]:
        raise ValueError(f"{wrong[0]}: write ARNs with one * at most, at the end of a name")
    return _fitting(found)


def _models(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    found = tuple(str(one).strip() for one in listed) if isinstance(listed, (list, tuple)) else ()
    if not found or not all(_MODEL_PATTERN.fullmatch(one) for one in found):
        raise ValueError("write ids or ARNs of models such as amazon.nova-*, with one * at most, at the end")
    return _fitting(found)


def _fitting(found: tuple[str, ...]) -> tuple[str, ...]:
    """What fits into the filter of calls past the split, beside as much of the other setting."""
    if sum(len(one) + 25 for one in found) > _LONGEST_LISTED:
        raise ValueError(
            "a filter of log records has 1,024 characters: write fewer, or wider ones with a * at the end; with 25 "
            f"characters for each they may have {_LONGEST_LISTED}"
        )
    return found


def _by_duty(value: Any) -> dict[str, tuple[str, ...]]:
    wanted = 'write {"author": ["arn:aws:iam::123456789012:role/writers-*"], …} for any of ' + ", ".join(DUTIES)
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(wanted) from None
    if not isinstance(given, Mapping) or not given or given.keys() - set(DUTIES):
        raise ValueError(wanted)
    return {str(duty): _patterns(patterns) for duty, patterns in given.items()}


def _applications(value: Any) -> dict[str, tuple[str, ...]]:
    wanted = (
        'write {"checkout": ["support-assistant"], …}: up to 40 names of lower-case letters, digits and underscores, '
        f"each with 1 to {MAX_PROMPTS} names of prompts"
    )
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(wanted) from None
    if not isinstance(given, Mapping) or not 0 < len(given) <= 40:
        raise ValueError(wanted)
    found = {}
    for name, prompts in given.items():
        if not _APPLICATION.fullmatch(str(name)) or not isinstance(prompts, (list, tuple)):
            raise ValueError(wanted)
        if not 0 < len(prompts) <= MAX_PROMPTS or not all(PROMPT_NAME.fullmatch(str(one)) for one in prompts):
            raise ValueError(wanted)
        if sum(len(str(one)) for one in prompts) > MAX_NAMES:
            raise ValueError(f"{name}'s prompts have more than {MAX_NAMES} characters: name fewer in one application")
        found[str(name)] = tuple(dict.fromkeys(str(one) for one in prompts))
    return found


def _floor(value: Any) -> Floor:
    try:
        given = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError('write {"review": {"quorum": 2}, …}, as docs/write-a-policy.md lists it') from None
    try:
        floor = Floor.from_dict(given)
    except FloorInvalid as error:
        raise ValueError(str(error).replace("\n", "; ")) from None
    if len(json.dumps(floor.to_dict())) > _LONGEST_FLOOR:
        raise ValueError(f"it has more than {_LONGEST_FLOOR:,} characters; write fewer, wider patterns of reviewers")
    return floor


def _keys(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    given = [str(one).strip() for one in listed] if isinstance(listed, (list, tuple)) else []
    if not 0 < len(given) <= MAX_PROMPT_KEYS or not all(_KEY.fullmatch(one) for one in given):
        raise ValueError(
            f"write 1 to {MAX_PROMPT_KEYS} ARNs of keys, not of aliases, separated by commas: "
            "arn:aws:kms:eu-west-1:123456789012:key/12345678-90ab-cdef-1234-567890abcdef"
        )
    return tuple(dict.fromkeys(given))


def _emails(value: Any) -> tuple[str, ...]:
    listed = value.split(",") if isinstance(value, str) else value
    given = [str(one).strip().lower() for one in listed] if isinstance(listed, (list, tuple)) else []
    if not given or not all(_EMAIL.fullmatch(one) for one in given):
        raise ValueError("write e-mail addresses, separated by commas")
    if len(",".join(given)) > _LONGEST_ON_CALL:
        raise ValueError(f"they have more than {_LONGEST_ON_CALL:,} characters; name the address of a group instead")
    return tuple(dict.fromkeys(given))


_NOT_NAMES = (
    ("^(aws|ssm)", "Systems Manager takes no parameter below a path that begins with aws or ssm"),
    ("--", "CloudTrail takes no trail with two hyphens beside each other"),
    ("^(sthree-|amzn-s3-demo)", "S3 keeps buckets whose names begin so for itself"),
)
"""What AWS refuses of names that stacks, parameters, the trail and buckets begin with, as their documentation says."""
_APPLICATION = re.compile(r"[a-z][a-z0-9_]{0,29}")
PROMPT_NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,100}")
_LONGEST_LISTED = 350
_LONGEST_FLOOR = 2_000
"""Characters: functions are told it in their environment, which has 4 kB."""
_KEY = re.compile(r"arn:aws(-cn|-us-gov)?:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]{36}")
_LONGEST_ON_CALL = 2_000
"""Characters: commands are told them by a parameter of SSM, which has 4,096."""
_EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
_MODEL_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/_-]*\*?")
_ARN_PATTERN = re.compile(r"arn:[a-z*-]+:(iam|sts)::([0-9]{12}|\*):[\w+=,.@/*-]+")

_GONE = {
    "retain": f"write {PREFIX}trial=true in place of retain=false",
    **dict.fromkeys(
        ("roll_back_concurrency", "decide_concurrency"),
        f"write {PREFIX}reserved_concurrency, which holds for both functions; 0, the default, reserves nothing",
    ),
}
"""Settings of earlier versions, and what is written in their place."""

_READERS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "region": _region,
    "inference_profiles": _one_of(*GROUPS),
    "prompts_dir": _path,
    "only": _prompt,
    "reviewers_file": _path,
    "existing_trail": _flag,
    "render_events": _flag,
    "lambda_target": _one_of("aws", "host"),
    "resolution_seconds": _whole_of(60, 10),
    "arrival_seconds": _whole(low=0, high=3600),
    "trail_late_seconds": _whole(low=1, high=3600),
    "time_scale": _number(above=0, up_to=1),
    "log_retention_days": _whole_of(*_RETENTION),
    "reserved_concurrency": _whole(low=0, high=100),
    "reconcile_minutes": _whole(low=1, high=60),
    "trial": _flag,
    "budget_usd_per_prompt": _number(above=0, up_to=1000),
    "invocation_logging": _one_of("off", "on"),
    "mask_personal_data": _flag,
    "audit_retention_days": _whole(low=1, high=36500),
    "on_call": _emails,
    "bypass_exceptions": _callers,
    "bypass_models": _models,
    "subscription_admins": _patterns,
    "duty_principals": _by_duty,
    "applications": _applications,
    "floor": _floor,
    "prompt_keys": _keys,
    "keep_versions": _whole(low=2, high=1000),
    "version_quota": _whole(low=3, high=1000),
}

SETTINGS: Mapping[str, Callable[[Any], Any]] = _READERS
"""Every setting by its name, with what reads it: ValueError says what to write."""
assert _READERS.keys() == {field.name for field in fields(DeploymentConfig)}
