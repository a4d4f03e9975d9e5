"""Numbers that may differ by rounding, inside a value that is compared as a whole."""

from __future__ import annotations

from typing import cast

import pytest


def near(number: float, *, rel: float | None = None, abs: float | None = None) -> float:
    """`pytest.approx` of one number, with the type of what it stands for."""
    return cast(float, pytest.approx(number, rel=rel, abs=abs))
