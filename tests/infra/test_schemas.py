"""Our own templates keep the rules by which the embedded AWS refuses resources."""

from __future__ import annotations

from typing import Any

from local.gaps import stack_limits
from tests.support.synthesized import Synthesized

Json = Any


def stood_in(value: Json) -> Json:
    """The value with a word in place of what CloudFormation would compute."""
    if isinstance(value, dict):
        if len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::")):
            return "computed"
        return {key: stood_in(inner) for key, inner in value.items()}
    return [stood_in(inner) for inner in value] if isinstance(value, list) else value


def test_every_resource_of_ours_is_one_that_aws_takes(synthesized: Synthesized) -> None:
    refused = {}
    for stack, template in synthesized.templates.items():
        for logical, resource in template["Resources"].items():
            properties = stood_in(resource.get("Properties", {}))
            if resource["Type"] == "AWS::CloudWatch::Dashboard":
                continue  # its body is put together when it is deployed
            if why := stack_limits.refusal(resource["Type"], properties):
                refused[stack, logical, resource["Type"]] = why
    assert refused == {}
