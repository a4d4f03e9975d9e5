"""Step Functions: executions of releases, and the tokens of those that wait for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from promptlane.domain.errors import NotFound

from .errors import code_of, domain_error, translated

_NO_LONGER_WAITS: Final = frozenset({"TaskDoesNotExist", "TaskTimedOut", "InvalidToken"})


class StepFunctionsWorkflow:
    """`Workflow` on a state machine. `states` is the boto3 client `stepfunctions`."""

    def __init__(self, states: Any, state_machine_arn: str) -> None:
        self._states, self._machine = states, state_machine_arn

    def start(self, release_id: str, payload: dict[str, object]) -> str:
        with translated(f"starting the execution of release {release_id}"):
            try:
                answer = self._states.start_execution(
                    stateMachineArn=self._machine, name=release_id, input=json.dumps(payload, sort_keys=True)
                )
            except self._states.exceptions.ExecutionAlreadyExists:
                return self._execution(release_id)
        return str(answer["executionArn"])

    def status(self, release_id: str) -> str | None:
        try:
            with translated(f"reading the execution of release {release_id}"):
                return str(self._states.describe_execution(executionArn=self._execution(release_id))["status"])
        except NotFound:
            return None

    def stop(self, release_id: str, reason: str) -> None:
        try:
            with translated(f"stopping the execution of release {release_id}"):
                self._states.stop_execution(
                    executionArn=self._execution(release_id), error="RolledBack", cause=reason[:32_000]
                )
        except NotFound:
            return

    def _execution(self, release_id: str) -> str:
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{release_id}"


class StepFunctionsTokens:
    """`TaskTokens` on Step Functions. `states` is the boto3 client `stepfunctions`."""

    def __init__(self, states: Any) -> None:
        self._states = states

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> bool:
        try:
            self._states.send_task_success(taskToken=task_token, output=json.dumps(output))
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and code_of(error) in _NO_LONGER_WAITS:
                return False
            raise domain_error(error, "answering the workflow's review step") from error
        return True
