"""release.yaml: the policy of a prompt. Parsed strictly; every problem carries the path of its field.

Durations are held in seconds, shares of traffic in basis points, rates as fractions. `to_dict` writes the canonical
form that is deployed and captured by each release, and that `from_dict` reads back.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Annotated, Any, Final, Literal

from . import fields
from .errors import PolicyInvalid
from .metrics import GUARD_METRICS, GuardMetric, key_of
from .names import FULL
from .text import folded

Json = Any
_SECTIONS = ("review", "models", "tests", "canary", "watch", "fuse", "request")
_IDENTITY = ("prompt_id", "prompt_id_reason")
_PROMPT_ID = re.compile(r"[0-9A-Za-z]{10}")
Undecided = Literal["return_to_stable", "stay", "ask"]
Unattributed = Literal["one_more_approval", "allow", "refuse"]
Inconclusive = Literal["block", "review"]
AfterInconclusive = Literal["same_quorum", "one_more_approval"]


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Someone who may approve. `principals`: the IAM ARNs (or prefixes ending in `*`) that this person acts as.

    Without an address it names a reviewer whom the deployment declares; `review/declared.py` says who that is.
    """

    name: fields.Text
    email: fields.Email = ""
    groups: fields.Texts = ()
    principals: fields.Principals = ()

    @property
    def by_name(self) -> bool:
        """Whether address and principals are those of a declared reviewer of this name."""
        return not self.email


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """Who must approve. `quorum` approvals, among them one of each group in `required_groups`.

    `unattributed` says what an author who cannot be told from CloudTrail costs; the default is one more approval.
    `inconclusive` says what an inconclusive verdict costs, where `tests.inconclusive` puts it to the reviewers.
    """

    reviewers: tuple[Reviewer, ...]
    quorum: Annotated[int, fields.count(1, 20)] = 1
    required_groups: fields.Texts = ()
    expires_after: fields.Seconds = fields.DAY
    remind_before: fields.Seconds = 2 * fields.HOUR
    unattributed: Unattributed = "one_more_approval"
    inconclusive: AfterInconclusive = "same_quorum"


@dataclass(frozen=True, slots=True)
class TestPolicy:
    """What the regression tests must show.

    `margin`: the largest drop of the pass rate that is acceptable (fraction). `alpha`: one-sided error of the interval
    and of FAIL. `min_pass_rate`: what a first version, which has no stable to compare with, must show. `at_least`: the
    share of cases that any other must pass, whatever stable does. `inconclusive`: whether such a verdict blocks, or is
    put to the reviewers. `max_cost_usd` caps a run's estimated cost. `fresh_for`: how long the stable version's answers
    may be used again, seconds.
    """

    margin: fields.Probability = 0.05
    alpha: fields.Probability = 0.05
    power: fields.Fraction = 0.8
    min_pass_rate: fields.Fraction = 0.8
    repeats: Annotated[int, fields.count(1, 20)] = 1
    must_pass: fields.Texts = ()
    inconclusive: Inconclusive = "review"
    max_cost_usd: fields.Positive = 5.0
    max_concurrency: Annotated[int, fields.count(1, 1000)] = 10
    batch_size: Annotated[int, fields.count(1, 200)] = 10
    fresh_for: fields.Seconds = fields.DAY
    judge_model: fields.Text = "amazon.nova-pro-v1:0"
    embedding_model: fields.Text = "amazon.titan-embed-text-v2:0"
    prices: fields.Prices = field(default_factory=dict)
    """USD per million input and output tokens by model id, where the built-in price table lacks or errs."""
    at_least: fields.Fraction = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """One canary step: `weight` in basis points, the least and the most time it may take, in seconds."""

    weight: fields.Share
    min_bake: fields.Seconds = 10 * fields.MINUTE
    max_time: fields.Seconds = 6 * fields.HOUR


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """How much worse the canary may be on one metric: margin = max(margin_abs, margin_rel x the stable rate).

    `metric` is the metric's row. `cap`, of a mean alone: what an answer counts at most, in the metric's unit; margins
    and tolerance are shares of it. `required`: must be proved within the margin to advance; else it is watched for harm
    only. `tolerance`: how much worse it may be before harm counts (fraction). `lag`: how long after the request the
    event may still come, seconds.
    """

    metric: GuardMetric
    margin_abs: fields.Fraction = 0.01
    margin_rel: fields.Fraction = 0.5
    required: fields.Flag = True
    tolerance: fields.Fraction = 0.0
    lag: fields.Seconds = 0.0
    prior_rate: Annotated[float | None, fields.optional(fields.fraction)] = None
    cap: Annotated[float | None, fields.optional(fields.positive)] = None

    def __post_init__(self) -> None:
        if self.metric.is_mean and self.cap is None:
            raise ValueError(
                f"is a mean and needs a cap: what an answer counts at most, in {self.metric.unit}, about three to five "
                f"times what is usual; for example {{cap: 0.02, margin_rel: {MEAN_MARGIN:.0%}}}"
            )
        if not self.metric.is_mean and self.cap is not None:
            raise ValueError("counts bad events and takes no cap; drop it")

    @property
    def name(self) -> str:
        """The CloudWatch metric's name."""
        return self.metric.name


