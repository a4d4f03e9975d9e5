"""Declares a deployment's reviewers: who they are becomes a content-hashed object, and a custom resource says so."""

import hashlib
from collections.abc import Sequence

from aws_cdk import CustomResource, Fn
from aws_cdk import aws_s3_assets as assets
from constructs import Construct, IDependable

from infra.config import DeploymentConfig
from infra.constructs.statements import arn
from infra.packaging import document
from promptlane.cdk.enrolment import ANSWERED_WITHIN
from promptlane.cdk.platform import enrol_function_name
from promptlane.domain.enrolment.declaration import DECLARATION_TYPE
from promptlane.domain.release.content import canonical_json
from promptlane.domain.review.declared import Declared


class DeclaredReviewers(Construct):
    """Custom resource {Reviewers: {uri, sha256}}, carried out by `enrol` for the Pipeline stack and for no other."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        declared: Declared,
        after: Sequence[IDependable] = (),
    ) -> None:
        super().__init__(scope, id)
        content = canonical_json(declared.to_dict()).encode()
        asset = assets.Asset(self, "Content", path=str(document("reviewers.json", content)))
        uri = Fn.join("", ["s3://", asset.s3_bucket_name, "/", asset.s3_object_key])
        CustomResource(
            self,
            "Declared",
            service_token=arn("lambda", f"function:{enrol_function_name(config.name)}"),
            resource_type=DECLARATION_TYPE,
            service_timeout=ANSWERED_WITHIN,
            properties={"Reviewers": {"uri": uri, "sha256": hashlib.sha256(content).hexdigest()}},
        )
        self.node.add_dependency(*after)
