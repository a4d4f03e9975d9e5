"""Evidence that one side is worse, each stratum compared with itself only: what changed for both sides cancels.

A stratum is one period (or one version) with the requests and bad events of two sides. If the sides are alike, then
given its totals the bad events of the exposed side are hypergeometric, whatever the stratum's own rate is (Cochran
1954; Mantel and Haenszel 1959). Their moment generating function is at most that of a binomial with
d = min(bad, exposed) draws of probability q = max(bad, exposed) / requests (Hoeffding 1963, theorem 4), so Chernoff's
bound holds for any counts, also for few ones:

    P(A >= a) <= exp(-I),  I = max over t >= 0 of  t·a - sum d·ln(1 - q + q·e^t)

The same holds for sums of values in [0, 1], which are at most as spread as those of 0 and 1, but not with the two sides
exchanged: where a sum is no whole number d = exposed, q = bad / requests.

I is the log likelihood ratio of the best common ratio e^t against 1, in nats, comparable with that of pooled counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = 60
_STEEPEST: Final = 40.0


@dataclass(frozen=True, slots=True)
class Stratum:
    """Two sides of one period or version, each (requests, bad); both sides have requests."""

    exposed: tuple[int, float]
    others: tuple[int, float]

    @property
    def requests(self) -> int:
        return self.exposed[0] + self.others[0]

    @property
    def draws(self) -> float:
        return self.exposed[0] if self._of_values else min(self.exposed[0], self._bad)

    @property
    def share(self) -> float:
        """The probability of one draw, if both sides are alike."""
        return (self._bad if self._of_values else max(self.exposed[0], self._bad)) / self.requests

    @property
    def _bad(self) -> float:
        return self.exposed[1] + self.others[1]

    @property
    def _of_values(self) -> bool:
        return any(bad != int(bad) for _, bad in (self.exposed, self.others))

    def mean(self, tilt: float) -> float:
        """Bad events of the exposed side to expect when its odds are e^tilt times those of the others."""
        odds = self.share * math.exp(tilt)
        return self.draws * odds / (1 - self.share + odds)

    def cost(self, tilt: float) -> float:
        return self.draws * math.log1p(self.share * math.expm1(tilt))

    def variance(self, tilt: float) -> float:
        """Of what `mean` expects, with the correction for drawing without replacement."""
        if not self.draws:
            return 0.0
        likely = self.mean(tilt) / self.draws
        return self.draws * likely * (1 - likely) * (self.requests - self.draws) / (self.requests - 1)


def evidence(strata: Sequence[Stratum]) -> float:
    """I in nats; 0 unless the exposed side has more bad events than its share of each stratum tells."""
    return max(0.0, support(strata, _best_tilt(strata)))


def support(strata: Sequence[Stratum], tilt: float) -> float:
    """How much likelier what was seen is with odds of e^tilt than with equal ones, in nats; negative: less likely."""
    return tilt * sum(s.exposed[1] for s in strata) - sum(s.cost(tilt) for s in strata)


def overdispersion(strata: Sequence[Stratum]) -> float:
    """How much more the strata vary around one common ratio than independent requests would; at least 1.

    Squared residuals over their variances, both summed first, so that strata of few requests do not decide it.
    """
    if len(strata) < 2:
        return 1.0
    tilt = _best_tilt(strata, least=-_STEEPEST)
    varied = sum((s.exposed[1] - s.mean(tilt)) ** 2 for s in strata)
    usual = sum(s.variance(tilt) for s in strata)
    return max(1.0, varied / usual * len(strata) / (len(strata) - 1)) if usual > 0 else 1.0


def _best_tilt(strata: Sequence[Stratum], least: float = 0.0) -> float:
    """Where the expected bad events are those that were seen; the expectation grows with the tilt, so bisection."""
    bad = sum(s.exposed[1] for s in strata)
    low, high = least, _STEEPEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if sum(s.mean(middle) for s in strata) < bad:
            low = middle
        else:
            high = middle
    return low
