"""The settings of a client, for type checkers: PromptClient has their defaults, and says what each is."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .metrics import Sink


class Settings(TypedDict, total=False):
    """PromptClient's arguments, for what hands them on."""

    route_table: str | None
    region: str | None
    session: Any
    refresh: float
    fallback: Mapping[str, str] | None
    timeout: float
    slow_after: float
    shield: bool
    shield_reserve: float
    breaker_errors: int
    breaker_cooldown: float
    receipt_key: str | Callable[[], str] | None
    receipt_kms_key: str | Callable[[], str] | None
    feedback_table: str | None
    version_bucket: str | None
    resolution: int | None
    sink: Sink | None
