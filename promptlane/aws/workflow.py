"""Step Functions, SQS and SNS as the control plane uses them."""

from __future__ import annotations

import json
import uuid
from typing import Any

from promptlane.domain.errors import NotFound

from .errors import translated


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


class SqsIntakeQueue:
    """`IntakeQueue` on SQS."""

    def __init__(self, sqs: Any, queue_url: str) -> None:
        self._sqs, self._url = sqs, queue_url

    def request(self, prompt: str, version: int, *, requested_by: str, explicit: bool) -> None:
        body = {
            "source": "promptlane.request",
            "prompt": prompt,
            "version": str(version),
            "requested_by": requested_by,
            "explicit": explicit,
            "request_id": str(uuid.uuid4()),
        }
        with translated(f"asking for a release of {prompt} {version}"):
            self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(body))


class SnsNotices:
    """`Notices` on an SNS topic."""

    def __init__(self, sns: Any, topic_arn: str) -> None:
        self._sns, self._topic = sns, topic_arn

    def publish(self, subject: str, body: str) -> None:
        with translated("sending a notice"):
            self._sns.publish(TopicArn=self._topic, Subject=subject[:99], Message=body)
