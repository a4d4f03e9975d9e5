"""release.yaml field by field: what each value is read as, what each is when it is not given, and what is refused."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from promptlane.domain import metrics
from promptlane.domain import policy as policy_module
from promptlane.domain.errors import PolicyInvalid
from promptlane.domain.fields import duration, fraction, share
from promptlane.domain.policy import (
    CanaryPolicy,
    FusePolicy,
    GuardPolicy,
    Policy,
    RequestPolicy,
    Reviewer,
    ReviewPolicy,
    Step,
    WatchPolicy,
)

Data = dict[str, Any]
GUIDE = Path(__file__).parents[3] / "docs/write-a-policy.md"
REVIEWER: Data = {"name": "prompt-review", "email": "prompt-review@example.com"}
LEAST: Data = {"review": {"reviewers": [REVIEWER]}}
ROLE = "arn:aws:iam::111122223333:role/Reviewer"
PREFIX = "arn:aws-us-gov:sts::111122223333:assumed-role/Legal/*"

EVERY_FIELD = """
review:
  reviewers:
    - {name: Ana, email: ana@example.com, groups: [legal, brand], principals: [ROLE, PREFIX]}
    - {name: " Bo ", email: bo@example.org, groups: [brand]}
  quorum: 2
  required_groups: [legal, brand]
  expires_after: 3d
  remind_before: 90m
  unattributed: refuse
  inconclusive: one_more_approval
models:
  allowed: [amazon.nova-lite-v1:0, amazon.nova-pro-v1:0]
tests:
  margin: 4%
  alpha: 0.02
  power: 90%
  min_pass_rate: 70%
  repeats: 3
  must_pass: [billing, unsafe]
  inconclusive: block
  max_cost_usd: 7.5
  max_concurrency: 20
  batch_size: 25
  fresh_for: 12h
  judge_model: judge
  embedding_model: embedder
  prices: {some.model: [0.1, 2], other.model: [0, 0.5]}
canary:
  steps:
    - {weight: 2%, min_bake: 5m, max_time: 2h}
    - {weight: 3000, min_bake: 90s, max_time: 3h}
  guard_metrics:
    negative_feedback: {margin_abs: 3%, margin_rel: 20%, required: false, tolerance: 1%, lag: 30m, prior_rate: 4%}
    error: {margin_abs: 0.5%, margin_rel: 0, required: true, tolerance: 0.2%, lag: 10s, prior_rate: 0}
    guardrail:
  alpha: 1%
  beta: 2%
  undecided: ask
  ladder: [4, 2, 2, 1]
