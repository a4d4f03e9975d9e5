"""What a call costs: USD per million input and output tokens, on demand, us-east-1, as of May 2026.

The table serves estimates and caps; invoices are AWS's. `tests.prices` of release.yaml adds to it and overrides it.
What is read from the prompt cache and written to it has a price of its own: a share of the input's, by maker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from promptlane.domain.usage import Usage

TABLE: Final[Mapping[str, tuple[float, float]]] = {
    "amazon.nova-micro-v1": (0.035, 0.14),
    "amazon.nova-lite-v1": (0.06, 0.24),
    "amazon.nova-pro-v1": (0.8, 3.2),
    "amazon.nova-premier-v1": (2.5, 12.5),
    "amazon.titan-embed-text-v2": (0.02, 0.0),
    "amazon.titan-text-lite-v1": (0.15, 0.2),
    "amazon.titan-text-express-v1": (0.2, 0.6),
    "anthropic.claude-3-haiku-20240307-v1": (0.25, 1.25),
    "anthropic.claude-3-5-haiku-20241022-v1": (0.8, 4.0),
    "anthropic.claude-3-5-sonnet-20240620-v1": (3.0, 15.0),
    "anthropic.claude-3-5-sonnet-20241022-v2": (3.0, 15.0),
    "anthropic.claude-3-7-sonnet-20250219-v1": (3.0, 15.0),
    "anthropic.claude-sonnet-4-20250514-v1": (3.0, 15.0),
    "anthropic.claude-sonnet-4-5-20250929-v1": (3.0, 15.0),
    "anthropic.claude-haiku-4-5-20251001-v1": (1.0, 5.0),
    "anthropic.claude-opus-4-20250514-v1": (15.0, 75.0),
    "meta.llama3-1-8b-instruct-v1": (0.22, 0.22),
    "meta.llama3-1-70b-instruct-v1": (0.72, 0.72),
    "mistral.mistral-7b-instruct-v0": (0.15, 0.2),
    "mistral.mistral-large-2402-v1": (4.0, 12.0),
}
CACHED: Final[Mapping[str, tuple[float, float]]] = {"amazon.nova-": (0.25, 1.0), "anthropic.claude-": (0.1, 1.25)}
"""Prices of a token that is read from the cache, and written to it for five minutes, as shares of the input's price."""
Prices = Mapping[str, Sequence[float]]
"""USD per million tokens by model: input, output, and perhaps read from the cache and written to it."""
_PROFILE: Final = re.compile(r"^(?:[a-z]{2,6}|us-gov)\.(?=[a-z0-9-]+\.)")
_VERSION: Final = re.compile(r"(?::\d+)+(?::\d+k)?$")


def price_of(model: str, own: Prices) -> tuple[float, float] | None:
    """(input, output) USD per million tokens; None where neither table knows the model.

    Takes model ids, cross-region profile ids (`us.` …) and their ARNs.
    """
    found = _found(model, own)
    return None if found is None else (found[0], found[1])


def cache_price_of(model: str, own: Prices) -> tuple[float, float] | None:
    """(read from the cache, written to it) USD per million tokens; the input's price where nobody told another."""
    found = _found(model, own)
    if found is None:
        return None
    if len(found) == 4:
        return found[2], found[3]
    plain = _plain(model)
    read, written = next((shares for maker, shares in CACHED.items() if plain.startswith(maker)), (1.0, 1.0))
    return read * found[0], written * found[0]


def _found(model: str, own: Prices) -> Sequence[float] | None:
    name = model.rsplit("/", 1)[-1]
    for known in (model, name, _plain(model)):
        if known in own:
            return own[known]
    return TABLE.get(_plain(model))


def _plain(model: str) -> str:
    return _VERSION.sub("", _PROFILE.sub("", model.rsplit("/", 1)[-1]))


def cost(price: tuple[float, float] | None, input_tokens: float, output_tokens: float) -> float | None:
    """USD, with nothing of the input cached; None where the price is not known."""
    if price is None:
        return None
    return (price[0] * input_tokens + price[1] * output_tokens) / 1_000_000


def paid(model: str, own: Prices, used: Usage) -> float | None:
    """USD that an answer really cost, with what the prompt cache gave and took at its own prices."""
    price, cached = price_of(model, own), cache_price_of(model, own)
    if price is None or cached is None:
        return None
    read, written = used.cache_read_tokens, used.cache_write_tokens
    fresh = max(0, used.input_tokens - read - written)
    in_cache = (cached[0] * read + cached[1] * written) / 1_000_000
    return in_cache + (price[0] * fresh + price[1] * used.output_tokens) / 1_000_000