MEAN_MARGIN: Final = 0.2
"""The relative margin of a mean that a policy gives none."""


def _watched() -> tuple[GuardPolicy, ...]:
    """What a policy watches that names no metric."""
    rows = (m for m in GUARD_METRICS.values() if m.watched)
    return tuple(GuardPolicy(m, margin_abs=m.margin, required=m.required, lag=m.lag) for m in rows)


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """Steps and guard metrics. `alpha`: chance of rolling back an equal version; `beta`: of promoting one that is worse
    by the margin. `undecided`: what to do when a step's `max_time` ends without a decision."""

    steps: tuple[Step, ...] = (Step(500), Step(2500), Step(5000))
    guard_metrics: tuple[GuardPolicy, ...] = field(default_factory=_watched)
    alpha: fields.Probability = 0.05
    beta: fields.Probability = 0.05
    undecided: Undecided = "return_to_stable"
    ladder: fields.Ladder = (3.0, 1.5, 1.0)
    """Margin factors from the first step to the last (the last is always 1)."""


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """After promotion: how long the judge and the alarms still roll back, and the share held back on `previous`."""

    duration: Annotated[float, fields.duration, "for"] = fields.HOUR
    """`for` reads better in YAML, and is a keyword in Python."""
    holdback: fields.Share = 500


