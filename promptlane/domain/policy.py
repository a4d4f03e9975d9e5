"""release.yaml: the policy of a prompt. Parsed strictly; every problem carries the path of its field.

Durations are held in seconds, shares of traffic in basis points, rates as fractions. `to_dict` writes the canonical
form that is deployed and captured by each release, and that `from_dict` reads back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Final, Literal, TypeVar

from .errors import PolicyInvalid
from .names import FULL, GuardName

Json = Any
Undecided = Literal["return_to_stable", "stay", "ask"]
Unattributed = Literal["one_more_approval", "allow", "refuse"]
Inconclusive = Literal["block", "review"]
AfterInconclusive = Literal["same_quorum", "one_more_approval"]

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Someone who may approve. `principals`: the IAM ARNs (or prefixes ending in `*`) that this person acts as."""

    name: str
    email: str
    groups: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReviewPolicy:
    """Who must approve. `quorum` approvals, among them one of each group in `required_groups`.

    `unattributed` says what an author who cannot be told from CloudTrail costs; the default is one more approval.
    `inconclusive` says what an inconclusive verdict costs, where `tests.inconclusive` puts it to the reviewers.
    """

    reviewers: tuple[Reviewer, ...]
    quorum: int = 1
    required_groups: tuple[str, ...] = ()
    expires_after: float = DAY
    remind_before: float = 2 * HOUR
    unattributed: Unattributed = "one_more_approval"
    inconclusive: AfterInconclusive = "same_quorum"


@dataclass(frozen=True, slots=True)
class TestPolicy:
    """What the regression tests must show.

    `margin`: the largest drop of the pass rate that is acceptable (fraction). `alpha`: one-sided error of the interval
    and of FAIL. `min_pass_rate`: what a first version, which has no stable to compare with, must show. `inconclusive`:
    whether such a verdict blocks, or is put to the reviewers. `max_cost_usd` caps a run's estimated cost. `fresh_for`:
    how long the stable version's results may be reused, seconds.
    """

    margin: float = 0.05
    alpha: float = 0.05
    power: float = 0.8
    min_pass_rate: float = 0.8
    repeats: int = 1
    must_pass: tuple[str, ...] = ()
    inconclusive: Inconclusive = "review"
    max_cost_usd: float = 5.0
    max_concurrency: int = 10
    batch_size: int = 10
    fresh_for: float = DAY
    judge_model: str = "amazon.nova-pro-v1:0"
    embedding_model: str = "amazon.titan-embed-text-v2:0"
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """USD per million input and output tokens by model id, where the built-in price table lacks or errs."""


@dataclass(frozen=True, slots=True)
class Step:
    """One canary step: `weight` in basis points, the least and the most time it may take, in seconds."""

    weight: int
    min_bake: float = 10 * MINUTE
    max_time: float = 6 * HOUR


@dataclass(frozen=True, slots=True)
class GuardMetric:
    """How much worse the canary may be on one metric: margin = max(margin_abs, margin_rel x the stable rate).

    `required`: must be proved within the margin to advance; else it is watched for harm only. `tolerance`: how much
    worse it may be before harm counts (fraction). `lag`: how long after the request the event may still come, seconds.
    """

    name: GuardName
    margin_abs: float = 0.01
    margin_rel: float = 0.5
    required: bool = True
    tolerance: float = 0.0
    lag: float = 0.0
    prior_rate: float | None = None


