"""Runtime: what applications use. The gateway, the managed policy for the client library, and its layer."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.bounds import bounds
from infra.constructs.function import Function
from infra.constructs.grants import Grant, Grants, attach
from infra.constructs.http_service import HttpService
from infra.constructs.outputs import Outputs
from infra.constructs.packages import packages
from infra.constructs.streams import StreamingGateway
from infra.packaging import client_layer
from infra.state import State

_CONVERSE = "/prompts/{prompt}/converse"
_ROUTES = (
    (apigw.HttpMethod.POST, _CONVERSE),
    (apigw.HttpMethod.GET, "/prompts/{prompt}/route"),
    (apigw.HttpMethod.POST, "/feedback"),
    (apigw.HttpMethod.GET, "/openapi.json"),
    (apigw.HttpMethod.ANY, "/{proxy+}"),  # what there is not is the gateway's to say, with the way out
)


class RuntimeStack(Stack):
    """Nothing here can write a route."""

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig, state: State) -> None:
        super().__init__(scope, id, description="Promptlane: the gateway and what applications need")
        self._config = config
        limits = bounds(config)
        grants = Grants(config=config, state=state)
        sealing = packages(self, "ReceiptPackages", "receipts", "What the gateway seals receipts with", config=config)
        gateway = Function(
            self,
            verb="gateway",
            description="Promptlane: answers with the version that a unit gets",
            config=config,
            environment={
                "ROUTE_TABLE": state.route_table.table_name,
                "FEEDBACK_TABLE": state.feedback_table.table_name,
                "RECEIPT_KEY_ID": state.receipt_key.key_arn,
                "RESOLUTION_SECONDS": str(config.resolution_seconds),
            },
            grants=grants.application() + grants.guardrails(),
            layers=[sealing],
            timeout=Duration.seconds(30),
            memory_mib=512,
        )
        self.gateway = gateway.function
        self.service = HttpService(
            self,
            "Api",
            name=f"{config.name}-gateway",
            description="Promptlane: prompts for applications in any language",
            config=config,
            throttle=limits.gateway,
        )
        for method, path in _ROUTES:
            throttle = limits.converse if path == _CONVERSE else None
            self.service.route(method, path, gateway.function, throttle=throttle)
        self.stream = (
            StreamingGateway(self, "Streams", config=config, state=state, grants=grants) if config.streams else None
        )
        layer = lambda_.LayerVersion(
            self,
            "Client",
            description="promptlane.client for functions that call it themselves",
            code=lambda_.Code.from_asset(str(client_layer())),
            compatible_runtimes=[
                lambda_.Runtime.PYTHON_3_11,
                lambda_.Runtime.PYTHON_3_12,
                lambda_.Runtime.PYTHON_3_13,
            ],
        )
        self.application = iam.ManagedPolicy(
            self,
            "Application",
            description=f"Lets an application use every prompt of {config.name}: library and gateway",
        )
        attach(self.application, self._may(grants))
        applications = {name: self._application(name, grants) for name in sorted(config.applications)}
        self.reader = self._reader("Versions", grants)
        readers = {name: self._reader(f"Versions-{name}", grants, name) for name in sorted(config.applications)}
        Outputs(
            self,
            "Resources",
            config=config,
            stack="runtime",
            resources={
                "gateway_url": self.service.url,
                "gateway_function": gateway.function.function_name,
                **self._addresses(),
                "application_policy": self.application.managed_policy_arn,
                "version_policy": self.reader.managed_policy_arn,
                **{f"application_{name}_policy": policy.managed_policy_arn for name, policy in applications.items()},
                **{f"application_{name}_version_policy": policy.managed_policy_arn for name, policy in readers.items()},
                "client_layer": layer.layer_version_arn,
                "metric_resolution": str(config.resolution_seconds),
            },
        )

    def _addresses(self) -> dict[str, str]:
        """Of the streaming gateway, where there is one."""
        if self.stream is None:
            return {}
        own = {f"application_{name}_stream_url": url for name, url in self.stream.urls.items()}
        return {"stream_url": self.stream.url, **own}

    def _may(self, grants: Grants, application: str = "") -> tuple[Grant, ...]:
        """What an application may do: for its own prompts alone, or without a name for every prompt."""
        prompts = self._config.applications[application] if application else ()
        return (
            *grants.application(prompts),
            *grants.guardrails(),
            *grants.metrics_write(),
            *grants.gateway_call(self.service.api.api_id, prompts),
            *(grants.stream_call(application) if self.stream else ()),
        )

    def _application(self, name: str, grants: Grants) -> iam.ManagedPolicy:
        """The policy of one application, which speaks for its own prompts and for no others."""
        policy = iam.ManagedPolicy(
            self,
            f"Application-{name}",
            description=f"Lets the application {name} use its prompts of {self._config.name}: library and gateway",
        )
        attach(policy, self._may(grants, name), merge=True)
        return policy

    def _reader(self, id: str, grants: Grants, name: str = "") -> iam.ManagedPolicy:
        """What `client.prompt()` needs beside the application's policy, which has no room for it."""
        whose = f"{name}'s" if name else "all"
        policy = iam.ManagedPolicy(
            self,
            id,
            description=f"Lets an application read what versions of {whose} prompts of {self._config.name} hold",
        )
        attach(policy, grants.contents_read(self._config.applications[name] if name else ()))
        return policy
