"""What is wrong with a policy or suite by itself, and so known before anything is deployed."""

from collections.abc import Iterable, Iterator

from promptlane.cdk.platform import Platform
from promptlane.domain.canary import fuse
from promptlane.domain.enrolment.deadline import too_short
from promptlane.domain.model_regions import missing
from promptlane.domain.policy import Policy, Reviewer
from promptlane.domain.review.sessions import shared_sessions
from promptlane.engine.assertions import asked_by
from promptlane.engine.suite import facts
from promptlane.project import PromptProject


def problems(project: PromptProject, policy: Policy, platform: Platform) -> list[str]:
    """Each with file, field and remedy. `policy`: the project's, with its durations as the deployment has them."""
    file = f"{project.directory}/release.yaml"
    return [
        *proving_nobody(file, policy.review.reviewers, platform),
        *(
            f"{project.directory}: {path} {message} (promptlane:floor of the deployment)"
            for path, message in platform.floor.breaches(project.policy, facts(project.suite))
        ),
        *(f"{file}: {path} {message}" for path, message in too_short(policy, platform.trail_late_seconds)),
        *_too_dear(file, policy, platform),
        *_not_offered(project, platform.region),
    ]


def proving_nobody(file: str, reviewers: Iterable[Reviewer], platform: Platform) -> list[str]:
    """Reviewers whose principals others may act as."""
    return [f"{file}: reviewer {name!r} {message}" for name, message in shared_sessions(reviewers, platform.deployment)]


def _too_dear(file: str, policy: Policy, platform: Platform) -> list[str]:
    usd = fuse.monthly_usd(policy, platform.resolution_seconds)
    if usd <= platform.budget_usd_per_prompt:
        return []
    return [
        f"{file}: the fuse alarms cost ${usd:.2f} a month, more than promptlane:budget_usd_per_prompt allows "
        f"(${platform.budget_usd_per_prompt:.2f}); raise it, or choose promptlane:resolution_seconds=60"
    ]


def _not_offered(project: PromptProject, region: str) -> list[str]:
    """Models that the Region does not offer, under the names by which they are called."""
    remedy = (
        "name another model, or set promptlane:inference_profiles to the group of Regions in which requests may be "
        "answered (docs/deploy.md)"
    )
    return [f"{project.directory}/{where}: {says}; {remedy}" for where, says in _missing(project, region)]


def _missing(project: PromptProject, region: str) -> Iterator[tuple[str, str]]:
    """(file and field, why not) of the draft's model, of those that assertions ask, and of a policy without any."""
    if says := missing(project.draft.model, region):
        yield "prompt.yaml: model", says
    tests, asked = project.policy.tests, set(asked_by(a for case in project.suite.cases for a in case.all_asserts))
    for asks, field, model in (
        ("judge", "judge_model", tests.judge_model),
        ("embedder", "embedding_model", tests.embedding_model),
    ):
        if asks in asked and (says := missing(model, region)):
            yield f"release.yaml: tests.{field}", says
    allowed = project.policy.allowed_models
    unknown = [says for model in allowed if (says := missing(model, region))]
    if allowed and len(unknown) == len(allowed):
        yield "release.yaml: models.allowed", "; ".join(unknown)
