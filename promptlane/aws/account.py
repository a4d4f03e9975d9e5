"""What `promptlane doctor` reads of the account: many services, each asked one thing. `try_prompt` alone writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from promptlane.domain.errors import NotFound
from promptlane.domain.model_regions import parted
from promptlane.lifecycle.doctor.account import (
    Alarm,
    Queue,
    Resource,
    Rule,
    SourceMapping,
    Stack,
    Subscriber,
    Trail,
    Trial,
)
from promptlane.lifecycle.doctor.deployed import PLATFORM

from .errors import code_of, translated

Json = Any
DAY: Final = timedelta(days=1)
_OURS: Final = '{ ($.requestMetadata.prompt = "*") || ($.requestMetadata.purpose = "*") }'
_TOOL: Final[Mapping[str, Json]] = {
    "toolSpec": {
        "name": "look",
        "inputSchema": {
            "json": {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9007199254740993}}}
        },
    }
}


class AwsAccount:
    """`Account`. `client` gives the boto3 client of a service by its name."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client

    def _pages(self, service: str, operation: str, key: str, doing: str, **arguments: Json) -> Iterator[Json]:
        with translated(doing):
            for page in self._client(service).get_paginator(operation).paginate(**arguments):
                yield from page.get(key) or []

    def stacks(self, deployment: str) -> Sequence[Stack]:
        own = f"{deployment}-"
        return [
            Stack(
                name=str(stack["StackName"]),
                status=str(stack["StackStatus"]),
                drift=str((stack.get("DriftInformation") or {}).get("StackDriftStatus") or "NOT_CHECKED"),
            )
            for stack in self._pages("cloudformation", "describe_stacks", "Stacks", "reading the stacks")
            if (name := str(stack["StackName"])).startswith(own)
            and (name.removeprefix(own) in PLATFORM or name.startswith(f"{own}prompt-"))
        ]

    def resources(self, stack: str, kind: str) -> Sequence[Resource]:
        doing = f"reading the resources of {stack}"
        found = self._pages("cloudformation", "list_stack_resources", "StackResourceSummaries", doing, StackName=stack)
        return [
            Resource(str(one["LogicalResourceId"]), str(one["PhysicalResourceId"]))
            for one in found
            if one["ResourceType"] == kind and one.get("PhysicalResourceId")
        ]

    def concurrency(self) -> tuple[int, int]:
        with translated("reading Lambda's limits"):
            limit = self._client("lambda").get_account_settings()["AccountLimit"]
        total = int(limit["ConcurrentExecutions"])
        return total, int(limit.get("UnreservedConcurrentExecutions", total))

    def quotas(self) -> Mapping[str, float]:
        found = self._pages(
            "service-quotas", "list_service_quotas", "Quotas", "reading Bedrock's quotas", ServiceCode="bedrock"
        )
        return {
            str(quota["QuotaName"]): float(quota["Value"])
            for quota in found
            if "prompt" in str(quota["QuotaName"]).lower() and "Value" in quota
        }

    def prompts(self) -> int:
        return sum(1 for _ in self._pages("bedrock-agent", "list_prompts", "promptSummaries", "counting the prompts"))

    def key_states(self, keys: Sequence[str]) -> Mapping[str, str]:
        found = {}
        for key in keys:
            with translated(f"looking at key {key}"):
                found[key] = str(self._client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"])
        return found

    def rules(self, names: Sequence[str], bus: str) -> Sequence[Rule]:
        return [self._rule(name, bus) for name in names]

    def _rule(self, physical: str, bus: str) -> Rule:
        """CloudFormation names a rule of another bus `<bus>|<rule>`, by some accounts without it."""
        named, _, name = physical.rpartition("|")
        try:
            state = self._state(name, named)
        except NotFound:
            state = self._state(name, bus)
        return Rule(name, state.startswith("ENABLED"), self._failed(name))

    def _state(self, rule: str, bus: str) -> str:
        with translated(f"looking at rule {rule}"):
            arguments = {"EventBusName": bus} if bus else {}
            return str(self._client("events").describe_rule(Name=rule, **arguments)["State"])

    def _failed(self, rule: str) -> float:
        now = datetime.now(UTC)
        with translated(f"reading how often rule {rule} failed"):
            points = self._client("cloudwatch").get_metric_statistics(
                Namespace="AWS/Events",
                MetricName="FailedInvocations",
                Dimensions=[{"Name": "RuleName", "Value": rule}],
                StartTime=now - DAY,
                EndTime=now,
                Period=3600,
                Statistics=["Sum"],
            )["Datapoints"]
        return sum(float(point["Sum"]) for point in points)

    def trails(self) -> Sequence[Trail]:
        cloudtrail = self._client("cloudtrail")
        with translated("reading the trails"):
            listed = cloudtrail.describe_trails(includeShadowTrails=True).get("trailList") or []
        found = []
        for one in listed:
            arn = one.get("TrailARN") or one["Name"]
            with translated(f"looking at trail {one['Name']}"):
                status = cloudtrail.get_trail_status(Name=arn)
                selectors = cloudtrail.get_event_selectors(TrailName=arn)
            found.append(
                Trail(
                    name=str(one["Name"]),
                    logging=bool(status.get("IsLogging")),
                    problem=str(status.get("LatestDeliveryError") or ""),
                    management=_manages(selectors),
                    renders=_renders(selectors),
                )
            )
        return found

    def queues(self, urls: Sequence[str]) -> Sequence[Queue]:
        found = []
        for url in urls:
            name = url.rpartition("/")[2]
            with translated(f"looking at queue {name}"):
                attributes = (
                    self._client("sqs")
                    .get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "RedrivePolicy"])
                    .get("Attributes", {})
                )
            waiting = int(attributes.get("ApproximateNumberOfMessages") or 0)
            found.append(Queue(name, waiting, dead=not attributes.get("RedrivePolicy")))
        return found

    def alarms(self, prefix: str) -> Sequence[Alarm]:
        doing = f"reading the alarms {prefix}…"
        found = self._pages("cloudwatch", "describe_alarms", "MetricAlarms", doing, AlarmNamePrefix=prefix)
        return [
            Alarm(
                name=str(one["AlarmName"]),
                state=str(one["StateValue"]),
                since=(one.get("StateTransitionedTimestamp") or one["StateUpdatedTimestamp"]).timestamp(),
                acts=bool(one.get("ActionsEnabled", True) and one.get("AlarmActions")),
                reason=str(one.get("StateReason") or ""),
            )
            for one in found
        ]

    def mappings(self, function: str) -> Sequence[SourceMapping]:
        doing = f"reading what {function} is called by"
        found = self._pages("lambda", "list_event_source_mappings", "EventSourceMappings", doing, FunctionName=function)
        return [
            SourceMapping(function, str(one.get("State") or ""), str(one.get("LastProcessingResult") or ""))
            for one in found
        ]

    def subscribers(self, topic: str) -> Sequence[Subscriber]:
        doing = f"listing the subscriptions of {topic}"
        found = self._pages("sns", "list_subscriptions_by_topic", "Subscriptions", doing, TopicArn=topic)
        return [
            Subscriber(str(one["Protocol"]), str(one["Endpoint"]), str(one["SubscriptionArn"]).startswith("arn:"))
            for one in found
            if one["SubscriptionArn"] != "Deleted"
        ]

    def model_problem(self, model: str) -> str:
        bedrock, name = self._client("bedrock"), model.rpartition("/")[2]
        try:
            if "inference-profile/" in model or parted(name)[0]:
                with translated(f"looking at inference profile {name}"):
                    profile = bedrock.get_inference_profile(inferenceProfileIdentifier=model)
                if profile.get("status") != "ACTIVE":
                    return f"the inference profile is {profile.get('status')}"
                name = str(profile["models"][0]["modelArn"]).rpartition("/")[2]
            with translated(f"asking whether {name} may be called"):
                found = bedrock.get_foundation_model_availability(modelId=name)
        except NotFound:
            return "Bedrock does not have it in this Region"
        return _availability(found)

    def logging(self) -> Mapping[str, Json] | None:
        with translated("reading how model invocations are logged"):
            return self._client("bedrock").get_model_invocation_logging_configuration().get("loggingConfig") or None

    def records(self, group: str) -> Sequence[Mapping[str, Json]]:
        since = int((datetime.now(UTC) - DAY).timestamp() * 1000)
        with translated(f"reading records of {group}"):
            page = self._client("logs").filter_log_events(
                logGroupName=group, startTime=since, filterPattern=_OURS, limit=20
            )
        found = []
        for event in page.get("events") or []:
            record = json.loads(event["message"])
            metadata = record.get("requestMetadata") or {}
            if "prompt" in metadata or "purpose" in metadata:
                found.append(record)
        return found

    def skew(self) -> float:
        with translated("asking AWS for the time"):
            answer = self._client("sts").get_caller_identity()
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return time.time() - parsedate_to_datetime(headers["date"]).timestamp() if "date" in headers else 0.0

    def try_prompt(self, name: str, versions: int) -> Trial:
        agent = self._client("bedrock-agent")
        made: list[str] = []
        try:
            with translated("trying a prompt"):
                return _tried(agent, name, versions, made)
        finally:
            for prompt in made:
                with translated(f"deleting the prompt of the trial, {prompt}: delete it by hand"):
                    agent.delete_prompt(promptIdentifier=prompt)


