"""State: what must outlive every deployment. Tables, reports, the event bus, topics and keys."""

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.emptied import EmptiedBuckets
from infra.constructs.outputs import Outputs
from infra.constructs.statements import KEYLESS_READS, TABLE_READS, TABLE_WRITES, all_but, keep_out, let_in, role
from infra.constructs.topic import AlarmTopic, only_declared_addresses, subscription_admins
from infra.state import State
from promptlane.cdk.platform import alarms_parameter
from promptlane.domain.keys import DECLARED, ENROLMENT, ENROLMENTS, SECRET
from promptlane.domain.names import ROUTES_BY_ID


class StateStack(Stack):
    """Retained, with point-in-time recovery and deletion protection, unless the deployment is a trial."""

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig) -> None:
        super().__init__(scope, id, description="Promptlane: tables, reports, topics and keys")
        self._config = config
        data_key = self._key("DataKey", "Promptlane: releases, approvals and reports")
        message_key = self._message_key()
        review_key = kms.Key(
            self,
            "ReviewKey",
            description="Promptlane: signs review links (HMAC)",
            key_spec=kms.KeySpec.HMAC_256,
            key_usage=kms.KeyUsage.GENERATE_VERIFY_MAC,
            removal_policy=self._config.removal,
            pending_window=self._config.key_pending,
        )
        self._only_mailers_sign(review_key)
        notices = AlarmTopic(self, "Notices", config=config, key=message_key, alarms="*", shown_as="Promptlane notices")
        for email in config.on_call:
            notices.topic.add_subscription(subscriptions.EmailSubscription(email))
        if config.on_call:
            only_declared_addresses(notices.topic, config.on_call, subscription_admins(config))
        alarms = AlarmTopic(
            self, "Alarms", config=config, key=message_key, alarms=f"{config.name}/*", shown_as="Promptlane fuse"
        )
        alarms.only_alarms_publish()  # what comes by it is taken for an alarm
        reports, versions = self._reports(data_key), self._versions(data_key)
        if config.trial:
            EmptiedBuckets(self, "Emptied", config=config, buckets={"Reports": reports, "Versions": versions})
        self.state = State(
            # The AWS-managed key: what every request and every rollback reads depends on no key of ours.
            route_table=self._routes(),
            release_table=self._table("Releases", "pk", "sk", data_key, self._enrolments_kept(), *self._secrets_kept()),
            feedback_table=self._feedback(),
            report_bucket=reports,
            report_bucket_arn=str(self.export_value(reports.bucket_arn)),
            version_bucket=versions,
            version_bucket_arn=str(self.export_value(versions.bucket_arn)),
            # Never retained: it holds nothing, and one that stayed would have the name that the next one needs.
            event_bus=events.EventBus(
                self, "Events", event_bus_name=config.name, description="What happens to releases of prompts"
            ),
            notices=notices.topic,
            alarms=alarms.topic,
            data_key=data_key,
            message_key=message_key,
            review_key=review_key,
            receipt_key=self._key("ReceiptKey", "Promptlane: wraps the keys that receipts are sealed with"),
        )
        # How stacks of prompts find it, of other apps too: no export, which could not change while they import it.
        ssm.StringParameter(
            self,
            "AlarmsRecord",
            parameter_name=alarms_parameter(config.name),
            description="Topic that Promptlane's fuse alarms tell",
            string_value=alarms.topic.topic_arn,
        )
        # Stacks of 0.1.0 import this ARN, and what is imported can be neither changed nor removed: goes after 0.2.
        self.export_value(self._receipt_secret().secret_arn)
        Outputs(
            self,
            "Resources",
            config=config,
            stack="state",
            resources={
                "route_table": self.state.route_table.table_name,
                "release_table": self.state.release_table.table_name,
                "feedback_table": self.state.feedback_table.table_name,
                "report_bucket": self.state.report_bucket.bucket_name,
                "version_bucket": self.state.version_bucket.bucket_name,
                "event_bus": self.state.event_bus.event_bus_name,
                "notices_topic": notices.topic.topic_arn,
                "alarms_topic": alarms.topic.topic_arn,
                "receipt_key": self.state.receipt_key.key_arn,
                **({"inference_profiles": config.inference_profiles} if config.inference_profiles else {}),
                **({"time_scale": repr(config.time_scale)} if config.time_scale != 1 else {}),
                **({"on_call": ",".join(config.on_call)} if config.on_call else {}),
            },
        )

    def _key(self, id: str, description: str) -> kms.Key:
        return kms.Key(
            self,
            id,
            description=description,
            enable_key_rotation=True,
            removal_policy=self._config.removal,
            pending_window=self._config.key_pending,
        )

    def _only_mailers_sign(self, key: kms.Key) -> None:
        """Whatever somebody's own policies allow: who signs a reviewer's link decides in that reviewer's name.

        By name, since the roles are made in a stack that needs this one.
        """
        mailers = self._roles_of("RequestReview", "Remind")
        key.add_to_resource_policy(keep_out(all_but(mailers), "OnlyMailersSign", ["kms:GenerateMac"]))
        # Who may ask whether a signature is right could try all codes against a stored verifier.
        page = self._roles_of("Review")
        key.add_to_resource_policy(keep_out(all_but(page), "OnlyTheReviewPageVerifies", ["kms:VerifyMac"]))

    def _roles_of(self, *functions: str) -> list[str]:
        return [role(f"{self._config.name}-pipeline-{name}Role*") for name in functions]

    def _message_key(self) -> kms.Key:
        """Services publish on our behalf, so the key must let them in; the topics and queues say for which source.

        CloudWatch passes no source to KMS that a condition could test, so this key encrypts nothing but messages.
        """
        key = self._key("MessageKey", "Promptlane: topics and queues")
        for name, sid in (
            ("cloudwatch", "AlarmsToTopics"),
            ("events", "RulesToQueues"),
            ("sns", "TopicsToDeadLetters"),
        ):
            key.add_to_resource_policy(let_in(f"{name}.amazonaws.com", sid, ["kms:Decrypt", "kms:GenerateDataKey*"]))
        return key

    def _table(
        self,
        id: str,
        partition: str,
        sort: str | None,
        key: kms.IKey | None,
        *keep_out_more: iam.PolicyStatement,
    ) -> dynamodb.Table:
        """Nothing in it expires: a review request's `expires_at` is a deadline, and the request is who approved."""

        def text(name: str) -> dynamodb.Attribute:
            return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)

        return dynamodb.Table(
            self,
            id,
            partition_key=text(partition),
            sort_key=text(sort) if sort else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if key else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=not self._config.trial,
            removal_policy=self._config.removal,
            stream=dynamodb.StreamViewType.NEW_IMAGE if sort else None,
            resource_policy=self._only_functions_write(*keep_out_more),
        )

    def _routes(self) -> dynamodb.Table:
        """With an index by which the client finds a prompt that it is given by its id: Bedrock would tell the name to
        those alone who may read the draft."""
        table = self._table("Routes", "prompt", None, None)
        table.add_global_secondary_index(
            index_name=ROUTES_BY_ID,
            partition_key=dynamodb.Attribute(name="prompt_id", type=dynamodb.AttributeType.STRING),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        return table

    def _enrolments_kept(self) -> iam.PolicyStatement:
        """Whatever others' policies allow: which policy counts for a prompt, and who may approve, is written by one
        function alone."""
        enrolments = {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": [f"{ENROLMENT}*", ENROLMENTS, DECLARED]}}
        return keep_out({**all_but(self._roles_of("Enrol")), **enrolments}, "OnlyEnrolEnrols", TABLE_WRITES)

    def _secrets_kept(self) -> list[iam.PolicyStatement]:
        """Whatever somebody's own policies allow: tokens of the workflow and seals of codes are read by the functions
        of the review alone, and nobody reads the table without saying which items."""
        reviewing = all_but(self._roles_of("RequestReview", "Remind", "Review", "Decide"))
        secrets_named = {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": [f"{SECRET}*"]}}
        return [
            keep_out({**reviewing, **secrets_named}, "OnlyReviewsReadSecrets", TABLE_READS),
            keep_out(all_but(role(f"{self._config.name}-pipeline-*")), "NobodyReadsAll", KEYLESS_READS),
        ]

    def _only_functions_write(self, *more: iam.PolicyStatement) -> iam.PolicyDocument:
        """Whatever somebody's own policies allow: items are written by this deployment's functions alone.

        Batches and PartiQL statements are authorized under names of their own. Who may replace this very policy
        (dynamodb:PutResourcePolicy) is not denied: a mistake in it could then never be put right.
        """
        functions = role(f"{self._config.name}-pipeline-*")
        writes = keep_out(all_but(functions), "OnlyFunctionsWrite", TABLE_WRITES)
        return iam.PolicyDocument(statements=[writes, *more])

    def _feedback(self) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            "Feedback",
            partition_key=dynamodb.Attribute(name="receipt", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires_at",
            removal_policy=RemovalPolicy.DESTROY,
        )
        accept_finding(
            table,
            "DDB3",
            "Holds one marker per unit and hour of feedback for three days; without it one could at worst count twice.",
        )
        return table

    def _reports(self, key: kms.Key) -> s3.Bucket:
        bucket = self._bucket("Reports", key)
        accept_finding(
            bucket,
            "S1",
            "Who read a report is in CloudTrail where data events are on; a second bucket of access logs "
            "would cost more than the reports.",
        )
        return bucket

    def _versions(self, key: kms.Key) -> s3.Bucket:
        """What applications read of versions: a bucket of its own, so that they reach nothing else.

        Its key's encryption context is the bucket, by which policies let them decrypt these objects and no others.
        """
        bucket = self._bucket("Versions", key)
        writers = self._roles_of("Admit", "Housekeep")
        bucket.add_to_resource_policy(
            keep_out(all_but(writers), "OnlyAdmittedVersions", ["s3:PutObject"], bucket.arn_for_objects("*"))
        )
        accept_finding(
            bucket,
            "S1",
            "Who read a version is in CloudTrail where data events are on; a reader checks what it reads.",
        )
        return bucket

    def _bucket(self, id: str, key: kms.Key) -> s3.Bucket:
        return s3.Bucket(
            self,
            id,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            removal_policy=self._config.removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="OldVersions",
                    noncurrent_version_expiration=Duration.days(30),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
        )

    def _receipt_secret(self) -> secrets.Secret:
        secret = secrets.Secret(
            self,
            "ReceiptSecret",
            description="Promptlane: signed the receipts of 0.1.0; nothing reads it any more",
            generate_secret_string=secrets.SecretStringGenerator(password_length=64, exclude_punctuation=True),
            removal_policy=self._config.removal,
        )
        accept_finding(
            secret,
            "SMG4",
            "Nothing reads it any more.",
        )
        return secret
