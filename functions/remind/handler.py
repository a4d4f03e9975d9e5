"""Looks after open reviews on a schedule: settles what a crash left, watches subscriptions, reminds."""

from __future__ import annotations

from typing import Any

from promptlane.aws.composition import Function, wired
from promptlane.aws.observability import logger
from promptlane.lifecycle.review_round import ReviewRound

log = logger("remind")


@wired
def wire(of: Function) -> ReviewRound:
    return of.review_round


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    done = wire().look_after()
    log.info("looked after open reviews", extra=done)
    return {name: len(releases) for name, releases in done.items()}
