"""What the real app synthesizes, and how tests ask about it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_cdk import App

from infra.application import add_stacks, synth
from infra.config import DeploymentConfig

ROOT = Path(__file__).resolve().parents[2]
Json = Any
ONLY_OF_TRIALS = {"empty_buckets"}
"""Functions that no other deployment has."""


@dataclass(frozen=True)
class Synthesized:
    """The templates by stack, and where they lie."""

    directory: Path
    templates: dict[str, Json] = field(default_factory=dict)

    def resources(self, kind: str) -> Iterator[tuple[str, str, Json]]:
        """(stack, logical id, properties) of every resource of a type."""
        for stack, template in self.templates.items():
            for logical, resource in template["Resources"].items():
                if resource["Type"] == kind:
                    yield stack, logical, resource.get("Properties", {})

    def one(self, kind: str, path: str) -> tuple[str, str, Json]:
        """The resource of a type whose construct path contains `path`."""
        found = [
            (stack, logical, properties)
            for stack, logical, properties in self.resources(kind)
            if path in self.templates[stack]["Resources"][logical]["Metadata"]["aws:cdk:path"]
        ]
        assert len(found) == 1, f"{len(found)} resources {kind} at {path}"
        return found[0]

    def function(self, verb: str) -> tuple[str, str, Json]:
        path = "".join(word.capitalize() for word in verb.split("_")) + "/Function/"
        return self.one("AWS::Lambda::Function", f"/{path}")

    def verbs(self) -> list[str]:
        """The verbs of all functions, from their handlers."""
        handlers = [p["Handler"] for _, _, p in self.resources("AWS::Lambda::Function")]
        return sorted(h.split(".")[1] for h in handlers if h.startswith("functions."))

    def grants(self, role: str) -> list[Json]:
        """All statements of the policies of a role, given by its logical id."""
        statements = []
        for _, _, properties in self.resources("AWS::IAM::Policy"):
            if {"Ref": role} in properties["Roles"]:
                statements += properties["PolicyDocument"]["Statement"]
        return statements

    def role_of(self, verb: str) -> str:
        return str(self.function(verb)[2]["Role"]["Fn::GetAtt"][0])


def context(*, staged: bool = False) -> dict[str, Json]:
    """The app's own. Unless `staged`, no asset is copied beside the templates: that is half of the time of a synth."""
    return {**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:disable-asset-staging": not staged}


def assets(directory: Path) -> Iterator[Path]:
    """The files and folders that a synthesized app uploads, templates included."""
    for manifest in sorted(directory.glob("*.assets.json")):
        for file in json.loads(manifest.read_text())["files"].values():
            yield directory / file["source"]["path"]


def synthesize(config: DeploymentConfig, directory: Path) -> Synthesized:
    """The templates of a deployment with these settings, by stack; without those that hold nothing."""
    app = App(context={**context(), "aws:cdk:enable-path-metadata": True}, outdir=str(directory))
    add_stacks(app, config=config)
    synth(app)
    templates = {
        path.name.removesuffix(".template.json").removeprefix(f"{config.name}-"): json.loads(path.read_text())
        for path in sorted(directory.glob("*.template.json"))
    }
    return Synthesized(directory, {stack: template for stack, template in templates.items() if "Resources" in template})


def listed(value: Json) -> list[Json]:
    """A policy element that may be one value or a list."""
    return value if isinstance(value, list) else [value]


def allows(statement: Json, action: str) -> bool:
    """Whether a statement allows an action by name (patterns ending in * included)."""
    return statement["Effect"] == "Allow" and any(
        action == given or (given.endswith("*") and action.startswith(given[:-1]))
        for given in listed(statement["Action"])
    )


def principals(statement: Json) -> list[Json]:
    """Service principals of a statement of a resource policy."""
    who = statement.get("Principal", {})
    return listed(who.get("Service", [])) if isinstance(who, dict) else []


def text(value: Json) -> str:
    """Any CloudFormation value as text, to look for names in it."""
    return json.dumps(value, sort_keys=True)
