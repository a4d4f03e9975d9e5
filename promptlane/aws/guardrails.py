"""Guardrails by the name that a deployment gives them: SSM parameters `/<deployment>/guardrails/<name>`.

Whoever owns a guardrail writes `<id or ARN>:<version>` there, since Bedrock makes the id when the guardrail is created.
The name is looked up when a prompt is published or tested, never when it is released or served.
"""

from __future__ import annotations

from typing import Any

from promptlane.domain.errors import InvalidInput, NotFound
from promptlane.domain.release.guardrail import Guardrail, parsed

from .errors import translated


class SsmGuardrails:
    """`ssm` is a boto3 client, `deployment` the deployment's name."""

    def __init__(self, ssm: Any, deployment: str) -> None:
        self._ssm, self._deployment = ssm, deployment

    def find(self, name: str) -> Guardrail:
        """NotFound where the deployment has none of this name, InvalidInput where the parameter says nothing usable."""
        parameter = f"/{self._deployment}/guardrails/{name}"
        try:
            with translated(f"reading {parameter}"):
                value = str(self._ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
        except NotFound:
            raise NotFound(
                f"guardrail {name!r} is not known to deployment {self._deployment!r}: there is no SSM parameter "
                f"{parameter}. Write the guardrail's id and version there, as gr1234567890:1"
            ) from None
        found, problem = parsed(value.strip())
        if found is None:
            raise InvalidInput(f"SSM parameter {parameter} {problem}")
        return found
