"""Gains of the bets of promptlane.domain.canary.evidence, for many runs at once."""

from __future__ import annotations

import numpy as np

from benchmarks.judge.traffic import Array
from promptlane.domain.canary import evidence

ODDS, ODDS_WEIGHTS = (np.array(v) for v in zip(*evidence.HARM_BETS, strict=True))
DEPTHS, DEPTH_WEIGHTS = (np.array(v) for v in zip(*evidence.ADVANCE_BETS, strict=True))


def harm_gains(n: Array, y: Array, q0: Array) -> Array:
    """ln gain of each bet on harm: [..., 2] counts, [...] rates -> [..., bets]."""
    rate = q0[..., None]
    bet = ODDS * rate / (1 - rate + ODDS * rate)
    (n0, n1), (y0, y1) = (np.moveaxis(v, -1, 0)[..., None] for v in (n, y))
    both = (n0 > 0) & (n1 > 0)
    pooled = np.where(both, (n0 * rate + n1 * bet) / np.maximum(n0 + n1, 1), 0.5)
    gains = y0 * np.log(rate) + (n0 - y0) * np.log1p(-rate) + y1 * np.log(bet) + (n1 - y1) * np.log1p(-bet)
    gains -= (y0 + y1) * np.log(pooled) + (n0 + n1 - y0 - y1) * np.log1p(-pooled)
    return np.asarray(np.where(both, gains, 0.0))


def advance_gains(n: Array, y: Array, q0: Array, margin: tuple[Array, Array]) -> Array:
    """ln gain of each bet on harmlessness; `margin` (absolute, relative) broadcasts to q0."""
    absolute, relative = (np.broadcast_to(m, q0.shape) for m in margin)
    wide = relative * q0 > absolute
    c, d = np.where(wide, 1 + relative, 1.0)[..., None], np.where(wide, 0.0, absolute)[..., None]
    rate = q0[..., None]
    line = c * rate + d
    (n0, n1), (y0, y1) = (np.moveaxis(v, -1, 0)[..., None] for v in (n, y))
    usable = (n0 > 0) & (n1 > 0) & (line < 1)
    bet = np.where(usable, rate + DEPTHS * (line - rate), rate)
    s0 = _nearest(n0, n1, rate, bet, c, d)
    s1 = np.minimum(c * s0 + d, 1 - 1e-12)
    gains = y0 * np.log(rate / s0) + (n0 - y0) * np.log((1 - rate) / (1 - s0))
    gains += y1 * np.log(bet / s1) + (n1 - y1) * np.log((1 - bet) / (1 - s1))
    return np.asarray(np.where(usable, gains, 0.0))


def _nearest(n0: Array, n1: Array, q0: Array, q1: Array, c: Array, d: Array) -> Array:
    """Newton's method within a bracket, as in promptlane.domain.canary.evidence, for all at once."""
    low, high = np.maximum((q1 - d) / c, 1e-9), q0 + 0 * q1
    w0, w1 = n0 / (q0 * (1 - q0)), c * n1 / np.maximum(q1 * (1 - q1), 1e-12)
    s0 = np.clip((w0 * q0 + w1 * (q1 - d)) / np.maximum(w0 + w1 * c, 1e-12), low, high)
    for _ in range(40):
        s1 = np.minimum(c * s0 + d, 1 - 1e-12)
        v0, v1 = s0 * (1 - s0), s1 * (1 - s1)
        far0, far1 = n0 * (s0 - q0), c * n1 * (s1 - q1)
        cubic = far0 * v1 + far1 * v0
        low, high = np.where(cubic > 0, low, s0), np.where(cubic > 0, s0, high)
        slope = n0 * v1 + far0 * c * (1 - 2 * s1) + c * c * n1 * v0 + far1 * (1 - 2 * s0)
        step = s0 - cubic / np.where(slope == 0, 1.0, slope)
        before, s0 = s0, np.where((step >= low) & (step <= high), step, (low + high) / 2)
        if (np.abs(s0 - before) <= 1e-10).all():  # it converges quadratically
            break
    return s0
