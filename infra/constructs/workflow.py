"""The release state machine: the ASL file with its functions filled in, under a role that holds what its tasks need."""

from collections.abc import Mapping
from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.grants import allow, attach
from infra.constructs.outputs import camel_case
from infra.constructs.statements import arn
from infra.constructs.vended_log import vended_log

_PER_RELEASE = "Test cases and results lie below their release's prefix."
DEFINITION = Path(__file__).resolve().parent.parent / "workflow" / "release.asl.json"


class ReleaseWorkflow(Construct):
    """`functions` maps each verb that the ASL calls to its function."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        config: DeploymentConfig,
        functions: Mapping[str, lambda_.IFunction],
        reports_arn: str,
        reports_key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self.log_group = vended_log(self, "Log", config=config, service="states", name=config.state_machine_name)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description=f"What the release workflow of {config.name} may do",
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="Tasks",
                actions=["lambda:InvokeFunction"],
                resources=[function.function_arn for function in functions.values()],
            )
        )
        self._distributed_map(config, reports_arn, reports_key)
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=config.state_machine_name,
            definition_body=sfn.DefinitionBody.from_string(DEFINITION.read_bytes().decode()),
            definition_substitutions={
                "Partition": Aws.PARTITION,
                **{f"{camel_case(verb)}FunctionArn": function.function_arn for verb, function in functions.items()},
            },
            role=self.role,
            logs=sfn.LogOptions(destination=self.log_group, include_execution_data=False),
            tracing_enabled=True,
        )
        accept_finding(
            self.role, "IAM5[Resource::*]", "X-Ray and the delivery of the log know no resource-level permissions."
        )
        accept_finding(
            self,
            "SF1",
            "Errors are logged; the whole history is in the executions and in the timeline, and the log would "
            "repeat prompts and answers.",
        )

    def _distributed_map(self, config: DeploymentConfig, reports_arn: str, key: kms.IKey) -> None:
        name = config.state_machine_name
        # A map run's executions are named <machine>/<map label>:<id>; AWS's examples and the CDK name <machine>:*.
        executions = [arn("states", f"execution:{name}{named}") for named in ("/*", ":*")]
        grants = (
            allow("StartMapRuns", ["states:StartExecution"], [arn("states", f"stateMachine:{name}")]),
            allow(
                "FollowMapRuns",
                ["states:DescribeExecution", "states:StopExecution"],
                executions,
                because="The executions of a map run are named by Step Functions.",
            ),
            allow("ReadItems", ["s3:GetObject"], [f"{reports_arn}/releases/*"], because=_PER_RELEASE),
            allow(
                "WriteResults",
                ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
                [f"{reports_arn}/releases/*/map/*"],
                because=_PER_RELEASE,
            ),
            allow("ReportsKey", ["kms:Decrypt", "kms:GenerateDataKey"], [key.key_arn]),
        )
        attach(self.role, grants)
