"""boto3 clients, built once per process, with timeouts that suit a control plane."""

from __future__ import annotations

from functools import cache
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
_PATIENT = Config(connect_timeout=2, read_timeout=65, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def client(service: str) -> Any:
    """The client of a service in the Region and with the credentials of the environment."""
    return boto3.client(service, config=_PATIENT if service == "bedrock-runtime" else _CONFIG)


@cache
def resource(service: str) -> Any:
    """The resource of a service; used for DynamoDB, whose resource reads and writes plain values."""
    return boto3.resource(service, config=_CONFIG)
