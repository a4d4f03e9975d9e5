"""The streaming gateway: a Node function behind function URLs, since Lambda streams natively in Node alone."""

import json

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.function import Function
from infra.constructs.grants import Grants, stream_function_name
from infra.state import State

_SPARE_SECONDS = 20
"""Of the function's time, after the longest answer: for its last bytes and what it counts."""


class StreamingGateway(Construct):
    """One address for every prompt, `url`, and one for each application's own, `urls` by its name. IAM sees no path of
    a function URL, so an application has an alias, which IAM sees, and the function knows by which one it is called."""

    def __init__(self, scope: Construct, id: str, *, config: DeploymentConfig, state: State, grants: Grants) -> None:
        super().__init__(scope, id)
        made = Function(
            self,
            verb="stream",
            description="Promptlane: streams the answer of the version that a unit gets",
            config=config,
            environment={
                "ROUTE_TABLE": state.route_table.table_name,
                "RECEIPT_KEY_ID": state.receipt_key.key_arn,
                "RESOLUTION_SECONDS": str(config.resolution_seconds),
                "REQUEST_TIMEOUT_SECONDS": str(config.stream_seconds),
            },
            grants=[*grants.streams(), *grants.guardrails()],
            timeout=Duration.seconds(config.stream_seconds + _SPARE_SECONDS),
            memory_mib=512,
            reserved_concurrency=config.streams,
            name=stream_function_name(config.name),
            node={"applications.json": json.dumps({name: sorted(own) for name, own in config.applications.items()})},
        )
        self.function = made.function
        self.url = self._address("Url")
        self.urls = {name: self._address(f"Url-{name}", application=name) for name in sorted(config.applications)}

    def _address(self, id: str, *, application: str | None = None) -> str:
        url = lambda_.CfnUrl(
            self,
            id,
            auth_type="AWS_IAM",
            invoke_mode="RESPONSE_STREAM",
            target_function_arn=self.function.function_arn,
            qualifier=application,
        )
        if application:
            alias = lambda_.CfnAlias(
                self,
                f"Alias-{application}",
                description=f"For the application {application}, which asks for its own prompts",
                function_name=self.function.function_name,
                function_version="$LATEST",
                name=application,
            )
            url.add_dependency(alias)
        return url.attr_function_url
