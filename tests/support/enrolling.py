"""CloudFormation before the function `enrol`: asks it in the orders in which it may, and hears what it is told."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from promptlane.aws.enrolment import DynamoEnrolments
from promptlane.domain.policy import Policy
from tests.support.functions import ACCOUNT, POLICY, REGION, RELEASES, REPORTS, SUITE, Context, World, real, running
from tests.support.prompt import PROMPT

Json = Any
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/team-a/0f0a1b2c-0000-4000-8000-1234567890ab"
OTHER = STACK.replace("team-a", "team-b")
KIND = "Custom::PromptlaneEnrolment"
LAX = replace(POLICY, review=replace(POLICY.review, quorum=1))


class Cloud:
    """CloudFormation, which asks the function and hears its answers."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.floor = world, "{}"
        self.answers: list[dict[str, Json]] = []
        self.asked: list[dict[str, Json]] = []
        self.deaf = 0
        monkeypatch.setattr(urllib.request, "urlopen", self._urlopen)

    def _urlopen(self, request: Any, timeout: float) -> Any:
        if self.deaf:
            self.deaf -= 1
            raise urllib.error.URLError("not now")
        assert len(request.data) <= 4096
        assert request.get_method() == "PUT"
        self.answers.append(json.loads(request.data))
        return contextlib.nullcontext()

    def properties(self, policy: Policy = POLICY, suite: Mapping[str, Json] = SUITE, name: str = PROMPT) -> Json:
        parts = {"Policy": ("policy", policy.to_dict()), "Suite": ("suite", suite)}
        says = {}
        for key, (kind, content) in parts.items():
            part = self.world.deploy(f"{kind}-{hash(json.dumps(content, sort_keys=True))}.json", content)
            says[key] = {"uri": part.uri, "sha256": part.sha256}
        return {"ServiceToken": "arn:of:enrol", "ServiceTimeout": "900", "Name": name, **says}

    def ask(self, kind: str, *, status: str = "", shown: str | None = None, **event: Json) -> dict[str, Json]:
        """One request, while the stack is at work; the answer. A repeated `RequestId` is the same request."""
        asked = {
            "RequestType": kind,
            "ResponseURL": "https://cloudformation.example/answer",
            "StackId": STACK,
            "RequestId": f"request-{len(self.asked):04d}",
            "LogicalResourceId": "EnrolSupport",
            "ResourceType": KIND,
            **event,
        }
        self.asked.append(asked)
        doing = status or f"{kind.upper()}_IN_PROGRESS"
        stacks = self.world.stacks
        before, known = stacks.stacks.get(asked["StackId"]), dict(stacks.resources)
        stacks.stacks[asked["StackId"]] = doing
        physical = str(asked.get("PhysicalResourceId", ""))
        state = f"{kind.upper()}_IN_PROGRESS" if shown is None else shown
        if state:
            stacks.show(asked["StackId"], asked["LogicalResourceId"], asked["ResourceType"], state, physical)
        answer = self.send(asked)
        # What CloudFormation shows when it is done.
        stacks.stacks[asked["StackId"]] = doing.replace("_IN_PROGRESS", "_COMPLETE") if "DELETE" not in doing else doing
        stacks.resources = known
        if kind != "Delete" and answer["Status"] == "SUCCESS":
            done = f"{kind.upper()}_COMPLETE"
            stacks.show(asked["StackId"], asked["LogicalResourceId"], KIND, done, answer["PhysicalResourceId"])
        if kind == "Delete":
            stacks.resources.pop((asked["StackId"], asked["LogicalResourceId"]), None)
        if before is None and answer["Status"] == "FAILED":
            stacks.stacks[asked["StackId"]] = "ROLLBACK_COMPLETE"
        return answer

    def send(self, event: dict[str, Json]) -> dict[str, Json]:
        context = Context()
        answer = self.world.function("enrol", PLATFORM_FLOOR=self.floor).handle(event, context)
        assert answer == self.answers[-1]
        return dict(answer)

    def create(self, policy: Policy = POLICY, name: str = PROMPT, **more: Json) -> dict[str, Json]:
        return self.ask("Create", ResourceProperties=self.properties(policy, name=name), **more)

    def update(self, old: Policy, new: Policy, name: str = PROMPT, **more: Json) -> dict[str, Json]:
        told = {"PhysicalResourceId": f"enrolled:{PROMPT}", "OldResourceProperties": self.properties(old), **more}
        return self.ask("Update", ResourceProperties=self.properties(new, name=name), **told)

    def delete(self, name: str = PROMPT, **more: Json) -> dict[str, Json]:
        told = {"PhysicalResourceId": f"enrolled:{name}", "ResourceProperties": self.properties(name=name), **more}
        return self.ask("Delete", **told)

    @property
    def enrolments(self) -> DynamoEnrolments:
        table = real("dynamodb.resource").Table(RELEASES)
        return DynamoEnrolments(table=table, s3=real("s3"), report_bucket=REPORTS)

    @property
    def counts(self) -> Policy | None:
        """The policy that counts for the prompt."""
        if not self.enrolments.enrolled(PROMPT):
            assert PROMPT not in self.enrolments.names()
            return None
        assert PROMPT in self.enrolments.names()
        return self.enrolments.policy(self.enrolments.capture(PROMPT)[0])


@contextlib.contextmanager
def clouds() -> Iterator[Cloud]:
    """One in an AWS of its own."""
    mocked = mock_aws()
    with mocked, pytest.MonkeyPatch.context() as patch:
        mocked.reset()  # where another one runs already, its AWS goes on
        with running(patch) as world:
            yield Cloud(world, patch)