def _tried(agent: Any, name: str, versions: int, made: list[str]) -> Trial:
    body: dict[str, Json] = {
        "variants": [
            {
                "name": "default",
                "templateType": "CHAT",
                "modelId": "amazon.nova-lite-v1:0",
                "templateConfiguration": {
                    "chat": {
                        "messages": [{"role": "user", "content": [{"text": "Is anybody there?"}]}],
                        "toolConfiguration": {"tools": [dict(_TOOL)]},
                    }
                },
            }
        ],
        "defaultVariant": "default",
    }
    prompt = agent.create_prompt(name=name, **body)
    made.append(str(prompt["id"]))
    twins = True
    try:
        made.append(str(agent.create_prompt(name=name, **body)["id"]))
    except ClientError:
        twins = False
    published, refusal, created_same = 0, "", True
    for _ in range(versions + 1):
        try:
            version = agent.create_prompt_version(promptIdentifier=prompt["id"])
        except ClientError as error:
            refusal = f"{code_of(error)}: {error.response.get('Error', {}).get('Message', '')}"
            break
        published += 1
        created_same = version["createdAt"] == prompt["createdAt"]
    kept = agent.get_prompt(promptIdentifier=prompt["id"], promptVersion="1")
    chat = kept["variants"][0]["templateConfiguration"]["chat"]
    agent.update_prompt(promptIdentifier=prompt["id"], name=f"{name}-renamed", **body)
    renamed = agent.get_prompt(promptIdentifier=prompt["id"])["name"] == f"{name}-renamed"
    try:
        made.append(str(agent.create_prompt(name=name, **body)["id"]))
        freed = True
    except ClientError:
        freed = False
    return Trial(
        published=published,
        refusal=refusal,
        numbers_kept=chat["toolConfiguration"]["tools"][0] == _TOOL,
        renamed=renamed,
        freed=freed,
        created_same=created_same,
        twins=twins,
    )


