"""A level beside a line over time, against the normal equations written out."""

from __future__ import annotations

from fractions import Fraction

import pytest

from promptlane.domain.investigation.slope import beyond_slope
from promptlane.domain.investigation.sources import Cell

Matrix = list[list[Fraction]]


def cells(*rows: tuple[float, float, int, int, int]) -> list[Cell]:
    """Rows of (at, seconds, version, requests, bad)."""
    return [Cell(at, seconds, version, "Refusal", n, bad) for at, seconds, version, n, bad in rows]


UNEVEN = cells(
    (0, 60, 2, 200, 8),
    (60, 60, 2, 120, 6),
    (120, 300, 3, 310, 40),
    (420, 60, 2, 90, 3),
    (480, 60, 3, 150, 26),
    (540, 120, 3, 80, 9),
)
RISING = cells(
    (0, 60, 2, 900, 0),
    (60, 60, 2, 800, 0),
    (120, 60, 2, 700, 1),
    (180, 60, 3, 100, 90),
    (240, 60, 3, 90, 78),
    (300, 60, 3, 120, 119),
)


def inverse(matrix: Matrix) -> Matrix:
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [v - rows[k][i] * w for v, w in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]


def written_out(found: list[Cell], version: int) -> float:
    """z squared over two of the last coefficient of rate ~ 1 + time + exposed, weighted by requests."""
    x = [[Fraction(1), Fraction(c.at) + Fraction(c.seconds) / 2, Fraction(int(c.version == version))] for c in found]
    w = [Fraction(c.requests) for c in found]
    y = [Fraction(int(c.bad), c.requests) for c in found]
    bread = inverse(
        [[sum((wi * r[i] * r[j] for wi, r in zip(w, x, strict=True)), Fraction()) for j in range(3)] for i in range(3)]
    )
    right = [sum(wi * r[i] * yi for wi, r, yi in zip(w, x, y, strict=True)) for i in range(3)]
    coefficients = [sum(bread[i][j] * right[j] for j in range(3)) for i in range(3)]
    least = Fraction(1, 10**6)
    p = [min(1 - least, max(least, sum(c * v for c, v in zip(coefficients, r, strict=True)))) for r in x]
    usual = [wi * pi * (1 - pi) for wi, pi in zip(w, p, strict=True)]
    meat = [[sum(u * r[i] * r[j] for u, r in zip(usual, x, strict=True)) for j in range(3)] for i in range(3)]
    variance = sum(bread[2][i] * meat[i][j] * bread[j][2] for i in range(3) for j in range(3))
    left = sum((wi * (yi - pi)) ** 2 for wi, yi, pi in zip(w, y, p, strict=True))
    spread = max(Fraction(1), left / sum(usual) * len(found) / (len(found) - 3))
    return float(coefficients[2] ** 2 / (2 * variance * spread)) if coefficients[2] > 0 else 0.0


@pytest.mark.parametrize("found", [UNEVEN, UNEVEN[:4], RISING, UNEVEN + RISING])
def test_the_level_is_that_of_weighted_least_squares(found: list[Cell]) -> None:
    assert beyond_slope(found, lambda c: c.version == 3) == pytest.approx(written_out(found, 3), rel=1e-9)
    assert written_out(found, 3) > 1


def test_a_better_version_is_no_evidence() -> None:
    assert written_out(UNEVEN, 2) == 0.0
    assert beyond_slope(UNEVEN, lambda c: c.version == 2) == 0.0


def test_periods_without_requests_say_nothing() -> None:
    more = [*UNEVEN, *cells((700, 60, 3, 0, 0), (60, 60, 3, 0, 0))]
    assert beyond_slope(more, lambda c: c.version == 3) == beyond_slope(UNEVEN, lambda c: c.version == 3)
    assert beyond_slope([*UNEVEN[:3], *more[-2:]], lambda c: c.version == 3) is None


def test_three_cells_are_too_few_and_an_exposure_that_is_the_line_cannot_be_told_from_it() -> None:
    assert beyond_slope(UNEVEN[:3], lambda c: c.version == 3) is None
    assert beyond_slope(UNEVEN, lambda c: True) is None
    two_moments = cells((0, 60, 2, 100, 2), (0, 60, 2, 50, 3), (60, 60, 3, 90, 30), (60, 60, 3, 70, 20))
    assert beyond_slope(two_moments, lambda c: c.version == 3) is None


def test_versions_of_one_moment_are_compared_without_a_line() -> None:
    """No time passes: 2 of 100 and 4 of 100 against 9 of 100 and 11 of 100, 7 points apart."""
    found = cells((0, 60, 2, 100, 2), (0, 60, 2, 100, 4), (0, 60, 3, 100, 9), (0, 60, 3, 100, 11))
    variance = 0.03 * 0.97 / 200 + 0.1 * 0.9 / 200
    left = 4 / (2 * 100 * (0.03 * 0.97 + 0.1 * 0.9)) * 4 / (4 - 3)
    assert left < 1
    assert beyond_slope(found, lambda c: c.version == 3) == pytest.approx(0.07**2 / (2 * variance))


def test_one_request_among_billions_tells_nothing() -> None:
    found = cells(*((60 * k, 60, 2, 10**9, 10**6) for k in range(6)), (170, 60, 3, 1, 1))
    assert beyond_slope(found, lambda c: c.version == 3) is None
