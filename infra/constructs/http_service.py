"""An HTTP API with access log, throttling and IAM authorization unless a route says otherwise."""

import json

from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.config import DeploymentConfig
from infra.constructs.accepted import accept_finding
from infra.constructs.bounds import Throttle
from infra.constructs.vended_log import vended_log

# No query string: the review links carry their signature there.
_ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "ip": "$context.identity.sourceIp",
    "caller": "$context.identity.userArn",
    "route": "$context.routeKey",
    "path": "$context.path",
    "status": "$context.status",
    "latency": "$context.responseLatency",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
}


class HttpService(Construct):
    """Routes are added with `route`; `url` has no trailing slash and may be used before any route exists."""

    def __init__(
        self, scope: Construct, id: str, *, name: str, description: str, config: DeploymentConfig, throttle: Throttle
    ) -> None:
        super().__init__(scope, id)
        self.api = apigw.HttpApi(self, "Api", api_name=name, description=description, create_default_stage=False)
        self.access_log = vended_log(self, "AccessLog", config=config, service="http-apis", name=name)
        self._stage = apigw.CfnStage(
            self,
            "Stage",
            api_id=self.api.api_id,
            stage_name="$default",
            auto_deploy=True,
            access_log_settings=apigw.CfnStage.AccessLogSettingsProperty(
                destination_arn=self.access_log.log_group_arn, format=json.dumps(_ACCESS_LOG)
            ),
            default_route_settings=apigw.CfnStage.RouteSettingsProperty(
                throttling_rate_limit=throttle.rate, throttling_burst_limit=throttle.burst
            ),
        )
        self._stricter: dict[str, dict[str, float]] = {}
        self._iam = authorizers.HttpIamAuthorizer()
        self.url = self.api.api_endpoint

    def route(
        self,
        method: apigw.HttpMethod,
        path: str,
        function: lambda_.IFunction,
        *,
        open_because: str | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        """Send `METHOD path` to a function. `open_because` says why a route needs no IAM signature."""
        integration = integrations.HttpLambdaIntegration(function.node.path.replace("/", "-"), function)
        for route in self.api.add_routes(
            path=path,
            methods=[method],
            integration=integration,
            authorizer=apigw.HttpNoneAuthorizer() if open_because else self._iam,
        ):
            if open_because:
                accept_finding(route, "APIG4", open_because)
            if throttle:
                # A stage that names a route must come after it.
                self._stage.node.add_dependency(route)
                self._stricter[f"{method.value} {path}"] = {
                    "ThrottlingRateLimit": throttle.rate,
                    "ThrottlingBurstLimit": throttle.burst,
                }
                self._stage.route_settings = dict(self._stricter)
