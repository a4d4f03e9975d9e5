"""Buckets of a trial: emptied before CloudFormation deletes them."""

from collections.abc import Mapping

from aws_cdk import Aws, CustomResource, Duration, Tags
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.function import Function
from infra.constructs.grants import allow
from promptlane.domain.names import TRIAL_TAG

_WITHIN = Duration.minutes(15)


class EmptiedBuckets(Construct):
    """One function for all buckets of a stack. What writes to one depends on this construct, to go first."""

    def __init__(
        self, scope: Construct, id: str, *, config: DeploymentConfig, buckets: Mapping[str, s3.Bucket]
    ) -> None:
        super().__init__(scope, id)
        arns = [bucket.bucket_arn for bucket in buckets.values()]
        objects = [bucket.arn_for_objects("*") for bucket in buckets.values()]
        emptier = Function(
            self,
            verb="empty_buckets",
            description="Promptlane: empties the buckets of a trial when its stack is deleted",
            config=config,
            environment={"PARTITION": Aws.PARTITION},
            grants=[
                allow(
                    "CloseBuckets",
                    ["s3:GetBucketTagging", "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:ListBucketVersions"],
                    arns,
                ),
                allow(
                    "DeleteObjects",
                    ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
                    objects,
                    because="Whatever lies there goes with the trial.",
                ),
            ],
            timeout=_WITHIN,
            memory_mib=512,
        )
        for name, bucket in buckets.items():
            Tags.of(bucket).add(TRIAL_TAG, "true")
            emptied = CustomResource(
                self,
                name,
                service_token=emptier.function.function_arn,
                resource_type="Custom::EmptiedBucket",
                service_timeout=Duration.minutes(20),
                properties={"BucketName": bucket.bucket_name},
            )
            # With the role's policy: deleted after this.
            emptied.node.add_dependency(bucket, emptier)
