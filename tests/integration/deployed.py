"""All stacks on one embedded AWS, deployed once per test session by the real CDK CLI."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.deploy import deploy
from local.running import EmbeddedAws

PROMPTS = Path(__file__).resolve().parents[2] / "prompts"

CONTEXT = {
    "promptlane:lambda_target": "host",
    "promptlane:retain": False,
    "promptlane:resolution_seconds": 10,
    "promptlane:time_scale": 0.01,
    "promptlane:budget_usd_per_prompt": 100,
}


@dataclass(frozen=True)
class Deployed:
    """The embedded AWS, and the outputs by stack."""

    aws: EmbeddedAws
    outputs: dict[str, dict[str, str]]

    def client(self, service: str) -> Any:
        return self.aws.client(service)


def deploy_all(aws: EmbeddedAws, folder: Path) -> Deployed:
    """Deploy every stack to `aws`; `folder` takes the assembly and the outputs."""
    return Deployed(aws, deploy(aws.env(), CONTEXT, outputs=folder / "outputs.json"))
