"""What a synth takes and makes with 3, 30 and 300 prompts, and whether anything grows that CloudFormation bounds."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.config import REVIEWERS_FILE, DeploymentConfig
from infra.limits import RESOURCES, TEMPLATE_BYTES
from tests.support.rendered import Rendered
from tests.support.synthesized import ROOT, Json, Synthesized, synthesize

SIZES = ((3, 3), (30, 30), (300, 100))
"""(prompts, reviewers)."""
PARAMETERS, OUTPUTS = 200, 200
"""CloudFormation's limits of one template, beside those of infra/limits.py."""
PARAMETER_BYTES, ENVIRONMENT_BYTES = 4_096, 4_096
POLICY_CHARS = {"AWS::IAM::ManagedPolicy": 6_144, "AWS::IAM::Policy": 10_240}
"""IAM's limits without spaces; inline policies of one role count together."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    prompts: int
    reviewers: int
    synth_s: float
    largest_template_bytes: int
    most_resources: int
    largest_policy_chars: int


def measure(folder: Path, *, prompts: int, reviewers: int) -> tuple[Scale, Synthesized]:
    """Synthesizes that many copies of the support assistant, each with four reviewers of that many, below `folder`."""
    config = DeploymentConfig(prompts_dir=written(folder, prompts=prompts, reviewers=reviewers))
    begun = time.perf_counter()
    made = synthesize(config, folder / "cdk.out")
    took = time.perf_counter() - begun
    scale = Scale(
        prompts=prompts,
        reviewers=reviewers,
        synth_s=round(took, 2),
        largest_template_bytes=max(path.stat().st_size for path in made.directory.glob("*.template.json")),
        most_resources=max(len(template.get("Resources", {})) for template in made.templates.values()),
        largest_policy_chars=max(size for _, _, size in policies(made)),
    )
    return scale, made


def scale(folder: Path) -> list[dict[str, Json]]:
    """The rows of `.local/deployments.json`. The first synth of a process loads what all need, and is not counted."""
    measure(folder / "first", prompts=1, reviewers=3)
    return [asdict(measure(folder / str(n), prompts=n, reviewers=people)[0]) for n, people in SIZES]


def written(folder: Path, *, prompts: int, reviewers: int) -> Path:
    """`prompts/` with a copy for each, beside it who reviews."""
    source = ROOT / "prompts" / "support-assistant"
    names = [f"reviewer-{number:03}" for number in range(reviewers)]
    (folder / "prompts").mkdir(parents=True)
    (folder / REVIEWERS_FILE).write_text("".join(f"{n}: {{email: {n}@example.com, groups: [legal]}}\n" for n in names))
    for number in range(prompts):
        name = f"prompt-{number:03}"
        to = folder / "prompts" / name
        shutil.copytree(source, to)
        text = (to / "prompt.yaml").read_text()
        (to / "prompt.yaml").write_text(text.replace("name: support-assistant", f"name: {name}", 1))
        asked = [names[(number + step) % reviewers] for step in range(min(4, reviewers))]
        (to / "release.yaml").write_text(reviewed((to / "release.yaml").read_text(), asked))
    return folder / "prompts"


def reviewed(policy: str, names: list[str]) -> str:
    """The policy with other reviewers, and whatever it asks of their groups left out."""
    head, _, rest = policy.partition("review:\n")
    lines = rest.splitlines(keepends=True)
    end = next(n for n, line in enumerate(lines) if line.strip() and not line.startswith((" ", "#")))
    return f"{head}review:\n  reviewers: [{', '.join(names)}]\n  quorum: 2\n" + "".join(lines[end:])


def policies(made: Synthesized) -> Iterator[tuple[str, str, int]]:
    """(kind, where, characters) of every policy; those of one role count as one. References by their longest values."""
    inline: Counter[str] = Counter()
    rendered = Rendered(made)
    for kind in POLICY_CHARS:
        for stack, logical, properties in made.resources(kind):
            document = rendered.value(stack, properties["PolicyDocument"])
            size = len(json.dumps(document, separators=(",", ":")))
            if kind == "AWS::IAM::ManagedPolicy":
                yield kind, f"{stack}/{logical}", size
            else:
                inline.update({f"{stack}/{json.dumps(role)}": size for role in properties.get("Roles", [])})
    yield from (("AWS::IAM::Policy", role, size) for role, size in inline.items())


def breaches(made: Synthesized, *, share: float = 0.5) -> list[str]:
    """What is above that share of a limit of CloudFormation, SSM, Lambda or IAM.

    Managed policies are not among it: the duties' are boundaries too, each of which is one policy that holds all that
    the duty may do and never may. tests/infra/test_access.py holds them below nine tenths, in every partition.
    """
    found = [
        f"{where}: {size} characters of {POLICY_CHARS[kind]}"
        for kind, where, size in policies(made)
        if kind == "AWS::IAM::Policy" and size > share * POLICY_CHARS[kind]
    ]
    for stack, template in made.templates.items():
        size = (made.directory / f"promptlane-{stack}.template.json").stat().st_size
        for what, number, limit in (
            ("bytes", size, TEMPLATE_BYTES),
            ("resources", len(template.get("Resources", {})), RESOURCES),
            ("parameters", len(template.get("Parameters", {})), PARAMETERS),
            ("outputs", len(template.get("Outputs", {})), OUTPUTS),
        ):
            if number > share * limit:
                found.append(f"{stack}: {number} {what} of {limit}")
    for kind, field, limit in (
        ("AWS::SSM::Parameter", "Value", PARAMETER_BYTES),
        ("AWS::Lambda::Function", "Environment", ENVIRONMENT_BYTES),
    ):
        for stack, logical, properties in made.resources(kind):
            if (number := len(json.dumps(properties.get(field, "")))) > share * limit:
                found.append(f"{stack}/{logical}: {number} characters of {limit}")
    return found
