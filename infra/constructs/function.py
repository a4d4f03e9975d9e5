"""A Lambda function of ours: own role, own log group, tracing, nothing it does not need."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.grants import Grant, attach
from infra.constructs.outputs import camel_case
from infra.constructs.packages import sdk
from infra.packaging import function_code, node_code


class Function(Construct):
    """The function of `functions/<verb>/`, named after it: in Python, or with `node`, the further files of its code by
    name, in JavaScript.

    `grants` are all it may do besides writing its log and its traces. `dead_letters` takes the events that an
    asynchronous caller (SNS, EventBridge) handed over and that failed every retry. `name` is for what is called by one
    from elsewhere; CloudFormation cannot replace such a function.
    """

    def __init__(
        self,
        scope: Construct,
        *,
        verb: str,
        description: str,
        config: DeploymentConfig,
        environment: Mapping[str, str],
        grants: Sequence[Grant],
        layers: Sequence[lambda_.ILayerVersion] = (),
        timeout: Duration | None = None,
        memory_mib: int = 256,
        reserved_concurrency: int | None = None,
        dead_letters: sqs.IQueue | None = None,
        name: str | None = None,
        node: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, camel_case(verb))
        self.log_group = logs.LogGroup(self, "Log", retention=config.log_retention, removal_policy=config.removal)
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What the function {verb} of {config.name} may do",
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                sid="WriteLog",
                actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                resources=[self.log_group.log_group_arn],
            )
        )
        attach(self.role, grants)
        python = node is None
        code = function_code(verb, target=config.lambda_target) if node is None else node_code(verb, files=node)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_13 if python else lambda_.Runtime.NODEJS_22_X,
            architecture=lambda_.Architecture.ARM_64,
            handler=f"functions.{verb}.handler.handle" if python else "handler.handle",
            code=lambda_.Code.from_asset(str(code)),
            layers=[*([sdk(self, config=config)] if python else []), *layers],
            role=self.role,
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.TEXT,  # our logger writes JSON itself; EMF needs its lines untouched
            tracing=lambda_.Tracing.ACTIVE,
            environment=dict(environment),
            timeout=timeout or Duration.seconds(30),
            memory_size=memory_mib,
            reserved_concurrent_executions=reserved_concurrency,
            dead_letter_queue=dead_letters,
        )
        accept_finding(
            self,
            "IAM5[Resource::*]",
            "X-Ray, CloudWatch metrics and alarms, and CloudTrail look-ups know no resource-level permissions.",
        )
        accept_finding(self, "L1", "Functions run on the runtime that their packages are built and tested for.")
