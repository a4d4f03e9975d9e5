"""What calls cost: the table as published, and how a model is found in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlane.engine.prices import TABLE, cost, price_of

# Bedrock's on-demand prices in us-east-1, May 2026: USD per million input and output tokens, by what APIs call a model.
PUBLISHED = {
    "amazon.nova-micro-v1:0": (0.035, 0.14),
    "amazon.nova-lite-v1:0:300k": (0.06, 0.24),
    "amazon.nova-pro-v1:0": (0.8, 3.2),
    "amazon.nova-premier-v1:0": (2.5, 12.5),
    "amazon.titan-embed-text-v2:0": (0.02, 0.0),
    "amazon.titan-text-lite-v1:0:4k": (0.15, 0.2),
    "amazon.titan-text-express-v1": (0.2, 0.6),
    "anthropic.claude-3-haiku-20240307-v1:0": (0.25, 1.25),
    "us.anthropic.claude-3-5-haiku-20241022-v1:0": (0.8, 4.0),
    "anthropic.claude-3-5-sonnet-20240620-v1:0": (3.0, 15.0),
    "apac.anthropic.claude-3-5-sonnet-20241022-v2:0": (3.0, 15.0),
    "eu.anthropic.claude-3-7-sonnet-20250219-v1:0": (3.0, 15.0),
    "us-gov.anthropic.claude-sonnet-4-20250514-v1:0": (3.0, 15.0),
    "global.anthropic.claude-sonnet-4-5-20250929-v1:0": (3.0, 15.0),
    "anthropic.claude-haiku-4-5-20251001-v1:0": (1.0, 5.0),
    "anthropic.claude-opus-4-20250514-v1:0": (15.0, 75.0),
    "meta.llama3-1-8b-instruct-v1:0": (0.22, 0.22),
    "meta.llama3-1-70b-instruct-v1:0:128k": (0.72, 0.72),
    "mistral.mistral-7b-instruct-v0:2": (0.15, 0.2),
    "mistral.mistral-large-2402-v1:0": (4.0, 12.0),
}
LITE = "amazon.nova-lite-v1"


def test_every_model_of_the_table_has_its_published_price() -> None:
    assert {model: price_of(model, {}) for model in PUBLISHED} == PUBLISHED
    assert len(TABLE) == len(PUBLISHED)


@pytest.mark.parametrize(
    "model", ["acme", "nova-lite-v1:0", "us.nova-lite-v1:0", "x.amazon.nova-lite-v1:0", f"{LITE}:a"]
)
def test_a_model_that_no_table_knows_has_no_price(model: str) -> None:
    assert price_of(model, {"other": (1.0, 2.0)}) is None


ARN = f"arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.{LITE}:0"


@pytest.mark.parametrize("known", [ARN, f"us.{LITE}:0", LITE])
def test_own_prices_come_first_by_arn_by_id_or_by_the_plain_name(known: str) -> None:
    assert price_of(ARN, {known: (1.0, 2.0)}) == (1.0, 2.0)
    assert price_of(ARN, {f"eu.{LITE}:0": (1.0, 2.0)}) == (0.06, 0.24)


def test_the_most_exact_of_own_prices_counts() -> None:
    own = {LITE: (5.0, 6.0), f"us.{LITE}:0": (3.0, 4.0), ARN: (1.0, 2.0)}
    assert price_of(ARN, own) == (1.0, 2.0)
    assert price_of(f"us.{LITE}:0", own) == (3.0, 4.0)
    assert price_of(f"{LITE}:0", own) == (5.0, 6.0)


@given(st.text(st.characters(exclude_characters="/"), min_size=1), st.floats(0, 99), st.floats(0, 99))
def test_whatever_a_model_is_called_its_own_price_is_found(model: str, spent: float, made: float) -> None:
    assert price_of(model, {model: (spent, made)}) == (spent, made)


def test_a_cost_is_of_input_and_output_tokens_by_the_million() -> None:
    assert cost((0.06, 0.24), 2_000_000, 500_000) == pytest.approx(0.24)
    assert cost((3.0, 15.0), 1_000, 10) == pytest.approx(0.00315)
    assert cost((3.0, 15.0), 0, 0) == 0
    assert cost(None, 1, 1) is None
