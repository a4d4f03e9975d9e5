"""Before a run: what it costs at most, what it can show, how it is spread, and when it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.domain.policy import TestPolicy as Policy
from promptlane.domain.suite.statistics import cases_needed, detectable, planned_variance, provable_margin
from promptlane.domain.suite.verdict import CaseTally, Rules, assess
from promptlane.engine.assertions import asked_by
from promptlane.engine.plan import Plan, TestPlanRefused, calls_of, make_plan, rules_of, size_warnings
from promptlane.engine.suite import Assertion, Case, Suite
from promptlane.engine.targets import Target
from tests.support.near import near

PRICES = {"new": (3.0, 5.0), "old": (7.0, 11.0), "judge": (13.0, 17.0), "embed": (19.0, 0.0)}
POLICY = Policy(prices=PRICES, judge_model="judge", embedding_model="embed", max_cost_usd=100)


def target(model: str, text: str, tokens: int | None = None) -> Target:
    variant: dict[str, Any] = {"modelId": model, "templateConfiguration": {"text": {"text": text}}}
    if tokens is not None:
        variant["inferenceConfiguration"] = {"text": {"maxTokens": tokens}}
    return Target(model, model, variant)


NEW, OLD = target("new", "{{q}}", 100), target("old", "Old: {{q}}")
HAS = Assertion("contains", value="x")
RUBRIC, BEST, LIKE = (Assertion(k, value="x") for k in ("llm-rubric", "select-best", "similar"))


def suite(n: int, *asserts: Assertion, tags: tuple[str, ...] = (), **more: Any) -> Suite:
    return Suite(tuple(Case(f"q{i}", {"q": "x" * 30}, asserts or (HAS,), tags=tags) for i in range(n)), **more)


def test_a_plan_says_what_will_be_done_and_can_be_shown() -> None:
    policy = replace(POLICY, repeats=3, margin=0.03, alpha=0.1, power=0.7, batch_size=5, max_concurrency=20)
    plan = make_plan(suite(60), policy, NEW, OLD)
    variance = planned_variance(3)
    # Prompts of 30 and 35 characters are 10 and 35/3 tokens; old may answer 4,096 tokens.
    cost = 60 * 3 * (3 * 10 + 5 * 100 + 7 * 35 / 3 + 11 * 4_096) / 1e6
    found = detectable(60, variance, alpha=0.1, power=0.7)
    needed = cases_needed(0.03, variance, alpha=0.1, power=0.7)
    assert found is not None
    assert plan == Plan(
        cases=60,
        repeats=3,
        sides=2,
        calls=360,
        judge_calls=0,
        cost_usd=near(cost),
        margin=0.03,
        detectable=found,
        provable=provable_margin(60, 0.1),
        cases_needed=needed,
        batch_size=5,
        threads=8,
        parallel=2,
        warnings=tuple(size_warnings(suite(60), policy)),
    )
    assert plan.sentence == (
        f"60 cases x 2 x 3 = 360 calls, at most {cost:.4f} USD; finds drops from {100 * found:.1f} points"
    )
    assert len(plan.warnings) == 1
    fields = plan.to_dict()
    assert fields["warnings"] == list(plan.warnings)
    assert Plan(**{**fields, "warnings": tuple(fields["warnings"])}) == plan


def test_the_plan_of_a_first_version_finds_no_drop() -> None:
    policy = replace(POLICY, min_pass_rate=0.7, repeats=2)
    plan = make_plan(suite(30, repeats=1), policy, NEW, None)
    perfect = assess([CaseTally(str(i), 1, 1) for i in range(30)], rules_of(policy))
    cost = 30 * (3 * 10 + 5 * 100) / 1e6
    assert plan == Plan(
        cases=30,
        repeats=1,
        sides=1,
        calls=30,
        judge_calls=0,
        cost_usd=near(cost),
        margin=0.05,
        detectable=None,
        provable=perfect.provable,
        cases_needed=perfect.cases_needed,
        batch_size=10,
        threads=8,
        parallel=1,
        warnings=tuple(size_warnings(suite(30, repeats=1), policy)),
    )
    assert plan.sentence == f"30 cases x 1 x 1 = 30 calls, at most {cost:.4f} USD"
    assert Plan(1, 1, 1, 1, 0, 0.5, 0.05, None, 0.5, 9, 10, 1, 1).to_dict()["warnings"] == []


def test_models_that_grade_are_reckoned_with() -> None:
    within = Assertion("assert-set", children=(RUBRIC, LIKE, LIKE))
    cases = (Case("a", {"q": "x" * 30}, (HAS, BEST, within)), Case("b", {"q": "x" * 60}, (RUBRIC,)))
    plan = make_plan(Suite(cases, repeats=2), POLICY, NEW, target("old", "{{q}}", 50))

    def each(prompt: float, answer: int, price: tuple[float, float], rubrics: int, likes: int) -> float:
        asked = price[0] * prompt + price[1] * answer
        judged = rubrics * (13 * (prompt + 1 / 3 + 2 * answer + 800) + 17 * 800)
        return asked + judged + likes * 19 * 2 * answer

    new, old = PRICES["new"], PRICES["old"]
    first, second = (
        each(10, 100, new, 2, 2) + each(10, 50, old, 2, 2),
        each(20, 100, new, 1, 0) + each(20, 50, old, 1, 0),
    )
    assert plan.cost_usd == near(2 * (first + second) / 1e6)
    assert (plan.calls, plan.judge_calls) == (8, 12)


def test_models_that_are_free_cost_nothing() -> None:
    policy = replace(POLICY, prices=dict.fromkeys(PRICES, (0.0, 0.0)))
    assert make_plan(suite(2, RUBRIC, LIKE), policy, NEW, OLD).cost_usd == 0


@pytest.mark.parametrize(
    ("concurrency", "batch", "repeats", "threads", "parallel"),
    [
        (40, 10, 1, 8, 5),
        (10, 10, 1, 8, 1),
        (31, 10, 1, 8, 3),
        (5, 10, 1, 5, 1),
        (40, 1, 1, 2, 20),
        (40, 1, 3, 6, 6),
        (40, 3, 1, 6, 6),
    ],
)
def test_calls_in_flight_are_spread_over_batches(
    concurrency: int, batch: int, repeats: int, threads: int, parallel: int
) -> None:
    policy = replace(POLICY, max_concurrency=concurrency, batch_size=batch, repeats=repeats)
    plan = make_plan(suite(4), policy, NEW, OLD)
    assert (plan.threads, plan.parallel, plan.batch_size) == (threads, parallel, batch)


def test_checks_and_prices_that_are_not_known_refuse_the_run_all_at_once() -> None:
    kinds = (Assertion("python", value="nowhere"), RUBRIC, LIKE)
    policy = Policy(judge_model="judge", embedding_model="embed", prices={"new": (1, 1)})
    with pytest.raises(TestPlanRefused) as caught:
        make_plan(suite(4, *kinds), policy, NEW, OLD)
    check, *models = str(caught.value).split("; no price")
    assert check.startswith("python check 'nowhere' is not registered")
    assert models == [
        f" is known for model '{model}', so tests.max_cost_usd cannot be kept; "
        f"add tests.prices: {{{model}: [<USD per million input tokens>, <output tokens>]}} to release.yaml"
        for model in ("embed", "judge", "old")
    ]


@pytest.mark.parametrize(
    ("kind", "model"), [("llm-rubric", "judge"), ("select-best", "judge"), ("similar", "embed"), ("contains", None)]
)
def test_a_model_that_grades_needs_a_price_where_it_is_asked(kind: str, model: str | None) -> None:
    policy = replace(POLICY, prices={"new": PRICES["new"]})
    cases = suite(2, Assertion(kind, value="x"))
    if model is None:
        assert make_plan(cases, policy, NEW, None).cost_usd == near(2 * (3 * 10 + 5 * 100) / 1e6)
    else:
        with pytest.raises(TestPlanRefused, match=f"^no price is known for model '{model}', so"):
            make_plan(cases, policy, NEW, None)


def test_what_a_run_may_cost_is_a_limit_that_may_be_reached() -> None:
    most = make_plan(suite(600), POLICY, NEW, OLD).cost_usd
    limited = replace(POLICY, max_cost_usd=most)
    assert make_plan(suite(600), limited, NEW, OLD).cost_usd == most
    with pytest.raises(TestPlanRefused) as caught:
        make_plan(suite(600), replace(POLICY, max_cost_usd=0.125), NEW, OLD)
    assert str(caught.value) == (
        f"the run could cost {most:.2f} USD (1,200 calls), more than tests.max_cost_usd = 0.125; "
        "raise it, use fewer cases or repeats, or set max_tokens in the prompt"
    )


def test_the_verdict_gets_its_rules_from_the_policy() -> None:
    policy = Policy(margin=0.1, alpha=0.2, power=0.3, min_pass_rate=0.4, must_pass=("a", "b"), at_least=0.6)
    assert rules_of(policy) == Rules(0.1, 0.2, 0.3, 0.4, ("a", "b"), 0.6)


LEAST, USUAL, TWICE = 45, 179, 90
"""At a margin of 5 points: without any difference, and where answers vary, with one repeat and with two."""


@pytest.mark.parametrize(
    ("n", "policy", "own", "warning"),
    [
        (
            LEAST - 1,
            Policy(),
            None,
            "44 cases can never prove a margin of 5 points, not even without one difference: the verdict will always "
            "be "
            "inconclusive; write at least 45 cases (about 179 where answers vary), or widen tests.margin",
        ),
        (
            LEAST,
            Policy(),
            None,
            "45 cases prove a margin of 5 points only when hardly any case differs; about 179 would do where answers "
            "vary (pass rate 90%, 1 repeat)",
        ),
        (
            USUAL - 1,
            Policy(repeats=2),
            1,
            "178 cases prove a margin of 5 points only when hardly any case differs; about 179 would do where answers "
            "vary (pass rate 90%, 1 repeat)",
        ),
        (
            TWICE - 1,
            Policy(repeats=2),
            None,
            "89 cases prove a margin of 5 points only when hardly any case differs; about 90 would do where answers "
            "vary (pass rate 90%, 2 repeats)",
        ),
        (USUAL, Policy(), None, None),
        (
            21,
            Policy(margin=0.1),
            None,
            "21 cases can never prove a margin of 10 points, not even without one difference: the verdict will always "
            "be inconclusive; write at least 22 cases (about 45 where answers vary), or widen tests.margin",
        ),
    ],
)
def test_a_suite_that_is_too_small_is_warned_of(n: int, policy: Policy, own: int | None, warning: str | None) -> None:
    assert size_warnings(suite(n, repeats=own), policy) == ([warning] if warning else [])


def test_a_slice_that_must_pass_is_counted_and_warned_of() -> None:
    def tagged(count: int, *tags: str, first: int = 0) -> list[Case]:
        return [Case(f"{tags}{i}", {}, (HAS,), tags=tags) for i in range(first, first + count)]

    cases = [*tagged(44, "small", "large"), *tagged(45, "right"), *tagged(100, "large")]
    policy = Policy(must_pass=("none", "large", "small", "right"))
    assert size_warnings(Suite(tuple(cases)), policy) == [
        "slice 'none' must pass, but no case carries this tag; the verdict will never be a pass",
        "slice 'small' must pass, but its 44 cases can never prove a margin of 5 points; "
        "write at least 45, or mark its cases critical instead",
    ]


def test_what_asks_about_a_guardrail_is_refused_where_there_is_none() -> None:
    blocked = Assertion("assert-set", children=(HAS, Assertion("guardrail-intervened", negated=True)))
    guarded = replace(NEW, variant={**NEW.variant, "metadata": [{"key": "promptlane:guardrail", "value": "gr1:2"}]})

    for stable in (None, OLD, replace(guarded, label="old")):
        with pytest.raises(TestPlanRefused, match=r"^guardrail-intervened asks .* the prompt has none.*; give it one"):
            make_plan(suite(30, blocked), POLICY, NEW, stable)
    # A stable version without one is no obstacle to the first version that has one.
    assert make_plan(suite(30, blocked), POLICY, guarded, OLD).cases == 30
    assert make_plan(suite(30), POLICY, NEW, OLD).cases == 30


def test_a_batch_holds_no_more_calls_than_its_function_has_time_for() -> None:
    """Of 8 calls at once, each of at most 120 s, 48 end within 720 s."""

    def size(*asserts: Assertion, policy: Policy = POLICY, stable: Target | None = OLD, n: int = 40) -> int:
        return make_plan(suite(n, *(asserts or (HAS,))), policy, NEW, stable).batch_size

    most = replace(POLICY, batch_size=200)
    assert size(policy=most) == 24
    assert size(policy=most, stable=None, n=60) == 48
    assert size(RUBRIC, policy=most) == 12
    assert size(RUBRIC, policy=replace(most, repeats=3)) == 4
    assert size(BEST, LIKE, policy=most) == 48 // (2 * (1 + len(asked_by((BEST, LIKE)))))
    assert size(policy=replace(most, max_concurrency=1)) == 3
    assert size(policy=replace(most, repeats=20)) == 1
    assert size(policy=replace(POLICY, batch_size=7)) == 7
    assert size(policy=most, n=4) == 200  # all of them: nothing is parted


@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(1, 40), st.integers(1, 3))
def test_wherever_batches_begin_none_is_too_long_and_none_could_be_longer(
    rubrics: list[int], batch: int, repeats: int
) -> None:
    cases = tuple(Case(f"q{i}", {"q": "x"}, (HAS, *(RUBRIC,) * n)) for i, n in enumerate(rubrics))
    policy = replace(POLICY, batch_size=batch, repeats=repeats)
    made = make_plan(Suite(cases), policy, NEW, OLD)
    calls = [calls_of(case, sides=2, repeats=repeats) for case in cases]
    assert calls == [2 * repeats * (1 + n) for n in rubrics]

    def longest(size: int) -> int:
        return max(sum(calls[i : i + size]) for i in range(len(calls)))

    assert longest(made.batch_size) <= 48 or made.batch_size == 1
    assert made.batch_size == batch or longest(made.batch_size + 1) > 48
