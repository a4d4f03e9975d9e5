"""Enrols a prompt: its policy and suite become content-hashed objects, and a custom resource says that they count."""

import hashlib
from collections.abc import Sequence

from aws_cdk import Annotations, CustomResource, Duration, Fn
from aws_cdk import aws_s3_assets as assets
from constructs import Construct, IDependable

from infra.config import DeploymentConfig
from infra.constructs.statements import arn
from infra.packaging import document
from promptlane.domain.enrolment.enrolment import RESOURCE_TYPE
from promptlane.domain.release.content import canonical_json
from promptlane.engine.plan import size_warnings
from promptlane.project import PromptProject

ANSWERED_WITHIN = Duration.minutes(15)
"""CloudFormation would wait for an hour. Longer than `enrol` may take with every retry that Lambda makes of it."""


def enrol_function_name(deployment: str) -> str:
    """Fixed, since a custom resource may never change whom it calls, and stacks of other apps call it by its name."""
    return f"{deployment}-pipeline-enrol"


class Enrolment(Construct):
    """Custom resource {Name, Policy: {uri, sha256}, Suite: {uri, sha256}}, carried out by the deployment's `enrol`.

    `after`: what must be deployed first, where that is in the same stack.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        project: PromptProject,
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, id)
        for number, warning in enumerate(size_warnings(project.suite, project.policy.tests), 1):
            Annotations.of(self).add_warning_v2(
                f"promptlane:suite-{project.name}-{number}", f"{project.name}/suite.yaml: {warning}"
            )
        policy = canonical_json(project.policy.scaled(config.time_scale).to_dict()).encode()
        suite = canonical_json(project.suite.to_dict()).encode()
        CustomResource(
            self,
            "Enrolled",
            service_token=arn("lambda", f"function:{enrol_function_name(config.name)}"),
            resource_type=RESOURCE_TYPE,
            service_timeout=ANSWERED_WITHIN,
            properties={
                "Name": project.name,
                "Policy": self._deployed("Policy", policy),
                "Suite": self._deployed("Suite", suite),
            },
        )
        self.node.add_dependency(*after)

    def _deployed(self, name: str, content: bytes) -> dict[str, str]:
        asset = assets.Asset(self, name, path=str(document(f"{name.lower()}.json", content)))
        uri = Fn.join("", ["s3://", asset.s3_bucket_name, "/", asset.s3_object_key])
        return {"uri": uri, "sha256": hashlib.sha256(content).hexdigest()}