_DEFAULT_GUARDS: Final = (
    GuardMetric(GuardName.ERROR, margin_abs=0.01, margin_rel=0.5),
    GuardMetric(GuardName.REFUSAL, margin_abs=0.02, margin_rel=0.5),
    GuardMetric(GuardName.GUARDRAIL, margin_abs=0.02, margin_rel=0.5, required=False),
    GuardMetric(GuardName.TRUNCATION, margin_abs=0.02, margin_rel=0.5, required=False),
    GuardMetric(GuardName.SLOW, margin_abs=0.02, margin_rel=0.5, required=False),
)


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """Steps and guard metrics. `alpha`: chance of rolling back an equal version; `beta`: of promoting one that is worse
    by the margin. `undecided`: what to do when a step's `max_time` ends without a decision."""

    steps: tuple[Step, ...] = (Step(500), Step(2500), Step(5000))
    guard_metrics: tuple[GuardMetric, ...] = _DEFAULT_GUARDS
    alpha: float = 0.05
    beta: float = 0.05
    undecided: Undecided = "return_to_stable"
    ladder: tuple[float, ...] = (3.0, 1.5, 1.0)
    """Margin factors from the first step to the last (the last is always 1)."""


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """After promotion: how long the judge and the alarms still roll back, and the share held back on `previous`."""

    duration: float = HOUR
    holdback: int = 500


@dataclass(frozen=True, slots=True)
class FusePolicy:
    """The CloudWatch alarms.

    `error`, `refusal`: the excess of the bad rate over the control's that trips; `shielded`: the share of canary units
    sent away; `outage`: stable's own error rate from which nothing starts. Each needs `min_requests` in both arms in
    each of `periods` periods in a row, and an excess of `sigmas` standard deviations of the control's rate (4 would do
    for independent requests; those of one user go wrong together).
    """

    error: float = 0.10
    refusal: float = 0.15
    shielded: float = 0.5
    outage: float = 0.5
    sigmas: float = 8.0
    min_requests: int = 20
    periods: int = 3


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """Facts about requests: the longest they may take, and from when they count as slow (seconds).

    `per_minute`: about how many there are; synth then says how long a good release takes. Not used to decide anything.
    """

    timeout: float = 28.0
    slow_after: float = 10.0
    per_minute: float | None = None


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

    @classmethod
    def from_dict(cls, data: Json) -> Policy:
        """Read release.yaml or the canonical form; PolicyInvalid lists every problem as (path, message)."""
        reader = _Reader()
        policy = reader.policy(data)
        if reader.problems or policy is None:
            raise PolicyInvalid(reader.problems)
        return policy

    def to_dict(self) -> dict[str, Json]:
        """Plain JSON values, seconds and basis points; `Policy.from_dict` reads it back to an equal policy."""
        return {
            "review": _plain(self.review),
            "models": {"allowed": list(self.allowed_models)},
            "tests": _plain(self.tests),
            "canary": _plain(self.canary),
            "watch": _plain(self.watch),
            "fuse": _plain(self.fuse),
            "request": _plain(self.request),
        }

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


_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(s|m|h|d)\Z")
_UNIT = {"s": 1.0, "m": MINUTE, "h": HOUR, "d": DAY}
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_ARN = re.compile(r"^arn:aws[a-z-]*:(iam|sts)::\d{12}:[A-Za-z0-9+=,.@_/-]+\*?\Z")
T = TypeVar("T")
Convert = Callable[[Json], T]


