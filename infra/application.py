"""All stacks of one deployment."""

from dataclasses import dataclass

from aws_cdk import App, Tags

from infra.config import DeploymentConfig
from infra.stacks.access import AccessStack
from infra.stacks.audit import AuditStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.pipeline import PipelineStack
from infra.stacks.runtime import RuntimeStack
from infra.stacks.state import StateStack
from promptlane.project import load


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

    Raises ProjectInvalid with file and line of everything wrong below `config.prompts_dir`.
    """
    projects = load(config.prompts_dir)
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
