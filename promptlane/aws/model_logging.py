"""Bedrock's model invocation logging setting, and the SSM parameter that remembers what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from promptlane.domain.errors import NotFound

from .errors import translated

Json = Any


class BedrockLogging:
    """`LoggingSwitch`. `bedrock` is the boto3 client."""

    def __init__(self, bedrock: Any) -> None:
        self._bedrock = bedrock

    def read(self) -> Mapping[str, Json] | None:
        with translated("reading how model invocations are logged"):
            answer = self._bedrock.get_model_invocation_logging_configuration()
        return answer.get("loggingConfig") or None

    def write(self, configuration: Mapping[str, Json]) -> None:
        """Kinds of data that this SDK cannot name yet are left out where they are off: unnamed, they are off too."""
        known = self._bedrock.meta.service_model.shape_for("LoggingConfig").members
        told = {name: value for name, value in configuration.items() if name in known or value is not False}
        with translated("setting up model invocation logging"):
            self._bedrock.put_model_invocation_logging_configuration(loggingConfig=told)

    def clear(self) -> None:
        with translated("switching model invocation logging off"):
            self._bedrock.delete_model_invocation_logging_configuration()


class ParameterMemory:
    """`Memory` in one SSM parameter."""

    def __init__(self, ssm: Any, name: str) -> None:
        self._ssm, self._name = ssm, name

    def load(self) -> Mapping[str, Json] | None:
        try:
            with translated(f"reading {self._name}"):
                found: Mapping[str, Json] = json.loads(self._ssm.get_parameter(Name=self._name)["Parameter"]["Value"])
        except NotFound:
            return None
        return found

    def keep(self, remembered: Mapping[str, Json]) -> None:
        with translated(f"writing {self._name}"):
            self._ssm.put_parameter(
                Name=self._name, Value=json.dumps(remembered, sort_keys=True), Type="String", Overwrite=True
            )

    def forget(self) -> None:
        try:
            with translated(f"deleting {self._name}"):
                self._ssm.delete_parameter(Name=self._name)
        except NotFound:
            return
