"""Templates as CloudFormation would render them: references filled with ARNs and names of the longest usual kind."""

from __future__ import annotations

from functools import cached_property

from tests.support.synthesized import Json, Synthesized

ACCOUNT, REGION = "123456789012", "ap-southeast-2"
_SUFFIX = "A1B2C3D4E5F6"
_ARNS = {
    "AWS::ApiGatewayV2::Api": "{name}",
    "AWS::CloudTrail::Trail": "cloudtrail:{place}:trail/{name}",
    "AWS::DynamoDB::Table": "dynamodb:{place}:table/{name}",
    "AWS::Events::EventBus": "events:{place}:event-bus/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::KMS::Key": "kms:{place}:key/01234567-89ab-cdef-0123-456789abcdef",
    "AWS::Lambda::Function": "lambda:{place}:function:{name}",
    "AWS::Logs::LogGroup": "logs:{place}:log-group:{name}:*",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::SNS::Topic": "sns:{place}:{name}",
    "AWS::SQS::Queue": "sqs:{place}:{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{place}:secret:{name}-AbCdEf",
    "AWS::StepFunctions::StateMachine": "states:{place}:stateMachine:{name}",
}
_REF_IS_ARN = {"AWS::SNS::Topic", "AWS::IAM::ManagedPolicy", "AWS::SecretsManager::Secret"}
_NAMES = ("FunctionName", "TableName", "TopicName", "QueueName", "Name", "StateMachineName", "TrailName")


class Rendered:
    """Values of one app's templates, with references resolved across its stacks."""

    def __init__(
        self,
        synthesized: Synthesized,
        deployment: str = "promptlane",
        *,
        partition: str = "aws",
        region: str = REGION,
    ) -> None:
        self._templates, self._deployment = synthesized.templates, deployment
        self._partition, self._region = partition, region
        self._pseudo = {
            "AWS::Partition": partition,
            "AWS::Region": region,
            "AWS::AccountId": ACCOUNT,
            "AWS::URLSuffix": "amazonaws.com",
        }

    def value(self, stack: str, value: Json) -> Json:
        """`value`, as it stands in a stack's template, with every intrinsic function filled."""
        if isinstance(value, list):
            return [self.value(stack, v) for v in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Ref"}:
            return self._pseudo.get(value["Ref"]) or self._resource(stack, value["Ref"], arn=False)
        if set(value) == {"Fn::GetAtt"}:
            logical, attribute = value["Fn::GetAtt"]
            filled = self._resource(stack, logical, arn=attribute.endswith("Arn"))
            return f"{filled}/stream/2026-01-01T00:00:00.000" if attribute == "StreamArn" else filled
        if set(value) == {"Fn::ImportValue"}:
            return self._exports[value["Fn::ImportValue"]]
        if set(value) == {"Fn::Join"}:
            separator, parts = value["Fn::Join"]
            return separator.join(str(self.value(stack, p)) for p in parts)
        return {k: self.value(stack, v) for k, v in value.items()}

    @cached_property
    def _exports(self) -> dict[str, str]:
        return {
            output["Export"]["Name"]: str(self.value(stack, output["Value"]))
            for stack, template in self._templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }

    def _resource(self, stack: str, logical: str, *, arn: bool) -> str:
        resource = self._templates[stack]["Resources"].get(logical)
        if resource is None:  # a parameter
            return logical
        kind, properties = resource["Type"], resource.get("Properties", {})
        given = next((self.value(stack, properties[n]) for n in _NAMES if n in properties), None)
        name = str(given or f"{self._deployment}-{stack}-{logical}-{_SUFFIX}")
        if kind == "AWS::S3::Bucket":
            name = name.lower()[:63]
        if kind == "AWS::ApiGatewayV2::Api":
            return "a1b2c3d4e5"
        if kind == "AWS::KMS::Key" and not arn:
            return "01234567-89ab-cdef-0123-456789abcdef"
        if kind == "AWS::Lambda::Function":
            name = name[:64]
        if arn or kind in _REF_IS_ARN:
            place = f"{self._region}:{ACCOUNT}"
            form = _ARNS.get(kind, "unknown:{place}:{name}")
            return f"arn:{self._partition}:" + form.format(place=place, account=ACCOUNT, name=name)
        return name
