"""Looks after open reviews on a schedule: settles what a crash left, watches subscriptions, reminds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from promptlane.aws.observability import logger
from promptlane.aws.settings import read
from promptlane.aws.wiring import review_round
from promptlane.lifecycle.review_round import ReviewRound

log = logger("remind")


@dataclass(frozen=True)
class Settings:
    release_table: str
    report_bucket: str
    deployment: str
    review_key_id: str
    operations_url: str
    notices_topic: str


@cache
def wire() -> ReviewRound:
    return review_round(**asdict(read(Settings)))


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    done = wire().look_after()
    log.info("looked after open reviews", extra=done)
    return {name: len(releases) for name, releases in done.items()}
