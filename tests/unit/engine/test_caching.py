"""Prompt caching: what is compared counts every input token as uncached, people see what was paid, and who watches slow
answers is told that a canary's cache is colder."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptlane.aws.models import answer_of
from promptlane.domain.canary.outcome import of_response
from promptlane.domain.policy import Policy
from promptlane.domain.policy import TestPolicy as Running
from promptlane.domain.suite.answers import Answer
from promptlane.domain.usage import Usage, usage_of
from promptlane.engine.caching import cold_cache, has_cache_point
from promptlane.engine.plan import make_plan
from promptlane.engine.prices import cache_price_of, cost, paid, price_of
from promptlane.engine.records import Collector, record_of
from promptlane.engine.runner import Bench, run_cases
from promptlane.engine.suite import Assertion, Case, Suite
from promptlane.engine.targets import Target
from promptlane.fakes.objects import ScriptedModel

Json = Any
POINT = {"cachePoint": {"type": "default"}}
TOOL = {"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object"}}}}
NOVA, CLAUDE = "us.amazon.nova-lite-v1:0", "anthropic.claude-sonnet-4-20250514-v1:0"
TOLD = {"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": 900, "cacheWriteInputTokens": 90}


def variant(model: str = "m", **body: Json) -> dict[str, Json]:
    chat = {"messages": [{"role": "user", "content": [{"text": "{{q}}"}]}], **body}
    return {"modelId": model, "templateConfiguration": {"chat": chat}}


CACHED: list[dict[str, Json]] = [
    variant(system=[{"text": "Rules"}, POINT]),
    variant(messages=[{"role": "user", "content": [{"text": "Manual"}, POINT, {"text": "{{q}}"}]}]),
    variant(toolConfiguration={"tools": [TOOL, POINT]}),
    {"modelId": "m", "templateConfiguration": {"text": {"text": "Rules {{q}}", **POINT}}},
]
PLAIN: list[dict[str, Json]] = [
    {},
    variant(),
    variant(system=[{"text": "cachePoint"}], toolConfiguration={"tools": [TOOL]}),
    {"modelId": "m", "templateConfiguration": {"text": {"text": "Rules {{q}}"}}},
]


@pytest.mark.parametrize("given", CACHED)
def test_a_cache_point_is_found_wherever_it_stands(given: Json) -> None:
    assert has_cache_point(given)
    assert Target("v", "f", given).is_cached


@pytest.mark.parametrize("given", PLAIN)
def test_a_prompt_without_one_is_not_cached(given: Json) -> None:
    assert not has_cache_point(given)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (TOLD, Usage(1000, 5, 900, 90)),
        ({"inputTokens": 10, "outputTokens": 5}, Usage(10, 5, 0, 0)),
        ({"inputTokens": 10, "outputTokens": 5, "cacheReadInputTokens": None}, Usage(10, 5, 0, 0)),
        ({"cacheReadInputTokens": -3, "cacheWriteInputTokens": "7", "outputTokens": True}, Usage(0, 0, 0, 0)),
        ({}, Usage(0, 0, 0, 0)),
        (None, Usage(0, 0, 0, 0)),
    ],
)
def test_input_is_all_that_was_sent_however_much_of_it_was_cached(told: Json, found: Usage) -> None:
    assert usage_of(told) == found
    assert found.cached == (found[2:] != (0, 0))
    answer = answer_of({"usage": told}, 1.0)
    assert (answer.input_tokens, answer.output_tokens, answer.cache_read_tokens, answer.cache_write_tokens) == found


def test_a_client_counts_all_input_and_what_was_cached_only_where_something_was() -> None:
    warm = of_response({"usage": TOLD}, latency_ms=1.0, slow_after_ms=2.0)
    assert (warm.input_tokens, warm.cache_read_tokens, warm.cache_write_tokens) == (1000, 900, 90)
    plain = of_response({"usage": {"inputTokens": 7}}, latency_ms=1.0, slow_after_ms=2.0)
    assert (plain.input_tokens, plain.output_tokens) == (7, None)
    assert (plain.cache_read_tokens, plain.cache_write_tokens) == (None, None)


@pytest.mark.parametrize(
    ("model", "own", "cached"),
    [
        (NOVA, {}, (0.25 * 0.06, 0.06)),
        (CLAUDE, {}, (0.1 * 3.0, 1.25 * 3.0)),
        (CLAUDE, {CLAUDE: (2.0, 9.0)}, (0.2, 2.5)),
        (CLAUDE, {CLAUDE: (2.0, 9.0, 0.5, 4.0)}, (0.5, 4.0)),
        ("acme", {"acme": (2.0, 9.0)}, (2.0, 2.0)),
    ],
)
def test_cached_tokens_have_prices_of_their_own(model: str, own: Json, cached: Json) -> None:
    assert cache_price_of(model, own) == pytest.approx(cached)


def test_a_model_without_a_price_has_none_for_its_cache() -> None:
    assert cache_price_of("acme", {}) is None
    assert paid("acme", {}, Usage(1, 1, 1, 0)) is None


def test_what_is_paid_counts_each_token_at_its_price_and_is_the_cost_where_nothing_is_cached() -> None:
    own = {"acme": (10.0, 100.0, 1.0, 20.0)}
    assert paid("acme", own, Usage(1000, 5, 900, 90)) == pytest.approx((10 * 10 + 1 * 900 + 20 * 90 + 100 * 5) / 1e6)
    assert paid("acme", own, Usage(1000, 5)) == cost(price_of("acme", own), 1000, 5)


def run(warm: bool, assertion: Assertion, prices: Json) -> tuple[Json, Json]:
    """(the run, the side's sums) of one case whose prompt was cached before, or not."""
    told = TOLD if warm else {"inputTokens": 1000, "outputTokens": 5}
    answer = answer_of({"usage": told, "output": {"message": {"content": [{"text": "yes"}]}}}, 1.0)
    target = Target("new", "f", variant("acme", system=[{"text": "Rules"}, POINT]))
    case = Case("a", {"q": "x"}, (assertion,))
    [found] = run_cases([case], Bench(target, None, ScriptedModel(lambda r: answer), concurrency=1, prices=prices))
    collector = Collector(["a"], repeats=1, absolute=True)
    collector.add(case, json.loads(json.dumps(record_of(found))))
    return found.candidate[0], collector.sides["candidate"].to_dict()


def test_a_warm_and_a_cold_cache_cost_the_same_in_what_is_compared() -> None:
    prices = {"acme": (1_000.0, 0.0, 100.0, 2_000.0)}
    within = Assertion("cost", threshold=1.0)
    (warm, warm_sums), (cold, cold_sums) = (run(w, within, prices) for w in (True, False))
    assert warm.passed == cold.passed == True  # noqa: E712 - None is neither
    assert warm.answer.cost_usd == cold.answer.cost_usd == pytest.approx(1.0)
    assert (warm.answer.paid_usd, cold.answer.paid_usd) == (pytest.approx(0.01 + 0.09 + 0.18), None)
    assert warm_sums["cost_usd"] == cold_sums["cost_usd"] == pytest.approx(1.0)
    assert warm_sums["paid_usd"] == pytest.approx(0.28)
    assert (warm_sums["cache_read_tokens_mean"], warm_sums["cache_write_tokens_mean"]) == (900, 90)
    assert "paid_usd" not in cold_sums


def test_the_most_that_a_run_can_cost_has_all_input_written_to_the_cache() -> None:
    policy = Running(prices={"acme": (1.0, 0.0, 0.1, 3.0)})
    suite = Suite((Case("a", {"q": "x" * 3_000}, (Assertion("contains", value="yes"),)),))
    plain, cached = (
        make_plan(suite, policy, Target("new", "f", variant("acme", **more)), None).cost_usd
        for more in ({}, {"toolConfiguration": {"tools": [TOOL, POINT]}})
    )
    assert cached == pytest.approx(3 * plain)


def policy_of(**canary: Json) -> Policy:
    return Policy.from_dict({"review": {"reviewers": ["ana"]}, "canary": canary})


STEPS = [{"weight": "2%"}, {"weight": "50%"}]


def test_who_watches_slow_answers_of_a_cached_prompt_is_told() -> None:
    slow = {"error": {}, "slow": {"required": True}}
    [said] = cold_cache(policy_of(steps=STEPS, guard_metrics=slow), [PLAIN[1], CACHED[0]])
    assert "at 2% of the traffic the canary's cache is colder than stable's" in said
    assert "the judge may hold or roll back for it" in said
    [said] = cold_cache(policy_of(steps=STEPS, guard_metrics={"error": {}, "slow": {"required": False}}), CACHED)
    assert "the judge may roll back for it" in said
    assert cold_cache(policy_of(steps=STEPS, guard_metrics={"error": {}}), CACHED) == []
    assert cold_cache(policy_of(steps=STEPS, guard_metrics=slow), PLAIN) == []


def test_a_plan_tells_what_it_is_given_to_tell() -> None:
    suite = Suite((Case("a", {"q": "x"}, (Assertion("contains", value="yes"),)),))
    made = make_plan(suite, Running(prices={"m": (1.0, 1.0)}), Target("new", "f", variant()), None, warnings=["colder"])
    assert made.warnings[-1] == "colder"


def test_what_is_kept_of_an_answer_says_what_was_cached_and_is_priced_anew() -> None:
    answer = Answer("x", input_tokens=1000, cache_read_tokens=900, cache_write_tokens=90, paid_usd=7.0, cost_usd=8.0)
    kept = answer.to_dict()
    assert "paid_usd" not in kept
    again = Answer.from_dict(json.loads(json.dumps(kept)))
    assert (again.cache_read_tokens, again.cache_write_tokens, again.paid_usd) == (900, 90, None)
    assert {"cache_read_tokens", "later", "broken", "content"}.isdisjoint(Answer("x").to_dict())
