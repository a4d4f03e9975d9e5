"""Intervals, p-values and sizes for the verdict of the regression tests, which says what they are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, comb, sqrt
from statistics import NormalDist
from typing import Final

EXACT_UP_TO: Final = 600
"""Above so many cases that differ, the sign-flip distribution is normal to within 1e-4 and is taken as such."""
PLANNED_RATE: Final = 0.9
PLANNED_CORRELATION: Final = 0.6
"""What planning assumes before the first run: pass rate, and correlation of a case's repeats."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its one-sided bounds (each with error alpha). Fractions, of the difference or of the rate."""

    estimate: float
    lower: float
    upper: float


def z_value(alpha: float) -> float:
    """One-sided normal quantile, 1.645 at alpha = 0.05."""
    return NormalDist().inv_cdf(1 - alpha)


def paired_interval(differences: Sequence[float], alpha: float) -> Interval:
    """Bounds of the mean of d_i in [-1, 1] (see above). `estimate` is the plain mean; 0 with no case at all."""
    n = len(differences)
    total = sum(differences)
    m = total / (n + 2)
    variance = (sum(d * d for d in differences) + 2) / (n + 2) - m * m
    half = z_value(alpha) * sqrt(max(variance, 0.0) / (n + 2))
    return Interval(total / n if n else 0.0, max(m - half, -1.0), min(m + half, 1.0))


def rate_interval(rates: Sequence[float], alpha: float) -> Interval:
    """Bounds of the mean pass rate, by the same device: one pseudo-case that always passes and one that never does."""
    n = len(rates)
    m = (sum(rates) + 1) / (n + 2)
    variance = (sum(p * p for p in rates) + 1) / (n + 2) - m * m
    half = z_value(alpha) * sqrt(max(variance, 0.0) / (n + 2))
    return Interval(sum(rates) / n if n else 0.0, max(m - half, 0.0), min(m + half, 1.0))


def wilson_interval(count: int, of: int, alpha: float = 0.05) -> Interval:
    """Wilson's score interval of a share, two-sided with error alpha (Wilson 1927). `of` is at least 1."""
    z = z_value(alpha / 2)
    share, scale = count / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / scale
    return Interval(share, middle - half if count else 0.0, middle + half if count < of else 1.0)


def sign_flip_p(units: Iterable[int]) -> float:
    """Mid-p of a drop as large as the observed one if each case's u_i = b_i - a_i had an arbitrary sign.

    P(S < s) + P(S = s) / 2 with S = sum of +-|u_i| and s = sum of u_i; exact by convolution. 0.5 where nothing differs.
    """
    signed = [u for u in units if u]
    sizes, observed = [abs(u) for u in signed], sum(signed)
    if not sizes:
        return 0.5
    if len(sizes) > EXACT_UP_TO:
        return NormalDist().cdf(observed / sqrt(sum(k * k for k in sizes)))
    distribution = {0: 1.0}
    for size in sizes:
        wider: dict[int, float] = {}
        for total, probability in distribution.items():
            half = probability / 2
            wider[total - size] = wider.get(total - size, 0.0) + half
            wider[total + size] = wider.get(total + size, 0.0) + half
        distribution = wider
    below = sum(p for total, p in distribution.items() if total < observed)
    return min(1.0, below + distribution[observed] / 2)


def all_of_k(passes: Sequence[tuple[int, int]], k: int) -> float:
    """pass^k: the chance that k runs of a case all pass, mean over cases of (passes c, runs n >= k): C(c, k) / C(n, k).

    Unbiased for each case (Yao et al. 2024, tau-bench). With k = n it is the share of cases whose runs all pass.
    """
    return sum(comb(c, k) / comb(n, k) for c, n in passes) / len(passes)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values: comparing each with alpha keeps the chance of any false one below alpha."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, p_values[name] * (len(p_values) - rank)))
        adjusted[name] = largest
    return adjusted


def provable_margin(n: int, alpha: float) -> float:
    """The smallest margin that n cases prove when not one of them differs: z sqrt(2) / (n + 2)."""
    return z_value(alpha) * sqrt(2) / (n + 2)


def planned_variance(repeats: int, rate: float = PLANNED_RATE, correlation: float = PLANNED_CORRELATION) -> float:
    """Variance of d_i between equal versions: 2 p (1 - p) (1 - rho) / r."""
    return 2 * rate * (1 - rate) * (1 - correlation) / repeats


def detectable(n: int, variance: float, *, alpha: float, power: float) -> float | None:
    """The drop found with this power by n cases whose d_i vary so between equal versions. None where none is (n = 0).

    [K + sqrt(K^2 + 4 (1 + K) K v)] / (2 (1 + K)) with K = (z_alpha + z_power)^2 / n: a drop adds variance of its own,
    which the textbook's z sqrt(v / n) leaves out.
    """
    if n <= 0:
        return None
    k = (z_value(alpha) + z_value(1 - power)) ** 2 / n
    return min(1.0, (k + sqrt(k * k + 4 * (1 + k) * k * variance)) / (2 * (1 + k)))


def cases_needed(margin: float, variance: float, *, alpha: float, power: float) -> int:
    """Cases that prove the margin with this power when the versions are equal."""
    perfect = z_value(alpha) * sqrt(2) / margin - 2
    usual = (z_value(alpha) + z_value(1 - power)) ** 2 * variance / margin**2
    return max(1, ceil(max(perfect, usual)))


def cases_for_rate(rate: float, alpha: float) -> int:
    """Cases with which a perfect run proves a pass rate above `rate`; 100,000 where so many would not do."""
    return next((n for n in range(1, 100_000) if perfect_lower(n, alpha) > rate), 100_000)


def perfect_lower(n: int, alpha: float) -> float:
    """`rate_interval([1.0] * n, alpha).lower`."""
    m = (n + 1) / (n + 2)
    return max(m - z_value(alpha) * sqrt((m - m * m) / (n + 2)), 0.0)
