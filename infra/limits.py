"""What CloudFormation takes in one template, told in words of ours, with a way out.

CDK would stop at the resources with a stack trace (cdk.json switches its check off), and at the bytes not at all:
CloudFormation refuses those after everything else was uploaded.

Source: "Understand CloudFormation quotas" in the AWS CloudFormation guide.
"""

import json
from collections.abc import Iterator
from pathlib import Path

RESOURCES, TEMPLATE_BYTES = 500, 1_000_000


def breaches(assembly: Path) -> list[str]:
    """What is above a limit in a synthesized app: the stack, the number, the limit and the remedy."""
    return [told for path in sorted(assembly.glob("*.template.json")) for told in _of(path)]


def _of(path: Path) -> Iterator[str]:
    written = path.read_bytes()
    resources = len(json.loads(written).get("Resources", {}))
    for number, limit, what in (
        (resources, RESOURCES, "resources"),
        (len(written), TEMPLATE_BYTES, "bytes of template"),
    ):
        if number > limit:
            stack = path.name.removesuffix(".template.json")
            yield f"the stack {stack} has {number:,} {what}, and CloudFormation takes {limit:,}: {_remedy(stack)}"


def _remedy(stack: str) -> str:
    if "-prompt-" in stack:
        return "let this prompt's release.yaml watch fewer metrics of its own"
    return (
        "name fewer applications in promptlane:applications, or give some of them and their prompts a deployment of "
        "their own (promptlane:name)"
    )
