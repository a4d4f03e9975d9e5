"""The record of a stack: one parameter for the CLI, and an output each for people."""

from aws_cdk.assertions import Template

from infra.constructs.outputs import Outputs
from tests.support.alone import KEPT, alone, made


def test_what_a_stack_made_is_one_parameter_and_an_output_each() -> None:
    stack = alone()
    named = {"route_table": "routes", "url": "https://example.com"}
    Outputs(stack, "Record", config=KEPT, stack="state", resources=named)
    assert made(stack) == {
        "RecordParameter": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {
                "Description": "Resource names of Promptlane's state stack, for its CLI",
                "Name": "/lane/resources/state",
                "Type": "String",
                "Value": '{"route_table":"routes","url":"https://example.com"}',
            },
        }
    }
    assert Template.from_stack(stack).to_json()["Outputs"] == {
        "RouteTable": {"Value": "routes"},
        "Url": {"Value": "https://example.com"},
    }