watch: {for: 2h, holdback: 8%}
fuse: {error: 11%, refusal: 16%, shielded: 51%, outage: 61%, sigmas: 7, min_requests: 30, periods: 4}
request: {timeout: 40, slow_after: 12.5, per_minute: 250}
""".replace("[ROLE, PREFIX]", f'["{ROLE}", "{PREFIX}"]')
EXPECTED = Policy(
    review=ReviewPolicy(
        reviewers=(
            Reviewer("Ana", "ana@example.com", ("legal", "brand"), (ROLE, PREFIX)),
            Reviewer("Bo", "bo@example.org", ("brand",), ()),
        ),
        quorum=2,
        required_groups=("legal", "brand"),
        expires_after=259_200.0,
        remind_before=5400.0,
        unattributed="refuse",
        inconclusive="one_more_approval",
    ),
    allowed_models=("amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"),
    tests=policy_module.TestPolicy(
        margin=0.04,
        alpha=0.02,
        power=0.9,
        min_pass_rate=0.7,
        repeats=3,
        must_pass=("billing", "unsafe"),
        inconclusive="block",
        max_cost_usd=7.5,
        max_concurrency=20,
        batch_size=25,
        fresh_for=43_200.0,
        judge_model="judge",
        embedding_model="embedder",
        prices={"some.model": (0.1, 2.0), "other.model": (0.0, 0.5)},
    ),
    canary=CanaryPolicy(
        steps=(Step(200, 300.0, 7200.0), Step(3000, 90.0, 10_800.0)),
        guard_metrics=(
            GuardPolicy(metrics.NEGATIVE_FEEDBACK, 0.03, 0.2, False, 0.01, 1800.0, 0.04),
            GuardPolicy(metrics.ERROR, 0.005, 0.0, True, 0.002, 10.0, 0.0),
            GuardPolicy(metrics.GUARDRAIL, 0.01, 0.5, True, 0.0, 0.0, None),
        ),
        alpha=0.01,
        beta=0.02,
        undecided="ask",
        ladder=(4.0, 2.0, 2.0, 1.0),
    ),
    watch=WatchPolicy(duration=7200.0, holdback=800),
    fuse=FusePolicy(0.11, 0.16, 0.51, 0.61, 7.0, 30, 4),
    request=RequestPolicy(40.0, 12.5, 250.0),
)


def merged(path: str, value: Any) -> Data:
    """The least policy with one field set, by its path."""
    data: Data = {"review": {"reviewers": [dict(REVIEWER)]}}
    here = data
    *before, last = path.split(".")
    for key in before:
        here = here.setdefault(key, {})
    here[last] = value
    return data


def problems(data: Any) -> list[tuple[str, str]]:
    try:
        Policy.from_dict(data)
    except PolicyInvalid as error:
        return error.problems
    return []


# --- what is read ---------------------------------------------------------------------------------------------------


def test_every_field_is_read() -> None:
    assert Policy.from_dict(yaml.safe_load(EVERY_FIELD)) == EXPECTED


def test_what_is_not_given_is_what_the_guide_says() -> None:
    """The whole example of the guide, the least policy, and the dataclasses' own defaults are one policy."""
    shown, reviewers, _ = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    named = {"review": {"reviewers": ["prompt-review"]}}
    least = Policy.from_dict(LEAST)
    assert Policy.from_dict(yaml.safe_load(shown)) == Policy.from_dict(named)
    assert replace(Policy.from_dict(named), review=least.review) == least
    assert "alice" in yaml.safe_load(reviewers)
    assert least == Policy(ReviewPolicy((Reviewer("prompt-review", "prompt-review@example.com"),)))
    assert least == Policy(
        review=ReviewPolicy(
            (Reviewer("prompt-review", "prompt-review@example.com", (), ()),),
            1,
            (),
            86_400.0,
            7200.0,
            "one_more_approval",
            "same_quorum",
        ),
        allowed_models=(),
        tests=policy_module.TestPolicy(
            0.05,
            0.05,
            0.8,
            0.8,
            1,
            (),
            "review",
            5.0,
            10,
            10,
            86_400.0,
            "amazon.nova-pro-v1:0",
            "amazon.titan-embed-text-v2:0",
            {},
        ),
        canary=CanaryPolicy(
            tuple(Step(weight, 600.0, 21_600.0) for weight in (500, 2500, 5000)),
            tuple(
                GuardPolicy(metric, margin, 0.5, required, 0.0, 0.0, None)
                for metric, margin, required in (
                    (metrics.ERROR, 0.01, True),
                    (metrics.REFUSAL, 0.02, True),
                    (metrics.EMPTY, 0.02, True),
                    (metrics.GUARDRAIL, 0.02, False),
                    (metrics.TRUNCATION, 0.02, False),
                    (metrics.SLOW, 0.02, False),
                )
            ),
            0.05,
            0.05,
            "return_to_stable",
            (3.0, 1.5, 1.0),
        ),
        watch=WatchPolicy(3600.0, 500),
        fuse=FusePolicy(0.10, 0.15, 0.5, 0.5, 8.0, 20, 3),
        request=RequestPolicy(28.0, 10.0, None),
    )


def test_a_guard_metric_and_a_step_have_these_defaults() -> None:
    assert GuardPolicy(metrics.SLOW) == GuardPolicy(metrics.SLOW, 0.01, 0.5, True, 0.0, 0.0, None)
    found = Policy.from_dict(merged("canary.guard_metrics", {"slow": {}}))
    assert found.canary.guard_metrics == (GuardPolicy(metrics.SLOW),)
    assert Step(700) == Step(700, 600.0, 21_600.0)


@pytest.mark.parametrize("section", ["models", "tests", "canary", "watch", "fuse", "request"])
def test_an_empty_section_is_as_good_as_none(section: str) -> None:
    nothing: tuple[dict[str, Any] | None, ...] = (None, {})
    for empty in nothing:
        assert Policy.from_dict({**LEAST, section: empty}) == Policy.from_dict(LEAST)


def test_the_canonical_form_is_plain_and_reads_back() -> None:
    plain = EXPECTED.to_dict()
    assert Policy.from_dict(plain) == EXPECTED
    assert plain == {
        "review": {
            "reviewers": [
                {"name": "Ana", "email": "ana@example.com", "groups": ["legal", "brand"], "principals": [ROLE, PREFIX]},
                {"name": "Bo", "email": "bo@example.org", "groups": ["brand"], "principals": []},
            ],
            "quorum": 2,
            "required_groups": ["legal", "brand"],
            "expires_after": 259_200.0,
            "remind_before": 5400.0,
            "unattributed": "refuse",
            "inconclusive": "one_more_approval",
        },
        "models": {"allowed": ["amazon.nova-lite-v1:0", "amazon.nova-pro-v1:0"]},
        "tests": {
            "margin": 0.04,
            "alpha": 0.02,
            "power": 0.9,
            "min_pass_rate": 0.7,
            "repeats": 3,
            "must_pass": ["billing", "unsafe"],
            "inconclusive": "block",
            "max_cost_usd": 7.5,
            "max_concurrency": 20,
            "batch_size": 25,
            "fresh_for": 43_200.0,
            "judge_model": "judge",
            "embedding_model": "embedder",
            "prices": {"some.model": [0.1, 2.0], "other.model": [0.0, 0.5]},
            "at_least": 0.5,
        },
        "canary": {
            "steps": [
                {"weight": 200, "min_bake": 300.0, "max_time": 7200.0},
                {"weight": 3000, "min_bake": 90.0, "max_time": 10_800.0},
            ],
            "guard_metrics": [
                {
                    "name": "NegativeFeedback",
                    "margin_abs": 0.03,
                    "margin_rel": 0.2,
                    "required": False,
                    "tolerance": 0.01,
                    "lag": 1800.0,
                    "prior_rate": 0.04,
                },
                {
                    "name": "Error",
                    "margin_abs": 0.005,
                    "margin_rel": 0.0,
                    "required": True,
                    "tolerance": 0.002,
                    "lag": 10.0,
                    "prior_rate": 0.0,
                },
                {
                    "name": "Guardrail",
                    "margin_abs": 0.01,
                    "margin_rel": 0.5,
                    "required": True,
                    "tolerance": 0.0,
                    "lag": 0.0,
                    "prior_rate": None,
                },
            ],
            "alpha": 0.01,
            "beta": 0.02,
            "undecided": "ask",
            "ladder": [4.0, 2.0, 2.0, 1.0],
        },
        "watch": {"duration": 7200.0, "holdback": 800},
        "fuse": {
            "error": 0.11,
            "refusal": 0.16,
            "shielded": 0.51,
            "outage": 0.61,
            "sigmas": 7.0,
            "min_requests": 30,
            "periods": 4,
        },
        "request": {"timeout": 40.0, "slow_after": 12.5, "per_minute": 250.0},
    }
    for metric in plain["canary"]["guard_metrics"]:
        assert type(metric["name"]) is str


