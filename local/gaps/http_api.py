"""HTTP APIs: an endpoint that every resolver knows.

MiniStack's CloudFormation hands out `http://<id>.execute-api.localhost:<port>`. Browsers know that every name below
`localhost` is this machine; the C library's resolver, and so Python, curl and the AWS SDKs, often do not. Here: the
same API by path, `http://localhost:<port>/_aws/execute-api/<id>/$default`, which MiniStack serves as well."""

from __future__ import annotations

import functools
import os
from typing import Any

from ministack.services import apigateway
from ministack.services.cloudformation import provisioners

from local import seams

KIND = "AWS::ApiGatewayV2::Api"


def install() -> None:
    seams.require(provisioners, "_RESOURCE_HANDLERS")
    seams.require(apigateway, "_apis")
    handlers = provisioners._RESOURCE_HANDLERS[KIND]
    for operation in ("create", "update"):
        if operation in handlers:
            handlers[operation] = _by_path(handlers[operation])


def _by_path(original: Any) -> Any:
    @functools.wraps(original)  # MiniStack looks at the signature
    def made(*arguments: Any, **named: Any) -> Any:
        api_id, attributes = original(*arguments, **named)
        api = apigateway._apis[api_id]
        if api.get("protocolType") == "HTTP":
            api["apiEndpoint"] = endpoint(api_id)
            attributes = {**attributes, "ApiEndpoint": api["apiEndpoint"]}
        return api_id, attributes

    return made


def endpoint(api_id: str) -> str:
    return f"http://localhost:{os.environ.get('GATEWAY_PORT', '4566')}/_aws/execute-api/{api_id}/$default"
