"""Whether a folder's suite and policy are those that are deployed: a release is tested by the deployed ones."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from promptlane.domain.errors import PromptlaneError
from promptlane.domain.release.content import canonical_json
from promptlane.project import POLICY_FILE, SUITE_FILE, ProjectInvalid, PromptProject, load_one

from .deployment import Deployment

Json = Any
_SHOWN: Final = 12


def differences(project: PromptProject, deployment: Deployment | None) -> list[str]:
    """What differs, a sentence for each; none where nothing is deployed here, or the prompt is not enrolled.

    project: with models as the deployment calls them (`called_in`).
    """
    if deployment is None:
        return []
    try:
        deployed = deployment.enrolments.deployed_hashes(project.name)
        scale = deployment.time_scale
    except PromptlaneError as error:
        return [f"It could not be seen whether {POLICY_FILE} and {SUITE_FILE} are deployed as they are here: {error}"]
    if deployed is None:
        return []
    mine = (_hash(project.policy.scaled(scale).to_dict()), _hash(project.suite.to_dict()))
    return [
        f"{file} is not the deployed one (here {here[:_SHOWN]}, deployed {there[:_SHOWN]}): a release goes by the "
        "deployed one; deploy the prompt's stack, or get what is deployed"
        for file, here, there in zip((POLICY_FILE, SUITE_FILE), mine, deployed, strict=True)
        if here != there
    ]


def differences_of(directory: Path, deployment: Deployment) -> list[str]:
    """The same for a folder of which only prompt.yaml has been read; none where it has no release.yaml."""
    if not (directory / POLICY_FILE).exists():
        return []
    try:
        project = load_one(directory).called_in(*deployment.models)
    except ProjectInvalid as error:
        return [f"{POLICY_FILE} and {SUITE_FILE} cannot be compared with the deployed ones: {error}"]
    return differences(project, deployment)


def _hash(document: Json) -> str:
    """As the deployment names it (`promptlane/cdk/enrolment.py`)."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
