"""CloudFormation's rules between templates, played without deploying anything.

An account holds stacks; deploying a new assembly updates them one after another in CDK's order. Refused, as AWS does:
to change or remove an export that another stack's present template imports, to import what nobody exports, to create a
resource under a fixed name that is taken (by another, by what was retained, or by what a replacement deletes only
afterwards), and to give a logical id another type. Where a schema says that a property may mean replacement, it does.

Sources: "Exporting stack output values", "Update behaviors of stack resources" and "DeletionPolicy" in the AWS
CloudFormation guide; which properties mean replacement is in the schemas of the types, which cfn-lint carries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER, ResourceNotFoundError

Json = Any
RETAINED = ("Retain", "RetainExceptOnCreate")
REGION = "us-east-1"
_NAMES = {"AWS::CloudWatch::CompositeAlarm": "AlarmName"}
"""The property that names a resource, where it is neither `Name` nor the type's own name with `Name`."""


class Refused(Exception):
    """What CloudFormation would answer."""


def templates(assembly: Path) -> dict[str, Json]:
    """The templates of an assembly by stack, in an order in which CDK may deploy them."""
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    stacks = {name: one for name, one in artifacts.items() if one["type"] == "aws:cloudformation:stack"}
    waits = {name: [on for on in one.get("dependencies", []) if on in stacks] for name, one in stacks.items()}
    read = {name: json.loads((assembly / stacks[name]["properties"]["templateFile"]).read_text()) for name in stacks}
    return {
        stacks[name]["properties"].get("stackName", name): read[name]
        for name in TopologicalSorter(waits).static_order()
        if read[name].get("Resources")  # CDK does not deploy a stack that holds nothing
    }


@dataclass
class Account:
    """The stacks that are deployed, and the fixed names that are taken, with who holds them (None: retained)."""

    stacks: dict[str, Json] = field(default_factory=dict)
    names: dict[tuple[str, str], tuple[str, str] | None] = field(default_factory=dict)

    def deploy(self, assembly: Mapping[str, Json]) -> None:
        """As `cdk deploy --all`: stacks that are not in the assembly stay. Raises Refused where AWS refuses."""
        for stack, template in assembly.items():
            self.update(stack, template)

    def update(self, stack: str, template: Json) -> None:
        before = self.stacks.get(stack, {"Resources": {}})
        replaced = self._replaced(stack, before["Resources"], template["Resources"])
        self._check_imports(stack, template)
        self._create(stack, before["Resources"], template["Resources"], replaced)
        self._check_exports(stack, before, template, replaced)
        self._clean_up(stack, before["Resources"], template["Resources"], replaced)
        self.stacks[stack] = template

    def delete(self, stack: str) -> None:
        self._check_exports(stack, self.stacks[stack], {}, set())
        self._clean_up(stack, self.stacks[stack]["Resources"], {}, set())
        del self.stacks[stack]

    def _check_imports(self, stack: str, template: Json) -> None:
        there = {name for other, one in self.stacks.items() if other != stack for name in exports(one)}
        for name in sorted(imports(template)):
            if name not in there:
                raise Refused(f"{stack}: No export named {name} found")

    def _check_exports(self, stack: str, before: Json, after: Json, replaced: set[str]) -> None:
        old, new = exports(before), exports(after)
        for name, value in old.items():
            users = sorted(other for other, one in self.stacks.items() if other != stack and name in imports(one))
            if users and name not in new:
                raise Refused(f"{stack}: Export {name} cannot be deleted as it is in use by {', '.join(users)}")
            if users and (new[name] != value or refers(value) & replaced):
                raise Refused(f"{stack}: Export {name} cannot be updated as it is in use by {', '.join(users)}")

    def _replaced(self, stack: str, before: Json, after: Json) -> set[str]:
        """Logical ids of what is made anew; whatever refers to one by such a property is, too."""
        found: set[str] = set()
        for logical in before.keys() & after.keys():
            kinds = before[logical]["Type"], after[logical]["Type"]
            if kinds[0] != kinds[1]:
                raise Refused(f"{stack}: Update of resource type is not permitted: {logical} from {' to '.join(kinds)}")
        while True:
            more = {
                logical
                for logical in before.keys() & after.keys() - found
                if _is_replaced(before[logical], after[logical], found)
            }
            if not more:
                return found
            found |= more

    def _create(self, stack: str, before: Json, after: Json, replaced: set[str]) -> None:
        for logical, resource in after.items():
            key = fixed_name(resource)
            if key is None or (logical in before and logical not in replaced):
                continue
            if key in self.names:
                raise Refused(
                    f"{stack}: {logical}: Resource of type '{key[0]}' with identifier '{key[1]}' already exists, "
                    f"held by {self.names[key] or 'nobody: it was retained'}"
                )
            self.names[key] = (stack, logical)

    def _clean_up(self, stack: str, before: Json, after: Json, replaced: set[str]) -> None:
        for logical, resource in before.items():
            if logical in after and logical not in replaced:
                continue
            policy = resource.get("UpdateReplacePolicy" if logical in after else "DeletionPolicy", "Delete")
            key = fixed_name(resource)
            if key is None or self.names.get(key) != (stack, logical) or key == fixed_name(after.get(logical, {})):
                continue
            if policy in RETAINED:
                self.names[key] = None
            else:
                del self.names[key]


def exports(template: Json) -> dict[str, Json]:
    return {
        _text(one["Export"]["Name"]): one["Value"] for one in template.get("Outputs", {}).values() if "Export" in one
    }


def imports(template: Json) -> set[str]:
    return {_text(node["Fn::ImportValue"]) for node in _nodes(template) if "Fn::ImportValue" in node}


def refers(value: Json) -> set[str]:
    """Logical ids that a value names."""
    found = set()
    for node in _nodes(value):
        if "Ref" in node:
            found.add(str(node["Ref"]))
        if "Fn::GetAtt" in node:
            found.add(str(node["Fn::GetAtt"][0]))
    return found


def fixed_name(resource: Json) -> tuple[str, str] | None:
    """(type, name) of a resource whose template names it in its account; not of what belongs to another resource."""
    kind = resource.get("Type", "")
    properties = resource.get("Properties", {})
    identity = [properties.get(path.rpartition("/")[2]) for path in _identifier(kind)]
    if any(not name.startswith("AWS::") for name in refers(identity)):
        return None
    for prop in (_NAMES.get(kind, "Name"), f"{kind.rpartition('::')[2]}Name", "AliasName"):
        if prop in properties and f"/properties/{prop}" in (*_create_only(kind), *_identifier(kind)):
            return kind, _text(properties[prop])
    return None


def _is_replaced(old: Json, new: Json, replaced: set[str]) -> bool:
    for path in _create_only(new["Type"]):
        steps = path.split("/")[2:]
        before, after = _at(old.get("Properties", {}), steps), _at(new.get("Properties", {}), steps)
        if before != after or refers(after) & replaced:
            return True
    return False


@cache
def _schema(kind: str) -> Json:
    try:
        return PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, kind).schema
    except ResourceNotFoundError:
        return {}  # custom resources: their handlers decide


def _create_only(kind: str) -> tuple[str, ...]:
    schema = _schema(kind)
    return (*schema.get("createOnlyProperties", ()), *schema.get("conditionalCreateOnlyProperties", ()))


def _identifier(kind: str) -> tuple[str, ...]:
    return tuple(_schema(kind).get("primaryIdentifier", ()))


def _at(value: Json, steps: list[str]) -> Json:
    for step in steps:
        if not isinstance(value, dict) or step == "*":
            return value
        value = value.get(step)
    return value


def _nodes(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
