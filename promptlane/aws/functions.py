"""Lambda: functions that are invoked directly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from promptlane.domain.errors import Unavailable

from .errors import translated

Json = Any


class Functions:
    """`functions` is the boto3 client `lambda`."""

    def __init__(self, functions: Any) -> None:
        self._functions = functions

    def send(self, name: str, payload: Mapping[str, Json]) -> None:
        """Have a function called, without waiting for it."""
        with translated(f"sending an event to {name}"):
            self._functions.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(payload))

    def call(self, name: str, payload: Mapping[str, Json]) -> Json:
        """What a function answers; its failure is Unavailable."""
        with translated(f"invoking {name}"):
            answer = self._functions.invoke(FunctionName=name, Payload=json.dumps(payload))
        document = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            raise Unavailable(f"function {name} failed: {document.get('errorMessage', document)}")
        return document
