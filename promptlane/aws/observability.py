"""Logging and tracing of our functions; one place, so that every function logs the same fields."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools import Logger


@cache
def logger(service: str = "promptlane") -> Logger:
    """The structured logger. It never gets task tokens, signatures or prompt text."""
    return Logger(service=service, use_rfc3339=True)
