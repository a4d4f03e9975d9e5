"""Derives from the code which AWS actions a function needs: its handler, and all that it can reach from there.

A method counts as reachable when its class is constructed somewhere on the way and its name is used somewhere on the
way. That errs towards too much, so an action that is granted and not derived is surely never used.
"""

import ast
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOT_OF_ALL = "promptlane.aws.composition"

OPERATIONS = {
    "get_item": ["dynamodb:GetItem"],
    "batch_get_item": ["dynamodb:BatchGetItem"],
    "put_item": ["dynamodb:PutItem"],
    "update_item": ["dynamodb:UpdateItem"],
    "delete_item": ["dynamodb:DeleteItem"],
    "query": ["dynamodb:Query"],
    "scan": ["dynamodb:Scan"],
    "get_object": ["s3:GetObject"],
    "put_object": ["s3:PutObject"],
    "list_objects_v2": ["s3:ListBucket"],
    "get_parameter": ["ssm:GetParameter"],
    "get_parameters_by_path": ["ssm:GetParametersByPath"],
    "get_prompt": ["bedrock:GetPrompt"],
    "list_prompts": ["bedrock:ListPrompts"],
    "delete_prompt": ["bedrock:DeletePrompt"],
    "tag_resource": ["bedrock:TagResource"],
    "list_tags_for_resource": ["bedrock:ListTagsForResource"],
    "put_parameter": ["ssm:PutParameter"],
    "delete_parameter": ["ssm:DeleteParameter"],
    "get_model_invocation_logging_configuration": ["bedrock:GetModelInvocationLoggingConfiguration"],
    # Bedrock takes over a role, which the caller must be allowed to hand over.
    "put_model_invocation_logging_configuration": [
        "bedrock:PutModelInvocationLoggingConfiguration",
        "iam:PassRole",
    ],
    "delete_model_invocation_logging_configuration": ["bedrock:DeleteModelInvocationLoggingConfiguration"],
    "list_object_versions": ["s3:ListBucketVersions"],
    "update_prompt": ["bedrock:UpdatePrompt"],
    "create_prompt": ["bedrock:CreatePrompt"],
    "create_prompt_version": ["bedrock:CreatePromptVersion"],
    "converse": ["bedrock:InvokeModel", "bedrock:RenderPrompt"],
    "converse_stream": ["bedrock:InvokeModelWithResponseStream", "bedrock:RenderPrompt"],
    "invoke_model": ["bedrock:InvokeModel"],
    "start_execution": ["states:StartExecution"],
    "describe_execution": ["states:DescribeExecution"],
    "stop_execution": ["states:StopExecution"],
    "send_task_success": ["states:SendTaskSuccess"],
    "send_message": ["sqs:SendMessage"],
    "publish": ["sns:Publish"],
    "subscribe": ["sns:Subscribe"],
    "confirm_subscription": ["sns:ConfirmSubscription"],
    "list_subscriptions_by_topic": ["sns:ListSubscriptionsByTopic"],
    "get_subscription_attributes": ["sns:GetSubscriptionAttributes"],
    "describe_alarms": ["cloudwatch:DescribeAlarms"],
    "set_alarm_state": ["cloudwatch:SetAlarmState"],
    "get_metric_data": ["cloudwatch:GetMetricData"],
    "put_metric_data": ["cloudwatch:PutMetricData"],
    "lookup_events": ["cloudtrail:LookupEvents"],
    "put_event_selectors": ["cloudtrail:PutEventSelectors"],
    "start_logging": ["cloudtrail:StartLogging"],
    "stop_logging": ["cloudtrail:StopLogging"],
    "get_trail_status": ["cloudtrail:GetTrailStatus"],
    "get_bucket_tagging": ["s3:GetBucketTagging"],
    "get_bucket_policy": ["s3:GetBucketPolicy"],
    "put_bucket_policy": ["s3:PutBucketPolicy"],
    # Of versions, and under a lock that may be lifted.
    "delete_objects": ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
    "generate_mac": ["kms:GenerateMac"],
    "verify_mac": ["kms:VerifyMac"],
    "put_events": ["events:PutEvents"],
    "invoke": ["lambda:InvokeFunction"],
    "describe_stacks": ["cloudformation:DescribeStacks"],
    "describe_stack_resource": ["cloudformation:DescribeStackResource"],
    "generate_data_key": ["kms:GenerateDataKey"],
    "decrypt": ["kms:Decrypt"],
}
TRANSACTED = {"Put": "dynamodb:PutItem", "Update": "dynamodb:UpdateItem", "Delete": "dynamodb:DeleteItem"}
# What boto3 clients and tables are called in our code: `sns.publish` is AWS's, `notices.publish` is ours.
CLIENTS = {
    "table",
    "client",
    "sns",
    "ssm",
    "s3",
    "agent",
    "states",
    "sqs",
    "kms",
    "cloudformation",
    "cloudwatch",
    "cloudtrail",
    "functions",
    "events",
    "runtime",
    "bedrock",
    "secrets",
    "dynamodb",
    "logs",
}


