"""All stacks of one deployment."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import App, Tags

from infra.config import ConfigError, DeploymentConfig
from infra.stacks.access import AccessStack
from infra.stacks.audit import AuditStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.pipeline.stack import PipelineStack
from infra.stacks.runtime import RuntimeStack
from infra.stacks.state import StateStack
from promptlane.domain.enrolment.deadline import too_short
from promptlane.engine.suite import facts
from promptlane.project import PromptProject, load


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """One deployment's stacks, by what they hold."""

    state: StateStack
    pipeline: PipelineStack
    runtime: RuntimeStack
    observability: ObservabilityStack
    audit: AuditStack
    access: AccessStack


def add_stacks(app: App, *, config: DeploymentConfig) -> Stacks:
    """Add a deployment's stacks to the app.

    Raises ProjectInvalid with file and line of everything wrong below `config.prompts_dir`, ConfigError for a reviewer
    who cannot be told from others and for a policy or suite below the platform floor, or whose
    reviews would expire before they can be approved.
    """
    projects = load(config.prompts_dir)
    _check_reviewers(projects, config)
    _check_floor(projects, config)
    _check_deadlines(projects, config)
    name = config.name
    state = StateStack(app, f"{name}-state", config=config, projects=projects)
    audit = AuditStack(app, f"{name}-audit", config=config)
    pipeline = PipelineStack(app, f"{name}-pipeline", config=config, state=state.state, audit=audit, projects=projects)
    runtime = RuntimeStack(app, f"{name}-runtime", config=config, state=state.state)
    stacks = Stacks(
        state=state,
        pipeline=pipeline,
        runtime=runtime,
        observability=ObservabilityStack(
            app, f"{name}-observability", config=config, state=state.state, projects=projects
        ),
        audit=audit,
        access=AccessStack(
            app, f"{name}-access", config=config, state=state.state, pipeline=pipeline, runtime=runtime, audit=audit
        ),
    )
    Tags.of(app).add("promptlane", name)
    return stacks


def _check_reviewers(projects: Sequence[PromptProject], config: DeploymentConfig) -> None:
    """Whoever takes on a role chooses the session's name: two sessions of one shared role are no two people."""
    shared = re.compile(rf":assumed-role/{re.escape(config.name)}-access-[^/]+/")
    wrong = [
        f"prompts/{project.name}/release.yaml: reviewer {reviewer.name!r} is named by {principal}, a session of a role "
        "that others may take on under the same name"
        for project in projects
        for reviewer in project.policy.review.reviewers
        for principal in reviewer.principals
        if shared.search(principal)
    ]
    if wrong:
        raise ConfigError(
            "\n".join(wrong)
            + "\nName the reviewer's own IAM user, or a role that they alone may take on, or a session "
            "whose name the identity provider sets (docs/access.md); attach ReviewerPolicy to that"
        )


def _check_deadlines(projects: Sequence[PromptProject], config: DeploymentConfig) -> None:
    wrong = [
        f"{project.directory}/release.yaml: {path} {message}"
        for project in projects
        for path, message in too_short(project.policy.scaled(config.time_scale), config.trail_late_seconds)
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))


def _check_floor(projects: Sequence[PromptProject], config: DeploymentConfig) -> None:
    wrong = [
        f"{project.directory}: {path} {message}"
        for project in projects
        for path, message in config.floor.breaches(project.policy, facts(project.suite))
    ]
    if wrong:
        raise ConfigError("below the platform floor (promptlane:floor of the deployment):\n  " + "\n  ".join(wrong))
