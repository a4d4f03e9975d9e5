"""The deployment's settings, read from CDK context (`-c promptlane:<field>=<value>` or cdk.json).

Every wrong value is reported at once, each with its name, what was found and what to write instead.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_logs as logs

from infra import values
from promptlane.cdk import Platform
from promptlane.domain.enrolment.floor import Floor
from promptlane.domain.model_regions import GROUPS

PREFIX = "promptlane:"
REVIEWERS_FILE = "reviewers.yaml"
MOST_STREAM_SECONDS = 880
"""Lambda ends a function after 900; what is left is for the last bytes."""
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
    streams: how many answers the streaming gateway gives at once: so many executions are reserved for it, which also
        bounds it. 0 leaves it out, since a fresh account has none to reserve.
    stream_seconds: the longest that a streamed answer may take, all tries together; what the policies of the prompts
        that are streamed say as `request.timeout`.
    drill_hours: how often the way back of every prompt is proven, by a drill that moves no traffic; 0 is never.
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
    streams: int = 0
    stream_seconds: int = 28
    drill_hours: int = 0
    reconcile_minutes: int = 15
    trial: bool = False
    budget_usd_per_prompt: float = 15.0
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


def settings_of(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the variable PROMPTLANE_SETTINGS says, a JSON object of settings without `promptlane:`, as CDK context.

    A file that one sources says by it how to deploy there; `cdk.json` and `-c` go before it. Raises ConfigError."""
    text = environ.get("PROMPTLANE_SETTINGS", "")
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise ConfigError(f"PROMPTLANE_SETTINGS is {text!r}, which is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f'PROMPTLANE_SETTINGS is {text!r}: write an object, as {{"on_call": "you@example.com"}}')
    return {f"{PREFIX}{name}": value for name, value in found.items()}


def read_config(context: Mapping[str, Any], *, root: Path) -> DeploymentConfig:
    """The deployment described by the `promptlane:` keys of a CDK context.

    Relative `prompts_dir` is taken from root. Raises ConfigError naming every wrong key at once.
    """
    given = {key.removeprefix(PREFIX): value for key, value in context.items() if key.startswith(PREFIX)}
    wrong = [
        f"{PREFIX}{key}: {_GONE.get(key) or 'no such setting; the settings are ' + ', '.join(sorted(_READERS))}"
        for key in sorted(given.keys() - _READERS.keys())
    ]
    found: dict[str, Any] = {}
    for key, read in _READERS.items():
        if key not in given:
            continue
        try:
            found[key] = read(given[key])
        except ValueError as error:
            wrong.append(f"{PREFIX}{key} is {given[key]!r}: {error}")
    prompts_dir = root / found.get("prompts_dir", DeploymentConfig.prompts_dir)
    if not prompts_dir.is_dir():
        wrong.append(
            f"{PREFIX}prompts_dir: there is no folder {prompts_dir}; write the folder that holds <prompt>/release.yaml"
        )
    if (reviewers := found.get("reviewers_file")) and not (root / reviewers).is_file():
        wrong.append(
            f"{PREFIX}reviewers_file: there is no file {root / reviewers}; write the one that declares reviewers"
        )
    keep, quota = (found.get(k, getattr(DeploymentConfig, k)) for k in ("keep_versions", "version_quota"))
    if keep >= quota:
        wrong.append(
            f"{PREFIX}keep_versions is {keep} and {PREFIX}version_quota {quota}: write a lower keep_versions, or "
            "the account's quota is met before any version is deleted"
        )
    group, region = (found.get(k, "") for k in ("inference_profiles", "region"))
    if group and region not in GROUPS[group]:
        wrong.append(
            f"{PREFIX}inference_profiles is {group!r}, whose profiles are called from {', '.join(GROUPS[group])}; this "
            f"deployment's Region is {region or 'not known'}: write {PREFIX}region, or another group"
        )
    if wrong:
        raise ConfigError("the deployment's settings cannot be used:\n  " + "\n  ".join(wrong))
    if reviewers:
        found["reviewers_file"] = root / reviewers
    return DeploymentConfig(**{**found, "prompts_dir": prompts_dir})


_GONE = {
    "retain": f"write {PREFIX}trial=true in place of retain=false",
    **dict.fromkeys(
        ("roll_back_concurrency", "decide_concurrency"),
        f"write {PREFIX}reserved_concurrency, which holds for both functions; 0, the default, reserves nothing",
    ),
}
"""Settings of earlier versions, and what is written in their place."""

_READERS: dict[str, Callable[[Any], Any]] = {
    "name": values.name,
    "region": values.region,
    "inference_profiles": values.one_of(*GROUPS),
    "prompts_dir": values.path,
    "only": values.prompt,
    "reviewers_file": values.path,
    "existing_trail": values.flag,
    "render_events": values.flag,
    "lambda_target": values.one_of("aws", "host"),
    "resolution_seconds": values.whole_of(60, 10),
    "arrival_seconds": values.whole(low=0, high=3600),
    "trail_late_seconds": values.whole(low=1, high=3600),
    "time_scale": values.number(above=0, up_to=1),
    "log_retention_days": values.whole_of(*_RETENTION),
    "reserved_concurrency": values.whole(low=0, high=100),
    "streams": values.whole(low=0, high=10_000),
    "stream_seconds": values.whole(low=5, high=MOST_STREAM_SECONDS),
    "drill_hours": values.whole(low=0, high=72),
    "reconcile_minutes": values.whole(low=1, high=60),
    "trial": values.flag,
    "budget_usd_per_prompt": values.number(above=0, up_to=1000),
    "invocation_logging": values.one_of("off", "on"),
    "mask_personal_data": values.flag,
    "audit_retention_days": values.whole(low=1, high=36500),
    "on_call": values.emails,
    "bypass_exceptions": values.callers,
    "bypass_models": values.models,
    "subscription_admins": values.patterns,
    "duty_principals": values.by_duty,
    "applications": values.applications,
    "floor": values.floor,
    "prompt_keys": values.keys,
    "keep_versions": values.whole(low=2, high=1000),
    "version_quota": values.whole(low=3, high=1000),
}

SETTINGS: Mapping[str, Callable[[Any], Any]] = _READERS
"""Every setting by its name, with what reads it: ValueError says what to write."""
assert _READERS.keys() == {field.name for field in fields(DeploymentConfig)}
