"""Answers to a workflow step that waits with a task token."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from .errors import code_of, domain_error

_NO_LONGER_WAITS: Final = frozenset({"TaskDoesNotExist", "TaskTimedOut", "InvalidToken"})


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
