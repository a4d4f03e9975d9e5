"""Step Functions' `aws-sdk:` tasks for every service that the SDK knows.

Lacking in MiniStack: bedrockagent, bedrockruntime, scheduler and others. Here: the call is made by boto3 on our own
endpoint, with the parameter and result spelling that Step Functions uses (every member begins with a capital)."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
from botocore.exceptions import ClientError, ParamValidationError
from ministack.services import stepfunctions as sfn

from local import seams
from local.gaps import stepfunctions

SERVICES = {
    "bedrock": "bedrock",
    "bedrockagent": "bedrock-agent",
    "bedrockruntime": "bedrock-runtime",
    "cognitoidentityprovider": "cognito-idp",
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "cloudwatchlogs": "logs",
}
_PREFIXES = {"bedrockagent": "BedrockAgent", "bedrockruntime": "BedrockRuntime", "cloudwatchlogs": "CloudWatchLogs"}


def install() -> None:
    seams.require(sfn, "_AWS_SDK_SERVICE_MAP")
    known = set(botocore.session.get_session().get_available_services())

    @seams.replace(sfn, "_invoke_aws_sdk_integration")
    def invoke(original: Any, resource: str, data: Any) -> Any:
        service, action = resource.replace(".waitForTaskToken", "").split(":")[6:8]
        name = SERVICES.get(service.lower(), service.lower())
        if service.lower() in sfn._AWS_SDK_SERVICE_MAP or name not in known:
            return original(resource, data)
        prefix = _PREFIXES.get(service.lower(), service[:1].upper() + service[1:])
        try:
            return call(name, action, data)
        except ClientError as failed:
            code = failed.response["Error"]["Code"]
            code = code if code.endswith("Exception") else f"{code}Exception"
            raise stepfunctions.failure(f"{prefix}.{code}", failed.response["Error"]["Message"]) from failed
        except ParamValidationError as wrong:
            raise stepfunctions.failure("States.Runtime", str(wrong)) from wrong


def call(service: str, action: str, parameters: dict[str, Any] | None) -> Any:
    """Call `action` (camelCase) of a service; names of members in parameters may begin with a capital."""
    client = seams.client(service)
    operation = action[:1].upper() + action[1:]
    model = client.meta.service_model.operation_model(operation)
    method = {name: python for python, name in client.meta.method_to_api_mapping.items()}[operation]
    response = getattr(client, method)(**recase(parameters or {}, model.input_shape, capital=False))
    response.pop("ResponseMetadata", None)
    recased = recase(response, model.output_shape, capital=True)
    return json.loads(json.dumps(recased, default=lambda o: o.isoformat() if hasattr(o, "isoformat") else str(o)))


def recase(value: Any, shape: Any, *, capital: bool) -> Any:
    """Rename members of structures: to the model's spelling, or all with a capital; keys of maps stay."""
    if shape is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict) and not getattr(shape, "is_document_type", False):
        by_lower = {member.lower(): member for member in shape.members}
        renamed = {}
        for name, part in value.items():
            member = by_lower.get(name.lower(), name)
            new = name[:1].upper() + name[1:] if capital else member
            renamed[new] = recase(part, shape.members.get(member), capital=capital)
        return renamed
    if shape.type_name == "list" and isinstance(value, list):
        return [recase(item, shape.member, capital=capital) for item in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {name: recase(part, shape.value, capital=capital) for name, part in value.items()}
    return value