@settings(max_examples=10)
@given(st.floats(0.01, 20).filter(lambda f: f != 1))
def test_a_drill_multiplies_the_waiting_times_and_nothing_else(factor: float) -> None:
    steps = (Step(200, 300 * factor, 7200 * factor), Step(3000, 90 * factor, 10_800 * factor))
    guards = tuple(replace(g, lag=g.lag * factor) for g in EXPECTED.canary.guard_metrics)
    assert EXPECTED.scaled(factor) == replace(
        EXPECTED,
        canary=replace(EXPECTED.canary, steps=steps, guard_metrics=guards),
        watch=WatchPolicy(7200 * factor, 800),
    )
    assert EXPECTED.scaled(1) is EXPECTED


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90.0),
        ("1.5m", 90.0),
        ("4h", 14_400.0),
        ("2d", 172_800.0),
        ("2 d", 172_800.0),
        (0, 0.0),
        (1, 1.0),
        (7.5, 7.5),
    ],
)
def test_durations(value: Any, seconds: float) -> None:
    assert duration(value) == seconds
    assert type(duration(value)) is float


@pytest.mark.parametrize("value", ["", "90", "s", "-1s", "1w", "1.m", "9s later", -0.1, True, None, [1], math.nan])
def test_what_is_no_duration(value: Any) -> None:
    with pytest.raises(ValueError, match=r" is not a duration; write for example 90s, 10m, 4h or 2d$"):
        duration(value)


@pytest.mark.parametrize(
    ("value", "points"),
    [("0%", 0), ("0.01%", 1), ("0.29%", 29), ("5%", 500), ("100%", 10_000), (0, 0), (1, 1), (10_000, 10_000)],
)
def test_shares(value: Any, points: int) -> None:
    assert share(value) == points
    assert type(share(value)) is int


