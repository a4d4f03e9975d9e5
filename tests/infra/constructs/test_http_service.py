"""An HTTP API: its access log, its throttles, and who may call a route."""

import json

from aws_cdk import aws_apigatewayv2 as apigw

from infra.constructs.bounds import Throttle
from infra.constructs.http_service import HttpService
from tests.support.alone import KEPT, PASSING, accepted, alone, function, made

LOGGED = {
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
"""No query string: a review link's signature is there."""
GET, POST = apigw.HttpMethod.GET, apigw.HttpMethod.POST


def test_routes_are_signed_and_throttled_and_an_open_one_says_why() -> None:
    stack = alone()
    service = HttpService(
        stack, "Service", name="lane-api", description="An API", config=KEPT, throttle=Throttle(rate=50, burst=100)
    )
    shared = function(stack, "shared")
    service.route(POST, "/releases/{id}", shared)
    service.route(GET, "/review", function(stack, "page"), open_because="Links.", throttle=Throttle(rate=5, burst=10))
    service.route(GET, "/slow", shared, throttle=Throttle(rate=6, burst=12))
    assert made(stack) == {
        "ServiceApi": {
            "Type": "AWS::ApiGatewayV2::Api",
            "Properties": {"Description": "An API", "Name": "lane-api", "ProtocolType": "HTTP"},
        },
        "ServiceApiPOSTreleasesidAloneshared": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": "<ServiceApi>",
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": "arn:aws:lambda:eu-west-1:111122223333:function:shared",
                "PayloadFormatVersion": "2.0",
            },
        },
        "ServiceApiPOSTreleasesid": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": "<ServiceApi>",
                "AuthorizationType": "AWS_IAM",
                "RouteKey": "POST /releases/{id}",
                "Target": "integrations/<ServiceApiPOSTreleasesidAloneshared>",
            },
        },
        "ServiceApiGETreviewAlonepage": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": "<ServiceApi>",
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": "arn:aws:lambda:eu-west-1:111122223333:function:page",
                "PayloadFormatVersion": "2.0",
            },
        },
        "ServiceApiGETreview": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": "<ServiceApi>",
                "AuthorizationType": "NONE",
                "RouteKey": "GET /review",
                "Target": "integrations/<ServiceApiGETreviewAlonepage>",
            },
        },
        "ServiceApiGETslowAloneshared": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": "<ServiceApi>",
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": "arn:aws:lambda:eu-west-1:111122223333:function:shared",
                "PayloadFormatVersion": "2.0",
            },
        },
        "ServiceApiGETslow": {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": "<ServiceApi>",
                "AuthorizationType": "AWS_IAM",
                "RouteKey": "GET /slow",
                "Target": "integrations/<ServiceApiGETslowAloneshared>",
            },
        },
        "ServiceAccessLog": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": "/aws/vendedlogs/http-apis/lane-api-<end of the stack's id>",
                "RetentionInDays": 30,
            },
            "UpdateReplacePolicy": "Retain",
            "DeletionPolicy": "RetainExceptOnCreate",
        },
        "ServiceStage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {
                "AccessLogSettings": {
                    "DestinationArn": "<ServiceAccessLog.Arn>",
                    "Format": json.dumps(LOGGED),
                },
                "ApiId": "<ServiceApi>",
                "AutoDeploy": True,
                "DefaultRouteSettings": {"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 50},
                "RouteSettings": {
                    "GET /review": {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 10},
                    "GET /slow": {"ThrottlingRateLimit": 6, "ThrottlingBurstLimit": 12},
                },
                "StageName": "$default",
            },
            "DependsOn": [
                "ServiceApiGETreviewAlonepage",
                "ServiceApiGETreview",
                "ServiceApiGETslowAloneshared",
                "ServiceApiGETslow",
            ],
        },
    }
    assert accepted(stack) == {("Alone/Service/Api/GET--review", "AwsSolutions-APIG4")}
    assert stack.resolve(service.url) == stack.resolve(service.api.api_endpoint)


def test_the_access_log_goes_with_a_deployment_that_is_not_kept() -> None:
    stack = alone()
    HttpService(stack, "Service", name="n", description="d", config=PASSING, throttle=Throttle(rate=1, burst=2))
    found = made(stack)
    assert found["ServiceAccessLog"] == {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {"LogGroupName": "/aws/vendedlogs/http-apis/n-<end of the stack's id>", "RetentionInDays": 7},
        "UpdateReplacePolicy": "Delete",
        "DeletionPolicy": "Delete",
    }
    assert "RouteSettings" not in found["ServiceStage"]["Properties"]