@dataclass(frozen=True)
class Module:
    """One file: its top-level definitions and what it imports of ours."""

    name: str
    definitions: dict[str, ast.AST]
    imports: dict[str, tuple[str, str]]


@cache
def module(name: str) -> Module | None:
    path = ROOT / Path(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        return None
    tree = ast.parse(file.read_text())
    package = name if path.is_dir() else name.rpartition(".")[0]
    imports = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                imports[alias.asname or alias.name] = (source, alias.name)
    definitions: dict[str, ast.AST] = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    return Module(name, definitions, imports)


@dataclass
class Reach:
    """What can run when a handler runs."""

    seen: set[tuple[str, str]] = field(default_factory=set)
    classes: dict[tuple[str, str], ast.ClassDef] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    """Adapters that are taken from the composition root: nothing else of it is made."""
    code: list[ast.AST] = field(default_factory=list)
    methods: set[tuple[str, str, str]] = field(default_factory=set)

    def follow(self, place: str, name: str) -> None:
        """A name used in a module: a definition there, or one imported from elsewhere."""
        found = module(place)
        if found is None or (place, name) in self.seen:
            return
        self.seen.add((place, name))
        if name in found.imports:
            source, attribute = found.imports[name]
            if module(f"{source}.{attribute}") is not None:
                return  # a module: what is used of it is followed where it is used
            self.follow(source, attribute)
        elif name in found.definitions:
            node = found.definitions[name]
            if isinstance(node, ast.ClassDef):
                self.classes[place, name] = node
                for base in node.bases:
                    self.read(place, base)
            else:
                self.read(place, node)

    def read(self, place: str, node: ast.AST) -> None:
        found = module(place)
        assert found is not None
        self.code.append(node)
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                self.follow(place, part.id)
            elif isinstance(part, ast.Attribute):
                self.words.add(part.attr)
                if isinstance(part.value, ast.Name) and part.value.id == ("self" if place == ROOT_OF_ALL else "of"):
                    self.taken.add(part.attr)
                if isinstance(part.value, ast.Name) and part.value.id in found.imports:
                    source, attribute = found.imports[part.value.id]
                    self.follow(f"{source}.{attribute}", part.attr)

    def settle(self) -> None:
        """Read the methods whose names are used, until nothing more comes in."""
        growing = True
        while growing:
            growing = False
            for (place, name), node in list(self.classes.items()):
                for method in node.body:
                    if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                        continue
                    words = self.taken if place == ROOT_OF_ALL else self.words
                    used = method.name in words or method.name.startswith("__")
                    if used and (place, name, method.name) not in self.methods:
                        self.methods.add((place, name, method.name))
                        self.read(place, method)
                        growing = True


def reach(verb: str) -> Reach:
    place = f"functions.{verb}.handler"
    found = module(place)
    assert found is not None
    reached = Reach()
    for name in found.definitions:
        reached.follow(place, name)
    reached.settle()
    return reached


def needed(verb: str) -> set[str]:
    """The IAM actions that the function's code may call."""
    actions: set[str] = set()
    for node in reach(verb).code:
        for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
            if not isinstance(call.func, ast.Attribute):
                continue
            operation, receiver = call.func.attr, terminal(call.func.value)
            if operation == "get_paginator" and call.args and isinstance(call.args[0], ast.Constant):
                actions.update(OPERATIONS[str(call.args[0].value)])
            elif receiver in CLIENTS and operation == "transact_write_items":
                actions.update(transacted(node))
            elif receiver in CLIENTS and operation in OPERATIONS:
                actions.update(OPERATIONS[operation])
    return actions


def every_call() -> set[str]:
    """The operations, as boto3 names them, that the product calls anywhere: functions, commands, client."""
    found: set[str] = set()
    for file in sorted((ROOT / "promptlane").rglob("*.py")):
        for call in (part for part in ast.walk(ast.parse(file.read_text())) if isinstance(part, ast.Call)):
            if not isinstance(call.func, ast.Attribute):
                continue
            if call.func.attr == "get_paginator" and call.args and isinstance(call.args[0], ast.Constant):
                found.add(str(call.args[0].value))
            elif terminal(call.func.value) in CLIENTS | {"sts"}:
                found.add(call.func.attr)
    return found


def transacted(node: ast.AST) -> set[str]:
    """Which kinds of writes the transaction holds; where they are made elsewhere in the class, puts."""
    keys = {
        str(key.value)
        for part in ast.walk(node)
        if isinstance(part, ast.Dict)
        for key in part.keys
        if isinstance(key, ast.Constant)
    }
    return {action for key, action in TRANSACTED.items() if key in keys} or {"dynamodb:PutItem"}


def terminal(node: ast.AST) -> str:
    """`self._table.meta.client` → client, `self._sns` → sns, `aws.client(...)` → client."""
    if isinstance(node, ast.Call):
        return terminal(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr.lstrip("_")
    return node.id.lstrip("_") if isinstance(node, ast.Name) else ""