@pytest.mark.parametrize(
    "value", ["-0.01%", "100.01%", "0.015%", "five%", "5", "%", -1, 10_001, 5.0, True, None, "nan%", "inf%"]
)
def test_what_is_no_share(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a share of traffic; write for example 5% \(or basis points, 0 to"):
        share(value)


@pytest.mark.parametrize(
    ("value", "number"), [("2.5%", 0.025), ("0%", 0.0), ("100%", 1.0), (0, 0.0), (1, 1.0), (0.3, 0.3), ("0.3", 0.3)]
)
def test_fractions(value: Any, number: float) -> None:
    assert fraction(value) == pytest.approx(number)
    assert type(fraction(value)) is float


@pytest.mark.parametrize("value", ["101%", "-1%", 1.001, -0.001, "much", "%", True, False, None, [0.5], math.nan])
def test_what_is_no_fraction(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a fraction; write for example 0.05 or 5%$"):
        fraction(value)


PROBABILITY = "must lie between 0 and 0.5, both excluded; 0.05 is customary"
EXCESS = "must lie between 0 and 1, both excluded, for example 10%"
ABOVE = "must be a number above 0"
FRACTION = "is not a fraction; write for example 0.05 or 5%"
DURATION = "is not a duration; write for example 90s, 10m, 4h or 2d"
SHARE = "is not a share of traffic; write for example 5% (or basis points, 0 to 10000)"
TEXTS = "must be a list of texts"


def whole(least: int, most: int) -> str:
    return f"must be a whole number from {least} to {most}"


LIMITS: list[tuple[str, list[Any], list[Any], str]] = [
    ("review.quorum", [1], [0, 21, 1.0, True, "1", None], whole(1, 20)),
    ("review.expires_after", ["3h"], ["soon", -1, True], DURATION),
    ("review.remind_before", [0, "23h"], ["soon", -1], DURATION),
    *((f"tests.{name}", [0.001, "49.9%"], [0, 0.5, "50%", 0.7], PROBABILITY) for name in ("margin", "alpha")),
    *((f"canary.{name}", [0.001, 0.499], [0, 0.5], PROBABILITY) for name in ("alpha", "beta")),
    *((f"tests.{name}", [0, 1, "100%"], [1.1, True], FRACTION) for name in ("power", "min_pass_rate", "at_least")),
    ("tests.repeats", [1, 20], [0, 21, 2.0, False], whole(1, 20)),
    ("tests.max_concurrency", [1, 1000], [0, 1001], whole(1, 1000)),
    ("tests.batch_size", [1, 200], [0, 201], whole(1, 200)),
    ("tests.max_cost_usd", [0.01, 3], [0, -1, math.inf, math.nan, True, "3"], ABOVE),
    ("tests.fresh_for", [0, "1d"], ["1y"], DURATION),
    ("watch.for", [0, "1d"], ["1y"], DURATION),
    ("watch.duration", [0, "1d"], ["1y"], DURATION),
    ("watch.holdback", [0, 5_000, "50%"], [-1, 10_001], SHARE),
    *((f"fuse.{name}", [0.001, "99%"], [0, 1, "100%"], EXCESS) for name in ("error", "refusal", "shielded", "outage")),
    ("fuse.sigmas", [0.1, 100], [0, "8"], ABOVE),
    ("fuse.min_requests", [1, 1_000_000], [0, 1_000_001], whole(1, 1_000_000)),
    ("fuse.periods", [1, 10], [0, 11], whole(1, 10)),
    ("request.timeout", [10.1, 900], [0, True, "28s"], ABOVE),
    ("request.slow_after", [0.1, 27.9], [0, False], ABOVE),
    ("request.per_minute", [None, 0.1], [0, -3, "many"], ABOVE),
    ("models.allowed", [[], ["a", "b"], ("a",)], ["a", [""], [" "], [3], {"a": 1}, None], TEXTS),
    ("tests.must_pass", [[], ["a"]], ["a", [None]], TEXTS),
    ("review.required_groups", [[]], ["legal", 1], TEXTS),
    ("tests.judge_model", ["a"], ["", " ", None, 3], "must be text"),
    ("tests.embedding_model", ["a"], ["", 3], "must be text"),
    (
        "review.unattributed",
        ["one_more_approval", "allow", "refuse"],
        ["ask", None],
        "is not one of one_more_approval, allow, refuse",
    ),
    (
        "review.inconclusive",
        ["same_quorum", "one_more_approval"],
        ["block"],
        "is not one of same_quorum, one_more_approval",
    ),
    ("tests.inconclusive", ["block", "review"], ["allow"], "is not one of block, review"),
    ("canary.undecided", ["return_to_stable", "stay", "ask"], ["leave"], "is not one of return_to_stable, stay, ask"),
    (
        "canary.ladder",
        [[1], [2, 2, 1], (1.5, 1)],
        [[], [1, 2], [2], [2, 1.5], [1, 2, 1], 1, "1", None],
        "must be a list of factors that never grow and end in 1, for example [3, 1.5, 1]",
    ),
    ("canary.ladder", [[3, 1]], [[0, 1], ["2", 1], [True], [math.inf, 1]], ABOVE),
    (
        "tests.prices",
        [{}, {"m": [0, 1e8]}, {"m": (1, 2.5)}],
        [[], None, 3],
        "must map a model id to [USD per million input tokens, USD per million output tokens]",
    ),
    (
        "tests.prices",
        [{"m": [1, 2]}, {"m": [1, 2, 0.1, 1.25]}],
        [
            {"a": [1, 2], "m": v}
            for v in ([1], [1, 2, 3], [1, 2, 3, -1], [1, 2, 3, 4, 5], [1, -0.1], [1e9, 1], [1, True], ["1", 2], "12", 3)
        ],
        "m: must be two numbers, USD per million input and output tokens, or four, with those read from the prompt "
        "cache and written to it",
    ),
]


@pytest.mark.parametrize(
    ("path", "bare", "instead"),
    [
        ("watch.holdback", 5, "5 would be 5 basis points, which is 0.05%; write 5%, or 0.05%"),
        ("watch.holdback", 99, "99 would be 99 basis points, which is 0.99%; write 99%, or 0.99%"),
        ("watch.for", 10, "10 would be 10 seconds; write 10m, 10h or 10d, or 10s if you mean that"),
        ("review.expires_after", 2, "2 would be 2 seconds; write 2m, 2h or 2d, or 2s if you mean that"),
        ("tests.fresh_for", 1.5, "1.5 would be 1.5 seconds; write 1.5m, 1.5h or 1.5d, or 1.5s if you mean that"),
    ],
)
def test_who_writes_a_bare_number_is_asked_for_its_unit(path: str, bare: float, instead: str) -> None:
    """The canonical form has bare numbers: what was deployed must read back."""
    data = merged(path, bare)
    with pytest.raises(PolicyInvalid) as caught:
        Policy.written(data)
    assert caught.value.problems[0] == (path, instead)
    assert (path, instead) not in problems(data)


def test_who_writes_a_step_of_20_is_asked_whether_it_is_a_fifth() -> None:
    data = {**LEAST, "canary": {"steps": [{"weight": 20, "min_bake": 30}, {"weight": "50%"}]}}
    with pytest.raises(PolicyInvalid) as caught:
        Policy.written(data)
    paths = [path for path, _ in caught.value.problems]
    assert paths == ["canary.steps[0].weight", "canary.steps[0].min_bake"]


def test_bare_numbers_that_mean_one_thing_are_fine() -> None:
    data = {**LEAST, "canary": {"steps": [{"weight": 500, "min_bake": 60}]}, "watch": {"holdback": 0, "for": 0}}
    assert Policy.written(data) == Policy.from_dict(data)


@pytest.mark.parametrize(
    ("last", "holdback", "refused"), [("95%", "5%", False), ("95%", "5.01%", True), (9_999, 1, False)]
)
def test_a_last_step_and_a_holdback_of_more_than_all_make_units_flip(last: Any, holdback: Any, refused: bool) -> None:
    found = problems({**LEAST, "canary": {"steps": [{"weight": last}]}, "watch": {"holdback": holdback}})
    assert [path for path, _ in found] == (["watch.holdback"] if refused else [])


@pytest.mark.parametrize(("path", "good", "bad", "message"), LIMITS)
def test_each_value_has_its_limits(path: str, good: list[Any], bad: list[Any], message: str) -> None:
    for value in good:
        assert problems(merged(path, value)) == []
    for value in bad:
        [(where, said)] = problems(merged(path, value))
        assert where == path
        assert said.endswith(message)


def test_a_named_duration_of_the_watch_is_the_same_as_for() -> None:
    assert Policy.from_dict(merged("watch.duration", "2h")).watch == WatchPolicy(7200.0)


# --- reviewers ------------------------------------------------------------------------------------------------------


def reviewed(*reviewers: Any, **more: Any) -> list[tuple[str, str]]:
    return problems({"review": {"reviewers": list(reviewers), **more}})


ANA = {"name": "Ana", "email": "ana@example.com", "groups": ["legal"]}
BO = {"name": "Bo", "email": "bo@example.com", "groups": ["brand"]}


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (
            {},
            "review",
            "is required: name at least one reviewer, for example review: {reviewers: [alice, bob], quorum: 1}",
        ),
        (
            {"review": None},
            "review",
            "is required: name at least one reviewer, for example review: {reviewers: [alice, bob], quorum: 1}",
        ),
        ({"review": {}}, "review.reviewers", "must list at least one reviewer by name, or with name and email"),
        (
            {"review": {"reviewers": []}},
            "review.reviewers",
            "must list at least one reviewer by name, or with name and email",
        ),
        (
            {"review": {"reviewers": "Ana"}},
            "review.reviewers",
            "must list at least one reviewer by name, or with name and email",
        ),
        (
            {"review": {"reviewers": [ANA, 7]}},
            "review.reviewers[1]",
            "must be a mapping with name, email, groups, principals",
        ),
        (
            {"review": {"reviewers": [ANA, {"name": "Bo", "principals": ["arn:aws:iam::111122223333:role/Bo"]}]}},
            "review.reviewers[1].principals",
            "are declared with the reviewer: write them in reviewers.yaml",
        ),
        ({"review": {"reviewers": [ANA, "  "]}}, "review.reviewers[1].name", "must be text"),
        ({"review": {"reviewers": [ANA, {"email": "bo@example.com"}]}}, "review.reviewers[1].name", "is required"),
        ({"review": {"reviewers": [ANA, {**BO, "name": " "}]}}, "review.reviewers[1].name", "must be text"),
        (
            {"review": {"reviewers": [ANA, {**BO, "groups": "brand"}]}},
            "review.reviewers[1].groups",
            "must be a list of texts",
        ),
        (
            {"review": {"reviewers": [ANA, {**BO, "team": "x"}]}},
            "review.reviewers[1].team",
            "unknown key; known are name, email, groups, principals",
        ),
        (
            {"review": {"reviewers": [ANA, {**BO, "name": "Ana"}, {**BO, "email": "c@example.com"}]}},
            "review.reviewers",
            "two reviewers share the name 'Ana'; it must be unique",
        ),
        (
            {"review": {"reviewers": [ANA, {**BO, "email": "ana@example.com"}]}},
            "review.reviewers",
            "two reviewers share the email 'ana@example.com'; it must be unique",
        ),
        (
            {"review": {"reviewers": [ANA, BO], "quorum": 3}},
            "review.quorum",
            "3 approvals can never be reached with 2 reviewers; name more or lower it",
        ),
        (
            {"review": {"reviewers": [ANA, BO], "required_groups": ["legal", "safety"]}},
            "review.required_groups",
            "no reviewer is in the group 'safety'; add one or drop it",
        ),
        (
            {"review": {"reviewers": [ANA], "expires_after": "2h"}},
            "review.remind_before",
            "must be less than review.expires_after",
        ),
        (
            {"review": {"reviewers": [ANA], "speed": 1}},
            "review.speed",
            "unknown key; known are quorum, required_groups, expires_after, remind_before, unattributed, inconclusive",
        ),
    ],
)
def test_a_review_that_could_never_end_well_is_refused(data: Data, path: str, message: str) -> None:
    assert problems(data) == [(path, message)]


def test_a_review_that_two_can_decide_is_fine() -> None:
    assert reviewed(ANA, BO, quorum=2, required_groups=["brand", "legal"]) == []
    assert reviewed(ANA, expires_after="2h", remind_before=7199) == []


def test_shared_names_are_listed_in_order_before_shared_addresses() -> None:
    people = [ANA, BO, {**ANA, "email": "x@example.com"}, {**BO, "email": "x@example.com"}]
    assert reviewed(*people) == [
        ("review.reviewers", "two reviewers share the name 'Ana'; it must be unique"),
        ("review.reviewers", "two reviewers share the name 'Bo'; it must be unique"),
        ("review.reviewers", "two reviewers share the email 'x@example.com'; it must be unique"),
    ]


@pytest.mark.parametrize(
    ("attribute", "first", "second"),
    [
        ("email", "ana@example.com", "Ana@example.com"),
        ("email", "ana@example.com", "ana@EXAMPLE.com"),
        ("email", "ana@example.com", "\uff41na@example.com"),
        ("email", "stra\u00dfe@example.com", "STRASSE@example.com"),
        ("name", "Ana", "ANA"),
        ("name", "Ana Lind", "Ana  Lind"),
        ("name", "Ana Lind", "AnaLind"),
        ("name", "Jos\u00e9", "Jose\u0301"),
        ("name", "Ana\u00a0Lind", "Ana Lind"),
    ],
)
def test_reviewers_who_differ_in_case_blanks_or_unicode_form_alone_are_refused(
    attribute: str, first: str, second: str
) -> None:
    """They would share a key: a link, a code and a vote of one would be the other's."""
    one, two = {**ANA, attribute: first}, {**BO, attribute: second}
    how = "differ in case, blanks or Unicode form alone, so that one would count as the other; name one"
    said = f"the {attribute}s {first!r} and {second!r} of two reviewers {how}"
    assert reviewed(one, two) == [("review.reviewers", said)]
    assert reviewed(one, {**BO, attribute: f"x{second}"}) == []


@pytest.mark.parametrize("email", ["a@b.co", "a.b+c@d-e.example.org"])
def test_addresses(email: str) -> None:
    assert reviewed({"name": "A", "email": email}) == []


@pytest.mark.parametrize("email", ["a@b", "a b@c.de", "@c.de", "a@@c.de", "a@c.de ", "a", "", None, 3, ["a@b.co"]])
def test_what_is_no_address(email: Any) -> None:
    assert reviewed(ANA, {"name": "B", "email": email}) == [
        ("review.reviewers[1].email", f"{email!r} is not an email address")
    ]


@pytest.mark.parametrize(
    "arn", [ROLE, PREFIX, "arn:aws:iam::111122223333:user/a.b@c_d", "arn:aws-cn:iam::111122223333:role/x/*"]
)
def test_principals(arn: str) -> None:
    assert reviewed({**ANA, "principals": [ROLE, arn]}) == []


@pytest.mark.parametrize(
    "arn",
    ["*", "arn:aws:s3::111122223333:x", "arn:aws:iam::1111:role/x", "arn:aws:iam::111122223333:role/*x", f"x{ROLE}"],
)
def test_what_is_no_principal(arn: str) -> None:
    assert reviewed({**ANA, "principals": [ROLE, arn]}) == [
        (
            "review.reviewers[0].principals",
            f"{arn!r} is not an IAM principal ARN such as arn:aws:iam::111122223333:role/Reviewer",
        )
    ]


# --- the canary -----------------------------------------------------------------------------------------------------

METRICS = "error, refusal, empty, guardrail, truncation, slow, negative_feedback, cost, output_tokens"
SETTINGS = "margin_abs, margin_rel, required, tolerance, lag, prior_rate, cap"
GROW = "weights must grow from step to step: "
STEP_LIST = "must list at least one step, for example - {weight: 5%, min_bake: 10m}"


@pytest.mark.parametrize(
    ("canary", "path", "message"),
    [
        ([], "canary", "must be a mapping"),
        ({"speed": 1}, "canary.speed", "unknown key; known are alpha, beta, undecided, ladder, steps, guard_metrics"),
        ({"steps": []}, "canary.steps", STEP_LIST),
        ({"steps": None}, "canary.steps", STEP_LIST),
        ({"steps": {"weight": 5}}, "canary.steps", STEP_LIST),
        ({"steps": [{"weight": "5%"}, "10%"]}, "canary.steps[1]", "must be a mapping with weight, min_bake, max_time"),
        ({"steps": [{"weight": "5%"}, {"min_bake": "5m"}]}, "canary.steps[1].weight", "is required"),
        (
            {"steps": [{"weight": 0}]},
            "canary.steps[0].weight",
            "must lie between 0 and 100 %, both excluded; promotion does the rest",
        ),
        (
            {"steps": [{"weight": 1}, {"weight": 10_000}]},
            "canary.steps[1].weight",
            "must lie between 0 and 100 %, both excluded; promotion does the rest",
        ),
        (
            {"steps": [{"weight": 100}, {"weight": 250}, {"weight": 250}]},
            "canary.steps[2].weight",
            f"{GROW}2.5% follows 2.5%",
        ),
        (
            {"steps": [{"weight": 300}, {"weight": "x"}, {"weight": 150}]},
            "canary.steps[2].weight",
            f"{GROW}1.5% follows 3%",
        ),
        (
            {"steps": [{"weight": 1}, {"weight": 2, "min_bake": 61, "max_time": 60}]},
            "canary.steps[1].max_time",
            "must be at least min_bake, or the step could never end well",
        ),
        ({"guard_metrics": []}, "canary.guard_metrics", f"must map at least one of {METRICS} to its margins"),
        ({"guard_metrics": {}}, "canary.guard_metrics", f"must map at least one of {METRICS} to its margins"),
        ({"guard_metrics": None}, "canary.guard_metrics", f"must map at least one of {METRICS} to its margins"),
        ({"guard_metrics": ["error"]}, "canary.guard_metrics", f"must map at least one of {METRICS} to its margins"),
        (
            {"guard_metrics": {"sad": {}, "error": {}}},
            "canary.guard_metrics.sad",
            f"unknown guard metric; known are {METRICS}",
        ),
        (
            {"guard_metrics": {"slow": {}, "error": 3}},
            "canary.guard_metrics.error",
            f"must be a mapping with {SETTINGS}",
        ),
        ({"guard_metrics": {"error": {"x": 1}}}, "canary.guard_metrics.error.x", f"unknown key; known are {SETTINGS}"),
        ({"guard_metrics": {"error": {"margin_abs": 2}}}, "canary.guard_metrics.error.margin_abs", f"2 {FRACTION}"),
        ({"guard_metrics": {"error": {"margin_rel": 2}}}, "canary.guard_metrics.error.margin_rel", f"2 {FRACTION}"),
        ({"guard_metrics": {"error": {"tolerance": 2}}}, "canary.guard_metrics.error.tolerance", f"2 {FRACTION}"),
        ({"guard_metrics": {"error": {"prior_rate": 2}}}, "canary.guard_metrics.error.prior_rate", f"2 {FRACTION}"),
        ({"guard_metrics": {"error": {"lag": "x"}}}, "canary.guard_metrics.error.lag", f"'x' {DURATION}"),
        (
            {"guard_metrics": {"error": {"required": 1}}},
            "canary.guard_metrics.error.required",
            "1 must be true or false",
        ),
        (
            {"guard_metrics": {"slow": {}, "error": {"margin_abs": 0, "margin_rel": 0}}},
            "canary.guard_metrics.error",
            "a margin of 0 can never be proved; give margin_abs or margin_rel above 0",
        ),
        (
            {"guard_metrics": {"error": {"margin_abs": 0.02, "tolerance": 0.02}}},
            "canary.guard_metrics.error.tolerance",
            "must be less than margin_abs",
        ),
        (
            {"guard_metrics": {"error": {"margin_abs": 0, "tolerance": 0.001}}},
            "canary.guard_metrics.error.tolerance",
            "must be less than margin_abs",
        ),
        (
            {"guard_metrics": {"error": {"required": False}, "slow": {"required": False}}},
            "canary.guard_metrics",
            "at least one metric must be required, or nothing could ever advance",
        ),
    ],
)
def test_a_canary_that_could_never_end_well_is_refused(canary: Any, path: str, message: str) -> None:
    found = problems({**LEAST, "canary": canary})
    assert (path, message) in found
    assert len(found) == (2 if "'x'" in str(canary) and "steps" in canary else 1)


@pytest.mark.parametrize(
    "canary",
    [
        {"steps": [{"weight": 1, "min_bake": 60, "max_time": 60}, {"weight": 9500}]},
        {"guard_metrics": {"error": {"margin_abs": 0, "margin_rel": 0.1}}},
        {"guard_metrics": {"error": {"margin_abs": 0.1, "margin_rel": 0}}},
        {"guard_metrics": {"error": {"margin_abs": 0.02, "tolerance": 0.0199}}},
        {"guard_metrics": {"error": {"required": True}, "slow": {"required": False}}},
        {"guard_metrics": [{"name": "NegativeFeedback"}, {"name": "Slow", "required": False}]},
    ],
)
def test_a_canary_at_its_limits_is_read(canary: Data) -> None:
    assert problems({**LEAST, "canary": canary}) == []


def test_a_metric_of_the_canonical_list_without_a_known_name_is_refused() -> None:
    assert problems(merged("canary.guard_metrics", [{"name": "Error"}, {"required": True}])) == [
        ("canary.guard_metrics.none", f"unknown guard metric; known are {METRICS}")
    ]


# --- the whole ------------------------------------------------------------------------------------------------------

SECTIONS = "review, models, tests, canary, watch, fuse, request, prompt_id, prompt_id_reason"


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (None, "", f"must be a mapping with {SECTIONS}"),
        ([1], "", f"must be a mapping with {SECTIONS}"),
        ({**LEAST, "colour": "blue"}, "colour", f"unknown key; known are {SECTIONS}"),
        (LEAST | {7: "blue"}, "7", f"unknown key; known are {SECTIONS}"),
        ({**LEAST, "models": {"denied": []}}, "models.denied", "unknown key; known are allowed"),
        ({**LEAST, "watch": 5}, "watch", "must be a mapping with for, duration, holdback"),
        (
            {**LEAST, "fuse": [1]},
            "fuse",
            "must be a mapping with error, refusal, shielded, outage, sigmas, min_requests, periods",
        ),
        ({**LEAST, "request": 5}, "request", "must be a mapping with timeout, slow_after, per_minute"),
        (
            {**LEAST, "tests": 5},
            "tests",
            "must be a mapping with margin, alpha, power, min_pass_rate, repeats, must_pass, inconclusive, "
            "max_cost_usd, "
            "max_concurrency, batch_size, fresh_for, judge_model, embedding_model, prices, at_least",
        ),
        (
            {**LEAST, "request": {"timeout": 30, "slow_after": 30}},
            "request.slow_after",
            "must be less than request.timeout, or no request could count as slow",
        ),
    ],
)
def test_what_is_no_policy_says_what_one_is(data: Any, path: str, message: str) -> None:
    assert problems(data) == [(path, message)]


