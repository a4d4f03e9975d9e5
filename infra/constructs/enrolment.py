"""Enrols a prompt: its policy and suite become content-hashed objects, and one SSM parameter points at them."""

import hashlib

from aws_cdk import Annotations, Fn
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.config import DeploymentConfig
from infra.packaging import document
from promptlane.domain.release.content import canonical_json
from promptlane.engine.plan import size_warnings
from promptlane.project import PromptProject


class Enrolment(Construct):
    """`/<deployment>/enrolled/<prompt>` = {"policy": {"uri", "sha256"}, "suite": {"uri", "sha256"}}."""

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig, project: PromptProject) -> None:
        super().__init__(scope, id)
        for number, warning in enumerate(size_warnings(project.suite, project.policy.tests), 1):
            Annotations.of(self).add_warning_v2(
                f"promptlane:suite-{project.name}-{number}", f"{project.name}/suite.yaml: {warning}"
            )
        policy = canonical_json(project.policy.scaled(config.time_scale).to_dict()).encode()
        suite = canonical_json(project.suite.to_dict()).encode()
        self.assets: list[assets.Asset] = []
        parts = {"policy": self._deployed("Policy", policy), "suite": self._deployed("Suite", suite)}
        value = ", ".join(
            f'"{name}": {{"uri": "{uri}", "sha256": "{sha256}"}}' for name, (uri, sha256) in parts.items()
        )
        ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=f"{config.parameter_prefix}/enrolled/{project.name}",
            description=f"Release policy and regression suite of the prompt {project.name}",
            string_value=f"{{{value}}}",
        )

    def _deployed(self, name: str, content: bytes) -> tuple[str, str]:
        asset = assets.Asset(self, name, path=str(document(f"{name.lower()}.json", content)))
        self.assets.append(asset)
        return Fn.join("", ["s3://", asset.s3_bucket_name, "/", asset.s3_object_key]), hashlib.sha256(
            content
        ).hexdigest()