@dataclass(frozen=True, slots=True)
class FusePolicy:
    """The CloudWatch alarms.

    `error`, `refusal`: the excess of the bad rate over the control's that trips; `shielded`: the share of canary units
    sent away; `outage`: stable's own error rate from which nothing starts. Each needs `periods` bad
    ones among the latest `periods` + 1 periods with `min_requests` in both arms, and in each an excess of `sigmas`
    standard deviations of the control's rate (4 would do for independent requests; a user's go wrong together).
    """

    error: fields.Excess = 0.10
    refusal: fields.Excess = 0.15
    shielded: fields.Excess = 0.5
    outage: fields.Excess = 0.5
    sigmas: fields.Positive = 8.0
    min_requests: Annotated[int, fields.count(1, 1_000_000)] = 20
    periods: Annotated[int, fields.count(1, 10)] = 3


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """Facts about requests: the longest they may take, and from when they count as slow (seconds).

    `per_minute`: about how many there are; synth then says how long a good release takes. Not used to decide anything.
    """

    timeout: fields.RequestSeconds = 28.0
    slow_after: fields.RequestSeconds = 10.0
    per_minute: Annotated[float | None, fields.optional(fields.positive)] = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole release.yaml of one prompt."""

    review: ReviewPolicy
    allowed_models: tuple[str, ...] = ()
    tests: TestPolicy = field(default_factory=TestPolicy)
    canary: CanaryPolicy = field(default_factory=CanaryPolicy)
    watch: WatchPolicy = field(default_factory=WatchPolicy)
    fuse: FusePolicy = field(default_factory=FusePolicy)
    request: RequestPolicy = field(default_factory=RequestPolicy)
    prompt_id: str = ""
    prompt_id_reason: str = ""
    """The prompt that the name means, where the deployment says it, and why it is another one than before."""

    @classmethod
    def from_dict(cls, data: Json) -> Policy:
        """Read the canonical form, or release.yaml; PolicyInvalid lists every problem as (path, message)."""
        return cls._read(data, _Reader())

    @classmethod
    def written(cls, data: Json) -> Policy:
        """The same of release.yaml: bare numbers that somebody is likely to mean otherwise are refused too."""
        return cls._read(data, _Reader(written=True))

    @classmethod
    def _read(cls, data: Json, reader: _Reader) -> Policy:
        policy = reader.policy(data)
        if reader.problems or policy is None:
            raise PolicyInvalid(reader.problems)
        return policy

    def to_dict(self) -> dict[str, Json]:
        """Plain JSON values, seconds and basis points; `Policy.from_dict` reads it back to an equal policy."""
        found: dict[str, Json] = _plain(self)
        allowed = found.pop("allowed_models")
        for name in ("prompt_id", "prompt_id_reason"):
            if not found[name]:
                del found[name]
        return {"review": found.pop("review"), "models": {"allowed": allowed}, **found}

    def scaled(self, factor: float) -> Policy:
        """The same policy with its waiting times multiplied, for drills: bakes, step limits, the watch, metric lags.

        What a request may take, how long results stay fresh, and what people need to review are left as they are.
        """
        if factor == 1:
            return self
        return replace(
            self,
            canary=replace(
                self.canary,
                steps=tuple(
                    replace(s, min_bake=s.min_bake * factor, max_time=s.max_time * factor) for s in self.canary.steps
                ),
                guard_metrics=tuple(replace(g, lag=g.lag * factor) for g in self.canary.guard_metrics),
            ),
            watch=replace(self.watch, duration=self.watch.duration * factor),
        )


class _Reader(fields.Reader):
    """Each section of release.yaml, and what only several fields together can tell."""

    def policy(self, data: Json) -> Policy | None:
        if not self.mapping("", data, (*_SECTIONS, *_IDENTITY)):
            return None
        identity = self.identity(data)
        review = self.review(data.get("review"))
        models = data.get("models") or {}
        allowed = self.converted("models", models, {"allowed": ("allowed_models", fields.texts)})
        if review is None:
            return None
        policy = Policy(
            review=review,
            **allowed,
            tests=self.section(TestPolicy, "tests", data.get("tests")),
            canary=self.canary(data.get("canary")),
            watch=self.section(WatchPolicy, "watch", data.get("watch")),
            fuse=self.section(FusePolicy, "fuse", data.get("fuse")),
            request=self.section(RequestPolicy, "request", data.get("request")),
            **identity,
        )
        if policy.request.slow_after >= policy.request.timeout:
            self.problem("request.slow_after", "must be less than request.timeout, or no request could count as slow")
        widest = max((step.weight for step in policy.canary.steps if step.weight < FULL), default=0)
        if widest + policy.watch.holdback > FULL:
            self.problem(
                "watch.holdback",
                f"{policy.watch.holdback / 100:g}% held back after a last step of {widest / 100:g}% are more than all: "
                "units would see the new version, then the old one again; lower one of them",
            )
        if policy.review.remind_before >= policy.review.expires_after:
            self.problem("review.remind_before", "must be less than review.expires_after")
        return policy

    def identity(self, data: Mapping[str, Json]) -> dict[str, Json]:
        given = {name: data[name] for name in _IDENTITY if data.get(name) not in (None, "")}
        prompt_id, reason = given.get("prompt_id"), given.get("prompt_id_reason")
        if prompt_id is not None and not (isinstance(prompt_id, str) and _PROMPT_ID.fullmatch(prompt_id)):
            self.problem("prompt_id", "must be a prompt's id: ten letters and digits, as `promptlane publish` shows it")
        if reason is not None and not (isinstance(reason, str) and reason.strip() and len(reason) <= 1000):
            self.problem("prompt_id_reason", "must be text of at most 1,000 characters")
        if reason is not None and prompt_id is None:
            self.problem("prompt_id_reason", "says why the name means another prompt: give its `prompt_id` too")
        return given

    def review(self, data: Json) -> ReviewPolicy | None:
        if not isinstance(data, Mapping):
            example = "review: {reviewers: [alice, bob], quorum: 1}"
            self.problem("review", f"is required: name at least one reviewer, for example {example}")
            return None
        raw = data.get("reviewers")
        reviewers: list[Reviewer] = []
        if not isinstance(raw, (list, tuple)) or not raw:
            self.problem("review.reviewers", "must list at least one reviewer by name, or with name and email")
        else:
            found = [self.reviewer(f"review.reviewers[{i}]", item) for i, item in enumerate(raw)]
            reviewers = [r for r in found if r is not None]
        rest = {k: v for k, v in data.items() if k != "reviewers"}
        policy = self.section(ReviewPolicy, "review", rest, reviewers=tuple(reviewers))
        if reviewers:
            self.reviewers(policy)
        return policy

    def reviewer(self, path: str, data: Json) -> Reviewer | None:
        """`alice`, `{name: alice, groups: [legal]}`, or one who is declared in place with an address."""
        given = {"name": data} if isinstance(data, str) else data
        found = self.item(Reviewer, path, given)
        if found and found.by_name and found.principals:
            self.problem(f"{path}.principals", "are declared with the reviewer: write them in reviewers.yaml")
        return found

    def reviewers(self, policy: ReviewPolicy) -> None:
        for attribute in ("name", "email"):
            values = [value for r in policy.reviewers if (value := getattr(r, attribute))]
            for value in sorted({v for v in values if values.count(v) > 1}):
                self.problem("review.reviewers", f"two reviewers share the {attribute} {value!r}; it must be unique")
            alike: dict[str, list[str]] = {}
            for value in dict.fromkeys(values):
                alike.setdefault(folded(value), []).append(value)
            for first, second, *_ in (same for same in alike.values() if len(same) > 1):
                how = "differ in case, blanks or Unicode form alone, so that one would count as the other; name one"
                self.problem("review.reviewers", f"the {attribute}s {first!r} and {second!r} of two reviewers {how}")
        if (most := len(policy.reviewers)) < policy.quorum:
            never = f"{policy.quorum} approvals can never be reached with {most} reviewers; name more or lower it"
            self.problem("review.quorum", never)
        members = {g for r in policy.reviewers for g in r.groups}
        if any(r.by_name for r in policy.reviewers):
            return  # a declared reviewer may be in more groups
        for group in policy.required_groups:
            if group not in members:
                self.problem("review.required_groups", f"no reviewer is in the group {group!r}; add one or drop it")

    def canary(self, data: Json) -> CanaryPolicy:
        data = {} if data is None else data
        if not isinstance(data, Mapping):
            self.problem("canary", "must be a mapping")
            return CanaryPolicy()
        read = {"steps": self.steps, "guard_metrics": self.guards}
        given = {key: convert(data[key]) for key, convert in read.items() if key in data}
        return self.section(CanaryPolicy, "canary", data, also=tuple(read), **given)

    def steps(self, data: Json) -> tuple[Step, ...]:
        if not isinstance(data, (list, tuple)) or not data:
            self.problem("canary.steps", "must list at least one step, for example - {weight: 5%, min_bake: 10m}")
            return ()
        steps: list[Step] = []
        for i, item in enumerate(data):
            path = f"canary.steps[{i}]"
            step = self.item(Step, path, item)
            if step is None:
                continue
            if not 0 < step.weight < FULL:
                self.problem(f"{path}.weight", "must lie between 0 and 100 %, both excluded; promotion does the rest")
            if steps and step.weight <= (before := steps[-1].weight):
                grow = f"weights must grow from step to step: {step.weight / 100:g}% follows {before / 100:g}%"
                self.problem(f"{path}.weight", grow)
            if step.max_time < step.min_bake:
                self.problem(f"{path}.max_time", "must be at least min_bake, or the step could never end well")
            steps.append(step)
        return tuple(steps)

    def guards(self, data: Json) -> tuple[GuardPolicy, ...]:
        """A mapping of metric name to settings, or the canonical list."""
        rows = {m.key: m for m in GUARD_METRICS.values()}
        if isinstance(data, (list, tuple)) and all(isinstance(g, Mapping) for g in data):
            data = {_key(str(g.get("name"))): {k: v for k, v in g.items() if k != "name"} for g in data}
        if not isinstance(data, Mapping) or not data:
            self.problem("canary.guard_metrics", f"must map at least one of {', '.join(rows)} to its margins")
            return ()
        guards: list[GuardPolicy] = []
        for key, settings in data.items():
            path = f"canary.guard_metrics.{key}"
            if key not in rows:
                self.problem(path, f"unknown guard metric; known are {', '.join(rows)}")
                continue
            try:
                usual: dict[str, Json] = {"margin_rel": MEAN_MARGIN} if rows[key].is_mean else {}
                guard = self.section(GuardPolicy, path, settings, metric=rows[key], lag=rows[key].lag, **usual)
            except ValueError as error:
                self.problem(path, str(error))
                continue
            if guard.margin_abs == 0 and guard.margin_rel == 0:
                self.problem(path, "a margin of 0 can never be proved; give margin_abs or margin_rel above 0")
            elif guard.tolerance >= max(guard.margin_abs, 1e-12) and guard.tolerance > 0:
                self.problem(f"{path}.tolerance", "must be less than margin_abs")
            guards.append(guard)
        if guards and not any(g.required for g in guards):
            self.problem("canary.guard_metrics", "at least one metric must be required, or nothing could ever advance")
        return tuple(guards)


def _key(name: str) -> str:
    """The key of release.yaml for a metric's name, also of one that has no row."""
    return GUARD_METRICS[name].key if name in GUARD_METRICS else key_of(name)


def _plain(value: Json) -> Json:
    if isinstance(value, GuardPolicy):
        plain = {"name": value.name} | {f.name: getattr(value, f.name) for f in dataclasses.fields(value)[1:]}
        return plain if value.metric.is_mean else {k: v for k, v in plain.items() if k != "cap"}
    if isinstance(value, Reviewer) and value.by_name:
        return {"name": value.name, "groups": list(value.groups)}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