def duration(value: Json) -> float:
    """Seconds of `90s`, `10m`, `4h`, `2d` or a number of seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write for example 90s, 10m, 4h or 2d")
    return float(match[1]) * _UNIT[match[2]]


def share(value: Json) -> int:
    """Basis points of `5%` or of a whole number of basis points (0-10000)."""
    points: float | None = None
    if isinstance(value, str) and value.endswith("%"):
        try:
            points = float(value[:-1]) * 100
        except ValueError:
            points = None
    elif isinstance(value, int) and not isinstance(value, bool):
        points = value
    if points is None or not 0 <= points <= FULL or points != int(points):
        raise ValueError(f"{value!r} is not a share of traffic; write for example 5% (or basis points, 0 to {FULL})")
    return int(points)


def fraction(value: Json) -> float:
    """A number from 0 to 1, or a percentage such as `2.5%`."""
    try:
        number = float(value[:-1]) / 100 if isinstance(value, str) and value.endswith("%") else float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not a fraction; write for example 0.05 or 5%")
    return number


def _probability(value: Json) -> float:
    number = fraction(value)
    if not 0 < number < 0.5:
        raise ValueError(f"{value!r} must lie between 0 and 0.5, both excluded; 0.05 is customary")
    return number


def _excess(value: Json) -> float:
    number = fraction(value)
    if not 0 < number < 1:
        raise ValueError(f"{value!r} must lie between 0 and 1, both excluded, for example 10%")
    return number


def _positive(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise ValueError(f"{value!r} must be a number above 0")
    return float(value)


def _count(least: int, most: int) -> Convert[int]:
    def convert(value: Json) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{value!r} must be a whole number from {least} to {most}")
        return value

    return convert


def _text(value: Json) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value.strip()


def _flag(value: Json) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} must be true or false")
    return value


def _texts(value: Json) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def _one_of(*allowed: str) -> Convert[Json]:
    def convert(value: Json) -> Json:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return convert


def _email(value: Json) -> str:
    if not isinstance(value, str) or not _EMAIL.match(value):
        raise ValueError(f"{value!r} is not an email address")
    return value


def _principals(value: Json) -> tuple[str, ...]:
    for arn in _texts(value):
        if not _ARN.match(arn):
            raise ValueError(f"{arn!r} is not an IAM principal ARN such as arn:aws:iam::111122223333:role/Reviewer")
    return tuple(value)


def _ladder(value: Json) -> tuple[float, ...]:
    factors = tuple(_positive(v) for v in value) if isinstance(value, (list, tuple)) else ()
    if not factors or list(factors) != sorted(factors, reverse=True) or factors[-1] != 1:
        raise ValueError("must be a list of factors that never grow and end in 1, for example [3, 1.5, 1]")
    return factors


def _prices(value: Json) -> dict[str, tuple[float, float]]:
    if not isinstance(value, Mapping):
        raise ValueError("must map a model id to [USD per million input tokens, USD per million output tokens]")
    for model, pair in value.items():
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or any(_bad_number(p) for p in pair):
            raise ValueError(f"{model}: must be two numbers, USD per million input and output tokens")
    return {str(m): (float(p[0]), float(p[1])) for m, p in value.items()}


def _bad_number(value: Json) -> bool:
    return isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9


def _optional_fraction(value: Json) -> float | None:
    return None if value is None else fraction(value)


def _optional_positive(value: Json) -> float | None:
    return None if value is None else _positive(value)


class _Reader:
    """Reads plain data into the dataclasses and collects every problem instead of stopping at the first."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []

    def policy(self, data: Json) -> Policy | None:
        sections = ("review", "models", "tests", "canary", "watch", "fuse", "request")
        if not self.mapping("", data, sections):
            return None
        review = self.review(data.get("review"))
        models = data.get("models") or {}
        allowed = self.section("models", models, {"allowed": _texts})
        if review is None:
            return None
        policy = Policy(
            review=review,
            allowed_models=allowed.get("allowed", ()),
            tests=self.build(TestPolicy, "tests", data.get("tests"), _TESTS),
            canary=self.canary(data.get("canary")),
            watch=self.build(WatchPolicy, "watch", data.get("watch"), _WATCH),
            fuse=self.build(FusePolicy, "fuse", data.get("fuse"), _FUSE),
            request=self.build(RequestPolicy, "request", data.get("request"), _REQUEST),
        )
        self.across(policy)
        return policy

    def across(self, policy: Policy) -> None:
        """What only the sections together can tell."""
        if policy.request.slow_after >= policy.request.timeout:
            self.problem("request.slow_after", "must be less than request.timeout, or no request could count as slow")
        if policy.review.remind_before >= policy.review.expires_after:
            self.problem("review.remind_before", "must be less than review.expires_after")

    def review(self, data: Json) -> ReviewPolicy | None:
        if not isinstance(data, Mapping):
            self.problem("review", "is required: name at least one reviewer, for example "
                         "review: {reviewers: [{name: ..., email: ...}], quorum: 1}")  # fmt: skip
            return None
        raw = data.get("reviewers")
        reviewers: list[Reviewer] = []
        if not isinstance(raw, (list, tuple)) or not raw:
            self.problem("review.reviewers", "must list at least one reviewer with name and email")
        else:
            for i, item in enumerate(raw):
                found = self.section(f"review.reviewers[{i}]", item, _REVIEWER, required=("name", "email"))
                if "name" in found and "email" in found:
                    reviewers.append(Reviewer(**found))
        rest = {k: v for k, v in data.items() if k != "reviewers"}
        policy = self.build(ReviewPolicy, "review", rest, _REVIEW, reviewers=tuple(reviewers))
        if reviewers:
            self.reviewers(policy)
        return policy

    def reviewers(self, policy: ReviewPolicy) -> None:
        for attribute in ("name", "email"):
            values = [getattr(r, attribute) for r in policy.reviewers]
            for value in sorted({v for v in values if values.count(v) > 1}):
                self.problem("review.reviewers", f"two reviewers share the {attribute} {value!r}; it must be unique")
        if policy.quorum > len(policy.reviewers):
            self.problem("review.quorum", f"{policy.quorum} approvals can never be reached with "
                         f"{len(policy.reviewers)} reviewers; name more or lower it")  # fmt: skip
        members = {g for r in policy.reviewers for g in r.groups}
        for group in policy.required_groups:
            if group not in members:
                self.problem("review.required_groups", f"no reviewer is in the group {group!r}; add one or drop it")

    def canary(self, data: Json) -> CanaryPolicy:
        data = {} if data is None else data
        if not isinstance(data, Mapping):
            self.problem("canary", "must be a mapping")
            return CanaryPolicy()
        given: dict[str, Json] = {}
        if "steps" in data:
            given["steps"] = self.steps(data["steps"])
        if "guard_metrics" in data:
            given["guard_metrics"] = self.guards(data["guard_metrics"])
        rest = {k: v for k, v in data.items() if k not in ("steps", "guard_metrics")}
        return self.build(CanaryPolicy, "canary", rest, _CANARY, extra_keys=("steps", "guard_metrics"), **given)

    def steps(self, data: Json) -> tuple[Step, ...]:
        if not isinstance(data, (list, tuple)) or not data:
            self.problem("canary.steps", "must list at least one step, for example - {weight: 5%, min_bake: 10m}")
            return ()
        steps: list[Step] = []
        for i, item in enumerate(data):
            path = f"canary.steps[{i}]"
            found = self.section(path, item, _STEP, required=("weight",))
            if "weight" not in found:
                continue
            step = Step(**found)
            if not 0 < step.weight < FULL:
                self.problem(f"{path}.weight", "must lie between 0 and 100 %, both excluded; promotion does the rest")
            if steps and step.weight <= steps[-1].weight:
                self.problem(f"{path}.weight", f"weights must grow from step to step: {step.weight / 100:g}% follows "
                             f"{steps[-1].weight / 100:g}%")  # fmt: skip
            if step.max_time < step.min_bake:
                self.problem(f"{path}.max_time", "must be at least min_bake, or the step could never end well")
            steps.append(step)
        return tuple(steps)

    def guards(self, data: Json) -> tuple[GuardMetric, ...]:
        """A mapping of metric name to settings, or the canonical list."""
        names = {_snake(g.value): g for g in GuardName}
        if isinstance(data, (list, tuple)) and all(isinstance(g, Mapping) for g in data):
            data = {_snake(str(g.get("name"))): {k: v for k, v in g.items() if k != "name"} for g in data}
        if not isinstance(data, Mapping) or not data:
            self.problem("canary.guard_metrics", f"must map at least one of {', '.join(names)} to its margins")
            return ()
        guards: list[GuardMetric] = []
        for key, settings in data.items():
            path = f"canary.guard_metrics.{key}"
            if key not in names:
                self.problem(path, f"unknown guard metric; known are {', '.join(names)}")
                continue
            found = self.section(path, {} if settings is None else settings, _GUARD)
            guard = GuardMetric(names[key], **found)
            if guard.margin_abs == 0 and guard.margin_rel == 0:
                self.problem(path, "a margin of 0 can never be proved; give margin_abs or margin_rel above 0")
            elif guard.tolerance >= max(guard.margin_abs, 1e-12) and guard.tolerance > 0:
                self.problem(f"{path}.tolerance", "must be less than margin_abs")
            guards.append(guard)
        if guards and not any(g.required for g in guards):
            self.problem("canary.guard_metrics", "at least one metric must be required, or nothing could ever advance")
        return tuple(guards)

    def build(
        self,
        cls: Callable[..., T],
        path: str,
        data: Json,
        spec: Mapping[str, Convert[Json]],
        extra_keys: Sequence[str] = (),
        **given: Json,
    ) -> T:
        """The dataclass of a section. A field with a problem keeps its default; the problem is on record."""
        return cls(**self.section(path, {} if data is None else data, spec, also=extra_keys), **given)

    def section(self, path: str, data: Json, spec: Mapping[str, Convert[Json]], *, required: Iterable[str] = (),
                also: Sequence[str] = ()) -> dict[str, Json]:  # fmt: skip
        if not self.mapping(path, data, [*spec, *also]):
            return {}
        found: dict[str, Json] = {}
        for key in required:
            if key not in data:
                self.problem(f"{path}.{key}", "is required")
        for key, convert in spec.items():
            if key in data:
                try:
                    found[_FIELD.get(key, key)] = convert(data[key])
                except ValueError as error:
                    self.problem(f"{path}.{key}", str(error))
        return found

    def mapping(self, path: str, data: Json, known: Sequence[str]) -> bool:
        if not isinstance(data, Mapping):
            self.problem(path, f"must be a mapping with {', '.join(known)}")
            return False
        for key in data:
            if key not in known:
                where = f"{path}.{key}" if path else str(key)
                self.problem(where, f"unknown key; known are {', '.join(known)}")
        return True

    def problem(self, path: str, message: str) -> None:
        self.problems.append((path, message))


