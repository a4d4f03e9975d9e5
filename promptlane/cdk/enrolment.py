"""Enrols a prompt: its policy and suite become content-hashed objects, and a custom resource says that they count."""

import hashlib
from pathlib import Path

from aws_cdk import Annotations, Aws, CustomResource, Duration, Fn, Stage
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from promptlane.cdk.platform import Platform
from promptlane.domain.enrolment.enrolment import RESOURCE_TYPE
from promptlane.domain.policy import Policy
from promptlane.domain.release.content import canonical_json
from promptlane.engine.caching import cold_cache
from promptlane.engine.plan import size_warnings
from promptlane.project import PromptProject

ANSWERED_WITHIN = Duration.minutes(15)
"""CloudFormation would wait for an hour. Longer than `enrol` may take with every retry that Lambda makes of it."""


class Enrolment(Construct):
    """Custom resource {Name, Policy: {uri, sha256}, Suite: {uri, sha256}}, carried out by the deployment's `enrol`.

    policy: the project's, with its durations as the deployment has them.
    """

    def __init__(
        self, scope: Construct, id: str, *, project: PromptProject, policy: Policy, platform: Platform
    ) -> None:
        super().__init__(scope, id)
        for number, warning in enumerate(size_warnings(project.suite, project.policy.tests), 1):
            Annotations.of(self).add_warning_v2(
                f"promptlane:suite-{project.name}-{number}", f"{project.name}/suite.yaml: {warning}"
            )
        for warning in cold_cache(policy, project.draft.variants()):
            Annotations.of(self).add_warning_v2(
                f"promptlane:cache-{project.name}", f"{project.name}/release.yaml: {warning}"
            )
        function = f"function:{platform.enrol_function}"
        CustomResource(
            self,
            "Enrolled",
            service_token=f"arn:{Aws.PARTITION}:lambda:{Aws.REGION}:{Aws.ACCOUNT_ID}:{function}",
            resource_type=RESOURCE_TYPE,
            service_timeout=ANSWERED_WITHIN,
            properties={
                "Name": project.name,
                "Policy": deployed(self, "Policy", canonical_json(policy.to_dict()).encode()),
                "Suite": deployed(self, "Suite", canonical_json(project.suite.to_dict()).encode()),
            },
        )


def deployed(scope: Construct, id: str, content: bytes) -> dict[str, str]:
    """Deploys a JSON document as an asset: where it lies and its SHA-256, as `enrol` asks for them."""
    asset = assets.Asset(scope, id, path=str(_written(scope, f"{id.lower()}.json", content)))
    uri = Fn.join("", ["s3://", asset.s3_bucket_name, "/", asset.s3_object_key])
    return {"uri": uri, "sha256": hashlib.sha256(content).hexdigest()}


def _written(scope: Construct, name: str, content: bytes) -> Path:
    """A file with this content beside the templates, since a CDK asset has to be one."""
    stage = Stage.of(scope)
    if stage is None:
        raise ValueError("a prompt belongs into a stack of a CDK app")
    folder = Path(stage.asset_outdir) / "promptlane" / hashlib.sha256(content).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name
