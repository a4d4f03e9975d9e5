"""Who rendered which version: data events of prompts, where the Region's CloudTrail has them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.function import Function
from infra.constructs.grants import allow
from infra.constructs.statements import arn


class RenderEvents(Construct):
    """Selects them on our own trail. `said` is "recorded", or what was left out and why.

    Not by CloudFormation: CloudTrail refuses the whole trail where it does not know one kind of event, and without a
    trail no published version would start a release. `made_of`: the trail's properties. `management`: whether it
    records management events too.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        trail: cloudtrail.CfnTrail,
        made_of: Mapping[str, Any],
        management: bool,
    ) -> None:
        super().__init__(scope, id)
        name = str(trail.trail_name)
        selector = Function(
            self,
            verb="record_renders",
            description="Promptlane: records who rendered which version, where CloudTrail can",
            config=config,
            environment={"TRAIL": name},
            grants=[
                allow(
                    "SelectEvents",
                    [
                        f"cloudtrail:{action}"
                        for action in ("PutEventSelectors", "StartLogging", "StopLogging", "GetTrailStatus")
                    ],
                    [arn("cloudtrail", f"trail/{name}")],
                )
            ],
            timeout=Duration.seconds(60),
        )
        selected = CustomResource(
            self,
            "Selected",
            service_token=selector.function.function_arn,
            resource_type="Custom::RenderEvents",
            service_timeout=Duration.minutes(15),
            properties={
                "ManagementEvents": str(management).lower(),
                # CloudFormation may put its own selectors back whenever it changes the trail.
                "Trail": _digest(Stack.of(self).resolve(dict(made_of))),
            },
        )
        selected.node.add_dependency(trail, selector)
        self.said = selected.get_att_string("Said")


def _digest(properties: Any) -> str:
    return hashlib.sha256(json.dumps(properties, sort_keys=True).encode()).hexdigest()
