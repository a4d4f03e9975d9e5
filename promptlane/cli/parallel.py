"""Many reads at once, in the order in which they were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE: Final = 8
"""Fewer than the connections that a boto3 client keeps."""


def in_parallel(read: Callable[[T], R], of: Iterable[T]) -> list[R]:
    """What is read of each, in their order; the error of the first of them that raised one."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, of))
