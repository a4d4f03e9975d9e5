"""Adds the results of a round up to a verdict and a report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlane.aws.clients import client, resource
from promptlane.aws.releases import DynamoReleases
from promptlane.aws.reports import S3Objects
from promptlane.aws.settings import read
from promptlane.lifecycle.test_round import grade


@dataclass(frozen=True)
class Settings:
    release_table: str
    report_bucket: str


@cache
def wire() -> dict[str, Any]:
    s = read(Settings)
    return {
        "releases": DynamoReleases(resource("dynamodb").Table(s.release_table)),
        "objects": S3Objects(client("s3"), s.report_bucket),
        "clock": time.time,
    }


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return grade(event["release_id"], int(event["round"]), **wire())
