"""How applications tell the means that a release watches: what tokens count, by metric and version.

It rides on the route, which is what applications read, so that both arms are counted by one cap: that of the policy
that the release captured.
"""

from __future__ import annotations

from collections.abc import Iterable

from promptlane.domain.errors import KeyDenied, NotFound
from promptlane.domain.metrics import PerToken
from promptlane.domain.names import prompt_id_of
from promptlane.domain.policy import Policy
from promptlane.domain.ports import PromptReader
from promptlane.domain.release.per_token import PerVersion
from promptlane.domain.release.prompt import VersionRef
from promptlane.engine.prices import price_of


def per_token(policy: Policy, prompts: PromptReader, compared: Iterable[VersionRef]) -> PerVersion:
    """For versions by their models' prices. One that has none is left out, and so proved to be no dearer by nothing."""
    means = [guard for guard in policy.canary.guard_metrics if guard.metric.is_mean]
    prices = {ref.version: _price(policy, prompts, ref) for ref in compared} if means else {}
    found: dict[str, dict[int, PerToken]] = {}
    for guard in means:
        for version, price in prices.items():
            each = guard.metric.per_token(guard.cap or 1.0, price) if guard.metric.per_token else None
            if each is not None:
                found.setdefault(guard.name, {})[version] = each
    return found


def _price(policy: Policy, prompts: PromptReader, ref: VersionRef) -> PerToken | None:
    try:
        version = prompts.version(prompt_id_of(ref.arn), ref.version)
    except (NotFound, KeyDenied):
        return None
    return price_of(version.model, policy.tests.prices)
