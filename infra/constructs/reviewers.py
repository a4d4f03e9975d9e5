"""Declares a deployment's reviewers: who they are becomes a content-hashed object, and a custom resource says so."""

from aws_cdk import CustomResource
from constructs import Construct, IDependable

from infra.config import DeploymentConfig
from infra.constructs.statements import arn
from promptlane.cdk.enrolment import ANSWERED_WITHIN, deployed
from promptlane.cdk.platform import enrol_function_name
from promptlane.domain.enrolment.declaration import DECLARATION_TYPE
from promptlane.domain.release.content import canonical_json
from promptlane.domain.review.declared import Declared


class DeclaredReviewers(Construct):
    """Custom resource {Reviewers: {uri, sha256}}, carried out by `enrol` for the Pipeline stack and for no other."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, declared: Declared, after: IDependable
    ) -> None:
        super().__init__(scope, id)
        CustomResource(
            self,
            "Declared",
            service_token=arn("lambda", f"function:{enrol_function_name(config.name)}"),
            resource_type=DECLARATION_TYPE,
            service_timeout=ANSWERED_WITHIN,
            properties={"Reviewers": deployed(self, "Content", canonical_json(declared.to_dict()).encode())},
        )
        self.node.add_dependency(after)