def test_all_problems_of_all_sections_are_told_at_once_in_order() -> None:
    data = {
        "colour": 1,
        "review": {"reviewers": [ANA, {"name": "Bo", "email": "bo"}], "quorum": 9},
        "models": {"allowed": 3},
        "tests": {"alpha": 1},
        "canary": {"steps": [], "guard_metrics": {}, "beta": 1},
        "watch": {"for": "x"},
        "fuse": {"periods": 0},
        "request": {"timeout": 1},
    }
    assert [path for path, _ in problems(data)] == [
        "colour",
        "review.reviewers[1].email",
        "review.quorum",
        "models.allowed",
        "tests.alpha",
        "canary.steps",
        "canary.guard_metrics",
        "canary.beta",
        "watch.for",
        "fuse.periods",
        "request.slow_after",
    ]


def test_without_a_review_the_models_are_read_all_the_same() -> None:
    assert [path for path, _ in problems({"models": {"allowed": 3}})] == ["review", "models.allowed"]


def guarded(**metrics: Any) -> Policy:
    return Policy.from_dict({"review": {"reviewers": ["alice"]}, "canary": {"guard_metrics": metrics}})


def test_a_mean_has_a_cap_and_a_relative_margin_of_its_own_and_is_read_back_as_it_is_written() -> None:
    policy = guarded(error={}, cost={"cap": 0.02}, output_tokens={"cap": 800, "margin_abs": "5%", "margin_rel": "0%"})
    error, cost, tokens = policy.canary.guard_metrics
    assert (error.cap, error.margin_abs, error.margin_rel) == (None, 0.01, 0.5)
    assert (cost.name, cost.cap, cost.margin_abs, cost.margin_rel, cost.required) == (
        "CostShare",
        0.02,
        0.01,
        0.2,
        True,
    )
    assert (tokens.name, tokens.cap, tokens.margin_abs, tokens.margin_rel) == ("OutputTokensShare", 800.0, 0.05, 0.0)
    written = policy.to_dict()
    assert [("cap" in guard) for guard in written["canary"]["guard_metrics"]] == [False, True, True]
    assert Policy.from_dict(written) == policy