def _manages(selectors: Mapping[str, Json]) -> bool:
    """Whether a trail has management events that write."""
    basic = selectors.get("EventSelectors") or []
    if any(one.get("IncludeManagementEvents") and one.get("ReadWriteType") != "ReadOnly" for one in basic):
        return True
    return any(
        _fields(one).get("eventCategory") == ["Management"] and _fields(one).get("readOnly", ["false"]) == ["false"]
        for one in selectors.get("AdvancedEventSelectors") or []
    )


def _renders(selectors: Mapping[str, Json]) -> bool:
    kinds = [_fields(one).get("resources.type") or [] for one in selectors.get("AdvancedEventSelectors") or []]
    return any(kind.startswith("AWS::Bedrock::Prompt") for listed in kinds for kind in listed)


def _fields(selector: Mapping[str, Json]) -> dict[str, list[str]]:
    return {str(one["Field"]): list(one.get("Equals") or []) for one in selector.get("FieldSelectors") or []}


def _availability(found: Mapping[str, Json]) -> str:
    """Why a model cannot be called, of what Bedrock says of its availability."""
    agreement = (found.get("agreementAvailability") or {}).get("status")
    for said, well, why in (
        (found.get("regionAvailability"), "AVAILABLE", "it is not in this Region"),
        (found.get("authorizationStatus"), "AUTHORIZED", "the account is not authorized"),
        (found.get("entitlementAvailability"), "AVAILABLE", "the account is not entitled to it"),
        (agreement, "AVAILABLE", "its agreement was not accepted"),
    ):
        if said and said != well:
            return f"{why} ({said})"
    return ""