_REVIEWER: Final = {"name": _text, "email": _email, "groups": _texts, "principals": _principals}
_REVIEW: Final = {
    "quorum": _count(1, 20),
    "required_groups": _texts,
    "expires_after": duration,
    "remind_before": duration,
    "unattributed": _one_of("one_more_approval", "allow", "refuse"),
    "inconclusive": _one_of("same_quorum", "one_more_approval"),
}
_TESTS: Final = {
    "margin": _probability,
    "alpha": _probability,
    "power": fraction,
    "min_pass_rate": fraction,
    "repeats": _count(1, 20),
    "must_pass": _texts,
    "inconclusive": _one_of("block", "review"),
    "max_cost_usd": _positive,
    "max_concurrency": _count(1, 1000),
    "batch_size": _count(1, 200),
    "fresh_for": duration,
    "judge_model": _text,
    "embedding_model": _text,
    "prices": _prices,
}
_STEP: Final = {"weight": share, "min_bake": duration, "max_time": duration}
_GUARD: Final = {
    "margin_abs": fraction,
    "margin_rel": fraction,
    "required": _flag,
    "tolerance": fraction,
    "lag": duration,
    "prior_rate": _optional_fraction,
}
_CANARY: Final = {
    "alpha": _probability,
    "beta": _probability,
    "undecided": _one_of("return_to_stable", "stay", "ask"),
    "ladder": _ladder,
}
_WATCH: Final = {"for": duration, "duration": duration, "holdback": share}
_FIELD: Final = {"for": "duration"}  # `for` reads better in YAML and is a keyword in Python
_FUSE: Final = {
    "error": _excess,
    "refusal": _excess,
    "shielded": _excess,
    "outage": _excess,
    "sigmas": _positive,
    "min_requests": _count(1, 1_000_000),
    "periods": _count(1, 10),
}
_REQUEST: Final = {"timeout": _positive, "slow_after": _positive, "per_minute": _optional_positive}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _plain(value: Json) -> Json:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, GuardName) else value
