"""All stacks of one deployment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aws_cdk import Annotations, App, Tags

from infra import limits
from infra.config import ConfigError, DeploymentConfig
from infra.stacks.access import AccessStack
from infra.stacks.audit import AuditStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.pipeline.stack import PipelineStack
from infra.stacks.prompt import PromptStack
from infra.stacks.reviewers import ReviewersStack, add_reviewers
from infra.stacks.runtime import RuntimeStack
from infra.stacks.state import StateStack
from promptlane.cdk.checks import problems, proving_nobody
from promptlane.domain.review.declared import Declared
from promptlane.project import (
    POLICY_FILE,
    PROMPT_FILE,
    PromptProject,
    by_name,
    declare,
    load,
    load_draft,
    load_one,
    load_reviewers,
    resolve,
)


@dataclass(frozen=True, kw_only=True)
class Stacks:
    """One deployment's stacks, by what they hold; `prompts` by the prompt's name."""

    state: StateStack
    reviewers: list[ReviewersStack]
    pipeline: PipelineStack
    runtime: RuntimeStack
    observability: ObservabilityStack
    audit: AuditStack
    access: AccessStack
    prompts: dict[str, PromptStack]


def add_stacks(app: App, *, config: DeploymentConfig) -> Stacks:
    """Add a deployment's stacks to the app, those of the platform and one for each prompt.

    Raises ProjectInvalid with file and line of everything wrong below `config.prompts_dir` and in `config.reviewers`,
    ConfigError for what is wrong with prompts by themselves (`promptlane.cdk.checks`) and with who reviews them.
    """
    written = [_called(project, config) for project in load(config.prompts_dir)]
    declared = declare(written, load_reviewers(config.reviewers))
    _check_reviewers(declared, config)
    _check([resolve(project, declared) for project in written], config)
    projects = [replace(project, policy=by_name(project.policy)) for project in written]
    name = config.name
    state = StateStack(app, f"{name}-state", config=config)
    reviewers = add_reviewers(app, config=config, key=state.state.message_key, people=declared.people)
    audit = AuditStack(app, f"{name}-audit", config=config)
    pipeline = PipelineStack(app, f"{name}-pipeline", config=config, state=state.state, audit=audit, declared=declared)
    for stack in reviewers:
        pipeline.add_dependency(stack)  # nobody is asked before there is a topic to ask by
    runtime = RuntimeStack(app, f"{name}-runtime", config=config, state=state.state)
    _warn_of_short_timeouts(runtime, projects, config)
    stacks = Stacks(
        state=state,
        reviewers=reviewers,
        pipeline=pipeline,
        runtime=runtime,
        observability=ObservabilityStack(
            app,
            f"{name}-observability",
            config=config,
            state=state.state,
            audit=audit,
            pipeline=pipeline,
            runtime=runtime,
        ),
        audit=audit,
        access=AccessStack(
            app, f"{name}-access", config=config, state=state.state, pipeline=pipeline, runtime=runtime, audit=audit
        ),
        prompts={p.name: PromptStack(app, platform=config.platform, project=p) for p in projects},
    )
    for prompt in stacks.prompts.values():
        # For the order of `cdk deploy --all` alone (ADR 32): nothing of it is in the template.
        prompt.add_stack_dependency(pipeline)
    Tags.of(app).add("promptlane", name)
    return stacks


def add_prompt(app: App, *, config: DeploymentConfig) -> PromptStack:
    """Add the stack of the prompt `config.only`, and nothing else; the other prompts' files are not looked at.

    Raises ProjectInvalid and ConfigError as `add_stacks`, ConfigError where there is no such prompt. Whom its policy
    names as reviewers, `enrol` asks the deployment.
    """
    project = _called(load_one(_folder_of(config)), config)
    _check([project], config)
    named = replace(project, policy=by_name(project.policy))
    stack = PromptStack(app, platform=config.platform, project=named)
    Tags.of(app).add("promptlane", config.name)
    return stack


def synth(app: App) -> Path:
    """The folder of the synthesized app. Raises ConfigError for every stack that CloudFormation would not take."""
    folder = Path(app.synth().directory)
    if wrong := limits.breaches(folder):
        raise ConfigError("\n".join(wrong))
    return folder


def _warn_of_short_timeouts(runtime: RuntimeStack, projects: Sequence[PromptProject], config: DeploymentConfig) -> None:
    """The judge takes a minute's counts for complete once its longest request is over, as the policy says."""
    short = [p.name for p in projects if config.streams and p.policy.request.timeout < config.stream_seconds]
    if short:
        Annotations.of(runtime).add_warning_v2(
            "promptlane:stream-seconds",
            f"streamed answers may take {config.stream_seconds} s (promptlane:stream_seconds), and these policies say "
            f"less as request.timeout, so that their judge may miss the slowest: {', '.join(sorted(short))}",
        )


def _check_reviewers(declared: Declared, config: DeploymentConfig) -> None:
    if wrong := proving_nobody(str(config.reviewers), declared.people, config.platform):
        raise ConfigError("\n".join(wrong))


def _folder_of(config: DeploymentConfig) -> Path:
    """The prompt's folder has its name, most often; else it is looked for."""
    folders = [path.parent for path in sorted(config.prompts_dir.glob(f"*/{POLICY_FILE}"))]
    for folder in sorted(folders, key=lambda one: one.name != config.only):
        if load_draft(folder).name == config.only:
            return folder
    raise ConfigError(
        f"there is no prompt {config.only!r} below {config.prompts_dir}: write the `name` of one of its "
        f"{len(folders)} files <prompt>/{PROMPT_FILE} beside a {POLICY_FILE}"
    )


def _called(project: PromptProject, config: DeploymentConfig) -> PromptProject:
    return project.called_in(config.region, config.inference_profiles)


def _check(projects: Sequence[PromptProject], config: DeploymentConfig) -> None:
    wrong = [
        one
        for project in projects
        for one in problems(project, project.policy.scaled(config.time_scale), config.platform)
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))
