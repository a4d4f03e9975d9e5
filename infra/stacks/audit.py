"""Audit: what happened, kept where nobody can edit it."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_cloudtrail as cloudtrail
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct, IDependable

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.emptied import EmptiedBuckets
from infra.constructs.grants import Grant, allow
from infra.constructs.invocation_log import InvocationLog
from infra.constructs.outputs import Outputs
from infra.constructs.render_events import RenderEvents
from infra.constructs.statements import all_but, arn, keep_out, let_in, role

_CLOUDTRAIL = "cloudtrail.amazonaws.com"
_TIMELINES = "timeline/*"
_MARGIN = Duration.days(30)


class AuditStack(Stack):
    """A trail with validated log files in an Object-Locked bucket, copies of every timeline, the invocation log.

    Without a trail that logs management events no published version is ever noticed by an event: where the account
    has one (`existing_trail`), ours records only what that one does not.
    """

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig) -> None:
        super().__init__(scope, id, description="Promptlane: audit trail")
        self._config = config
        self.key = kms.Key(
            self,
            "Key",
            description="Promptlane: audit trail",
            enable_key_rotation=True,
            removal_policy=config.removal,
            pending_window=config.key_pending,
        )
        self.bucket = self._locked_bucket()
        self._bucket_arn = str(self.export_value(self.bucket.bucket_arn))
        self._trail_arn = arn("cloudtrail", f"trail/{config.name}")
        self._let_trail_write()
        self._let_nobody_else_write()
        emptied: list[IDependable] = []
        self.invocations: InvocationLog | None = None
        if config.invocation_logging == "on":
            self.invocations = InvocationLog(self, "Invocations", config=config, key=self.key)
        if config.trial:
            buckets = {"Trails": self.bucket}
            if self.invocations:
                buckets["LargeBodies"] = self.invocations.bucket
            emptied.append(EmptiedBuckets(self, "Emptied", config=config, buckets=buckets))
            if self.invocations:
                self.invocations.setting.node.add_dependency(*emptied)
        trail, renders = self._trail(after=emptied)
        Outputs(
            self,
            "Resources",
            config=config,
            stack="audit",
            resources={
                "audit_bucket": self.bucket.bucket_name,
                "audit_retention_days": str(config.audit_retention_days),
                "trail": trail,
                "render_events": renders,
                "invocation_log_group": self.invocations.group.log_group_name if self.invocations else "",
                "invocation_bucket": self.invocations.bucket.bucket_name if self.invocations else "",
            },
        )

    def copy_timelines(self, *, listed: bool = False) -> list[Grant]:
        """Put copies of timeline entries under the lock; not read or delete them. `listed`: see which ones there are.

        A single put needs no kms:Decrypt; only one in parts does.
        """
        because = "One object per entry of a release's timeline, below a prefix of its own."
        grants = [
            allow("CopyTimeline", ["s3:PutObject"], [f"{self._bucket_arn}/{_TIMELINES}"], because=because),
            allow("AuditKey", ["kms:GenerateDataKey"], [self.key.key_arn]),
        ]
        if listed:
            below = {"StringLike": {"s3:prefix": _TIMELINES}}
            grants.append(allow("ListTimelines", ["s3:ListBucketVersions"], [self._bucket_arn], below))
        return grants

    def _trail(self, *, after: Sequence[IDependable]) -> tuple[str, str]:
        """Its name, "" for none, and what is said of rendered versions: management events unless another trail has them
        (a second copy is billed), rendered versions if they are asked for.
        """
        ours = not self._config.existing_trail
        if not ours and not self._config.render_events:
            return "", "not recorded"
        made_of: dict[str, Any] = {
            "trail_name": self._config.name,  # the bucket's policy names the trail, and the trail needs that policy
            "s3_bucket_name": self.bucket.bucket_name,
            "kms_key_id": self.key.key_arn,
            "is_logging": True,
            "enable_log_file_validation": True,
            "include_global_service_events": True,
            "is_multi_region_trail": False,
        }
        only_management = cloudtrail.CfnTrail.AdvancedEventSelectorProperty(
            name="Management events",
            field_selectors=[
                cloudtrail.CfnTrail.AdvancedFieldSelectorProperty(field="eventCategory", equal_to=["Management"])
            ],
        )
        trail = cloudtrail.CfnTrail(self, "Trail", **made_of, advanced_event_selectors=[only_management])
        if self.bucket.policy is not None:
            trail.node.add_dependency(self.bucket.policy)
        trail.node.add_dependency(self.key, *after)
        if not self._config.render_events:
            return self._config.name, "not recorded"
        events = RenderEvents(self, "Renders", config=self._config, trail=trail, made_of=made_of, management=ours)
        return self._config.name, events.said

    def _locked_bucket(self) -> s3.Bucket:
        """Locked in compliance mode: not even the account's root can shorten it. A trial's lock can be lifted.

        What its lock no longer holds goes a month later. No bucket key: with one, CloudTrail would need kms:Decrypt.
        """
        days = Duration.days(self._config.audit_retention_days)
        lock = s3.ObjectLockRetention.governance if self._config.trial else s3.ObjectLockRetention.compliance
        bucket = s3.Bucket(
            self,
            "Trails",
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.key,
            bucket_key_enabled=False,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            object_lock_enabled=True,
            object_lock_default_retention=lock(days),
            removal_policy=self._config.removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="AfterRetention",
                    expiration=days.plus(_MARGIN),
                    # Also where somebody hid or overwrote an object earlier: a version that is locked waits for that.
                    noncurrent_version_expiration=Duration.days(1),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                ),
                s3.LifecycleRule(id="EmptyMarkers", expired_object_delete_marker=True),
            ],
        )
        accept_finding(bucket, "S1", "Is itself the audit log; access to it is in the trail where data events are on.")
        return bucket

    def _let_nobody_else_write(self) -> None:
        """Whatever somebody's own policies allow: what was written first counts, so nobody may plant anything.

        The copiers by name, since their roles are made in a stack that needs this one.
        """
        writing = ["s3:PutObject", "s3:ReplicateObject"]
        copiers = [role(f"{self._config.name}-pipeline-{name}Role*") for name in ("Relay", "Housekeep")]
        no_trail = {"StringNotEquals": {"aws:PrincipalServiceName": _CLOUDTRAIL}}
        timelines, log_files = (self.bucket.arn_for_objects(below) for below in (_TIMELINES, "AWSLogs/*"))
        for statement in (
            keep_out(all_but(copiers), "OnlyRelayAndHousekeepCopy", writing, timelines),
            keep_out(no_trail, "OnlyCloudTrailWritesLogFiles", writing, log_files),
        ):
            self.bucket.add_to_resource_policy(statement)

    def _let_trail_write(self) -> None:
        ours = {"StringEquals": {"aws:SourceArn": self._trail_arn}}
        files = self.bucket.arn_for_objects(f"AWSLogs/{Aws.ACCOUNT_ID}/*")
        for statement in (
            let_in(_CLOUDTRAIL, "TrailChecksBucket", ["s3:GetBucketAcl"], self.bucket.bucket_arn, ours),
            let_in(_CLOUDTRAIL, "TrailWrites", ["s3:PutObject"], files, ours),
        ):
            self.bucket.add_to_resource_policy(statement)
        context = {"kms:EncryptionContext:aws:cloudtrail:arn": arn("cloudtrail", "trail/*", region="*")}
        for statement in (
            let_in(_CLOUDTRAIL, "TrailEncrypts", ["kms:GenerateDataKey*"], conditions={**ours, "StringLike": context}),
            let_in(_CLOUDTRAIL, "TrailChecksKey", ["kms:DescribeKey"], conditions=ours),
        ):
            self.key.add_to_resource_policy(statement)