@pytest.mark.parametrize(
    ("metrics", "path", "says"),
    [
        ({"cost": {}}, "cost", "is a mean and needs a cap: what an answer counts at most, in USD, about three to five"),
        ({"output_tokens": {"margin_abs": "5%"}}, "output_tokens", "is a mean and needs a cap"),
        ({"cost": {"cap": 0}}, "cost.cap", "0 must be a number above 0"),
        ({"cost": {"cap": -1}}, "cost.cap", "-1 must be a number above 0"),
        ({"cost": {"cap": "much"}}, "cost.cap", "'much' must be a number above 0"),
        ({"cost": {"cap": 1, "margin_abs": 0, "margin_rel": 0}}, "cost", "a margin of 0 can never be proved"),
        ({"error": {"cap": 1}}, "error", "counts bad events and takes no cap; drop it"),
        ({"costs": {"cap": 1}}, "costs", f"unknown guard metric; known are {METRICS}"),
        ({"cost": {"cap": 1, "limit": 2}}, "cost.limit", f"unknown key; known are {SETTINGS}"),
    ],
)
def test_a_mean_that_cannot_be_meant_is_refused_with_its_path(metrics: Any, path: str, says: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        guarded(**metrics)
    assert any(p == f"canary.guard_metrics.{path}" and says in message for p, message in caught.value.problems)


def test_means_are_off_unless_they_are_named() -> None:
    assert not any(guard.metric.is_mean for guard in CanaryPolicy().guard_metrics)
