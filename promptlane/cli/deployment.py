"""Finds a deployment through its SSM parameters and hands out the stores and services that commands use."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from promptlane.aws.composition import Composition
from promptlane.domain import incoming
from promptlane.domain.errors import InvalidInput, NotFound, PromptlaneError, Unavailable

from .operations import Operations

if TYPE_CHECKING:
    from promptlane.aws.account import AwsAccount
    from promptlane.aws.guardrails import SsmGuardrails
    from promptlane.lifecycle.investigate.sources import Sources

Json = Any


class Deployment(Composition):
    """One deployment of Promptlane. `resources`: the names that its stacks wrote to SSM. Services are made lazily."""

    def __init__(self, name: str, resources: Mapping[str, Json]) -> None:
        self.name, self.resources = name, resources

    def resource(self, name: str) -> str:
        """The name or URL of a resource; NotFound says which stack it would come from."""
        value = self.resources.get(name)
        if not value:
            raise NotFound(
                f"deployment {self.name!r} has no {name!r} among its SSM parameters /{self.name}/resources/*; "
                "deploy all stacks with `npx cdk deploy --all`, then try again"
            )
        return str(value)

    def setting(self, name: str) -> str:
        return self.name if name == "deployment" else self.resource(name)

    def optional(self, name: str) -> str:
        return str(self.resources.get(name) or "")

    @property
    def models(self) -> tuple[str, str]:
        """(Region, group of inference profiles) by which `called_in` names models; empty where it is to leave them."""
        # Any ARN of the deployment names its Region: no call, and no permission, is needed for that.
        group = self.optional("inference_profiles")
        return (self.resource("state_machine_arn").split(":")[3], group) if group else ("", "")

    @property
    def time_scale(self) -> float:
        """Factor on the durations of every policy that is deployed."""
        return float(self.optional("time_scale") or 1)

    @cached_property
    def operations(self) -> Operations:
        return Operations.signed(self.resource("operations_url"))

    @cached_property
    def account(self) -> AwsAccount:
        """What `doctor` reads of the account."""
        from promptlane.aws.account import AwsAccount
        from promptlane.aws.clients import client

        return AwsAccount(client)

    @cached_property
    def guardrails(self) -> SsmGuardrails:
        """Guardrails by the names that prompt.yaml may call them."""
        from promptlane.aws.clients import client
        from promptlane.aws.guardrails import SsmGuardrails

        return SsmGuardrails(client("ssm"), self.name)

    @cached_property
    def sources(self) -> Sources:
        """Where an investigation looks."""
        from promptlane.aws.alarm_history import CloudWatchAlarmHistory
        from promptlane.aws.clients import client
        from promptlane.aws.invocation_log import InsightsLog
        from promptlane.aws.trail import CloudTrailHistory
        from promptlane.aws.trail_files import TrailFiles
        from promptlane.lifecycle.investigate.sources import Sources

        archive: TrailFiles | None = None
        if self.optional("trail"):
            # Any ARN of the deployment names its account and Region: no call, and no permission, is needed for that.
            region, account = self.resource("state_machine_arn").split(":")[3:5]
            archive = TrailFiles(client("s3"), self.resource("audit_bucket"), account, region)
        return Sources(
            prompts=self.prompts,
            routes=self.routes,
            releases=self.releases,
            trail=CloudTrailHistory(client("cloudtrail")),
            alarms=CloudWatchAlarmHistory(client("cloudwatch"), self.name),
            rates=self.counts,
            log=InsightsLog(
                bedrock=client("bedrock"),
                logs=client("logs"),
                s3=client("s3"),
                group=self.optional("invocation_log_group"),
            ),
            clock=time.time,
            archive=archive,
            edits=self.edits,
            named=self.named,
        )

    @cached_property
    def caller(self) -> str:
        """The ARN of whoever runs the command; `unknown` where STS does not say."""
        from promptlane.aws.clients import client
        from promptlane.aws.errors import translated

        try:
            with translated("asking who the caller is"):
                return str(client("sts").get_caller_identity()["Arn"])
        except PromptlaneError:
            return "unknown"

    def invoke(self, resource: str, payload: Mapping[str, Json]) -> Json:
        """Invoke a function directly and return its answer; a failure of the function is Unavailable."""
        return self.functions.call(self.resource(resource), payload)

    def prompt(self, name: str) -> tuple[str, str]:
        """(prompt id, name) of a prompt given by name, id or ARN; NotFound lists what is enrolled.

        An enrolled name stands for the prompt that it was fixed to, whatever has that name in Bedrock now.
        """
        name = incoming.name(name, "the prompt")
        if self.enrolments.enrolled(name) and (fixed := self.named.fixed(name)):
            return fixed, name
        found = self.prompts.find(name)
        if found is None:
            known = ", ".join(self.enrolments.names()) or "none yet"
            raise NotFound(f"there is no prompt {name!r} in Bedrock; enrolled prompts: {known}")
        return found

    def prompt_to_change(self, name: str) -> tuple[str, str]:
        """The same for commands that change something: AnotherPrompt where an enrolled name means another prompt."""
        if self.enrolments.enrolled(name) and (prompt_id := self.named.find(name)):
            return prompt_id, name
        found = self.prompt(name)
        if self.enrolments.enrolled(found[1]):
            self.named.demand(found[1], found[0])
        return found

    def prompt_to_publish(self, name: str) -> str | None:
        """The id of the prompt that a draft of this name is written to; None where a new one is made."""
        if self.enrolments.enrolled(name):
            return self.named.find(name)
        found = self.prompts.find(name)
        if found is not None and found[1] != name:
            raise InvalidInput(f"{name!r} is the id of prompt {found[1]!r}; give the draft another name")
        return found[0] if found else None


def connect() -> Deployment:
    """The deployment that PROMPTLANE_DEPLOYMENT names (default `promptlane`), in the Region of the environment."""
    name = os.environ.get("PROMPTLANE_DEPLOYMENT", "promptlane")
    return Deployment(name, _resources(name))


def _resources(name: str) -> dict[str, Json]:
    from botocore.exceptions import BotoCoreError, NoCredentialsError, NoRegionError

    from promptlane.aws.clients import client
    from promptlane.aws.errors import translated

    found: dict[str, Json] = {}
    try:
        ssm = client("ssm")
    except NoRegionError:
        raise InvalidInput("no AWS Region is set; export AWS_REGION, or `. .local/env` for the embedded AWS") from None
    try:
        with translated(f"looking for deployment {name!r} in SSM"):
            for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{name}/resources"):
                for parameter in page["Parameters"]:
                    found |= dict(json.loads(parameter["Value"]))
    except Unavailable as error:
        if isinstance(error.__cause__, NoCredentialsError):
            raise InvalidInput(
                "no AWS credentials were found; sign in, or `. .local/env` for the embedded AWS"
            ) from None
        if isinstance(error.__cause__, BotoCoreError):
            raise Unavailable(f"{error}; is AWS_ENDPOINT_URL right, and does `make up` run?") from None
        raise
    if not found:
        region = client("ssm").meta.region_name
        raise NotFound(
            f"no deployment {name!r} in {region}: there are no SSM parameters below /{name}/resources. Deploy it with "
            "`npx cdk deploy --all`, or name another with PROMPTLANE_DEPLOYMENT"
        )
    return found
