"""Bedrock's model invocation log: group, bucket for large bodies, role, setting, and the queries people run over it."""

from aws_cdk import Aws, CustomResource, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.function import Function
from infra.constructs.grants import allow, attach
from infra.constructs.health import counted
from infra.constructs.statements import arn, let_in
from promptlane.domain.investigation.queries import SAVED
from promptlane.domain.names import NAMESPACE

PAST_THE_SPLIT = "CallsPastTheSplit"
_STREAM = "aws/bedrock/modelinvocations"
_PREFIX = "bodies"
_BEDROCK = "bedrock.amazonaws.com"


class InvocationLog(Construct):
    """What was sent and answered, for as long as the deployment keeps logs. `group` and `bucket` hold it, `setting`
    makes Bedrock write it.

    `mask_personal_data` masks in the group alone: S3 masks nothing, so bodies in the bucket (those over 100 kB) are as
    they were sent. Who may read the bucket is all that protects them.
    """

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig, key: kms.Key) -> None:
        super().__init__(scope, id)
        self._config, self._key = config, key
        self._let_services_encrypt()
        self.group = logs.LogGroup(
            self,
            "Group",
            retention=config.log_retention,
            encryption_key=key,
            removal_policy=config.removal,
            data_protection_policy=_masking() if config.mask_personal_data else None,
        )
        self.bucket = self._large_bodies()
        self.past_the_split = self._past_the_split()
        self.role = self._writer()
        self.setting = self._setting()
        for number, query in enumerate(SAVED, 1):
            logs.CfnQueryDefinition(
                self,
                f"Query{number}",
                name=f"{config.name}/{query.name}",
                query_string=query.text,
                log_group_names=[self.group.log_group_name],
            )

    def _let_services_encrypt(self) -> None:
        groups = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": arn("logs", "log-group:*")}}
        encrypts = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        for statement in (
            let_in(f"logs.{Aws.REGION}.amazonaws.com", "LogsEncrypt", encrypts, conditions=groups),
            let_in(_BEDROCK, "BedrockEncrypts", ["kms:GenerateDataKey"], conditions=_from_bedrock()),
        ):
            self._key.add_to_resource_policy(statement)

    def _past_the_split(self) -> cloudwatch.Metric:
        """Counts calls of prompts of this account that carry neither a client's metadata nor a test's.

        Where records name the model in place of the prompt, only `bypass_models` tell. Exact beginnings alone, and one
        `*` at the end: wildcards elsewhere are documented for some patterns only.
        """
        called = [f'($.modelId = "{one}")' for one in (arn("bedrock", "prompt/*"), *self._config.bypass_models)]
        wanted = [
            '($.schemaType = "ModelInvocationLog")',
            f"({' || '.join(called)})",
            *(f"($.requestMetadata.{name} NOT EXISTS)" for name in ("prompt", "purpose")),
            *(f'($.identity.arn != "{who}")' for who in self._config.bypass_exceptions),
        ]
        namespace = f"{NAMESPACE}/{self._config.name}"
        logs.CfnMetricFilter(
            self,
            "PastTheSplit",
            log_group_name=self.group.log_group_name,
            filter_pattern=f"{{ {' && '.join(wanted)} }}",
            metric_transformations=[
                logs.CfnMetricFilter.MetricTransformationProperty(
                    metric_namespace=namespace, metric_name=PAST_THE_SPLIT, metric_value="1"
                )
            ],
        )
        return counted(namespace, PAST_THE_SPLIT)

    def _large_bodies(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "LargeBodies",
            encryption_key=self._key,
            bucket_key_enabled=False,  # with one, whoever writes may need kms:Decrypt, which Bedrock is not given
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            removal_policy=self._config.removal,
            lifecycle_rules=[
                s3.LifecycleRule(id="AsLongAsTheLog", expiration=Duration.days(self._config.log_retention_days))
            ],
        )
        accept_finding(bucket, "S1", "Is itself a log; who read it is in the trail where data events are on.")
        bodies = bucket.arn_for_objects(f"{_PREFIX}/AWSLogs/{Aws.ACCOUNT_ID}/BedrockModelInvocationLogs/*")
        bucket.add_to_resource_policy(
            let_in(_BEDROCK, "BedrockWritesLargeBodies", ["s3:PutObject"], bodies, _from_bedrock())
        )
        return bucket

    def _writer(self) -> iam.Role:
        role = iam.Role(
            self,
            "Writer",
            assumed_by=iam.PrincipalWithConditions(iam.ServicePrincipal(_BEDROCK), _from_bedrock()),
            description="Lets Amazon Bedrock write the model invocation log",
        )
        stream = arn("logs", f"log-group:{self.group.log_group_name}:log-stream:{_STREAM}")
        attach(role, [allow("WriteInvocations", ["logs:CreateLogStream", "logs:PutLogEvents"], [stream])])
        return role

    def _setting(self) -> CustomResource:
        name = f"{self._config.name}/invocation-logging/found"
        no_resources = "The setting is the account's own and knows no resource-level permissions."
        setter = Function(
            self,
            verb="invocation_logging",
            description="Promptlane: sets up model invocation logging where nobody else did",
            config=self._config,
            environment={"FOUND_PARAMETER": f"/{name}"},
            grants=[
                allow(
                    "SetLogging",
                    [
                        "bedrock:GetModelInvocationLoggingConfiguration",
                        "bedrock:PutModelInvocationLoggingConfiguration",
                        "bedrock:DeleteModelInvocationLoggingConfiguration",
                    ],
                    ["*"],
                    because=no_resources,
                ),
                allow(
                    "RememberFound",
                    ["ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter"],
                    [arn("ssm", f"parameter/{name}")],
                ),
                allow(
                    "HandWriterToBedrock",
                    ["iam:PassRole"],
                    [self.role.role_arn],
                    {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
                ),
            ],
            timeout=Duration.seconds(90),
        )
        setting = CustomResource(
            self,
            "Setting",
            service_token=setter.function.function_arn,
            resource_type="Custom::ModelInvocationLogging",
            properties={
                "LogGroupName": self.group.log_group_name,
                "RoleArn": self.role.role_arn,
                "LargeDataBucket": self.bucket.bucket_name,
                "LargeDataPrefix": _PREFIX,
            },
        )
        # Bedrock tries the role and the bucket when the setting is written, so their policies must be there.
        setting.node.add_dependency(self.role, self.bucket, self.group, self._key)
        return setting


def _from_bedrock() -> dict[str, dict[str, str]]:
    return {
        "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
        "ArnLike": {"aws:SourceArn": arn("bedrock", "*")},
    }


def _masking() -> logs.DataProtectionPolicy:
    """E-mail addresses, card and phone numbers read as asterisks, but to whoever holds logs:Unmask."""
    return logs.DataProtectionPolicy(
        name="personal-data",
        description="Masks e-mail addresses, card and phone numbers",
        identifiers=[
            logs.DataIdentifier.EMAILADDRESS,
            logs.DataIdentifier.CREDITCARDNUMBER,
            logs.DataIdentifier.PHONENUMBER_US,
            logs.DataIdentifier.PHONENUMBER_DE,
            logs.DataIdentifier.PHONENUMBER_GB,
            logs.DataIdentifier.PHONENUMBER_FR,
            logs.DataIdentifier.PHONENUMBER_ES,
            logs.DataIdentifier.PHONENUMBER_IT,
            logs.DataIdentifier.PHONENUMBER_BR,
        ],
    )
